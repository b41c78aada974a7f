import subprocess
import sys
import time
from dataclasses import replace
from typing import get_args

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from llmclf.agreement import Estimate, Rating, Ratings, Undefined, coefficients
from llmclf.agreement.coefficients import NAMES, Intervals
from llmclf.errors import InputError
from llmclf.levels import Level
from tests.agreement import tables
from tests.agreement.tables import coded, estimate, table

ANY_LEVEL = [
    "percent_agreement",
    "cohen_kappa",
    "scott_pi",
    "fleiss_kappa",
    "conger_kappa",
    "krippendorff_alpha",
    "gwet_ac1",
    "brennan_prediger",
    "mcc",
    "macro_f1",
]
OF_SETS = ["krippendorff_alpha_masi", "krippendorff_alpha_jaccard"]
EXCHANGEABLE = [
    "percent_agreement",
    "fleiss_kappa",
    "krippendorff_alpha",
    "gwet_ac1",
    "gwet_ac2_linear",
    "gwet_ac2_quadratic",
    "brennan_prediger",
]


@pytest.mark.parametrize(
    ("level", "names"),
    [
        (Level.NOMINAL, set(ANY_LEVEL)),
        (Level.SET, {*ANY_LEVEL, *OF_SETS}),
        *((level, {*NAMES} - {*OF_SETS}) for level in (Level.ORDINAL, Level.INTERVAL, Level.RATIO)),
    ],
)
def test_without_names_those_meant_for_the_level(level: Level, names: set[str]) -> None:
    found = coefficients(table("11 12 22 33 31 32", level, ["1", "2", "3"]))
    assert set(found) == names
    undefined = {name for name, one in found.items() if isinstance(one, Undefined)}
    assert undefined == (set(OF_SETS) if level is Level.SET else set()), "sets here are no JSON arrays"


def test_a_coefficient_asked_by_name_says_why_it_does_not_fit_the_level() -> None:
    found = coefficients(table("11 12 22", Level.NOMINAL), ["spearman", "cohen_kappa"])
    assert list(found) == ["spearman", "cohen_kappa"]
    assert found["spearman"] == Undefined("labels of level nominal have no order")
    with pytest.raises(InputError, match="unknown coefficient 'cohens_kappa': did you mean 'cohen_kappa'"):
        coefficients(table("11 12 22", Level.NOMINAL), ["cohens_kappa"])


@settings(max_examples=40, deadline=None)
@given(arrays(np.int8, (6, 1), elements=st.integers(-1, 3)), st.sampled_from(Level))
def test_by_every_coefficient_an_annotator_agrees_with_a_copy(codes: npt.NDArray[np.int8], level: Level) -> None:
    assume(len(np.unique(codes[codes >= 0])) > 1)
    found = coefficients(coded(np.repeat(codes, 2, axis=1), level, 4), set(NAMES) - set(OF_SETS))
    values = {name: one.value for name, one in found.items() if isinstance(one, Estimate)}
    assert values == pytest.approx(dict.fromkeys(values, 1.0))
    assert len(values) == (10 if level in (Level.NOMINAL, Level.SET) else 23)


def test_intervals_may_be_over_items_or_over_items_and_raters_or_none() -> None:
    ratings = table(tables.ANXIETY, Level.ORDINAL, list("123456"))
    over = {of: estimate(coefficients(ratings, ["fleiss_kappa"], of)["fleiss_kappa"]) for of in get_args(Intervals)}
    assert len({one.value for one in over.values()}) == 1
    items, raters, none = over["items"], over["items+raters"], over["none"]
    assert items.se is not None
    assert raters.se is not None
    assert raters.se > items.se
    assert raters.method == "variance over items plus jackknife over annotators, t with 2 df"
    assert (none.se, none.low, none.high, none.method) == (None, None, None, "no interval: none was asked for")


def test_of_a_crowd_too_large_for_columns_only_what_tells_annotators_apart_is_undefined() -> None:
    rng = np.random.default_rng(3)
    item = np.repeat(np.arange(900), 3)
    label = np.where(rng.random(2700) < 0.6, item % 5, rng.integers(0, 5, 2700))
    anyone, few = rng.permutation(2700), np.arange(2700) % 3

    def rated_by(annotators: npt.NDArray[np.int64]) -> Ratings:
        columns = zip(item, annotators, label, strict=True)
        return Ratings.from_rows([Rating(str(i), str(j), str(x)) for i, j, x in columns], Level.ORDINAL)

    crowd, three = coefficients(rated_by(anyone)), coefficients(rated_by(few))
    assert {name for name, one in crowd.items() if isinstance(one, Estimate)} == set(EXCHANGEABLE)
    assert {one for name, one in crowd.items() if name not in EXCHANGEABLE} == {Undefined("more than 1000 annotators")}
    assert {name: crowd[name] for name in EXCHANGEABLE} == {name: three[name] for name in EXCHANGEABLE}
    both = estimate(coefficients(rated_by(anyone), ["krippendorff_alpha"], "items+raters")["krippendorff_alpha"])
    assert (both.se, both.method) == (None, "no interval: more than 1000 annotators")


