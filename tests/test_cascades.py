import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy.stats import binom, binomtest  # type: ignore[import-untyped]  # scipy has no types
from sklearn.metrics import f1_score

from llmclf.agreement import Estimate, Undefined
from llmclf.agreement.clopper_pearson import lower_bound
from llmclf.agreement.non_inferiority import MarginTest
from llmclf.annotations import Annotation, Kind, LabelValue
from llmclf.codebook import Label, Question
from llmclf.ensembles.answers import ModelAnswers
from llmclf.ensembles.cascade_report import Prices, cascade_report, curve
from llmclf.ensembles.cascades import (
    DELTA,
    Pair,
    answered,
    certified_threshold,
    threshold_for_agreement,
    threshold_for_calls,
)
from llmclf.errors import InputError
from llmclf.status import Status

AB = Question(name="q", kind="choice", ask="?", label=(Label(name="a"), Label(name="b")))
TOPICS = Question(name="q", kind="set", ask="?", label=(Label(name="a"), Label(name="b")))


def model(
    name: str,
    labels: Mapping[str, LabelValue | None],
    confidence: Sequence[float | None] | None = None,
    status: Status = Status.CUT,
) -> ModelAnswers:
    given = confidence if confidence is not None else [None] * len(labels)
    return ModelAnswers(
        name,
        {
            item: Annotation(
                item, "q", name, Kind.MODEL, label, probability=p, status=status if label is None else Status.OK
            )
            for (item, label), p in zip(labels.items(), given, strict=True)
        },
    )


def numbered(word: str) -> dict[str, LabelValue | None]:
    return {str(item): None if code == "." else code for item, code in enumerate(word)}


def drawn(seed: int, n: int, *, least: float = 0.6, most: float = 1.0, people: bool = False) -> Pair:
    """A cheap model whose agreement with the better one grows with its confidence, which is uniform."""
    rng = np.random.default_rng(seed)
    confidence = rng.random(n)
    better = rng.integers(0, 2, n)
    cheap = np.where(rng.random(n) < least + (most - least) * confidence, better, 1 - better)
    truth = np.where(rng.random(n) < 0.95, better, 1 - better)
    words = ("".join("ab"[code] for code in codes) for codes in (cheap, better, truth))
    one, other, said = (numbered(word) for word in words)
    known = {item: label for item, label in said.items() if label is not None}
    return Pair(AB, model("cheap", one, confidence.tolist()), model("better", other), known if people else {})


def found(threshold: float | Undefined) -> float:
    assert isinstance(threshold, float), threshold
    return threshold


def test_the_bound_is_that_of_clopper_and_pearson() -> None:
    for n_agree, n in ((0, 5), (3, 5), (5, 5), (190, 200)):
        expected = binomtest(n_agree, n, alternative="greater").proportion_ci(0.9).low
        assert lower_bound(n_agree, n, DELTA) == pytest.approx(expected)
    assert lower_bound(0, 0, DELTA) == 0
    bound = lower_bound(45, 50, 0.05)
    assert binom.sf(44, 50, bound) == pytest.approx(0.05), "so many or more agree with this probability"


def test_a_sequence_of_thresholds_ends_at_the_first_that_fails() -> None:
    confidence = np.repeat([0.9, 0.8, 0.7, 0.6], 50)
    agrees = np.concatenate([np.ones(50), np.ones(50), np.zeros(50), np.ones(50)]).astype(np.bool_)
    levels = np.array([0.9, 0.8, 0.7, 0.6])
    assert certified_threshold(confidence, agrees, levels, 0.9, 0.1) == 0.8
    assert certified_threshold(confidence, agrees, levels, 0.6, 0.1) == 0.6
    assert certified_threshold(confidence, agrees, levels, 0.7, 0.1) == 0.8, "the last would pass, and is not reached"
    failed = certified_threshold(confidence, ~agrees, levels, 0.9, 0.1)
    assert failed == Undefined("no threshold found: the surest answers do not show an agreement of 0.9")


