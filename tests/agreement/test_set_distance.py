import json
from itertools import combinations, permutations
from typing import Any

import numpy as np
import pytest

from llmclf.agreement import Rating, Ratings, Undefined
from llmclf.agreement.krippendorff_alpha import krippendorff_alpha, krippendorff_alpha_jaccard, krippendorff_alpha_masi
from llmclf.agreement.set_distance import Jaccard, Masi
from llmclf.levels import Level
from tests.agreement.reference import reference
from tests.agreement.tables import estimate, table

SETS = reference("sets")
DISTANCES = {"jaccard": Jaccard, "masi": Masi}
ALPHAS = {"jaccard": krippendorff_alpha_jaccard, "masi": krippendorff_alpha_masi}


def set_ratings(ratings: dict[str, dict[str, list[str]]]) -> Ratings:
    rows = [
        Rating(item, coder, json.dumps(sorted(labels)))
        for item, by_coder in ratings.items()
        for coder, labels in by_coder.items()
    ]
    return Ratings.from_rows(rows, Level.SET)


def of_pair(name: str, one: frozenset[Any], other: frozenset[Any]) -> float:
    if not one | other:
        return 0.0
    similarity = len(one & other) / len(one | other)
    if name == "masi" and one != other:
        similarity *= 2 / 3 if one <= other or other <= one else 1 / 3
    return 1 - similarity


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize("row", SETS["distances"])
def test_distances(name: str, row: dict[str, Any]) -> None:
    sets = [frozenset(row["a"]), frozenset(row["b"])]
    distance, one, other = DISTANCES[name](sets), np.array([0]), np.array([1])
    assert distance.between(one, other) == pytest.approx([row[name]], abs=1e-12)
    assert distance.rows(slice(None)) == pytest.approx(np.array([[0, row[name]], [row[name], 0]]), abs=1e-12)


@pytest.mark.parametrize("name", ALPHAS)
def test_synthetic_sets(name: str) -> None:
    assert estimate(ALPHAS[name](set_ratings(SETS["ratings"]))).value == pytest.approx(SETS[name], abs=1e-12)


@pytest.mark.parametrize("name", ALPHAS)
def test_alpha_and_its_jackknife_equal_the_definition(name: str) -> None:
    rng = np.random.default_rng(6)
    options = [[], ["a"], ["a", "b"], ["b", "c"], ["a", "b", "c"], ["d"]]
    ratings = {
        f"u{i}": {f"c{j}": options[rng.integers(6) if rng.random() < 0.5 else i % 6] for j in range(2 + i % 3)}
        for i in range(20)
    }

    def alpha(of: dict[str, dict[str, list[str]]]) -> float:
        values = [[frozenset(labels) for labels in by_coder.values()] for by_coder in of.values()]
        pooled = [one for item in values for one in item]
        within = [sum(of_pair(name, c, k) for c, k in permutations(item, 2)) / (len(item) - 1) for item in values]
        n = len(pooled)
        return 1 - (n - 1) * sum(within) / sum(of_pair(name, c, k) for c, k in permutations(pooled, 2))

    found = estimate(ALPHAS[name](set_ratings(ratings)))
    assert found.value == pytest.approx(alpha(ratings), abs=1e-12)
    left = np.array([alpha({item: one for item, one in ratings.items() if item != gone}) for gone in ratings])
    assert found.se == pytest.approx(np.sqrt(19 / 20 * ((left - left.mean()) ** 2).sum()), rel=1e-9)


def test_two_empty_sets_agree() -> None:
    empty = set_ratings({"x": {"a": [], "b": []}, "y": {"a": ["p"], "b": ["p"]}, "z": {"a": [], "b": []}})
    for of in ALPHAS.values():
        assert estimate(of(empty)).value == 1.0


def test_whole_sets_are_compared_as_labels_by_plain_alpha() -> None:
    apart = {"x": {"a": ["p"], "b": ["p", "q"]}, "y": {"a": ["q"], "b": ["q"]}, "z": {"a": ["r"], "b": ["r"]}}
    assert estimate(krippendorff_alpha(set_ratings(apart))).value == pytest.approx(1 - 5 * 2 / (6**2 - 1 - 1 - 4 - 4))
    assert estimate(krippendorff_alpha_masi(set_ratings(apart))).value > 0.7


@pytest.mark.parametrize("name", ALPHAS)
def test_undefined(name: str) -> None:
    of = ALPHAS[name]
    assert of(table("12 22", Level.NOMINAL)) == Undefined("labels of level nominal are no sets")
    for text in ("a|b", '"a"', "[[1]]", '{"a": 1}'):
        rows = [Rating("x", "anna", text), Rating("x", "ben", '["a"]')]
        reason = f"the label {text!r} is no set: a set is a JSON array of labels"
        assert of(Ratings.from_rows(rows, Level.SET)) == Undefined(reason)
    rows = [Rating("x", "anna", '["a","b"]'), Rating("x", "ben", '["b","a"]')]
    twice = Undefined("""the labels '["a","b"]' and '["b","a"]' are the same set""")
    assert of(Ratings.from_rows(rows, Level.SET)) == twice
    assert of(set_ratings({"x": {"a": ["p"]}})) == Undefined("no item has two ratings")
    assert of(set_ratings({"x": {"a": ["p"], "b": ["p"]}})) == Undefined("only one label occurs")


@pytest.mark.parametrize("name", DISTANCES)
def test_very_many_sets_are_never_held_as_one_table(name: str) -> None:
    sets = [frozenset(members) for members in combinations(range(27), 3)]
    assert len(sets) ** 2 > 8 * 2**20
    distance, totals = DISTANCES[name](sets), np.random.default_rng(2).random((2, len(sets)))
    sums = distance.sums(totals)
    for c in range(0, len(sets), 500):
        expected = [
            sum(t * of_pair(name, sets[c], other) for t, other in zip(row, sets, strict=True)) for row in totals
        ]
        assert sums[:, c] == pytest.approx(expected)
