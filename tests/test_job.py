import signal
import subprocess
import sys
from collections.abc import Container, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llmclf.backends.base import Completion, Failure, Reading, Reply, Request, Structured, Usage
from llmclf.backends.recorded import ScriptedBackend
from llmclf.budget import Price
from llmclf.codebook import Codebook
from llmclf.decisions import whole
from llmclf.errors import InputError, LimitReached, LlmclfError
from llmclf.items import Item, ItemColumns, ItemTable
from llmclf.job import Job
from llmclf.status import Status
from llmclf.store import Store
from llmclf.table_writing import write_rows

BOOK = Codebook.from_labels(["sport", "business", "neither of the two"])
ITEMS = [Item("a", text="The team won."), Item("b", text="Shares fell."), Item("c", text="It rained.")]
SHIPPED = {"layout": "shipped", "context": 512}


def run(path: Path, uri: str = "local", **given: object) -> tuple[list[str | tuple[str, ...] | None], int]:
    job = Job(path, BOOK, uri, **given)  # type: ignore[arg-type]  # as the test says
    try:
        return [annotation.label for annotation in job.annotate(ITEMS)], job.asked
    finally:
        job.close()


def test_a_job_goes_on_as_it_was_begun(tmp_path: Path) -> None:
    path = tmp_path / "job.sqlite"
    labels, asked = run(path, settings=SHIPPED | {"threads": 1, "window": 2}, order="text")
    assert asked == 3
    assert run(path) == (labels, 0)  # neither settings nor order need be given again
    job = Job(path, BOOK, "local")
    assert job.plan is not None
    assert job.plan.order == "text"
    assert job.plan.settings["threads"] == 1
    assert job.plan.settings["window"] == 2
    job.close()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"settings": {"threads": 2}}, "begun with the setting threads 1, and now it is 2"),
        ({"settings": {"layout": "F16"}}, "begun with the setting layout 'shipped', and now it is 'F16'"),
        ({"order": "text"}, "begun with the order 'codebook', and now it is 'text'"),
    ],
)
def test_a_job_begun_in_another_way_stops_with_a_line_that_says_what_differs(
    tmp_path: Path, given: dict[str, object], said: str
) -> None:
    path = tmp_path / "job.sqlite"
    run(path, settings=SHIPPED | {"threads": 1})
    with pytest.raises(InputError, match=said) as error:
        run(path, **given)  # type: ignore[arg-type]  # no one of them is the URI
    assert "another --job" in str(error.value)


def test_a_job_whose_model_file_has_changed_stops(tmp_path: Path, gguf: Path) -> None:
    path, model = tmp_path / "job.sqlite", tmp_path / "model.gguf"
    model.write_bytes(gguf.read_bytes())
    run(path, f"local:{model}", settings=SHIPPED)
    model.write_bytes(gguf.read_bytes() + b"\0")
    with pytest.raises(InputError, match="model's sha256"):
        run(path, f"local:{model}")


def test_a_job_that_cannot_begin_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "job.sqlite"
    with pytest.raises(LlmclfError, match="unknown layout"):
        run(path, settings={"layout": "Q9"})
    assert not path.exists()


def test_another_codebook_or_model_has_a_plan_of_its_own(tmp_path: Path, gguf: Path) -> None:
    path = tmp_path / "job.sqlite"
    run(path, settings=SHIPPED)
    assert run(path, f"local:{gguf}", settings={"layout": "shipped", "context": 768})[1] == 3


def test_best_only_is_recorded_as_partial_and_has_no_probability(tmp_path: Path) -> None:
    path = tmp_path / "job.sqlite"
    labels, _ = run(path, settings=SHIPPED)
    job = Job(path, BOOK, "local")
    partial = list(job.annotate(ITEMS, best_only=Reading()))
    assert job.asked == 3  # a whole record answers another request
    job.close()
    assert [annotation.label for annotation in partial] == labels
    assert all(annotation.probability is None and not annotation.probabilities for annotation in partial)
    store = Store(path)
    replies = [record.reply for record in store.records()]
    store.close()
    partials = [reply for reply in replies if getattr(reply, "best_by", None) == Reading()]
    assert len(partials) == 3
    with pytest.raises(InputError, match="Ask again without --best-only"):
        whole(partials[0])  # type: ignore[arg-type]  # only scores have best_by


