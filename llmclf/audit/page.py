"""The report as a page: headlines, then sections of paragraphs, tables, figures and records, and its HTML."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from llmclf.audit.numbers import Outcome, shown
from llmclf.audit.plots.svg import writable


@dataclass(frozen=True)
class Link:
    """A word that leads to another place of the page."""

    text: str
    target: str
    """The id of a section or of `Details`."""


Cell: TypeAlias = str | float | Link | Outcome | None


@dataclass(frozen=True)
class Column:
    """A column's name and, for numbers, their decimals; whole numbers have 0."""

    name: str
    digits: int | None = None


@dataclass(frozen=True)
class Table:
    """One value a cell, None where there is none; the first column names the row."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of text."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list of points."""

    points: tuple[str, ...]


@dataclass(frozen=True)
class Warnings:
    """What a reader must know before trusting the numbers near it."""

    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Figure:
    """A plot, and on narrow screens its small form where there is one."""

    svg: str
    caption: str
    small_svg: str = ""


@dataclass(frozen=True)
class SmallMultiples:
    """Many small plots of one kind, each with its name as the caption."""

    figures: tuple[Figure, ...]
    caption: str
    """What they have in common: the axes and the markers."""


@dataclass(frozen=True)
class Verbatim:
    """A text exactly as it was: of an item, a prompt, a reply."""

    name: str
    text: str


@dataclass(frozen=True)
class Details:
    """What is read only when it is opened; a link to its id opens it."""

    id: str
    summary: str
    blocks: tuple["Block", ...]


Block: TypeAlias = Paragraph | Bullets | Warnings | Table | Figure | SmallMultiples | Verbatim | Details


@dataclass(frozen=True)
class Section:
    """A section under its heading; `lead` says in a sentence or two what it finds."""

    id: str
    title: str
    lead: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Verdict:
    """What was found in one question: for a gate, and in a sentence."""

    question: str
    outcome: Outcome
    verdict: str
    sentence: str


@dataclass(frozen=True)
class Headline:
    """The verdicts on one model: a sentence a question for the paper, and the table that a release gate reads."""

    model: str
    conclusion: str
    verdicts: tuple[Verdict, ...]
    gate: Table

    @property
    def tally(self) -> list[tuple[Outcome, int]]:
        """How many questions have each outcome."""
        return [(outcome, sum(each.outcome is outcome for each in self.verdicts)) for outcome in Outcome]


@dataclass(frozen=True)
class Page:
    """The whole report."""

    title: str
    lead: str
    facts: tuple[tuple[str, str], ...]
    """What was audited, by name: data, people, model, date."""
    headlines: tuple[Headline, ...]
    warnings: tuple[str, ...]
    sections: tuple[Section, ...]


def cell_text(cell: Cell, column: Column) -> str:
    """Say what a cell holds; numbers are rounded to their column's decimals."""
    if isinstance(cell, Link):
        return cell.text
    if cell is None:
        return ""
    if isinstance(cell, str) or column.digits is None:
        return str(cell)
    return shown(cell, column.digits)


def html(page: Page) -> str:
    """Render a page that needs no other file, no script and no network."""
    here = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(here), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["kind"] = lambda value: type(value).__name__
    environment.filters["cell_text"] = cell_text
    environment.filters["breakable"] = _breakable
    style = Markup((here / "report.css").read_text(encoding="utf-8"))  # noqa: S704  # ours
    return writable(environment.get_template("report.html.jinja").render(page=page, style=style))


def _breakable(text: str) -> Markup:
    """Let a long name break after its underscores; what is copied stays the same."""
    return escape(text).replace("_", Markup("_<wbr>"))
