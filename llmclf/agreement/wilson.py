"""Wilson's interval of a proportion, which holds for few items and near 0 and 1."""

import numpy as np

from llmclf.agreement.counts import Floats
from llmclf.agreement.intervals import Z


def wilson(share: Floats, n: Floats) -> tuple[Floats, Floats]:
    """Give the low and high ends of proportions of n > 0 items each (Wilson 1927)."""
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return np.maximum(middle - half, 0), np.minimum(middle + half, 1)
