import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from llmclf.agreement import Estimate, Rating, Ratings, Undefined, coefficients
from llmclf.levels import Level
from tests.agreement import tables
from tests.agreement.tables import coded, estimate, table

ALWAYS = ["percent_agreement", "cohen_kappa", "krippendorff_alpha"]
ORDERED = ["percent_agreement", "cohen_kappa", "weighted_kappa_quadratic", "krippendorff_alpha"]


@pytest.mark.parametrize(
    ("level", "names"),
    [(Level.NOMINAL, ALWAYS), (Level.SET, ALWAYS), (Level.ORDINAL, ORDERED), (Level.INTERVAL, ORDERED)],
)
def test_names(level: Level, names: list[str]) -> None:
    found = coefficients(table("11 12 22 33 31", level))
    assert list(found) == names
    assert all(isinstance(one, Estimate) for one in found.values())


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
        if level in (Level.ORDINAL, Level.INTERVAL):
            assert found.pop("weighted_kappa_quadratic") == Undefined("only one label occurs")
        assert set(found.values()) == {Undefined("only one label occurs")}


def test_sets_are_compared_whole() -> None:
    sets = {"x": ("a|b", "a|b"), "y": ("a", "a|b"), "z": ("{}", "{}"), "v": ("a", "a")}
    rows = [Rating(item, name, label) for item, pair in sets.items() for name, label in zip("AB", pair, strict=True)]
    found = coefficients(Ratings.from_rows(rows, Level.SET))
    assert estimate(found["percent_agreement"]).value == 0.75
    same = coefficients(Ratings.from_rows(rows, Level.NOMINAL))
    assert {name: estimate(one).value for name, one in found.items()} == {
        name: estimate(one).value for name, one in same.items()
    }
    for one in found.values():
        assert estimate(one).method.startswith("exact sets compared as nominal labels; delete-one jackknife")


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