def test_kappas_are_for_two() -> None:
    found = coefficients(table(tables.ANXIETY, Level.ORDINAL))
    undefined = Undefined("3 annotators; Cohen's kappa is for two")
    assert (found["cohen_kappa"], found["weighted_kappa_quadratic"]) == (undefined, undefined)
    assert estimate(found["krippendorff_alpha"]).value == pytest.approx(0.22838694529232206)


def test_kappa_is_unweighted_beside_the_weighted_one() -> None:
    pair = table(tables.ANXIETY, Level.ORDINAL, list("123456")).select(["annotator 0", "annotator 1"])
    found = coefficients(pair)
    assert estimate(found["cohen_kappa"]).value == pytest.approx(0.119496855345912)  # R irr 0.84.1, as the next
    assert estimate(found["weighted_kappa_quadratic"]).value == pytest.approx(0.29676511954993)


@pytest.mark.parametrize("level", list(Level))
def test_one_label_leaves_nothing_defined(level: Level) -> None:
    for scale in (None, ["1", "2"]):
        found = coefficients(table("11 11 11", level, scale))
        assert not [name for name, one in found.items() if isinstance(one, Estimate) and not name.startswith("macro")]


def test_sets_are_compared_whole_but_by_their_distances() -> None:
    sets = {"x": ('["a", "b"]',) * 2, "y": ('["a"]', '["a", "b"]'), "z": ("[]", "[]"), "v": ('["a"]', '["a"]')}
    rows = [Rating(item, name, label) for item, pair in sets.items() for name, label in zip("AB", pair, strict=True)]
    found = coefficients(Ratings.from_rows(rows, Level.SET), [*ANY_LEVEL, *OF_SETS])
    assert estimate(found["percent_agreement"]).value == 0.75
    same = coefficients(Ratings.from_rows(rows, Level.NOMINAL), ANY_LEVEL)
    for name in set(ANY_LEVEL) - {"gwet_ac1", "brennan_prediger"}:  # they ask how many sets there could be
        assert estimate(found[name]).value == estimate(same[name]).value
        assert estimate(found[name]).method.startswith("exact sets compared as nominal labels; ")
    for name in OF_SETS:
        assert estimate(found[name]).value > estimate(found["krippendorff_alpha"]).value
        assert estimate(found[name]).method.startswith("delete-one jackknife")


def test_dictionaries() -> None:
    assert Undefined("why").to_dict() == {"undefined": "why"}
    assert Estimate(0.5, None, None, None, 1, "no interval: why").to_dict() == {
        "value": 0.5,
        "se": None,
        "low": None,
        "high": None,
        "n_items": 1,
        "method": "no interval: why",
    }


@pytest.mark.parametrize("level", list(Level))
def test_large_tables_are_quick_and_equal_small_ones(level: Level) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 7, (20_000, 1))
    codes = np.where(rng.random((20_000, 20)) < 0.6, truth, rng.integers(0, 7, (20_000, 20)))
    codes[rng.random(codes.shape) < 0.1] = -1
    ratings = coded(codes, level, 7)
    begin = time.perf_counter()
    alpha = estimate(coefficients(ratings)["krippendorff_alpha"])
    assert time.perf_counter() - begin < 5, "it takes a tenth of a second where nothing else runs"
    # the same items twice: the same sums, so nearly the same value, with an error smaller by sqrt(2)
    twice = replace(ratings, codes=np.vstack([ratings.codes, ratings.codes]))
    again = estimate(coefficients(twice)["krippendorff_alpha"])
    assert again.value == pytest.approx(alpha.value, abs=1e-5)
    assert alpha.se is not None
    assert again.se == pytest.approx(alpha.se / np.sqrt(2), rel=1e-3)


def test_nearly_as_many_labels_as_items() -> None:
    rng = np.random.default_rng(1)
    first = rng.permutation(20_000)
    codes = np.stack([first, np.where(rng.random(20_000) < 0.7, first, rng.permutation(20_000))], axis=1)
    scale = tuple(map(str, range(20_000)))
    for level in (Level.SET, Level.INTERVAL):
        ratings = Ratings(codes.astype(np.int16), scale, ("a", "b"), scale, level, scale_declared=True)
        assert estimate(coefficients(ratings)["krippendorff_alpha"]).value == pytest.approx(0.7, abs=0.02)


def test_the_wing_imports_no_backend_and_no_scipy() -> None:
    script = (
        "import sys, llmclf.agreement\n"
        "print([n for n in sys.modules if n.startswith(('llmclf.backends', 'openai', 'scipy', 'sklearn'))])"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"
