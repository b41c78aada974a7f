from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from llmclf.agreement import Estimate, Undefined
from llmclf.agreement.variance_components import VarianceComponents, variance_components
from llmclf.backends.base import Completion, Json, Likelihoods, Origin, Reply, Request, Scores, Structured
from llmclf.backends.recorded import ScriptedBackend
from llmclf.codebook import Codebook
from llmclf.errors import InputError, LimitReached
from llmclf.item_sample import ItemSample
from llmclf.items import Item, ItemTable
from llmclf.job import Job
from llmclf.job_file import JobFile, open_records
from llmclf.policy import POLICIES, RAW, Policy
from llmclf.stability.measures import (
    Change,
    changes,
    flips_by_item,
    items_by_stability,
    read_paraphrases,
    repeats_show,
    spread_by_item,
    stability_ways,
)
from llmclf.stability.ways import WayAnswers, way_answers
from llmclf.variants import Variant

BOOK = Codebook.from_labels(["glad", "sad"])
QUESTION = BOOK.questions[0].name
STARS = Codebook.model_validate(
    {
        "name": "stars",
        "question": [
            {
                "name": "stars",
                "kind": "score",
                "ask": "How many stars?",
                "label": [{"name": name, "value": value} for name, value in (("none", 0), ("one", 1), ("ten", 10))],
            }
        ],
    }
)
TOPICS = Codebook.model_validate(
    {
        "name": "topics",
        "question": [
            {"name": "topics", "kind": "set", "ask": "Which?", "label": [{"name": "work"}, {"name": "health"}]}
        ],
    }
)


class Fickle(ScriptedBackend):
    """Scores the label that the text names, or is swayed as the text says; the other labels are e^-2 as likely."""

    def __init__(self) -> None:
        super().__init__(self._score, name="m", forms=frozenset({Likelihoods}))
        self.asked = 0

    def _score(self, request: Request) -> Reply:
        self.asked += 1
        assert isinstance(request.form, Likelihoods)
        labels = request.form.labels
        said = "".join(message.content for message in request.messages)
        text = request.messages[-1].parts[-1]
        best = labels[0]
        if "firm" in text and "glad" in labels:
            best = "glad"
        if ("shaky" in text and request.replicate == 1) or ("worded" in text and "Happy or not?" in said):
            best = labels[1]
        if "lettered" in text and labels[0] == "A":
            best = labels[1]
        values = {label: 0.0 if label == best else -2.0 for label in labels}
        return Scores(request.id, values, dict.fromkeys(values, 1))


OTHER = 1 / (1 + np.exp(2))
"""The probability of the label that Fickle holds for less likely, of two."""


def asked(path: Path, book: Codebook, items: Iterable[Item], ways: Iterable[Variant]) -> WayAnswers:
    job = Job(path, book, Fickle(), variants=tuple(ways))
    for _ in job.run(items):
        pass
    job.close()
    with open_records(path) as records:
        (found,) = way_answers(JobFile(records), [job.number]).values()
        return found


def by_kind(answers: WayAnswers) -> dict[str, Change]:
    return {change.kind: change for change in changes(answers)}


def value(found: object) -> float:
    assert isinstance(found, Estimate), found
    return found.value


TEXTS = ["firm", "first", "firm shaky", "firm worded", "firm lettered"]
ITEMS = [Item(text, text=text) for text in TEXTS]
WORDED = {QUESTION: ["Happy or not?"]}


@pytest.fixture
def answers(tmp_path: Path) -> WayAnswers:
    ways = stability_ways(3, 2, codes=True, paraphrases=WORDED)
    return asked(tmp_path / "job.sqlite", BOOK, ITEMS, ways)


def test_each_kind_of_change_flips_the_items_that_it_sways(answers: WayAnswers) -> None:
    assert list(map(str, answers.ways)) == ["plain", "repeat 1", "repeat 2", "order 1", "paraphrase 1", "codes"]
    assert {item.item: item.labels for item in items_by_stability(answers)} == {
        "firm": {},
        "first": {"order 1": "sad"},
        "firm shaky": {"repeat 1": "sad"},
        "firm worded": {"paraphrase 1": "sad"},
        "firm lettered": {"codes": "sad"},
    }
    found = by_kind(answers)
    assert {kind: (change.n_flipped, change.n_items) for kind, change in found.items()} == dict.fromkeys(found, (1, 5))
    rates = [value(found[kind].flip_rate) for kind in ("repeat", "order", "paraphrase", "codes")]
    assert rates == pytest.approx([0.5 / 5, 1 / 5, 1 / 5, 1 / 5])


def test_the_spread_is_the_total_variation_from_the_plain_probabilities(answers: WayAnswers) -> None:
    assert spread_by_item(answers, ["order"]) == pytest.approx([0, 1 - 2 * OTHER, 0, 0, 0], abs=1e-12)
    assert spread_by_item(answers, ["codes"]) == pytest.approx([0, 0, 0, 0, 1 - 2 * OTHER], abs=1e-12)
    assert value(by_kind(answers)["repeat"].spread) == pytest.approx((1 - 2 * OTHER) / 2 / 5)


