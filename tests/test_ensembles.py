import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from llmclf.agreement import Undefined
from llmclf.agreement.dawid_skene import dawid_skene
from llmclf.agreement.long_form import LongForm
from llmclf.annotations import Annotation, Kind, LabelValue
from llmclf.codebook import Codebook, Label, Question
from llmclf.ensembles.answers import ModelAnswers, answers_by_model, by_question, labels_of_people
from llmclf.ensembles.decide import METHODS, Ensemble, ensemble
from llmclf.ensembles.opinions import Opinions
from llmclf.ensembles.pools import Pooled, by_dawid_skene, by_votes, linear_pool, logarithmic_pool, reliability
from llmclf.errors import InputError, LlmclfError
from llmclf.levels import Level
from llmclf.status import Status
from tests.agreement.crowds import anaesthesia, erring_crowd, reference

PUBLISHED = reference("dawid_skene_1979")


def question(codes: Sequence[str] = ("a", "b", "c"), kind: str = "choice") -> Question:
    values = range(1, len(codes) + 1) if kind == "score" else [None] * len(codes)
    labels = [Label(name=code, value=value) for code, value in zip(codes, values, strict=True)]
    return Question.model_validate({"name": "q", "kind": kind, "ask": "?", "label": labels})


ABC = question()
LEVELS = question(("low", "mid", "high", "top"), "score")
TOPICS = question(("work", "health"), "set")


def annotation(
    item: str,
    model: str,
    label: LabelValue | None,
    probabilities: Mapping[str, float] | None = None,
    status: Status = Status.OK,
) -> Annotation:
    return Annotation(item, "q", model, Kind.MODEL, label, probabilities=probabilities or {}, status=status)


def answers(asked: Question, *rows: Annotation) -> list[ModelAnswers]:
    return list(answers_by_model(asked, [(f"row {n}", row) for n, row in enumerate(rows, 1)]).values())


def said(words: str, codes: str = "abc") -> list[Annotation]:
    """Read an item a word, a model a character; a dot has no label."""
    return [
        annotation(
            str(item),
            f"m{number}",
            None if code == "." else code,
            status=Status.OK if code != "." else Status.REFUSED,
        )
        for item, word in enumerate(words.split())
        for number, code in enumerate(word)
        if code in f".{codes}"
    ]


def labels(found: Ensemble) -> list[LabelValue | None]:
    return [one.label for one in found.annotations]


def statuses(found: Ensemble) -> list[str]:
    return [str(one.status) for one in found.annotations]


def test_most_votes_win_and_a_tie_is_no_label() -> None:
    found = ensemble(ABC, answers(ABC, *said("aab abc abb ab. ... a..")), "votes")
    assert labels(found) == ["a", None, "b", None, None, "a"]
    assert statuses(found) == ["ok", "tied", "ok", "tied", "refused", "ok"]
    assert found.annotations[0].probability == pytest.approx(2 / 3)
    assert found.annotations[0].probabilities == pytest.approx({"a": 2 / 3, "b": 1 / 3, "c": 0})
    assert found.annotations[0].annotator == "ensemble(votes)"
    assert found.annotations[0].origin == "ensemble"
    assert found.annotations[4].origin is None
    assert (found.n_several, found.n_unanimous) == (4, 0)
    assert [member.agreement for member in found.members] == [pytest.approx(2 / 3), 1, 0.5]
    assert found.label_shares == {"a": pytest.approx(2 / 3), "b": pytest.approx(1 / 3)}


def test_summed_probabilities_break_a_tie_if_all_who_voted_gave_them() -> None:
    sure = annotation("1", "m", "a", {"a": 0.9, "b": 0.1, "c": 0})
    unsure = annotation("1", "n", "b", {"a": 0.3, "b": 0.4, "c": 0.3})
    found = ensemble(ABC, answers(ABC, sure, unsure), "votes")
    assert labels(found) == ["a"]
    assert found.annotations[0].probability == 0.5
    assert labels(ensemble(ABC, answers(ABC, sure, annotation("1", "n", "b")), "votes")) == [None]
    partial = annotation("1", "n", "b", {"b": 0.4})
    assert labels(ensemble(ABC, answers(ABC, sure, partial), "votes")) == [None]


