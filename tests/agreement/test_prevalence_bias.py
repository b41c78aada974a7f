import numpy as np
import pytest

from llmclf.agreement import Estimate, Undefined
from llmclf.agreement.cohen_kappa import cohen_kappa
from llmclf.agreement.intervals import without_interval
from llmclf.agreement.prevalence_bias import PrevalenceBias, divergence, prevalence_bias
from llmclf.levels import Level
from tests.agreement.reference import reference
from tests.agreement.tables import crossed, estimate, table

TWO_BY_TWO = reference("two_by_two")["tables"]
EXCLUDED = {
    "se, lower and upper of the indices": "epiR takes the two cells, or marginals, for independent samples",
    "lower and upper of pabak": "exact binomial bounds in epiR, a jackknife here",
}


def found(counts: list[list[int]]) -> PrevalenceBias:
    indices = prevalence_bias(crossed(counts))
    assert isinstance(indices, PrevalenceBias)
    return indices


@pytest.mark.parametrize("name", TWO_BY_TWO)
def test_two_by_two(name: str) -> None:
    published = TWO_BY_TWO[name]
    indices = found(published["table"])
    for index in ("prevalence_index", "bias_index", "pabak"):
        assert estimate(getattr(indices, index)).value == pytest.approx(published[index]["est"], abs=1e-12)


def test_kappa_is_made_of_the_three() -> None:
    # Byrt, Bishop & Carlin 1993, equation 4
    counts = TWO_BY_TWO["feinstein_D"]["table"]
    indices = found(counts)
    prevalence, bias, pabak = (
        estimate(one).value for one in (indices.prevalence_index, indices.bias_index, indices.pabak)
    )
    kappa = (pabak - prevalence**2 + bias**2) / (1 - prevalence**2 + bias**2)
    assert estimate(cohen_kappa(crossed(counts))).value == pytest.approx(kappa)


def test_the_standard_error_is_that_of_a_mean() -> None:
    by_item = np.repeat([1, 0, 0, -1], [40, 9, 6, 45])
    index = estimate(found([[40, 9], [6, 45]]).prevalence_index)
    assert index.se == pytest.approx(by_item.std(ddof=1) / 10)


def test_kappa_and_ac1_that_diverge_are_flagged() -> None:
    flagged = {
        name
        for name, one in TWO_BY_TWO.items()
        if divergence(estimate(cohen_kappa(crossed(one["table"]))), without_interval(one["ac1"], 100, "none"))
    }
    assert flagged == {"feinstein_cicchetti_B", "gwet_paradox", "perfect_skew"}
    said = divergence(Estimate(-0.02, None, None, None, 125, ""), Estimate(0.94, None, None, None, 125, ""))
    assert said is not None
    assert said.startswith("kappa is -0.02 and AC1 0.94: ")
    assert divergence(Undefined("why"), without_interval(0.9, 100, "none")) is None


def test_undefined() -> None:
    assert prevalence_bias(table("12 23", Level.NOMINAL)) == Undefined(
        "the scale has 3 labels; prevalence and bias index are for two"
    )
    assert prevalence_bias(table("112 121", Level.NOMINAL)) == Undefined(
        "3 annotators; the prevalence index is for two"
    )
    assert prevalence_bias(table("11 11", Level.NOMINAL, ["1", "2"])) == Undefined("only one label occurs")
