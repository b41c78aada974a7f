from pathlib import Path

import pytest

from llmclf.backends.base import Reading
from llmclf.codebook import Codebook
from llmclf.decisions import whole
from llmclf.errors import InputError, LlmclfError
from llmclf.items import Item
from llmclf.job import Job
from llmclf.store import Store

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