def test_the_probabilities_of_a_label_without_most_votes_do_not_count() -> None:
    flat = {"a": 0.34, "b": 0.0, "c": 0.33}
    rows = [annotation("1", f"m{n}", "a", flat) for n in range(2)] + [
        annotation("1", "n", "c", {"a": 0, "b": 0, "c": 1})
    ]
    assert labels(ensemble(ABC, answers(ABC, *rows), "votes")) == ["a"]


def test_scores_are_decided_by_the_median_vote() -> None:
    found = ensemble(LEVELS, answers(LEVELS, *said("114 144 14. 12. 22.", "1234")), "votes")
    assert labels(found) == ["1", "4", None, None, "2"]
    sure = {"1": 0.0, "2": 0.0, "3": 0.2, "4": 0.8}
    rows = [annotation("1", "m", "4", sure), annotation("1", "n", "1", {"1": 0.4, "2": 0.3, "3": 0.3, "4": 0})]
    assert labels(ensemble(LEVELS, answers(LEVELS, *rows), "votes")) == ["4"]


def test_the_pools_by_hand() -> None:
    p, r = {"a": 0.8, "b": 0.1, "c": 0.1}, {"a": 0.2, "b": 0.5, "c": 0.3}
    models = answers(ABC, annotation("1", "m", "a", p), annotation("1", "n", "b", r))
    mean = ensemble(ABC, models, "mean").annotations[0]
    assert mean.probabilities == pytest.approx({"a": 0.5, "b": 0.3, "c": 0.2})
    assert mean.label == "a"
    assert mean.probability == pytest.approx(0.5)
    log_mean = ensemble(ABC, models, "log-mean").annotations[0]
    roots = {code: math.sqrt(p[code] * r[code]) for code in p}
    assert log_mean.probabilities == pytest.approx({code: root / sum(roots.values()) for code, root in roots.items()})


def test_pools_take_answers_of_any_origin_and_leave_out_those_without_all_probabilities() -> None:
    p = {"a": 0.8, "b": 0.1, "c": 0.1}
    rows = [
        annotation("1", "m", "a", p),
        annotation("1", "n", "b", {"b": 0.5}),
        annotation("2", "m", "a", p),
        annotation("2", "n", "b", {"a": 0.0, "b": 1.0, "c": 0.0}),
        annotation("3", "n", "b"),
    ]
    found = ensemble(ABC, answers(ABC, *rows), "mean")
    assert found.annotations[0].probabilities == pytest.approx(p)
    assert labels(found) == ["a", "b", None]
    assert statuses(found) == ["ok", "ok", "failed"]
    assert [member.n_left_out for member in found.members] == [0, 2]


def test_what_is_impossible_to_each_of_two_models_is_a_tie_of_the_logarithmic_pool() -> None:
    one, other = {"a": 1.0, "b": 0.0, "c": 0.0}, {"a": 0.0, "b": 1.0, "c": 0.0}
    models = answers(ABC, annotation("1", "m", "a", one), annotation("1", "n", "b", other))
    (found,) = ensemble(ABC, models, "log-mean").annotations
    assert (found.label, found.status, found.probabilities, found.origin) == (None, Status.TIED, {}, None)
    (mean,) = ensemble(ABC, models, "mean").annotations
    assert (mean.status, mean.probabilities) == (Status.TIED, {"a": 0.5, "b": 0.5, "c": 0.0})


def opinions(votes: LongForm) -> Opinions:
    return Opinions(votes, np.full((len(votes.label), votes.n_labels), np.nan))


def pooled(found: Pooled | Undefined) -> Pooled:
    assert isinstance(found, Pooled), found
    return found


def test_dawid_skene_pools_the_published_table_as_published() -> None:
    found = pooled(by_dawid_skene(opinions(anaesthesia())))
    assert found.probabilities == pytest.approx(np.array(PUBLISHED["posterior"]), abs=1e-6)
    assert found.codes.tolist() == np.argmax(PUBLISHED["posterior"], axis=1).tolist()


