import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from llmclf.agreement import Ratings, Undefined
from llmclf.agreement.cohen_kappa import cohen_kappa
from llmclf.agreement.kappa_resampling import Patterns, resampled
from llmclf.agreement.paired_difference import difference_from_experts
from llmclf.agreement.planning import FEWEST, Plan, plan
from llmclf.errors import InputError
from llmclf.levels import Level
from tests.agreement.tables import coded, estimate

MODEL, EXPERTS = "0", ["1", "2", "3"]
DIFFERENCE = {(0, e): 1 / 3 for e in (1, 2, 3)} | {(1, 2): -1 / 3, (1, 3): -1 / 3, (2, 3): -1 / 3}


def pilot(n_items: int = 60, level: Level = Level.ORDINAL, *, missing: float = 0.0, errs: float = 0.5) -> Ratings:
    """A model and three experts on a scale of four, who err as often."""
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 4, (n_items, 1))
    wrong = rng.random((n_items, 4)) < np.array([errs, 0.5, 0.5, 0.5])
    codes = np.where(wrong, rng.integers(0, 4, (n_items, 4)), truth)
    codes[rng.random((n_items, 4)) < missing] = -1
    return coded(codes, level, 4)


def planned(ratings: Ratings, margin: float = 0.15, **options: float) -> Plan:
    settings = {"replicates": 200, **options}
    found = plan(ratings, MODEL, EXPERTS, margin, **settings)  # type: ignore[arg-type]  # replicates is an int
    assert isinstance(found, Plan)
    return found


def drawn(ratings: Ratings, items: npt.NDArray[np.integer]) -> Ratings:
    return replace(ratings, codes=ratings.codes[items], items=tuple(map(str, range(len(items)))))


@pytest.mark.parametrize("level", [Level.NOMINAL, Level.ORDINAL, Level.INTERVAL])
@pytest.mark.parametrize("missing", [0.0, 0.25])
def test_resamples_are_what_the_comparison_makes_of_the_same_items(level: Level, missing: float) -> None:
    ratings = pilot(level=level, missing=missing).labelled_by([MODEL])
    patterns = Patterns.of(ratings)
    rated = np.flatnonzero((ratings.codes >= 0).sum(axis=1) >= 2)
    rng = np.random.default_rng(7)
    draws = [rng.integers(0, len(rated), n) for n in (40, 60, 100)]
    times = np.array([np.bincount(patterns.pattern[draw], minlength=len(patterns.codes)) for draw in draws])
    values, errors = resampled(patterns, [DIFFERENCE], times)
    for draw, value, se in zip(draws, values[:, 0], errors[:, 0], strict=True):
        whole = estimate(difference_from_experts(drawn(ratings, rated[draw]), MODEL, EXPERTS).difference)
        assert (value, se) == pytest.approx((whole.value, whole.se), abs=1e-12)


def test_a_pair_that_is_undefined_does_not_spoil_the_sums_without_it() -> None:
    codes = pilot(30).codes.copy()
    codes[:, 3] = -1
    patterns = Patterns.of(coded(codes, Level.ORDINAL, 4))
    values, _ = resampled(patterns, [DIFFERENCE, {(0, 1): 1.0}], patterns.times[np.newaxis])
    assert np.isnan(values[0, 0])
    assert np.isfinite(values[0, 1])


def test_ways_of_rating_that_a_resample_lacks_cannot_be_left_out_of_it() -> None:
    # both say 0; 0 and 1; 1 and 0; both say 1: without the first, which this resample lacks, kappa would be undefined
    ratings = coded(np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), Level.NOMINAL, 2)
    patterns, items = Patterns.of(ratings), np.array([1, 2, 3, 3])
    values, errors = resampled(patterns, [{(0, 1): 1.0}], np.array([[0, 1, 1, 2]]))
    alone = estimate(cohen_kappa(drawn(ratings, items)))
    assert (values[0, 0], errors[0, 0]) == pytest.approx((alone.value, alone.se))


def test_more_resamples_than_fit_at_once_are_each_what_they_are_alone() -> None:
    patterns = Patterns.of(pilot())
    times = np.random.default_rng(1).multinomial(50, patterns.times / patterns.times.sum(), 20_000)
    values, errors = resampled(patterns, [DIFFERENCE], times)
    assert values.shape == errors.shape == (20_000, 1)
    for part in (slice(3), slice(-3, None)):
        assert values[part] == pytest.approx(resampled(patterns, [DIFFERENCE], times[part])[0])
        assert errors[part] == pytest.approx(resampled(patterns, [DIFFERENCE], times[part])[1])


def test_power_is_the_share_of_studies_that_show_it() -> None:
    """The same by a loop over studies drawn item by item, each judged by the comparison itself."""
    from scipy.special import stdtrit  # type: ignore[import-untyped]  # scipy has no types

    ratings = pilot()
    found = planned(ratings, difference=0.0, replicates=1000)
    by_items = {power.n_items: power for power in found.table}
    rng = np.random.default_rng(8)
    shown = []
    for _ in range(150):
        study = drawn(ratings, rng.integers(0, 60, 100))
        difference = estimate(difference_from_experts(study, MODEL, EXPERTS).difference)
        assert difference.se is not None
        bound = difference.value - found.pilot.value - stdtrit(99, 0.95) * difference.se
        shown.append(bound > -0.15)
    error = math.hypot(np.std(shown) / math.sqrt(150), by_items[100].monte_carlo_se)
    assert abs(np.mean(shown) - by_items[100].power) < 4 * error
    assert 0.3 < by_items[100].power < 0.95