# A table, with a backend that needs no model


ONE = Codebook.from_labels(["sport", "business"])


class Asked(ScriptedBackend):
    """Says "sport", and keeps what it was asked; what is `slow` fails for the moment."""

    def __init__(self, slow: Container[str] = ()) -> None:
        super().__init__(self._say, forms=frozenset({Structured}))
        self.texts: list[str] = []
        self._slow = slow

    def _say(self, request: Request) -> Reply:
        text = request.messages[-1].parts[-1]
        self.texts.append(text)
        if text in self._slow:
            return Failure(request.id, Status.TIMEOUT, "slow", retryable=True)
        return Completion(request.id, '{"label": "sport"}', usage=Usage(100, 40, 10))


def table(folder: Path, form: str, texts: Iterable[str]) -> ItemTable:
    path = folder / f"in.{form}"
    with write_rows(path, ("id", "text")) as write:
        for number, text in enumerate(texts):
            write({"id": f"i{number}", "text": text})
    return ItemTable(path)


def ask_table(path: Path, backend: Asked, items: ItemTable, **limits: Any) -> tuple[list[str], int]:
    job = Job(path, ONE, backend, **limits)
    try:
        for _ in job.run_table(items, count=items.check()):
            pass
        return [f"{a.item} {a.status}" for a in job.annotations()], job.kept
    finally:
        job.close()


def test_going_on_asks_nothing_again_that_failed_in_another_plan(tmp_path: Path) -> None:
    path, items = tmp_path / "job.sqlite", table(tmp_path, "csv", ["a", "b"])
    other = Job(path, Codebook.from_labels(["cat", "dog"]), Asked(slow=["a"]))
    for _ in other.run_table(items):
        pass
    other.close()
    assert ask_table(path, Asked(slow=["b"]), items) == (["i0 ok", "i1 timeout"], 0)
    again = Asked()
    assert ask_table(path, again, items) == (["i0 ok", "i1 ok"], 2)
    assert again.texts == ["b"]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_table_is_gone_on_with_after_the_last_item_that_was_done(tmp_path: Path, form: str) -> None:
    path, texts = tmp_path / "job.sqlite", [f"text {number}, é" for number in range(20)]
    items = table(tmp_path, form, texts)
    with pytest.raises(LimitReached, match="limit of 7 requests"):
        ask_table(path, Asked(), items, max_requests=7)
    again = Asked()
    rows, kept = ask_table(path, again, items)
    assert kept == 7
    assert again.texts == texts[7:]
    assert rows == [f"i{number} ok" for number in range(20)]
    finished = Asked()
    assert ask_table(path, finished, items) == (rows, 20)
    assert finished.texts == []


def test_a_table_that_has_changed_is_read_anew_and_what_is_on_record_is_not_asked(tmp_path: Path) -> None:
    path = tmp_path / "job.sqlite"
    ask_table(path, Asked(), table(tmp_path, "csv", ["a", "b", "c"]))
    again = Asked()
    rows, kept = ask_table(path, again, table(tmp_path, "csv", ["new", "b", "a"]))
    assert (again.texts, kept) == (["new"], 0)
    assert rows == ["i0 ok", "i1 ok", "i2 ok"]
    assert ask_table(path, Asked(), table(tmp_path, "csv", ["b"]))[0] == ["i0 ok"]