def test_dawid_skene_over_models_is_that_of_their_votes() -> None:
    first_answers = [" ".join(word[0] for word in words.split()) for words in PUBLISHED["ratings"]]
    rows = said(" ".join(words.replace(" ", "") for words in first_answers), "1234")
    found = ensemble(LEVELS, answers(LEVELS, *rows), "dawid-skene")
    votes = anaesthesia()
    _, first = np.unique(votes.item * 5 + votes.annotator, return_index=True)
    alone = LongForm(votes.item[first], votes.annotator[first], votes.label[first], 45, 5, votes.values, Level.NOMINAL)
    expected = dawid_skene(alone)
    assert not isinstance(expected, Undefined)
    assert labels(found) == [str(code + 1) for code in expected.codes]
    table = [list(one.probabilities.values()) for one in found.annotations]
    assert np.array(table) == pytest.approx(expected.posterior)
    assert all(member.accuracy and 0.5 < member.accuracy < 1 for member in found.members)


def test_what_nobody_answered_has_no_posterior_and_an_answer_without_a_label_has_failed() -> None:
    unsaid = [annotation("9", name, None) for name in ("m0", "m1")]
    found = ensemble(ABC, answers(ABC, *said("aab abb bbb aaa ccc aaa bab ..."), *unsaid), "dawid-skene")
    assert statuses(found)[-2:] == ["refused", "failed"]
    assert [one.probabilities for one in found.annotations[-2:]] == [{}, {}]


def test_models_that_always_agree_need_no_estimate() -> None:
    found = ensemble(ABC, answers(ABC, *said("aaa aa. aaa")), "dawid-skene")
    assert labels(found) == ["a", "a", "a"]
    assert found.annotations[0].probabilities == {"a": 1, "b": 0, "c": 0}


def test_reliability_by_hand() -> None:
    votes = LongForm(
        np.array([0, 1, 2, 0, 1, 2]), np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 1, 1]), 4, 3,
        np.arange(2.0), Level.NOMINAL,
    )  # fmt: skip
    known = np.array([[1.0, 0.0], [0.0, 1.0], [np.nan, np.nan], [1.0, 0.0]])
    found = reliability(votes, known)
    assert found.accuracy.tolist() == [3 / 4, 2 / 4, 1 / 2]
    assert found.weight.tolist() == pytest.approx([math.log(3), 0, 0])


def test_weights_are_exponents_that_sum_to_one() -> None:
    people = {"1": "a", "2": "b", "3": "a", "4": "b"}
    sure = {"a": 0.6, "b": 0.3, "c": 0.1}
    rows = [annotation(item, "good", label, sure) for item, label in people.items()]
    rows += [annotation(item, "fair", "a", {"a": 0.1, "b": 0.8, "c": 0.1}) for item in people]
    found = ensemble(ABC, answers(ABC, *rows), "weighted", people)
    good, fair = math.log(2 * (5 / 7) / (2 / 7)), math.log(2 * (3 / 7) / (4 / 7))
    assert [member.weight for member in found.members] == pytest.approx([good, fair])
    assert found.measured_by == "people"
    share = good / (good + fair)
    raw = {code: sure[code] ** share * {"a": 0.1, "b": 0.8, "c": 0.1}[code] ** (1 - share) for code in sure}
    assert found.annotations[0].probabilities == pytest.approx({code: x / sum(raw.values()) for code, x in raw.items()})


def test_by_their_votes_alone_weights_find_the_better_models() -> None:
    truth = np.random.default_rng(0).integers(0, 3, 400)
    rng = np.random.default_rng(1)
    rows, flat = [], {"a": 0.2, "b": 0.2, "c": 0.2}
    for name, accuracy in (("poor", 0.4), ("poor too", 0.4), ("fair", 0.7), ("good", 0.95)):
        right = rng.random(400) < accuracy
        label = np.where(right, truth, rng.integers(0, 3, 400))
        for item, code in enumerate(label):
            rows.append(annotation(str(item), name, "abc"[code], flat | {"abc"[code]: 0.6}))
    models = answers(ABC, *rows)

    def share_right(method: str) -> float:
        found = labels(ensemble(ABC, models, method))
        return float(np.mean([label == "abc"[code] for label, code in zip(found, truth, strict=True)]))

    weighted = ensemble(ABC, models, "weighted")
    weights = [member.weight or 0 for member in weighted.members]
    assert max(weights[:2]) < weights[2] < weights[3]
    assert weighted.measured_by == "Dawid-Skene"
    assert share_right("weighted") > share_right("mean") + 0.05
    assert share_right("dawid-skene") > share_right("votes") + 0.05