def test_items_needed_agree_with_the_normal_approximation() -> None:
    found = planned(pilot(300), difference=0.0)
    needed = found.designs[-1].needed
    assert found.pilot.se is not None
    assert needed is not None
    by_formula = 300 * ((1.645 + 0.842) * found.pilot.se / 0.15) ** 2
    assert needed.n_items == pytest.approx(by_formula, rel=0.15)
    assert needed.power >= 0.8
    assert 0 < needed.monte_carlo_se < 0.03


def test_more_items_more_experts_and_wider_margins_need_less() -> None:
    found = planned(pilot(), difference=0.0)
    powers = [power.power for power in found.table]
    assert powers == sorted(powers)
    two, three = found.designs
    assert (two.n_experts, two.n_choices, three.n_choices) == (2, 3, 1)
    assert two.se_at_100_items is not None
    assert three.se_at_100_items is not None
    assert two.se_at_100_items > three.se_at_100_items
    assert two.needed is not None
    assert three.needed is not None
    assert two.needed.n_items > three.needed.n_items
    wider = planned(pilot(), margin=0.3, difference=0.0).designs[-1].needed
    assert wider is not None
    assert wider.n_items < three.needed.n_items


def test_a_difference_beyond_the_margin_needs_more_items_than_there_are() -> None:
    found = planned(pilot(errs=1.0))
    assert found.pilot.value < -0.15
    assert all(design.needed is None for design in found.designs)
    assert "no number of items shows it" in found.notes[0]
    near = planned(pilot(), difference=-0.149)
    assert near.designs[-1].needed is None
    assert near.notes[0] == "10,000 items do not reach the power"


def test_what_is_plain_needs_the_fewest_items_that_are_looked_at() -> None:
    needed = planned(pilot(), margin=2.0).designs[-1].needed
    assert needed is not None
    assert needed.n_items == FEWEST


def test_one_seed_gives_one_plan() -> None:
    one, again, other = (planned(pilot(), seed=seed, replicates=100) for seed in (1, 1, 2))
    assert one == again
    assert one.table != other.table


def test_what_the_pilot_cannot_tell_is_said() -> None:
    assert any("more than 3 experts would bring" in note for note in planned(pilot()).notes)
    two = plan(pilot(), MODEL, ["1", "2"], 0.2, replicates=100)
    assert isinstance(two, Plan)
    assert len(two.designs) == 1
    assert "nor how the standard error moves" in two.notes[-1]


@pytest.mark.parametrize(("one", "other", "choices"), [(2, 3, [2, 1]), (0, 3, [1, 1])])
def test_annotators_who_share_no_item_are_no_pair(one: int, other: int, choices: list[int]) -> None:
    codes = pilot(120).codes.copy()
    codes[:60, one] = -1
    codes[60:, other] = -1
    ratings = coded(codes, Level.ORDINAL, 4)
    found = planned(ratings, difference=0.0)
    assert found.pilot.value == estimate(difference_from_experts(ratings, MODEL, EXPERTS).difference).value
    assert [design.n_choices for design in found.designs] == choices
    assert found.designs[-1].needed is not None


def test_of_many_experts_some_choices_are_tried() -> None:
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 3, (40, 1))
    codes = np.where(rng.random((40, 7)) < 0.3, rng.integers(0, 3, (40, 7)), truth)
    found = plan(coded(codes, Level.NOMINAL, 3), "0", list("123456"), 0.2, replicates=100)
    assert isinstance(found, Plan)
    assert [design.n_choices for design in found.designs] == [10, 10, 10, 6, 1]


def test_undefined() -> None:
    same = coded(np.ones((20, 4), dtype=int), Level.ORDINAL, 4)
    assert isinstance(plan(same, MODEL, EXPERTS, 0.1), Undefined)
    hangs = np.ones((20, 4), dtype=int)
    hangs[0] = 2
    on_one = plan(coded(hangs, Level.ORDINAL, 4), MODEL, EXPERTS, 0.1)
    assert isinstance(on_one, Undefined)
    assert "no interval" in on_one.undefined


def test_refusals() -> None:
    with pytest.raises(InputError, match="the pilot has 1 expert"):
        plan(pilot(), MODEL, ["1"], 0.1)
    for margin, power in ((0, 0.8), (0.1, 1), (0.1, 0)):
        with pytest.raises(InputError, match="The margin is above 0"):
            plan(pilot(), MODEL, EXPERTS, margin, power)
    with pytest.raises(InputError, match="sets"):
        plan(replace(pilot(), level=Level.SET), MODEL, EXPERTS, 0.1)
    with pytest.raises(InputError, match="unknown annotator"):
        plan(pilot(), "m", EXPERTS, 0.1)
