import math
from pathlib import Path
from zlib import crc32

import pytest

from llmclf.backends.base import Failure, Likelihoods, Reply, Request, Scores
from llmclf.backends.recorded import ScriptedBackend
from llmclf.classifier import annotate
from llmclf.codebook import Codebook, Label, Question
from llmclf.errors import LimitReached
from llmclf.items import Item
from llmclf.job import Job
from llmclf.job_file import JobFile, open_records
from llmclf.policy import DEFAULT, POLICIES, RAW, Policy
from llmclf.recorded_decisions import MissingRecords, Sources
from llmclf.status import Status

BOOK = Codebook(
    name="b",
    question=(
        Question(name="q", kind="choice", ask="Which?", label=tuple(Label(name=name) for name in ("a", "b", "c"))),
        Question(name="t", kind="set", ask="What?", label=(Label(name="x"), Label(name="y"))),
    ),
)
ITEMS = [Item(str(n), text=f"text {n} of {n % 7} words") for n in range(60)]


class Model(ScriptedBackend):
    """Its likelihoods hang on all that it reads, and it counts what it is asked."""

    def __init__(self) -> None:
        super().__init__(self._score)
        self.asked: list[Request] = []

    def _score(self, request: Request) -> Reply:
        self.asked.append(request)
        assert isinstance(request.form, Likelihoods)
        said = "".join(message.content for message in request.messages)
        if "text 13 " in said:
            return Failure(request.id, Status.TOO_LONG, "long")
        values = {label: -(crc32((said + label).encode()) % 101) / 20 for label in request.form.labels}
        return Scores(request.id, values, {label: 1 + place for place, label in enumerate(values)})


def run(path: Path, policy: Policy, model: Model, items: list[Item] = ITEMS, **options: int) -> list[object]:
    job = Job(path, BOOK, model, policy=policy, **options)  # type: ignore[arg-type]  # limits
    try:
        return list(job.annotate(items))
    finally:
        job.close()


@pytest.mark.parametrize("name", sorted(POLICIES.keys() - {"channel"}))
def test_a_job_decides_as_asking_without_one_does(tmp_path: Path, name: str) -> None:
    policy = POLICIES[name]
    found = run(tmp_path / "job", policy, Model())
    assert found == list(annotate(ITEMS, BOOK, Model(), policy=policy))
    with open_records(tmp_path / "job") as records:
        assert list(JobFile(records).annotations(1)) == found


def test_another_policy_asks_what_is_missing_and_a_third_nothing(tmp_path: Path) -> None:
    model = Model()
    run(tmp_path / "job", RAW, model)
    plain = len(model.asked)
    assert plain == 60 * 3
    run(tmp_path / "job", DEFAULT, model)
    assert len(model.asked) == plain + 23 * 3
    run(tmp_path / "job", POLICIES["orders"], model)
    # Of the three labels two other orders, of the set one, which asks nothing else of labels one by one.
    assert len(model.asked) == plain + 23 * 3 + 60 * 2
    for policy in (*POLICIES.values(), Policy(orders=3, reading="mean"), Policy(temperature=3, correction="batch")):
        if not policy.channel:
            with open_records(tmp_path / "job") as records:
                assert len(list(JobFile(records).annotations(1, policy=policy))) == 120
    assert len(model.asked) == plain + 23 * 3 + 60 * 2


def test_what_is_missing_is_listed_by_way_and_question(tmp_path: Path) -> None:
    run(tmp_path / "job", RAW, Model())
    with open_records(tmp_path / "job") as records:
        file = JobFile(records)
        found = Sources(file, 1, Policy(correction="content-free", orders=2)).missing
        assert [(one.what, one.questions, one.items, one.requests) for one in found] == [
            ("order 1", ("q", "t"), 60, 60 * 3),
            ("plain, texts that say nothing", ("q", "t"), 3, 3 * 3),
            ("order 1, texts that say nothing", ("q", "t"), 3, 3 * 3),
        ]
        with pytest.raises(MissingRecords, match=r"order 1 \(180 requests\).*See `llmclf decide"):
            list(file.annotations(1, policy=Policy(name="two", orders=2)))


def test_labels_are_written_again_by_the_policy_used_at_last(tmp_path: Path) -> None:
    run(tmp_path / "job", DEFAULT, Model())
    run(tmp_path / "job", RAW, Model())
    with open_records(tmp_path / "job") as records:
        assert {one.policy for one in JobFile(records).annotations(1)} == {"raw"}
    run(tmp_path / "job", DEFAULT, Model())
    with open_records(tmp_path / "job") as records:
        assert {one.policy for one in JobFile(records).annotations(1)} == {"default"}


def test_what_was_done_before_a_limit_is_decided_on(tmp_path: Path) -> None:
    model = Model()
    with pytest.raises(LimitReached):
        run(tmp_path / "job", DEFAULT, model, max_requests=23 * 3 + 30)
    with open_records(tmp_path / "job") as records:
        done = list(JobFile(records).annotations(1))
    assert 0 < len(done) < 120
    whole = run(tmp_path / "job", DEFAULT, model)
    assert done == whole[: len(done)]
    assert len(model.asked) == 83 * 3  # each once


def test_texts_that_say_nothing_are_no_items_of_the_job(tmp_path: Path) -> None:
    run(tmp_path / "job", DEFAULT, Model())
    with open_records(tmp_path / "job") as records:
        file = JobFile(records)
        assert file.mains == [1]
        assert file.choose(None) == 1
        assert {one.item for one in file.annotations(1)} == {item.id for item in ITEMS}
        assert file.plans[2].texts == ["N/A", "[MASK]", "..."]
        assert len(file.plans[2].random_texts) == 20


def test_a_way_that_failed_for_an_item_leaves_it_without_a_label(tmp_path: Path) -> None:
    found = run(tmp_path / "job", POLICIES["orders"], Model())
    lost = [one for one in found if one.status is not Status.OK]  # type: ignore[attr-defined]  # an annotation
    assert {(one.item, one.status) for one in lost} == {("13", Status.TOO_LONG)}  # type: ignore[attr-defined]  # the same
    assert len(lost) == 2


def test_instability_is_stored_with_the_label(tmp_path: Path) -> None:
    found = run(tmp_path / "job", POLICIES["orders"], Model())
    unstable = [one.instability for one in found if one.question == "q" and one.label]  # type: ignore[attr-defined]  # annotations
    assert all(0 < value <= 1 for value in unstable)
    assert not math.isclose(min(unstable), max(unstable))
