import math
from pathlib import Path
from zlib import crc32

import pytest

from llmclf.backends.base import Completion, Failure, Likelihoods, Reply, Request, Scores, Structured
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
    for name in ("default", "orders", "mean"):
        found = run(tmp_path / "job", POLICIES[name], Model())
        with open_records(tmp_path / "job") as records:
            file = JobFile(records)
            assert list(file.annotations(file.choose(None))) == found


def test_few_items_have_the_policy_that_stands_for_it(tmp_path: Path) -> None:
    found = run(tmp_path / "job", DEFAULT, Model(), ITEMS[:9])
    assert {one.policy for one in found} == {"default, content-free"}  # type: ignore[attr-defined]  # annotations
    for name in ("default", "batch"):
        with open_records(tmp_path / "job") as records:
            again = list(JobFile(records).annotations(1, policy=POLICIES[name]))
        assert {one.policy for one in again} == {f"{name}, content-free"}
        if name == "default":
            assert again == found


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


def test_texts_that_another_policy_has_asked_about_are_not_mixed_with_its_own(tmp_path: Path) -> None:
    two_ways = Policy(correction="content-free", orders=2)
    found = run(tmp_path / "job", two_ways, Model())
    run(tmp_path / "job", DEFAULT, Model())
    run(tmp_path / "job", Policy(correction="content-free", content_free=("...", "[MASK]", "N/A")), Model())
    with open_records(tmp_path / "job") as records:
        assert list(JobFile(records).annotations(1, policy=two_ways)) == found


def test_texts_that_were_not_all_asked_about_are_missing(tmp_path: Path) -> None:
    run(tmp_path / "job", RAW, Model())
    with pytest.raises(LimitReached):
        run(tmp_path / "job", DEFAULT, Model(), max_requests=5 * 3)
    with open_records(tmp_path / "job") as records, pytest.raises(MissingRecords, match="texts that say nothing"):
        list(JobFile(records).annotations(1, policy=DEFAULT))


def test_what_was_asked_in_other_ways_to_the_end_serves_a_job_that_was_stopped(tmp_path: Path) -> None:
    with pytest.raises(LimitReached):
        run(tmp_path / "job", RAW, Model(), max_requests=30)
    whole = run(tmp_path / "job", POLICIES["orders"], Model())
    with open_records(tmp_path / "job") as records:
        assert list(JobFile(records).annotations(1, policy=POLICIES["orders"])) == whole[: 2 * 10]


@pytest.mark.parametrize("name", ["default", "random-words", "batch", "batch-mean"])
def test_the_same_policy_stands_for_one_that_takes_more_items_when_the_record_is_read_again(
    tmp_path: Path, name: str
) -> None:
    found = run(tmp_path / "job", POLICIES[name], Model(), ITEMS[:10])
    with open_records(tmp_path / "job") as records:
        assert list(JobFile(records).annotations(1, policy=POLICIES[name])) == found
    assert {one.policy for one in found} == {f"{name}, content-free"}  # type: ignore[attr-defined]  # annotations


def test_the_default_is_raw_for_recorded_labels_without_likelihoods(tmp_path: Path) -> None:
    def write(request: Request) -> Reply:
        return Completion(request.id, '{"label": "a"}')

    book = Codebook(name="w", question=BOOK.questions[:1])
    job = Job(tmp_path / "job", book, ScriptedBackend(write, forms=frozenset({Structured})), policy=DEFAULT)
    found = list(job.annotate(ITEMS))
    job.close()
    with open_records(tmp_path / "job") as records:
        assert list(JobFile(records).annotations(1, policy=DEFAULT)) == found
    assert {one.policy for one in found} == {"raw"}


@pytest.mark.parametrize("policy", [RAW, DEFAULT, POLICIES["batch"]])
def test_no_items_have_no_annotations(tmp_path: Path, policy: Policy) -> None:
    assert run(tmp_path / "job", policy, Model(), []) == []


def test_a_job_that_was_stopped_before_its_first_item_has_no_annotations(tmp_path: Path) -> None:
    with pytest.raises(LimitReached):
        run(tmp_path / "job", DEFAULT, Model(), max_requests=23 * 3)
    with open_records(tmp_path / "job") as records:
        assert list(JobFile(records).annotations(1)) == []


def test_a_table_that_comes_back_is_decided_on_by_its_own_words(tmp_path: Path) -> None:
    other = [Item(str(n), text=f"quite another text, number {n}") for n in range(60)]
    first = run(tmp_path / "job", DEFAULT, Model())
    assert run(tmp_path / "job", DEFAULT, Model(), other) != first
    assert run(tmp_path / "job", DEFAULT, Model()) == first


def test_items_of_the_same_ids_are_decided_on_by_the_plan_that_has_asked_all(tmp_path: Path) -> None:
    other = [Item(str(n), text=f"quite another text, number {n}") for n in range(60)]
    run(tmp_path / "job", RAW, Model())
    found = run(tmp_path / "job", POLICIES["orders"], Model(), other)
    with open_records(tmp_path / "job") as records:
        assert list(JobFile(records).annotations(1, policy=POLICIES["orders"])) == found


def test_a_policy_may_be_given_by_its_name() -> None:
    assert list(annotate(ITEMS[:3], BOOK, Model(), policy="mean")) == list(
        annotate(ITEMS[:3], BOOK, Model(), policy=POLICIES["mean"])
    )