def test_conversations_of_several_rows_are_gone_on_with_at_the_next_one(tmp_path: Path) -> None:
    path, rows = (
        tmp_path / "talk.csv",
        [(f"c{number // 3}", "AB"[number % 2], f"turn {number}") for number in range(30)],
    )
    with write_rows(path, ("talk", "who", "text")) as write:
        for talk, who, text in rows:
            write({"talk": talk, "who": who, "text": text})
    items = ItemTable(path, ItemColumns(conversation="talk", speaker="who"))
    with pytest.raises(LimitReached):
        ask_table(tmp_path / "job.sqlite", Asked(), items, max_requests=4)
    again = Asked()
    done, kept = ask_table(tmp_path / "job.sqlite", again, items)
    assert kept == 4
    assert [text.split()[2] for text in again.texts] == [str(first) for first in range(12, 30, 3)]
    assert done == [f"c{number} ok" for number in range(10)]


def test_what_failed_for_the_moment_is_asked_again_when_a_job_goes_on(tmp_path: Path) -> None:
    path, items = tmp_path / "job.sqlite", table(tmp_path, "csv", ["a", "b", "c", "d"])
    assert ask_table(path, Asked(slow={"b"}), items)[0] == ["i0 ok", "i1 timeout", "i2 ok", "i3 ok"]
    again = Asked()
    assert ask_table(path, again, items)[0] == ["i0 ok", "i1 ok", "i2 ok", "i3 ok"]
    assert again.texts == ["b"]


PRICE = Price(input=1000, cached_input=500, output=10_000)  # a request above costs .06 + .02 + .1 = .18


def test_a_limit_of_the_cost_is_not_passed_and_counts_what_was_spent_before(tmp_path: Path) -> None:
    path, items = tmp_path / "job.sqlite", table(tmp_path, "csv", [f"text {number}" for number in range(20)])
    limits: dict[str, Any] = {"max_cost": 2.0, "price": lambda _: PRICE}
    backend = Asked()
    backend.identity = replace(backend.identity, settings={"max_tokens": 20})
    with pytest.raises(LimitReached, match=r"stopped at a cost of .*a higher --max-cost goes on"):
        ask_table(path, backend, items, **limits)
    spent = 0.18 * len(backend.texts)
    assert 1.0 < spent <= 2.0
    asked = len(backend.texts)
    with pytest.raises(LimitReached):
        ask_table(path, backend, items, **limits)
    assert len(backend.texts) == asked
    job = Job(path, ONE, backend, price=lambda _: PRICE)
    assert job.cost == pytest.approx(spent)
    job.close()


@pytest.mark.parametrize(
    ("limits", "said"),
    [({"max_cost": 1.0}, "--prices"), ({"max_cost": 1.0, "price": lambda _: PRICE}, "max_tokens=N.*--max-requests")],
)
def test_a_limit_of_the_cost_needs_prices_and_an_end_of_each_reply(
    tmp_path: Path, limits: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        Job(tmp_path / "job.sqlite", ONE, Asked(), **limits)


KILLED = """
import os, signal, sys
sys.path.insert(0, {root!r})
from tests.test_job import ONE, Asked, ItemTable, Job
class Dying(Asked):
    def answer(self, requests):
        waiting = []
        for request in requests:  # eight under way, answered in the order of the alphabet
            waiting.append(request)
            if len(waiting) == 8:
                yield self._say(waiting.pop())
            if len(self.texts) == {answered}:
                os.kill(os.getpid(), signal.SIGKILL)
job = Job({path!r}, ONE, Dying())
for _ in job.run_table(ItemTable({table!r})):
    pass
"""


def test_a_killed_job_says_how_many_were_under_way_and_asks_no_more_than_those_again(tmp_path: Path) -> None:
    texts = [f"text {number:02}" for number in range(40)]
    items, path = table(tmp_path, "csv", texts), tmp_path / "job.sqlite"
    code = KILLED.format(root=str(Path(__file__).parents[1]), path=str(path), table=str(items.path), answered=20)
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    backend = Asked()
    job = Job(path, ONE, backend)
    for _ in job.run_table(items):
        pass
    lost, rows = job.lost, [f"{a.item} {a.status}" for a in job.annotations()]
    job.close()
    assert 7 <= lost <= 27
    assert rows == [f"i{number} ok" for number in range(40)]
    assert len(backend.texts) == len(set(backend.texts))
    assert 40 - len(backend.texts) == 27 - lost  # each that was sent is answered on record, or counted as lost
