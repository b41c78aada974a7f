import json
import math

import numpy as np
import pytest
from scipy.stats import norm  # type: ignore[import-untyped]  # no types
from scipy.stats import t as student

from llmclf.agreement import Ratings, Undefined
from llmclf.agreement.non_inferiority import MarginTest, NonInferiority, Verdict, holm_adjusted, non_inferiority
from llmclf.errors import InputError
from llmclf.levels import Level
from tests.agreement.tables import coded, estimate, table

EXPERTS = ("0", "1", "2")
MODEL = "3"


def panel(n: int, model: float, experts: float = 0.8, seed: int = 3, level: Level = Level.ORDINAL) -> Ratings:
    """Three experts and a model, each of whom knows the truth so often and guesses otherwise."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, (n, 1))
    knows = rng.random((n, 4)) < np.array([experts, experts, experts, model])
    return coded(np.where(knows, truth, rng.integers(0, 4, (n, 4))), level, 4)


def margin_test(result: NonInferiority) -> MarginTest:
    assert isinstance(result.these_experts, MarginTest), result.these_experts
    return result.these_experts


@pytest.mark.parametrize(
    ("n", "model", "verdict", "reason"),
    [
        (400, 0.8, "non-inferior", "the lower bound of the difference is above the margin"),
        (400, 0.3, "worse", "the upper bound of the difference is below the margin"),
        (40, 0.75, "inconclusive", "the margin is between the bounds of the difference"),
    ],
)
@pytest.mark.parametrize("level", [Level.ORDINAL, Level.NOMINAL])
def test_verdicts(n: int, model: float, verdict: Verdict, reason: str, level: Level) -> None:
    found = non_inferiority(panel(n, model, level=level), MODEL, EXPERTS, margin=0.1)
    assert (found.verdict, found.reason) == (verdict, reason)
    test = margin_test(found)
    assert test.verdict == verdict
    assert (test.lower > -0.1) == (test.p_non_inferior < 0.05) == (verdict == "non-inferior")
    assert (test.upper < -0.1) == (test.p_worse < 0.05) == (verdict == "worse")
    assert (found.items_needed is not None) == (verdict == "inconclusive")


def test_bounds_are_one_sided_t_bounds() -> None:
    found = non_inferiority(panel(40, 0.7), MODEL, EXPERTS, margin=0.1)
    test, difference = margin_test(found), estimate(found.comparison.difference)
    assert difference.se is not None
    assert (test.df, test.target) == (39, "these experts")
    assert test.lower == pytest.approx(difference.value - student.ppf(0.95, 39) * difference.se)
    assert test.upper == pytest.approx(difference.value + student.ppf(0.95, 39) * difference.se)
    assert test.p_non_inferior == pytest.approx(student.sf((difference.value + 0.1) / difference.se, 39))
    assert test.p_worse == pytest.approx(1 - test.p_non_inferior)


def test_the_bound_for_experts_like_these_is_wider_and_decides_nothing() -> None:
    found = non_inferiority(panel(400, 0.8), MODEL, EXPERTS, margin=0.1)
    like_these, estimated = found.experts_like_these, estimate(found.comparison.experts_like_these)
    assert isinstance(like_these, MarginTest)
    assert estimated.se is not None
    assert (like_these.target, like_these.df) == ("experts like these", 2)
    assert like_these.lower == pytest.approx(estimated.value - student.ppf(0.95, 2) * estimated.se)
    assert like_these.lower < margin_test(found).lower
    assert (found.verdict, like_these.verdict) == ("non-inferior", "inconclusive")


def test_experts_below_the_ceiling_are_too_unreliable_whatever_the_margin_says() -> None:
    guessing = panel(200, 0.0, experts=0.0)
    found = non_inferiority(guessing, MODEL, EXPERTS, margin=0.2)
    assert found.verdict == "humans too unreliable"
    assert found.reason == "the lower bound of the experts' agreement is not above the ceiling"
    assert margin_test(found).verdict == "non-inferior", "it stands beside the verdict"
    reference = estimate(found.comparison.reference)
    assert reference.se is not None
    assert found.ceiling_lower == pytest.approx(reference.value - student.ppf(0.95, 199) * reference.se)


def test_the_ceiling_is_what_was_declared() -> None:
    ratings = panel(400, 0.8)
    lower = non_inferiority(ratings, MODEL, EXPERTS, margin=0.1).ceiling_lower
    assert lower is not None
    for ceiling, verdict in ((lower - 1e-6, "non-inferior"), (lower, "humans too unreliable")):
        found = non_inferiority(ratings, MODEL, EXPERTS, margin=0.1, ceiling=ceiling)
        assert (found.verdict, found.ceiling) == (verdict, ceiling)


def test_experts_in_full_agreement_pass_every_ceiling() -> None:
    ratings = panel(100, 0.9, experts=1.0)
    found = non_inferiority(ratings, MODEL, EXPERTS, margin=0.3, ceiling=0.9)
    assert estimate(found.comparison.reference).se is None
    assert (found.ceiling_lower, found.verdict) == (1.0, "non-inferior")


def test_without_two_experts_nothing_is_defined() -> None:
    found = non_inferiority(panel(40, 0.8), MODEL, EXPERTS[:1], margin=0.1)
    reason = "agreement among experts needs two of them; there is one"
    assert (found.verdict, found.reason, found.ceiling_lower) == ("undefined", reason, None)
    assert found.these_experts == found.experts_like_these == Undefined(reason)
    assert found.items_needed is None


def test_without_a_third_expert_only_these_are_spoken_of() -> None:
    found = non_inferiority(panel(400, 0.8), MODEL, EXPERTS[:2], margin=0.1)
    assert found.verdict == "non-inferior"
    assert found.experts_like_these == Undefined(
        "no interval: of 2 experts none can be left out, for no pair would be left"
    )


def test_without_spread_there_is_no_verdict() -> None:
    identical = table("1111 2222 1111 2222 1111", Level.ORDINAL)
    names = [f"annotator {j}" for j in range(4)]
    found = non_inferiority(identical, names[3], names[:3], margin=0.1)
    assert (found.verdict, found.reason) == (
        "undefined",
        "no interval: no single item left out changes the value, so its spread is unknown",
    )
    hanging = table("111 112 221 112 111 111", Level.ORDINAL)
    found = non_inferiority(hanging, names[2], names[:2], margin=0.1)
    assert found.verdict == "undefined"


def test_experts_whose_agreement_hangs_on_one_item_give_no_verdict() -> None:
    names = [f"annotator {j}" for j in range(3)]
    found = non_inferiority(table("112 111 111 121", Level.ORDINAL), names[2], names[:2], margin=0.1)
    assert (found.verdict, found.reason) == (
        "undefined",
        "the agreement of the experts has no interval: it is undefined without one of the items",
    )


def test_items_needed_would_decide_with_power() -> None:
    found = non_inferiority(panel(40, 0.75), MODEL, EXPERTS, margin=0.1)
    needed, difference = found.items_needed, estimate(found.comparison.difference)
    assert needed is not None
    assert needed.if_as_observed is not None
    assert difference.se is not None
    sd = difference.se * math.sqrt(40)
    for n, distance in ((needed.if_equal, 0.1), (needed.if_as_observed, abs(difference.value + 0.1))):
        power = [norm.cdf(distance / (sd / math.sqrt(size)) - norm.ppf(0.95)) for size in (n, n - 1)]
        assert power[0] >= 0.8 > power[1]
    assert needed.if_as_observed > 40


@pytest.mark.parametrize("margin", [0.0, -0.1, math.nan])
def test_a_margin_must_allow_something(margin: float) -> None:
    with pytest.raises(InputError, match=r"the margin is .*\. Give the loss of agreement that still does"):
        non_inferiority(panel(40, 0.8), MODEL, EXPERTS, margin)


def test_of_several_questions_fewer_stand_together() -> None:
    results = {
        f"question {seed}": non_inferiority(panel(130, 0.8, seed=seed), MODEL, EXPERTS, 0.1) for seed in range(8)
    }
    together = holm_adjusted(results)
    alone = [one.verdict for one in results.values()].count("non-inferior")
    assert 0 < [one.verdict for one in together.values()].count("non-inferior") < alone
    ranked = sorted(margin_test(one).p_non_inferior for one in results.values())
    smallest = min(one.p_non_inferior for one in together.values() if one.p_non_inferior is not None)
    assert smallest == pytest.approx(8 * ranked[0])
    assert {one.n_tested for one in together.values()} == {8}
    for name, one in together.items():
        if one.verdict != "inconclusive":
            assert one.verdict == results[name].verdict


def test_a_model_that_is_worse_is_so_among_several_questions() -> None:
    worse = non_inferiority(panel(400, 0.2), MODEL, EXPERTS, 0.1)
    good = non_inferiority(panel(400, 0.8), MODEL, EXPERTS, 0.1)
    assert {name: one.verdict for name, one in holm_adjusted({"a": worse, "b": good}).items()} == {
        "a": "worse",
        "b": "non-inferior",
    }


def test_what_was_not_tested_is_not_counted_and_keeps_its_verdict() -> None:
    undefined = non_inferiority(panel(40, 0.8), MODEL, EXPERTS[:1], 0.1)
    unreliable = non_inferiority(panel(200, 0.0, experts=0.0), MODEL, EXPERTS, 0.2)
    found = holm_adjusted({"undefined": undefined, "unreliable": unreliable})
    assert (found["undefined"].verdict, found["undefined"].p_worse) == ("undefined", None)
    assert (found["unreliable"].verdict, found["unreliable"].n_tested) == ("humans too unreliable", 1)
    assert found["unreliable"].p_non_inferior == margin_test(unreliable).p_non_inferior
    assert holm_adjusted({}) == {}
    assert holm_adjusted({"undefined": undefined})["undefined"].n_tested == 0


def test_dictionary_is_json() -> None:
    found = non_inferiority(panel(40, 0.75), MODEL, EXPERTS, margin=0.1)
    read = json.loads(json.dumps(found.to_dict()))
    assert read["verdict"] == "inconclusive"
    assert read["these_experts"]["lower"] == margin_test(found).lower
    assert read["items_needed"].keys() == {"if_as_observed", "if_equal"}
    assert read["comparison"]["n_experts"] == 3
    adjusted = holm_adjusted({"q": found})["q"]
    assert json.loads(json.dumps(adjusted.to_dict()))["n_tested"] == 1
    alone = non_inferiority(panel(40, 0.8), MODEL, EXPERTS[:1], margin=0.1).to_dict()
    assert alone["these_experts"] == {"undefined": "agreement among experts needs two of them; there is one"}
    assert alone["items_needed"] is None