def test_the_least_stable_item_comes_first(answers: WayAnswers) -> None:
    *_, shaky, firm = items_by_stability(answers)
    assert (shaky.flip_rate, firm.item, firm.flip_rate, firm.spread) == (1 / 5, "firm", 0.0, 0.0)
    assert shaky.by_kind.keys() == {"repeat", "order", "paraphrase", "codes"}


def test_labels_that_vary_with_the_order_alone_have_all_their_variance_from_it(tmp_path: Path) -> None:
    items = [Item(f"i{n}", text="first") for n in range(4)]
    change = by_kind(asked(tmp_path / "job.sqlite", BOOK, items, stability_ways(1, 2)))["order"]
    assert isinstance(change.components, VarianceComponents)
    assert {part.name: part.share for part in change.components.components} == {"item": 0, "order": 1, "residual": 0}


def test_variance_components_of_a_score_are_of_its_values(tmp_path: Path) -> None:
    texts = ["first", "first worded", "worded", "shaky", "lettered"]
    items = [Item(f"i{n}", text=text) for n, text in enumerate(texts)]
    ways = stability_ways(1, 2, codes=True, paraphrases={"stars": ["Happy or not?"]})
    answers = asked(tmp_path / "job.sqlite", STARS, items, ways)
    labels = [[answers.scale[code] for code in row] for row in answers.codes]
    assert labels == [  # plain, from the top, in other words, by letters
        ["0", "10", "0", "0"],
        ["0", "10", "1", "0"],
        ["0", "10", "1", "0"],
        ["0", "10", "0", "0"],
        ["0", "10", "0", "1"],
    ]
    values = np.array([[0, 0], [0, 1], [0, 1], [0, 0], [0, 0]], dtype=np.float64)
    assert by_kind(answers)["paraphrase"].components == variance_components(values, facet="paraphrase")


def test_a_set_flips_as_a_whole_and_spreads_by_label(tmp_path: Path) -> None:
    def swayed(request: Request) -> Reply:
        assert isinstance(request.form, Likelihoods)
        says_yes = request.replicate == 1 and "work" in "".join(request.messages[-1].parts[:-1])
        return Scores(request.id, {"no": 0.0, "yes": 2.0 if says_yes else -2.0}, {"no": 1, "yes": 1})

    path = tmp_path / "job.sqlite"
    job = Job(path, TOPICS, ScriptedBackend(swayed, forms=frozenset({Likelihoods})), variants=stability_ways(2, 1))
    for _ in job.run([Item("a", text="one"), Item("b", text="two")]):
        pass
    job.close()
    with open_records(path) as records:
        (answers,) = way_answers(JobFile(records), [job.number]).values()
    said = {item.item: (item.label, item.flip_rate, item.spread) for item in items_by_stability(answers)}
    changed = np.count_nonzero(answers.codes[:, 0] != answers.codes[:, 1])
    assert changed == 2
    assert said["a"][0] == "[]"
    assert said["a"][1] == 1.0
    touched = np.abs(answers.probabilities[0, 1] - answers.probabilities[0, 0])
    assert said["a"][2] == pytest.approx(touched.mean())
    assert touched.max() == pytest.approx(1 - 2 * OTHER)


def test_labels_without_probabilities_have_flips_and_no_spread(tmp_path: Path) -> None:
    def say(request: Request) -> Reply:
        return Completion(request.id, '{"label": "glad"}' if request.replicate < 1 else '{"label": "sad"}')

    path = tmp_path / "job.sqlite"
    job = Job(path, BOOK, ScriptedBackend(say, forms=frozenset({Structured})), variants=stability_ways(2, 1))
    for _ in job.run([Item("a", text="one"), Item("b", text="")]):
        pass
    job.close()
    with open_records(path) as records:
        (answers,) = way_answers(JobFile(records), [job.number]).values()
    (change,) = changes(answers)
    assert (answers.items, change.n_items, value(change.flip_rate)) == (("a",), 1, 1.0)  # nothing is said of no text
    assert change.spread == Undefined("no item has all labels' probabilities in two ways")
    assert np.isnan(flips_by_item(answers, ["codes"])).all()


@pytest.mark.parametrize(
    ("settings", "origins", "said"),
    [
        ({"reproducible": True}, ["likelihoods"], "the same bits"),
        ({"reproducible": False}, ["likelihoods"], "rounding in batches"),
        ({"temperature": 0.0}, [], "at temperature 0"),
        ({"temperature": 1.0}, ["samples"], ""),
    ],
)
def test_what_a_repeat_can_show_depends_on_who_is_asked(
    settings: dict[str, Json], origins: list[Origin], said: str
) -> None:
    told = repeats_show(settings, origins)
    assert said in told
    assert bool(said) == bool(told)


def test_one_way_alone_is_refused() -> None:
    with pytest.raises(InputError, match="one way to ask"):
        stability_ways(1, 1)


