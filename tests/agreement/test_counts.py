import gc
import weakref

import numpy as np
import numpy.typing as npt
import pytest

from llmclf.agreement.counts import Counts, counted
from llmclf.agreement.exchangeable import Statistic
from llmclf.agreement.fleiss_kappa import statistic as fleiss_statistic
from llmclf.agreement.krippendorff_alpha import statistic as alpha_statistic
from llmclf.levels import Level
from tests.agreement.tables import coded


def random_codes(n: int, annotators: int, labels: int, missing: float = 0.3) -> npt.NDArray[np.int16]:
    rng = np.random.default_rng(labels)
    codes = rng.integers(0, labels, (n, annotators), dtype=np.int16)
    codes[rng.random(codes.shape) < missing] = -1
    return codes


@pytest.mark.parametrize(
    ("n", "annotators", "labels"),
    [(300, 3, 2), (300, 5, 7), (300, 2, 60), (300, 4, 300), (50, 40, 50), (20, 3, 30_000), (4, 1, 3)],
    ids=["few labels", "more", "many labels", "rows by number", "rows in parts", "huge scale", "one annotator"],
)
def test_every_item_is_counted(n: int, annotators: int, labels: int) -> None:
    codes = random_codes(n, annotators, labels)
    counts = Counts.of(codes)
    pattern = counts.pattern_of(codes)
    rated = (codes >= 0).any(axis=1)
    assert ((pattern >= 0) == rated).all()
    assert np.bincount(pattern[rated]).tolist() == counts.times.tolist()
    assert counts.n_items == rated.sum()
    for row, place in zip(codes[rated], pattern[rated], strict=True):
        own = counts.pattern == place
        label, count = np.unique(row[row >= 0], return_counts=True)
        assert counts.codes[counts.label[own]].tolist() == label.tolist()
        assert counts.count[own].tolist() == count.tolist()
        assert counts.raters[place] == count.sum()


def test_equal_items_are_one_pattern_whoever_said_what() -> None:
    counts = Counts.of(np.array([[0, 1, -1], [1, -1, 0], [-1, 0, 1], [-1, 1, 1]], dtype=np.int8))
    assert sorted(counts.times.tolist()) == [1, 3]


def test_columns_need_not_be_annotators() -> None:
    codes = random_codes(200, 30, 3, missing=0.9)
    packed = -np.sort(-codes, axis=1)[:, : (codes >= 0).sum(axis=1).max()]
    wide, narrow = (coded(of, Level.NOMINAL, 3) for of in (codes, packed))
    for statistic in (fleiss_statistic, alpha_statistic):
        one, other = statistic(wide), statistic(narrow)
        assert isinstance(one, Statistic)
        assert isinstance(other, Statistic)
        assert one.value == pytest.approx(other.value, abs=1e-14)
        assert one.counts.n_items == other.counts.n_items


def test_pairable_items_have_two_ratings() -> None:
    codes = random_codes(300, 3, 4, missing=0.5)
    pairs = Counts.of(codes).pairable
    assert pairs.n_items == ((codes >= 0).sum(axis=1) >= 2).sum()
    assert ((pairs.pattern_of(codes) >= 0) == ((codes >= 0).sum(axis=1) >= 2)).all()
    assert np.bincount(pairs.pattern_of(codes)[pairs.pattern_of(codes) >= 0]).tolist() == pairs.times.tolist()


def test_ratings_are_counted_once_and_forgotten_with_them() -> None:
    ratings = coded(random_codes(50, 3, 4), Level.NOMINAL, 4)
    counts = counted(ratings)
    assert counted(ratings) is counts
    alive = weakref.ref(counts)
    del ratings, counts
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize("of", [fleiss_statistic, alpha_statistic])
def test_replicates_stand_beside_their_items(of: object) -> None:
    assert callable(of)
    codes = random_codes(40, 3, 4, missing=0.5)
    ratings = coded(codes, Level.NOMINAL, 4)
    statistic = of(ratings)
    without, counts = statistic.without_each(ratings.codes)
    assert counts.sum() == statistic.counts.n_items
    for item in range(40):
        left = of(coded(np.delete(codes, item, axis=0), Level.NOMINAL, 4))
        assert without[item] == pytest.approx(left.value if counts[item] else statistic.value, abs=1e-12)