def test_a_model_that_is_right_as_often_as_chance_has_no_say() -> None:
    votes = erring_crowd(np.zeros(3, dtype=np.int64), 2, 1, 1.0, 2)
    p = np.tile([0.9, 0.1], (3, 1))
    found = logarithmic_pool(Opinions(votes, p), np.zeros(2))
    assert found.codes.tolist() == [-1, -1, -1]
    assert found.n_answers.tolist() == [1, 1, 1]


def test_sets_are_decided_label_by_label() -> None:
    rows = [
        annotation("1", "m", ("work",), {"work": 0.9, "health": 0.2}),
        annotation("1", "n", ("work", "health"), {"work": 0.7, "health": 0.6}),
        annotation("1", "o", (), {"work": 0.2, "health": 0.1}),
        annotation("2", "m", (), {"work": 0.1, "health": 0.1}),
        annotation("2", "n", ("health",), {"work": 0.1, "health": 0.9}),
    ]
    votes = ensemble(TOPICS, answers(TOPICS, *rows), "votes")
    assert labels(votes) == [("work",), None], "the second has as much probability for as against"
    assert votes.annotations[0].probability == pytest.approx(2 / 3 * 2 / 3)
    assert statuses(votes) == ["ok", "tied"]
    mean = ensemble(TOPICS, answers(TOPICS, *rows), "mean")
    assert mean.annotations[0].probabilities == pytest.approx({"work": 0.6, "health": 0.3})
    assert mean.annotations[0].probability == pytest.approx(0.6 * 0.7)
    assert mean.label_shares == {"work": 1.0}
    weighted = ensemble(TOPICS, answers(TOPICS, *rows), "weighted", {"1": ("work",), "2": ()})
    assert weighted.measured_by == "people"


def test_dawid_skene_over_sets_is_that_of_each_label() -> None:
    rng = np.random.default_rng(4)
    applies = rng.random((300, 1, 1)) < 0.4
    work = (rng.random((300, 3, 1)) < [[0.95], [0.9], [0.8]]) == applies
    rows = [
        annotation(str(item), f"m{number}", ("work",) if work[item, number] else ())
        for item in range(300)
        for number in range(3)
    ]
    found = ensemble(TOPICS, answers(TOPICS, *rows), "dawid-skene")
    assert all(one.probabilities["health"] == 0 for one in found.annotations), "nobody ever gives it"
    right = [("work" in (label or ())) == truth for label, truth in zip(labels(found), applies[:, 0, 0], strict=True)]
    assert np.mean(right) > 0.93
    assert (found.members[0].accuracy or 0) > (found.members[2].accuracy or 0)


def test_the_order_of_models_and_items_does_not_matter() -> None:
    rows = said("aab abb acc bbb cca abb bba caa")
    for method in ("votes", "dawid-skene"):
        one = {a.item: (a.label, a.status) for a in ensemble(ABC, answers(ABC, *rows), method).annotations}
        other = {a.item: (a.label, a.status) for a in ensemble(ABC, answers(ABC, *rows[::-1]), method).annotations}
        assert one == other


def test_votes_and_mean_are_what_loops_give() -> None:
    rng = np.random.default_rng(5)
    n, q = 200, 4
    item, model = np.divmod(np.arange(n * 3), 3)
    kept = rng.random(n * 3) < 0.8
    p = rng.dirichlet(np.ones(q), n * 3)[kept]
    votes = LongForm(item[kept], model[kept], p.argmax(axis=1), n, 3, np.arange(q * 1.0), Level.NOMINAL)
    by_vote, mean = by_votes(Opinions(votes, p)), linear_pool(Opinions(votes, p))
    for at in range(n):
        mine = p[votes.item == at]
        if not len(mine):
            assert (by_vote.codes[at], mean.codes[at]) == (-1, -1)
            continue
        counts = np.bincount(mine.argmax(axis=1), minlength=q)
        best = max(np.flatnonzero(counts == counts.max()), key=lambda code: mine[:, code].sum())
        assert by_vote.codes[at] == best
        assert mean.codes[at] == mine.mean(axis=0).argmax()