@pytest.mark.parametrize(
    ("content", "said"), [("a = 1", "a: Input should be"), ('a = [" "]', "is blank"), ("a = ", "no paraphrases")]
)
def test_paraphrases_that_are_none_are_one_line(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "words.toml"
    path.write_text(content)
    with pytest.raises(InputError, match=said):
        read_paraphrases(path)


# Beside the plan about the table


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    path.write_text("id,text\n" + "".join(f"i{n},first {n}\n" for n in range(12)) + "none,\n")
    return path


def run(path: Path, items: ItemTable, policy: Policy = RAW, ways: Iterable[Variant] = (), **limits: int) -> Fickle:
    backend = Fickle()
    job = Job(path, BOOK, backend, policy=policy, variants=tuple(ways), **limits)  # type: ignore[arg-type]  # as said
    try:
        for _ in job.run_table(items, count=items.check()):
            pass
    finally:
        job.close()
    return backend


def labels(path: Path) -> Iterator[str]:
    with open_records(path) as records:
        file = JobFile(records)
        for found in file.annotations(file.choose(None)):
            yield f"{found.item} {found.label} {found.policy}"


def test_what_the_table_was_asked_is_not_asked_again_and_its_labels_stay(tmp_path: Path, table: Path) -> None:
    path, items = tmp_path / "job.sqlite", ItemTable(table)
    assert run(path, items, POLICIES["content-free"]).asked == 12 + 3
    before = list(labels(path))
    sample = ItemSample(table, size=5)
    assert run(path, sample, ways=stability_ways(2, 2)).asked == 5 * 2  # the plain question is on record
    assert run(path, sample, ways=stability_ways(2, 2)).asked == 0
    assert run(path, sample, ways=stability_ways(2, 2, codes=True)).asked == 5
    assert list(labels(path)) == before
    assert len(before) == 13
    with open_records(path) as records:
        file = JobFile(records)
        assert (file.mains, file.of_same_table(1)) == ([1], [1, 3, 4])
        (answers,) = way_answers(file, file.of_same_table(1)).values()
    assert answers.items == tuple(item.id for item in sample.items())
    assert list(map(str, answers.ways)) == ["plain", "repeat 1", "order 1", "codes"]


def test_it_goes_on_after_a_limit(tmp_path: Path, table: Path) -> None:
    path, sample = tmp_path / "job.sqlite", ItemSample(table, size=6)
    with pytest.raises(LimitReached):
        run(path, sample, ways=stability_ways(1, 2), max_requests=7)
    assert run(path, sample, ways=stability_ways(1, 2)).asked == 6 * 2 - 7
    with open_records(path) as records:
        (answers,) = way_answers(JobFile(records), [1]).values()
    assert (answers.codes >= 0).all()


def test_a_table_that_is_asked_after_its_sample_has_a_plan_of_its_own(tmp_path: Path, table: Path) -> None:
    path, policy = tmp_path / "job.sqlite", Policy(name="two", orders=2)
    run(path, ItemSample(table, size=5), ways=policy.variants)
    assert [line.split()[1] for line in labels(path)] == ["glad"] * 5  # until then its plain answers are all there is
    run(path, ItemTable(table), policy)
    run(path, ItemSample(table, size=5), ways=policy.variants)
    assert len(list(labels(path))) == 13
    assert {line.split()[2] for line in labels(path)} == {"two"}


def test_a_policy_of_several_ways_writes_how_far_they_are_apart(tmp_path: Path) -> None:
    job = Job(tmp_path / "job.sqlite", BOOK, Fickle(), policy=Policy(name="two", orders=2))
    firm, first = job.annotate(ITEMS[:2])
    job.close()
    assert firm.instability == pytest.approx(0, abs=1e-12)
    assert first.instability == pytest.approx(0.5 - OTHER)  # from the mean of both orders, which is even


def test_a_record_without_texts_is_audited_without_asking_for_them_again(tmp_path: Path, table: Path) -> None:
    path, key = tmp_path / "job.sqlite", b"k" * 32
    for ways, asked in ((), 12), (stability_ways(2, 2, codes=True), 4 * 3), (stability_ways(2, 2, codes=True), 0):
        items = ItemSample(table, size=4) if ways else ItemTable(table)
        backend = Fickle()
        job = Job(path, BOOK, backend, text_key=key, variants=ways)
        for _ in job.run_table(items):
            pass
        job.close()
        assert backend.asked == asked
    with open_records(path) as records:
        (answers,) = way_answers(JobFile(records), [job.number]).values()
    assert by_kind(answers)["order"].n_flipped == 4


def test_a_sample_is_the_same_each_time_and_part_of_a_larger_one(table: Path) -> None:
    few, more = ([item.id for item in ItemSample(table, size=size).items()] for size in (4, 8))
    assert set(few) < set(more)
    assert few == [item.id for item in ItemSample(table, size=4).items()]
    assert [item.id for item in ItemSample(table, size=20).items()] == [f"i{n}" for n in range(12)]  # none is empty
    assert ItemSample(table, size=4).check() == 4


def test_a_sample_of_a_pipe_is_refused() -> None:
    with pytest.raises(InputError, match="this is a pipe"):
        ItemSample("-", given_format="csv", size=4)
