import json
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import t as student  # type: ignore[import-untyped]  # no types

from llmclf.agreement import Ratings, Undefined
from llmclf.agreement.krippendorff_alpha import krippendorff_alpha_masi
from llmclf.agreement.paired_difference import difference_from_annotator, difference_from_experts
from llmclf.errors import InputError
from llmclf.levels import Level
from tests.agreement.tables import (
    coded,
    estimate,
    jackknife_by_definition,
    kappa_by_definition,
    quadratic_weights,
    table,
)

EXPERTS = ("0", "1", "2")
MODEL, CROWD = "3", "4"


def panel(n: int = 40, missing: float = 0.0, level: Level = Level.ORDINAL, q: int = 4, seed: int = 2) -> Ratings:
    """Three experts, a model as good as they are, and a crowd that is worse."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, q, (n, 1))
    knows = rng.random((n, 5)) < np.array([0.8, 0.8, 0.8, 0.8, 0.4])
    codes = np.where(knows, truth, rng.integers(0, q, (n, 5)))
    codes[rng.random(codes.shape) < missing] = -1
    return coded(codes, level, q)


def kappa(ratings: Ratings, first: str, second: str) -> float:
    weights = quadratic_weights(ratings.values) if ratings.level is Level.ORDINAL else np.eye(len(ratings.scale))
    return kappa_by_definition(ratings.select([first, second]), weights)[0]


def from_experts(ratings: Ratings, experts: tuple[str, ...] = EXPERTS) -> float:
    among = np.mean([kappa(ratings, *pair) for pair in combinations(experts, 2)])
    return float(np.mean([kappa(ratings, MODEL, expert) for expert in experts]) - among)


@pytest.mark.parametrize("missing", [0.0, 0.15])
@pytest.mark.parametrize("level", [Level.ORDINAL, Level.NOMINAL])
def test_model_and_experts(level: Level, missing: float) -> None:
    ratings = panel(missing=missing, level=level)
    found = difference_from_experts(ratings, MODEL, EXPERTS)
    ratings = ratings.labelled_by([MODEL])  # what the model did not label counts for nobody
    difference = estimate(found.difference)
    assert difference.value == pytest.approx(from_experts(ratings))
    assert difference.value == pytest.approx(estimate(found.agreement).value - estimate(found.reference).value)
    rated_by_two = int(((ratings.codes[:, :4] >= 0).sum(axis=1) >= 2).sum())
    assert difference.n_items == rated_by_two
    se = jackknife_by_definition(ratings.select([*EXPERTS, MODEL]), from_experts)
    assert difference.se == pytest.approx(se, rel=1e-9)
    assert difference.high == pytest.approx(difference.value + student.ppf(0.975, rated_by_two - 1) * se)
    assert found.coefficient == ("weighted_kappa_quadratic" if level is Level.ORDINAL else "cohen_kappa")


def test_pairing_shows_what_independence_hides() -> None:
    found = difference_from_experts(panel(), MODEL, EXPERTS)
    difference, agreement, reference = map(estimate, (found.difference, found.agreement, found.reference))
    assert difference.se is not None
    assert agreement.se is not None
    assert reference.se is not None
    assert difference.se < 0.8 * np.hypot(agreement.se, reference.se)


def test_experts_like_these_vary_too() -> None:
    ratings = panel()
    found = difference_from_experts(ratings, MODEL, EXPERTS)
    these, like_these = estimate(found.difference), estimate(found.experts_like_these)
    without = np.array([from_experts(ratings, tuple(e for e in EXPERTS if e != left)) for left in EXPERTS])
    assert these.se is not None
    se = np.sqrt(these.se**2 + 2 / 3 * ((without - without.mean()) ** 2).sum())
    assert like_these.se == pytest.approx(se)
    assert like_these.low == pytest.approx(these.value - student.ppf(0.975, 2) * se)
    assert like_these.method == "variance over items plus jackknife over annotators, t with 2 df"


def test_model_and_crowd() -> None:
    ratings = panel()
    found = difference_from_annotator(ratings, MODEL, CROWD, EXPERTS)

    def by_definition(left: Ratings) -> float:
        return float(np.mean([kappa(left, MODEL, e) - kappa(left, CROWD, e) for e in EXPERTS]))

    difference = estimate(found.difference)
    assert difference.value == pytest.approx(by_definition(ratings))
    assert difference.se == pytest.approx(jackknife_by_definition(ratings, by_definition), rel=1e-9)
    assert difference.low is not None
    assert difference.low > 0
    back = estimate(difference_from_annotator(ratings, CROWD, MODEL, EXPERTS).difference)
    assert (back.value, back.high) == pytest.approx((-difference.value, -difference.low))


def test_two_experts_cannot_speak_for_others_like_them() -> None:
    ratings = panel()
    among_two = difference_from_experts(ratings, MODEL, EXPERTS[:2])
    assert estimate(among_two.difference).se is not None
    alone = estimate(among_two.experts_like_these)
    assert (alone.se, alone.method) == (
        None,
        "no interval: of 2 experts none can be left out, for no pair would be left",
    )
    # of two models, each expert alone can judge
    assert estimate(difference_from_annotator(ratings, MODEL, CROWD, EXPERTS[:2]).experts_like_these).se is not None


def test_one_expert_has_nobody_to_agree_with() -> None:
    found = difference_from_experts(panel(), MODEL, EXPERTS[:1])
    reason = Undefined("agreement among experts needs two of them; there is one")
    assert (found.reference, found.difference, found.experts_like_these) == (reason, reason, reason)
    assert estimate(found.agreement).value > 0
    nobody = difference_from_experts(panel(), MODEL, [])
    assert nobody.agreement == Undefined("there is no pair of annotators")
    assert nobody.difference == Undefined("agreement among experts needs two of them; there are none")
    against_crowd = difference_from_annotator(panel(), MODEL, CROWD, EXPERTS[:1])
    assert estimate(against_crowd.difference).se is not None
    assert estimate(against_crowd.experts_like_these).se is None


def test_a_pair_without_variety_leaves_the_mean_undefined() -> None:
    # experts 0 and 1 say 1 throughout
    found = difference_from_experts(table("1111 1121 1112 1122", Level.ORDINAL), "annotator 3", experts_of_table(3))
    reason = Undefined("annotator 0 and annotator 1: only one label occurs")
    assert (found.reference, found.difference) == (reason, reason)
    assert estimate(found.agreement).value == pytest.approx(0.0)


def experts_of_table(n: int) -> list[str]:
    return [f"annotator {j}" for j in range(n)]


def test_experts_who_rated_no_item_in_common_are_named() -> None:
    ratings = table("1.11 2.22 1.21 .112 .222 .122 .111 2.11 1.12", Level.ORDINAL, ["1", "2"])
    found = difference_from_experts(ratings, "annotator 3", experts_of_table(3))
    assert found.strangers == (("annotator 0", "annotator 1"),)
    among = [kappa(ratings, f"annotator {j}", "annotator 2") for j in (0, 1)]
    assert estimate(found.reference).value == pytest.approx(np.mean(among))
    assert found.to_dict()["strangers"] == [["annotator 0", "annotator 1"]]


def test_sets_are_compared_by_alpha_with_masi() -> None:
    ratings = replace(panel(n=15, level=Level.SET), scale=("[]", '["a"]', '["a", "b"]', '["b", "c"]'))
    found = difference_from_annotator(ratings, MODEL, CROWD, EXPERTS)

    def by_definition(left: Ratings) -> float:
        ours, theirs = (
            [estimate(krippendorff_alpha_masi(left.select([who, expert]))).value for expert in EXPERTS]
            for who in (MODEL, CROWD)
        )
        return float(np.mean(ours) - np.mean(theirs))

    difference = estimate(found.difference)
    assert difference.value == pytest.approx(by_definition(ratings))
    assert difference.se == pytest.approx(jackknife_by_definition(ratings, by_definition), rel=1e-9)
    assert found.coefficient == "krippendorff_alpha_masi"
    assert isinstance(difference_from_experts(panel(level=Level.SET), MODEL, EXPERTS).difference, Undefined)


def test_names_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="unknown annotator 'gemini'"):
        difference_from_experts(panel(), "gemini", EXPERTS)
    with pytest.raises(InputError, match="'0' is among the experts"):
        difference_from_experts(panel(), "0", EXPERTS)
    with pytest.raises(InputError, match="'1' is among the experts"):
        difference_from_annotator(panel(), MODEL, "1", EXPERTS)


def test_dictionary_is_json() -> None:
    found = difference_from_experts(panel(), MODEL, EXPERTS)
    read = json.loads(json.dumps(found.to_dict()))
    assert read["difference"]["value"] == estimate(found.difference).value
    assert read["n_experts"] == 3
    assert list(read) == [
        "coefficient",
        "n_experts",
        "agreement",
        "reference",
        "difference",
        "experts_like_these",
        "strangers",
    ]