@pytest.mark.parametrize(("least", "most", "n_chosen"), [(0.6, 1.0, 225), (0.899, 0.899, 1)])
def test_the_wanted_agreement_is_missed_no_more_often_than_was_said(least: float, most: float, n_chosen: int) -> None:
    n_runs, wanted = 300, 0.9
    thresholds = [threshold_for_agreement(drawn(seed, 400, least=least, most=most), wanted) for seed in range(n_runs)]
    chosen = [threshold for threshold in thresholds if isinstance(threshold, float)]
    missed = sum(least + (most - least) * (threshold + 1) / 2 < wanted for threshold in chosen)
    assert missed / n_runs <= 0.1 + 2 * math.sqrt(0.1 * 0.9 / n_runs)
    assert len(chosen) >= n_chosen


def test_only_the_labelled_items_count_and_the_thresholds_are_of_all() -> None:
    pair = drawn(1, 2000)
    sample = replace(pair, better=ModelAnswers("better", dict(list(pair.better.by_item.items())[:600])))
    threshold = found(threshold_for_agreement(sample, 0.9))
    assert threshold in set(pair.confidence.tolist())
    labelled = pair.confidence[:600] >= threshold
    agree = pair.codes("cheap")[:600] == pair.codes("better")[:600]
    assert lower_bound(int((agree & labelled).sum()), int(labelled.sum()), DELTA) >= 0.9
    assert threshold_for_agreement(sample, 0.9, delta=0.01) != threshold


def test_people_may_be_what_is_agreed_with() -> None:
    pair = drawn(2, 1500, people=True)
    with_people = found(threshold_for_agreement(pair, 0.8, "people"))
    assert with_people > found(threshold_for_agreement(pair, 0.8)), "the better model is no person"


def test_much_of_what_could_be_kept_is_kept() -> None:
    thresholds = [found(threshold_for_agreement(drawn(seed, 3000), 0.9)) for seed in range(5)]
    assert np.mean(thresholds) == pytest.approx(0.55, abs=0.05), "at .5 they agree as often as is wanted"


def test_too_few_labelled_items_show_nothing() -> None:
    pair = Pair(AB, model("cheap", numbered("ab" * 10), [0.9] * 20), model("better", numbered("ab" * 10)))
    assert threshold_for_agreement(pair, 0.9) == Undefined(
        "no threshold found: 20 labelled items cannot show an agreement of 0.9, for which it takes 22"
    )
    assert threshold_for_agreement(pair, 0.8) == 0.9


@pytest.mark.parametrize("wanted", [0.0, 1.0, math.nan])
def test_an_agreement_that_cannot_be_shown_is_refused(wanted: float) -> None:
    with pytest.raises(InputError, match=r"cannot be shown\. Give a share above 0 and below 1"):
        threshold_for_agreement(drawn(0, 50), wanted)
    with pytest.raises(InputError, match="is no probability of an error"):
        threshold_for_agreement(drawn(0, 50), 0.5, delta=wanted)


CHEAP = model("cheap", numbered("aab.ab"), [0.9, 0.6, None, None, 0.6, 0.7])
SIX = Pair(AB, CHEAP, model("better", numbered("abbbbb")))


@pytest.mark.parametrize(
    ("share", "threshold", "n_routed"), [(1 / 3, 0.6, 2), (0.5, 0.6, 2), (2 / 3, 0.7, 4), (5 / 6, 0.9, 5)]
)
def test_so_many_calls_and_no_more(share: float, threshold: float, n_routed: int) -> None:
    assert threshold_for_calls(SIX, share) == threshold
    assert int((~SIX.kept(threshold)).sum()) == n_routed


