"""Several tests at once, by Holm's step-down procedure."""

from collections.abc import Sequence

import numpy as np

from llmclf.agreement.counts import Floats


def holm(p: Sequence[float]) -> Floats:
    """Adjust p-values so that the chance of any false rejection is kept, however they depend on each other.

    Holm 1979, "A simple sequentially rejective multiple test procedure": the i-th smallest of m times (m - i + 1),
    never less than one before it.
    """
    m = len(p)
    order = np.argsort(p)
    adjusted = np.empty(m)
    adjusted[order] = np.minimum(np.maximum.accumulate(np.asarray(p)[order] * np.arange(m, 0, -1)), 1)
    return adjusted