@pytest.mark.parametrize(
    ("rows", "method", "fault"),
    [
        (said("aa bb"), "majority", "unknown method 'majority': known are 'votes', 'mean'"),
        (said("a b"), "votes", "question 'q': an ensemble needs two models, not 1"),
        ([annotation("1", "m", "a"), annotation("2", "n", "a")], "votes", "'m' labelled no item that another labelled"),
        ([annotation("1", "m", "a"), annotation("1", "n", None)], "votes", "the model 'm' labelled no item"),
        (said("aa bb"), "mean", "the model 'm0' gives no probabilities of all labels, which mean pools"),
        (said("aa bb"), "weighted", "the model 'm0' gives no probabilities of all labels, which weighted pools"),
        (said("aa bb ab"), "dawid-skene", "the errors of two models cannot be told apart by their votes alone"),
        (said("aab"), "dawid-skene", "Dawid-Skene is undefined here: 3 ratings are fewer than 7 parameters"),
    ],
)
def test_what_a_method_cannot_work_on(rows: list[Annotation], method: str, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        ensemble(ABC, answers(ABC, *rows), method)


def test_people_who_labelled_other_items_measure_nobody() -> None:
    flat = {"a": 0.4, "b": 0.3, "c": 0.3}
    models = answers(ABC, annotation("1", "m", "a", flat), annotation("1", "n", "a", flat))
    with pytest.raises(InputError, match="people labelled none of these items"):
        ensemble(ABC, models, "weighted", {"2": "a"})
    with pytest.raises(InputError, match="no model is right more often than chance"):
        ensemble(ABC, models, "weighted", {"1": "c"})


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (annotation("1", "m", "a"), "row 2: the model 'm' has answered item '1' before. Give each model once"),
        (annotation("2", "m", "d"), "row 2: question 'q': unknown label 'd'"),
        (annotation("2", "m", ("a",)), "row 2: '[\"a\"]' is no answer to the choice question"),
        (annotation("2", "m", "a", {"a": 0.5, "x": 0.5}), "row 2: question 'q': unknown label 'x'"),
        (annotation("2", "m", "a", {"a": 1.5}), "row 2: 1.5 is no probability of 'a'"),
        (Annotation("2", "q", "anna", Kind.EXPERT, "a"), "row 2: 'anna' is of kind expert, not a model"),
    ],
)
def test_answers_that_cannot_be_read(row: Annotation, fault: str) -> None:
    with pytest.raises(LlmclfError) as error:
        answers(ABC, annotation("1", "m", "a"), row)
    assert str(error.value).startswith(fault)


def test_a_question_that_was_not_asked_is_named_with_its_place() -> None:
    book = Codebook(name="b", question=(ABC,))
    other = Annotation("1", "other", "m", Kind.MODEL, "a")
    with pytest.raises(InputError, match="row 7: unknown question 'other'"):
        by_question(book, [("row 7", other)])
    unnamed = Annotation("1", "", "m", Kind.MODEL, "a")
    assert list(by_question(book, [("row 7", unnamed)])) == ["q"]


def test_people_are_one_where_most_of_them_agree() -> None:
    rows = [
        Annotation(item, "q", who, Kind.EXPERT, label)
        for item, word in (("1", "aab"), ("2", "ab."), ("3", "..c"))
        for who, label in zip("xyz", word, strict=True)
        if label != "."
    ]
    assert labels_of_people(ABC, [("", row) for row in rows]) == {"1": "a", "3": "c"}
    sets = [Annotation("1", "q", "x", Kind.EXPERT, ("health", "work")), Annotation("2", "q", "x", Kind.EXPERT, ())]
    assert labels_of_people(TOPICS, [("", row) for row in sets]) == {"1": ("health", "work"), "2": ()}
    with pytest.raises(InputError, match="question 'q' has no labels of people"):
        labels_of_people(ABC, [])
    with pytest.raises(InputError, match="row 1: 'm' is a model"):
        labels_of_people(ABC, [("row 1", annotation("1", "m", "a"))])


def test_every_method_answers_every_item() -> None:
    rng = np.random.default_rng(2)
    rows = []
    for item, code in enumerate(rng.integers(0, 3, 60)):
        for name in "xyz":
            p = rng.dirichlet(np.ones(3) + 4 * np.eye(3)[code]).tolist()
            table = dict(zip("abc", p, strict=True))
            rows.append(annotation(str(item), name, max(table, key=table.__getitem__), table))
    for method in METHODS:
        found = ensemble(ABC, answers(ABC, *rows), method)
        assert [one.item for one in found.annotations] == [str(item) for item in range(60)]
        for one in found.annotations:
            assert sum(one.probabilities.values()) == pytest.approx(1)
            assert one.label is None or one.probability == pytest.approx(one.probabilities[str(one.label)])
