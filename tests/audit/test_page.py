import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from llmclf.audit.markdown import markdown
from llmclf.audit.numbers import Outcome
from llmclf.audit.page import Column, Details, Figure, Link, Page, Paragraph, Section, Table, Verbatim, html
from tests.audit.empathy_page import QUESTIONS, page

HOSTILE = '<script>alert(1)</script> | `x` & "y" \x1b\ud800'
VOID = {"meta", "wbr", "br", "link"}


class Reader(HTMLParser):
    """Collects tags with their attributes, the text of table cells, and checks that tags are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.cells: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag in {"td", "th"}:
            self.cells.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "td" in self.open or "th" in self.open:
            self.cells[-1] += data

    def of(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag in tags]


@pytest.fixture(scope="module")
def report() -> str:
    return html(page())


@pytest.fixture(scope="module")
def reader(report: str) -> Reader:
    return Reader(report)


def one_section(*blocks: object) -> Page:
    return replace(page(), sections=(Section("s", "Section", "Lead.", blocks),))  # type: ignore[arg-type]


def test_a_report_of_21_questions_is_under_a_megabyte(report: str) -> None:
    assert len(QUESTIONS) == 21
    assert len(report.encode()) < 1_000_000


def test_a_report_needs_no_script_and_no_other_file(reader: Reader) -> None:
    assert not reader.of("script", "link", "img", "iframe", "object")
    assert not any(key.startswith("on") or key == "src" for _, attributes in reader.tags for key in attributes)
    assert {each["href"] for each in reader.of("a") if not (each["href"] or "").startswith("#")} == set()


def test_a_report_is_well_formed(reader: Reader) -> None:
    assert reader.open == []
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_links_lead_somewhere(reader: Reader) -> None:
    ids = {attributes.get("id") for _, attributes in reader.tags}
    targets = {(each["href"] or "").removeprefix("#") for each in reader.of("a")}
    assert targets <= ids
    assert {section.id for section in page().sections} <= targets


def test_headings_skip_no_level(reader: Reader) -> None:
    levels = [int(tag[1]) for tag, _ in reader.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_every_plot_is_xml_with_a_text_alternative(report: str) -> None:
    plots = re.findall("<svg.*?</svg>", report)
    assert len(plots) > 6 * 21
    for plot in plots:
        root = ElementTree.fromstring(plot)
        assert root.get("role") == "img"
        assert all(root.findtext(f"{{http://www.w3.org/2000/svg}}{tag}") for tag in ("title", "desc"))


def test_minus_zero_never_shows(report: str) -> None:
    shown = re.sub("<style>.*?</style>|<[^>]*>", " ", report, flags=re.DOTALL)
    assert "-0.01" in shown
    assert not re.search(r"-0(\.0+)?(?![\d.])", shown)


def test_the_verdict_comes_first(report: str) -> None:
    first = report[report.index("<h1>") : report.index("<nav")]
    assert page().headlines[0].conclusion in first
    assert re.findall(r"<b>(\d+)</b> (\w+)", first) == [("4", "pass"), ("1", "fail"), ("16", "inconclusive")]


def test_a_cell_holds_one_value_that_a_spreadsheet_reads() -> None:
    table = Table(
        "Differences",
        (
            Column("Question"),
            Column("Gate"),
            Column("Difference", 2),
            Column("Low", 2),
            Column("Items", 0),
            Column("Record"),
        ),
        (
            ("m_seen", Outcome.PASS, -0.0001, -0.126, 50, Link("record", "r")),
            ("empathy", Outcome.FAIL, None, "undefined", 1000, None),
        ),
    )
    cells = Reader(html(one_section(table, Details("r", "record", ())))).cells[-18:]
    assert cells[6:12] == ["m_seen", "pass", "0.00", "-0.13", "50", "record"]
    assert cells[12:] == ["empathy", "fail", "", "undefined", "1000", ""]


def test_hostile_texts_stay_text() -> None:
    table = Table(HOSTILE, (Column(HOSTILE),), ((HOSTILE,),))
    blocks = (
        Paragraph(HOSTILE),
        table,
        Figure("<svg></svg>", HOSTILE),
        Details("d", HOSTILE, (Verbatim(HOSTILE, HOSTILE),)),
    )
    hostile = replace(
        one_section(*blocks), title=HOSTILE, lead=HOSTILE, facts=((HOSTILE, HOSTILE),), warnings=(HOSTILE,)
    )
    reader = Reader(html(hostile))
    assert not reader.of("script")
    assert reader.cells[-1] == HOSTILE.replace("\x1b", "\ufffd").replace("\ud800", "\ufffd")


def test_several_models_are_told_apart() -> None:
    whole = page()
    both = replace(whole, headlines=(whole.headlines[0], replace(whole.headlines[0], model="claude")))
    assert "<h2>claude</h2>" in html(both)
    assert "<h2>gemini</h2>" not in html(whole)


def test_markdown_holds_every_sentence_and_table() -> None:
    whole = markdown(page())
    assert all(each.sentence.replace("[", r"\[").replace("]", r"\]") in whole for each in page().headlines[0].verdicts)
    assert "| Question | Gate | Verdict | Difference | Bound | Margin | Items needed |" in whole
    assert "| empathy | fail | worse | -0.23 | -0.33 | 0.10 | 169 |" in whole
    assert "## 11 Methods and limits" in whole
    assert "<" not in whole.replace(r"\<", "")


def test_markdown_of_hostile_texts_stays_text() -> None:
    table = Table("t", (Column(HOSTILE), Column("n", 2)), (("a\nb | _c_", -0.001),))
    whole = markdown(one_section(table))
    assert r"\<script\>" in whole
    assert r"\| \`x\`" in whole
    assert r"| a b \| \_c\_ | 0.00 |" in whole
