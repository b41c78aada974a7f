"""Sets of labels that hold the reference label as often as was asked for."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llmclf.agreement.counts import Floats
from llmclf.agreement.estimate import Estimate, Undefined
from llmclf.agreement.intervals import jackknifed_mean
from llmclf.agreement.probability_quality import NO_ITEMS, scored_items
from llmclf.agreement.ratings import Codes
from llmclf.errors import InputError


@dataclass(frozen=True, eq=False)
class ConformalSets:
    """Every label whose probability is at least 1 - threshold, for each of n items of the test part."""

    level: float
    """The coverage that was asked for."""
    threshold: float
    coverage: Estimate
    """The share of sets that hold the reference label."""
    mean_size: Estimate
    sizes: tuple[int, ...]
    """How many sets hold 0, 1 .. q labels."""
    sets: npt.NDArray[np.bool_]
    """Shape (n, q)."""
    n_calibration: int

    def to_dict(self) -> dict[str, object]:
        """Give all but the sets themselves."""
        return {
            "level": self.level,
            "threshold": self.threshold,
            "coverage": self.coverage.to_dict(),
            "mean_size": self.mean_size.to_dict(),
            "sizes": list(self.sizes),
            "n_calibration": self.n_calibration,
        }


def conformal_sets(
    calibration: tuple[Floats, Codes], test: tuple[Floats, Codes], level: float = 0.9
) -> ConformalSets | Undefined:
    """Make sets by split conformal prediction with the score 1 - p of the label (LAC: Sadinle, Lei & Wasserman 2019).

    The threshold is the ceil((n + 1) level)-th smallest score of the n calibration items, so that a set holds
    the reference label of a further item of the same kind with at least the probability `level`.
    Undefined where the calibration items are too few for that, or no item of the test part has both.

    Args:
        calibration: probabilities, shape (n, q), and reference labels, shape (n,), -1 missing.
        test: the same of other items.
        level: the coverage asked for.

    Raises:
        InputError: probabilities are no probabilities, or the level is not between 0 and 1.

    """
    if not 0 < level < 1:
        raise InputError(f"the level is {level:g}", "Give a number between 0 and 1, such as 0.9")
    p, y = scored_items(*calibration)
    n = len(y)
    rank = math.ceil((n + 1) * level - 1e-9)  # 100 x 0.55 is 55.00000000000001
    if rank > n:
        return Undefined(f"{n} calibration items are too few for sets at {level:g}: it takes {_fewest(level)}")
    threshold = np.sort(1 - p[np.arange(n), y])[rank - 1]
    p, y = scored_items(*test)
    if len(y) == 0:
        return Undefined(NO_ITEMS)
    sets = 1 - p <= threshold
    size = sets.sum(axis=1)
    return ConformalSets(
        level,
        float(threshold),
        jackknifed_mean(sets[np.arange(len(y)), y].astype(np.float64), (0.0, 1.0)),
        jackknifed_mean(size.astype(np.float64), (0.0, p.shape[1])),
        tuple(np.bincount(size, minlength=p.shape[1] + 1).tolist()),
        sets,
        n,
    )


def _fewest(level: float) -> int:
    return math.ceil(level / (1 - level) - 1e-9)
