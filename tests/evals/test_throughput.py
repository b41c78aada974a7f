import json
import os
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from evals import throughput
from evals.peers.measure import Peer, Question, Task, Tokens, measure
from evals.throughput_ceiling import Ceiling, Needs, inner_nodes, needs
from evals.throughput_memory import Memory
from evals.throughput_report import Found, ceiling_line, memory_table, problem_lines, roofline, targets, work_table
from evals.throughput_rows import BEST_ONLY, CHOSEN, OURS, SHIPPED, Row, row
from evals.throughput_works import WORKS, Work, load, reply_schema

DATA = os.environ.get("LLMCLF_DATA", "no such folder")
needs_data = pytest.mark.skipif(not Path(DATA).is_dir(), reason="the datasets are not here: set LLMCLF_DATA")

FRAME = ("<s>", "<u>", "<a>")
SHORT = Work(
    "clickbait",
    "Short texts",
    "You label.",
    "Which?\n",
    (Question("", "It is", ("news", "clickbait")),),
    ("one two three", "four five"),
    ("news", "clickbait"),
)


def words(text: str) -> list[str]:
    return text.split()


def ceiling(path: str, tokens_per_second: float) -> Ceiling:
    need = {name: Needs(text=15, tail=5, nodes=30) for name in WORKS}
    return Ceiling(path, "BF16", FRAME, tokens_per_second, tokens_per_second / 2, 100_000_000, 400.0, need)


def found(*rows: Row, memory: tuple[Memory, ...] = ()) -> Found:
    return Found("Tiny", {SHIPPED: ceiling("a", 500), CHOSEN: ceiling("b", 2000)}, rows, memory)


@needs_data
@pytest.mark.parametrize("name", WORKS)
def test_works(name: str) -> None:
    (work,) = load([name])
    assert work.name == name
    assert len(work.texts) >= 50
    assert len(work.texts) == len(set(work.texts)) or name != "long"
    assert len(work.truth) == len(work.texts) * len(work.questions)
    labels = {label for question in work.questions for label in question.labels}
    assert {truth for truth in work.truth if truth is not None} <= labels
    assert not any("_" in label for label in labels)
    assert not any(text != text.strip() or not text for text in work.texts)
    assert work == WORKS[name](), "the same texts in the same order each time"
    assert len(work.questions) == (6 if name == "long" else 1)
    if name == "banking77":
        assert len(labels) == 77


def test_a_task_survives_its_file(tmp_path: Path) -> None:
    task = SHORT.task("model.gguf", FRAME, threads=2, seconds=0.5, repeats=5, settings={"layout": "shipped"})
    file = tmp_path / "task.json"
    file.write_text(json.dumps(task.__dict__, default=lambda one: one.__dict__))
    assert Task.load(file) == task
    assert task.before("one") + task.after(task.questions[0]) == "<s>You label.<u>Which?\none<a>It is"


def test_tokens_needed() -> None:
    need = needs(SHORT.task("", ("", "", " end ")), words)
    assert need == Needs(text=2.5, tail=3, nodes=0)
    assert need.tail_share == 3 / 5.5
    assert inner_nodes([[1, 2, 3], [1, 2, 4], [5, 6], [7]]) == 3
    assert inner_nodes([[1], [2]]) == 0


def test_ceiling() -> None:
    assert ceiling("", 2000).rate("clickbait") == 2000 / (15 + 5)
    assert ceiling("", 2000).rate("banking77") == 2000 / (15 + 5 + 30)
    assert ceiling("", 2000).rate_with_logits("banking77") == 2000 / (15 + 5 + 2 * 30)
    assert ceiling("", 2000).prefill_gflops == 400


def test_answers_are_scored() -> None:
    assert SHORT.score(["news", None]) == (0.5, 1)
    assert SHORT.score(["news"]) == (1.0, 0), "a slow peer answers the first texts only"
    assert SHORT.score(["something else", "clickbait"]) == (0.5, 1)
    written = Work(**{**SHORT.__dict__, "mode": "generate"})
    assert written.score(['{"label": "news", "rationale": "x"}', '{"label": "news", "ratio']) == (0.5, 1)
    assert written.score(['["news"]', '{"label": ["news"]}']) == (0.0, 2)
    assert json.loads(reply_schema(["a", "b"]))["properties"]["label"]["enum"] == ["a", "b"]