def test_all_calls_are_all_items() -> None:
    threshold = threshold_for_calls(SIX, 1)
    assert not SIX.kept(threshold).any()
    assert threshold == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("share", "fault"),
    [(0.2, "2 of 6 items have no answer with a probability by 'cheap', and go to"), (1.1, "1.1 is no share")],
)
def test_calls_that_cannot_be_kept_to(share: float, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        threshold_for_calls(SIX, share)


def test_a_share_counts_as_people_do() -> None:
    confidence = (np.arange(100) / 100).tolist()
    pair = Pair(AB, model("cheap", numbered("a" * 100), confidence), model("better", numbered("a")))
    assert threshold_for_calls(pair, 0.29) == 0.29, "29 of 100, though .29 x 100 is less"


def test_who_answers_which_item() -> None:
    empty = Annotation("6", "q", "cheap", Kind.MODEL, None, status=Status.EMPTY)
    cheap = ModelAnswers("cheap", {**CHEAP.by_item, "6": empty})
    better = model("better", {"1": "b", "3": None, "9": "a"}, status=Status.REFUSED)
    pair = Pair(AB, cheap, better)
    rows = list(answered(pair, 0.7, model("better", {"2": "a"})))
    assert [(row.item, row.label, str(row.status), by) for row, by in rows] == [
        ("0", "a", "ok", "cheap"),
        ("1", "b", "ok", "better"),
        ("2", "a", "ok", "better"),
        ("3", None, "refused", "better"),
        ("4", None, "routed", ""),
        ("5", "b", "ok", "cheap"),
        ("6", None, "empty", ""),
    ]
    assert {row.annotator for row, _ in rows} == {"cascade(cheap, better)"}
    assert rows[0][0].probability == 0.9
    assert pair.n_askable == 6


def test_the_report_by_hand() -> None:
    people: dict[str, LabelValue] = {"0": "a", "1": "b", "4": "a", "5": "b", "8": "a"}
    report = cascade_report(replace(SIX, people=people), 0.6, Prices(0.1, 2))
    assert (report.n_items, report.n_kept) == (6, 4)
    assert report.saved_calls == pytest.approx(4 / 6)
    assert report.cost == pytest.approx(6 * 0.1 + 2 * 2)
    assert report.cost_of_better == 12
    assert (report.agreement.n_items, report.agreement.value) == (4, 0.5)
    assert report.agreement.bound == pytest.approx(binomtest(2, 4, alternative="greater").proportion_ci(0.9).low)
    assert report.n_people == 4
    assert report.accuracy is not None
    values = [report.accuracy.cheap, report.accuracy.better, report.accuracy.cascade, report.accuracy.difference]
    assert [one.value for one in values if isinstance(one, Estimate)] == [0.75, 0.75, 0.75, 0]
    document = report.to_dict()
    assert document["accuracy"]["cheap"]["value"] == 0.75
    assert document["saved_calls"] == report.saved_calls


def test_macro_f1_and_its_difference_are_paired_over_items() -> None:
    pair = drawn(3, 120, people=True)
    report = cascade_report(pair, 0.4, margin=0.05)
    measure = report.macro_f1
    assert measure is not None
    truth, cheap, better = pair.ratings.codes.T
    own = np.where(pair.confidence >= 0.4, cheap, better)

    def macro_f1(judged: np.ndarray, kept: np.ndarray) -> float:
        return float(f1_score(truth[kept], judged[kept], average="macro"))

    everything = np.arange(120)
    assert isinstance(measure.cascade, Estimate)
    assert isinstance(measure.better, Estimate)
    assert measure.cascade.value == pytest.approx(macro_f1(own, everything))
    assert measure.better.value == pytest.approx(macro_f1(better, everything))
    left = [np.delete(everything, item) for item in everything]
    by_loop = np.array([macro_f1(own, kept) - macro_f1(better, kept) for kept in left])
    se = math.sqrt(119 / 120 * float(((by_loop - by_loop.mean()) ** 2).sum()))
    assert isinstance(measure.difference, Estimate)
    assert measure.difference.se == pytest.approx(se)
    assert isinstance(measure.test, MarginTest)
    assert measure.test.lower == pytest.approx(measure.difference.value - 1.6577593 * se), "t of .95 with 119 df"


def test_accuracy_has_the_interval_of_a_mean() -> None:
    pair = drawn(3, 120, people=True)
    report = cascade_report(pair, 0.4)
    truth, cheap, _ = pair.ratings.codes.T
    assert report.accuracy is not None
    assert isinstance(report.accuracy.cheap, Estimate)
    assert report.accuracy.cheap.value == np.mean(truth == cheap)
    assert report.accuracy.cheap.se == pytest.approx(np.std(truth == cheap, ddof=1) / math.sqrt(120))


def test_a_cascade_that_is_the_better_model_has_no_difference_to_test() -> None:
    pair = drawn(3, 60, people=True)
    report = cascade_report(pair, 2)
    assert report.saved_calls == 0
    assert report.accuracy is not None
    assert report.accuracy.cascade == report.accuracy.better
    assert isinstance(report.accuracy.test, Undefined)
    assert report.agreement == replace(report.agreement, n_items=0, value=None, bound=0.0)


def test_the_curve_is_the_report_at_ten_thresholds() -> None:
    pair = drawn(4, 200, people=True)
    points = curve(pair, Prices(0, 1))
    assert [point.kept for point in points] == pytest.approx([0.1 * tenth for tenth in range(1, 11)])
    for point in points:
        report = cascade_report(pair, point.threshold, Prices(0, 1))
        assert point.agreement == report.agreement
        assert point.cost == report.cost == pytest.approx(200 * (1 - point.kept))
        assert report.accuracy is not None
        assert isinstance(report.accuracy.cascade, Estimate)
        assert point.accuracy == report.accuracy.cascade.value
    assert points[0].agreement.value != points[-1].agreement.value


def test_sets_agree_where_they_are_the_same() -> None:
    cheap = model("cheap", {"1": ("a", "b"), "2": (), "3": ("a",)}, [0.9, 0.8, 0.7])
    better = model("better", {"1": ("b", "a"), "2": (), "3": ("b",)})
    pair = Pair(TOPICS, cheap, better, {"1": ("a", "b"), "2": ("a",)})
    report = cascade_report(pair, 0.5)
    assert report.agreement.value == pytest.approx(2 / 3)
    assert report.accuracy is not None
    assert asdict(report.accuracy.cascade)["value"] == 0.5
    assert report.macro_f1 is not None
    assert report.macro_f1.cascade == Undefined("the answers are sets")


def test_prices() -> None:
    assert Prices(0.1, 2).share_for(6 * 0.1 + 4, 6) == pytest.approx(2 / 6)
    assert Prices(0.1, 2).share_for(100, 6) == 1
    with pytest.raises(InputError, match=r"the cheap model alone costs 0\.6, more than 0\.5"):
        Prices(0.1, 2).share_for(0.5, 6)
    for cheap, better in ((-1, 1), (1, 0), (math.nan, 1)):
        with pytest.raises(InputError, match="prices of"):
            Prices(cheap, better)


@pytest.mark.parametrize(
    ("cheap", "better", "people", "fault"),
    [
        (CHEAP, replace(CHEAP), {}, "'cheap' is both the cheap and the better model"),
        (CHEAP, model("better", {"7": "a"}), {}, "'better' has answered none of the items of 'cheap'"),
        (CHEAP, SIX.better, {"7": "a"}, "people labelled none of the items of 'cheap'"),
        (model("cheap", numbered("ab")), SIX.better, {}, "'cheap' gives no probabilities, which say where it is sure"),
    ],
)
def test_models_that_make_no_cascade(
    cheap: ModelAnswers, better: ModelAnswers, people: dict[str, LabelValue], fault: str
) -> None:
    with pytest.raises(InputError, match=fault):
        Pair(AB, cheap, better, people)
