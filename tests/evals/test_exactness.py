from io import StringIO
from pathlib import Path

from rich.console import Console

from evals.exactness import Compared, compare, table
from evals.peers.measure import Question
from evals.throughput_works import Work

WORK = Work(
    "moods",
    "Short texts",
    "You label.",
    "How does the writer feel?\n",
    (Question("", "The writer is", ("glad", "sad and angry", "sad but calm")),),
    ("I won, at last!", "My cat died.", "The team won in the last minute."),
    ("glad", "sad but calm", "glad"),
)


def test_packed_scores_are_compared_with_those_of_each_text_alone(gguf: Path) -> None:
    found = {one.layout: one for one in compare(gguf, WORK, 2)}
    assert {"shipped", "Q8_0", "F16", "BF16", "F32"} <= set(found)
    assert {one.texts for one in found.values()} == {2}
    assert found["F16"].from_reference == 0
    assert found["F32"].most <= 0.03
    assert found["shipped"].mean > found["F32"].mean
    assert all(one.mean <= one.most for one in found.values())


def test_the_table_fits_a_terminal() -> None:
    console = Console(width=80, record=True, file=StringIO())
    one = Compared("banking77", "shipped-repacked", 200, most=1.2, mean=0.2, flips=17, from_reference=0.2)
    console.print(table("SmolLM2-135M-Instruct.Q4_1", [one]))
    (line,) = [line for line in console.export_text().splitlines() if line.startswith("banking77")]
    assert line.split() == ["banking77", "shipped-repacked", "200", "1.200", "0.200", "17", "0.200"]