def test_a_measurement() -> None:
    read = Tokens()

    def answer(texts: list[str]) -> list[str | None]:
        read.read += 10 * len(texts)
        read.written += len(texts)
        return ["news"] * len(texts)

    task = SHORT.task("", FRAME, seconds=0.0, repeats=3)
    result = measure(task, Peer(answer, lambda: Tokens(read.read, read.written)))  # type: ignore[arg-type]
    assert (result["texts"], len(result["seconds"]), result["answers"]) == (2, 2, ["news", "news"])
    assert (result["read"], result["written"]) == (10, 1)
    made = row(SHORT, "fake", SHIPPED, result | {"memory": 5, "seconds": [0.5, 1.0, 2.0]}, None)
    assert (made.rate, made.spread, made.right, made.invalid) == (2.0, 3.0, 0.5, 0)


def test_the_tables_fit_a_terminal() -> None:
    one = found(
        Row("clickbait", OURS, CHOSEN, rate=90, texts=200, read=23, written=0, right=0.6, memory=600_000_000),
        Row("clickbait", "ollama-classifier", SHIPPED, rate=10, texts=20, read=23, written=1.5, right=0.5),
        Row("clickbait", "ollama-classifier", CHOSEN, rate=30, texts=20),
        Row("clickbait", "callo", SHIPPED, problem="it cannot be installed: no such version"),
        memory=(Memory("CSV, 10,000 rows", 500_000_000, 271_000_000), Memory("first use", 0, 0, "it failed")),
    )
    console = Console(width=80, record=True, file=StringIO())
    console.print(work_table(one, SHORT))
    for line in (*problem_lines(one, SHORT), ceiling_line(one, SHORT)):
        console.print(line)
    console.print(memory_table(one))
    for line in roofline(one):
        console.print(line)
    shown = console.export_text()
    (line,) = [line for line in shown.splitlines() if line.startswith("ollama-classifier")]
    assert line.split()[1:5] == ["10.0", "9.0", "30.0", "3.0"]
    assert "callo, shipped: it cannot be installed: no such version" in shown
    words = " ".join(shown.split())
    assert "Ceiling: 100.0 texts/s, from 2,000 tokens/s over 15.0 of the text + 5 after it (25%)" in words
    assert "reaches 0.90 of it" in words
    assert "waits" in shown
    assert "…" not in shown


def test_targets() -> None:
    rows = [Row(work, OURS, CHOSEN, rate=90) for work in ("clickbait", "amazon", "cebab", "long", "generation")]
    rows += [Row(work, "guidance", SHIPPED, rate=10) for work in ("clickbait", "amazon", "cebab", "long", "banking77")]
    rows += [Row("clickbait", "guidance", CHOSEN, rate=80), Row("banking77", OURS, CHOSEN, rate=10)]
    rows += [Row("banking77", name, CHOSEN, rate=40) for name in BEST_ONLY]
    rows += [Row("generation", "outlines", SHIPPED, rate=40), Row("clickbait", "callo", SHIPPED, problem="it failed")]
    said = [str(target) for target in targets(found(*rows, memory=(Memory("CSV", 700_000_000, 271_000_000),)))]
    verdicts = {line[13:].strip().partition(",")[0]: line[:13].strip() for line in said}
    assert len(said) == 9
    assert verdicts["77 labels"] == "met", "the last of them: 4 times guidance"
    assert verdicts["long texts"] == "met"
    assert verdicts["replies"] == "not met", "2.25 times outlines"
    assert verdicts["memory"] == "not met"
    assert said[2] == (
        "not met       short texts, at least 1.5 x the fastest peer in the same layout: 1.12 (clickbait, guidance)"
    )
    assert [line for line in said if line.startswith("not measured")] == [
        "not measured  77 labels, at least 6 x outlines"
    ]


def test_a_file_that_is_kept_as_shipped_is_measured_once() -> None:
    row = Row("clickbait", "guidance", SHIPPED, rate=10)
    same = Found("Tiny", {SHIPPED: ceiling("a", 500), CHOSEN: ceiling("a", 2000)}, [row], [])
    assert same.rate("clickbait", "guidance", CHOSEN) == 10
    assert found(row).rate("clickbait", "guidance", CHOSEN) is None


def test_unknown_names_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        throughput.main(["--only", "clickbate"])
    assert "clickbate: known are clickbait, amazon" in capsys.readouterr().err


def test_absent_data_are_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LLMCLF_DATA", raising=False)
    assert throughput.main(["--only", "clickbait", "--cache", str(tmp_path)]) == 2
    assert "LLMCLF_DATA is not set" in capsys.readouterr().err
