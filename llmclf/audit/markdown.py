"""A page as Markdown: its sentences and tables; plots and what a reader opens are left to the page."""

import re
from collections.abc import Iterable, Iterator

from llmclf.audit.page import Block, Bullets, Headline, Page, Paragraph, Section, Table, Warnings, cell_text
from llmclf.audit.plots.svg import writable

_MARKS = re.compile(r"[\\`*\[\]<>|&#~]|(?<!\w)_|_(?!\w)")


def markdown(page: Page) -> str:
    """Render what can be pasted into a paper or an issue: GitHub's tables, one value a cell."""
    parts = [f"# {_inline(page.title)}", _inline(page.lead)]
    parts += [f"**{_inline(headline.conclusion)}**" for headline in page.headlines]
    parts += _block(Warnings(page.warnings))
    parts.append(_list(f"{name}: {value}" for name, value in page.facts))
    parts += [part for headline in page.headlines for part in _verdicts(headline)]
    parts += [part for number, section in enumerate(page.sections, 1) for part in _section(number, section)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _inline(text: str) -> str:
    """Keep a text from meaning anything to Markdown, or to the HTML that it may hold."""
    return _MARKS.sub(r"\\\g<0>", writable(" ".join(text.split())))


def _list(points: Iterable[str]) -> str:
    return "\n".join(f"- {_inline(point)}" for point in points)


def _verdicts(headline: Headline) -> Iterator[str]:
    yield f"## {_inline(headline.model)}, question by question"
    yield _list(f"{each.question}: {each.verdict}. {each.sentence}" for each in headline.verdicts)
    yield _table(headline.gate)


def _section(number: int, section: Section) -> Iterator[str]:
    yield f"## {number} {_inline(section.title)}"
    yield _inline(section.lead)
    for block in section.blocks:
        yield from _block(block)


def _block(block: Block) -> Iterator[str]:
    match block:
        case Paragraph(text):
            yield _inline(text)
        case Bullets(points):
            yield _list(points)
        case Warnings(warnings):
            yield _list(f"Warning: {warning}" for warning in warnings)
        case Table():
            yield _table(block)


def _table(table: Table) -> str:
    names = [_inline(column.name) for column in table.columns]
    rules = ["---" if column.digits is None else "---:" for column in table.columns]
    cells = [
        [_inline(cell_text(cell, column)) for cell, column in zip(row, table.columns, strict=True)]
        for row in table.rows
    ]
    lines = [f"| {' | '.join(row)} |" for row in (names, rules, *cells)]
    return "\n".join([f"**{_inline(table.caption)}**", "", *lines])
