"""Estimates, standard errors and intervals of the R package irrCAC, for raw ratings and for distributions of them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from llmclf.agreement import Coefficient, Ratings
from llmclf.agreement.brennan_prediger import brennan_prediger
from llmclf.agreement.exchangeable import Interval
from llmclf.agreement.fleiss_kappa import fleiss_kappa
from llmclf.agreement.gwet_ac import gwet_ac1, gwet_ac2_linear, gwet_ac2_quadratic
from llmclf.agreement.krippendorff_alpha import krippendorff_alpha
from llmclf.agreement.percent_agreement import percent_agreement
from llmclf.agreement.scott_pi import scott_pi
from llmclf.levels import Level
from tests.agreement.reference import reference
from tests.agreement.tables import coded, crossed, estimate, table

Of = Callable[[Ratings, Interval], Coefficient]

SAME: dict[tuple[str, str], tuple[Of, Level]] = {
    ("pa", "unweighted"): (percent_agreement, Level.ORDINAL),
    ("gwet_ac", "unweighted"): (gwet_ac1, Level.ORDINAL),
    ("gwet_ac", "linear"): (gwet_ac2_linear, Level.ORDINAL),
    ("gwet_ac", "quadratic"): (gwet_ac2_quadratic, Level.ORDINAL),
    ("fleiss", "unweighted"): (fleiss_kappa, Level.ORDINAL),
    ("krippendorff", "unweighted"): (krippendorff_alpha, Level.NOMINAL),
    ("krippendorff", "quadratic"): (krippendorff_alpha, Level.INTERVAL),
    ("bp", "unweighted"): (brennan_prediger, Level.ORDINAL),
}
EXCLUDED = {
    ("pa", "linear"): "we have no weighted percent agreement",
    ("pa", "quadratic"): "we have no weighted percent agreement",
    ("pa", "ordinal"): "we have no weighted percent agreement",
    ("pa", "radical"): "we have no weighted percent agreement",
    ("gwet_ac", "ordinal"): "AC2 is linear or quadratic here",
    ("gwet_ac", "radical"): "AC2 is linear or quadratic here",
    ("fleiss", "linear"): "Fleiss' kappa is unweighted",
    ("fleiss", "quadratic"): "Fleiss' kappa is unweighted",
    ("fleiss", "ordinal"): "Fleiss' kappa is unweighted",
    ("fleiss", "radical"): "Fleiss' kappa is unweighted",
    ("krippendorff", "linear"): "no metric of Krippendorff's",
    ("krippendorff", "ordinal"): "Gwet's ordinal weights are not Krippendorff's ordinal metric",
    ("krippendorff", "radical"): "no metric of Krippendorff's",
    ("bp", "linear"): "the coefficient of Brennan & Prediger is unweighted",
    ("bp", "quadratic"): "the coefficient of Brennan & Prediger is unweighted",
    ("bp", "ordinal"): "the coefficient of Brennan & Prediger is unweighted",
    ("bp", "radical"): "the coefficient of Brennan & Prediger is unweighted",
}
"""The oracle's values that no coefficient here has."""

OTHER_ERRORS = {
    (
        "dist",
        "krippendorff",
    ): "irrCAC takes the derivative of chance agreement once here and twice from raw ratings, so "
    "that the same data, cac.dist.g1g2 and cac.raw.g1g2, have two standard errors; we have that of raw ratings"
}

IRRCAC = reference("irrcac_exchangeable")
ROWS = [(kind, row) for kind in ("raw", "dist") for row in IRRCAC[kind]]


def ratings_of(kind: str, row: dict[str, Any], level: Level) -> Ratings:
    if kind == "dist":
        distribution = IRRCAC["distributions"][row["data"]]
        most = max(map(sum, distribution))
        codes = [np.repeat(range(len(counts)), counts) for counts in distribution]
        padded = [np.pad(of_item, (0, most - len(of_item)), constant_values=-1) for of_item in codes]
        return coded(np.array(padded), level, len(distribution[0]))
    words = IRRCAC["ratings"][row["data"]]
    return table(words, level, sorted(set(words) - {" ", "."}))


def test_every_value_of_the_oracle_is_the_same_or_excluded() -> None:
    assert {(row["stat"], row["weights"]) for _, row in ROWS} == SAME.keys() | EXCLUDED.keys()
    assert not SAME.keys() & EXCLUDED.keys()


@pytest.mark.parametrize(
    ("kind", "row"),
    [pytest.param(kind, row, id=f"{row['data']}-{row['stat']}-{row['weights']}") for kind, row in ROWS],
)
def test_estimates_errors_and_intervals(kind: str, row: dict[str, Any]) -> None:
    if (row["stat"], row["weights"]) in EXCLUDED:
        return
    of, level = SAME[row["stat"], row["weights"]]
    found = estimate(of(ratings_of(kind, row, level), "closed-form"))
    assert found.value == pytest.approx(row["est"], abs=1e-5)
    if (kind, row["stat"]) in OTHER_ERRORS:
        return
    assert found.se == pytest.approx(row["se"], abs=1e-5)
    low, high = map(float, row["ci"].strip("()").split(","))
    assert (found.low, found.high) == pytest.approx((low, high), abs=5.1e-4)
    assert found.method == "standard error by Gwet's linearisation (2014), t with n - 1 df"


def test_the_standard_error_of_alpha_from_distributions_is_that_of_the_raw_ratings() -> None:
    row = {"data": "cac.dist.g1g2"}
    found = estimate(krippendorff_alpha(ratings_of("dist", row, Level.NOMINAL), "closed-form"))
    assert found.se == pytest.approx(0.1497, abs=1e-5), "that of cac.raw.g1g2"


@pytest.mark.parametrize("row", reference("irrcac_two_by_two")["tables"])
def test_two_by_two_tables(row: dict[str, Any]) -> None:
    by_name: dict[str, Of] = {"gwet_ac1": gwet_ac1, "scott_pi": scott_pi, "brennan_prediger": brennan_prediger}
    found = estimate(by_name[row["coefficient"]](crossed(row["table"]), "closed-form"))
    assert found.value == pytest.approx(row["est"], abs=1e-12)
    # from a table, irrCAC divides the variance of n items by n, from ratings by n - 1
    n = np.sum(row["table"])
    assert found.se == pytest.approx(row["se"] * np.sqrt(n / (n - 1)), abs=1e-12)
