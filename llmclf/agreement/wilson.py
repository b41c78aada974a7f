"""Wilson's interval of a proportion, which holds for few items and near 0 and 1."""

from statistics import NormalDist

import numpy as np

from llmclf.agreement.counts import Floats
from llmclf.agreement.intervals import CONFIDENCE


def wilson(share: Floats, n: Floats) -> tuple[Floats, Floats]:
    """Give the low and high ends of proportions of n > 0 items each (Wilson 1927)."""
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.maximum(middle - half, 0), np.minimum(middle + half, 1)
