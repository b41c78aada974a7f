"""Several tests at once, by the false discovery rate of Benjamini and Yekutieli."""

from collections.abc import Sequence

import numpy as np

from llmclf.agreement.counts import Floats


def benjamini_yekutieli(p: Sequence[float]) -> Floats:
    """Adjust p-values so that the expected share of false ones among the rejections is kept, under any dependence.

    Benjamini & Yekutieli 2001, theorem 1.3: the i-th smallest of m times m / i x the sum of 1 / k for k = 1 .. m,
    never more than one after it.
    """
    m = len(p)
    ranks = np.arange(1, m + 1)
    order = np.argsort(p)
    adjusted = np.empty(m)
    stepped = np.asarray(p)[order] * m / ranks * (1 / ranks).sum()
    adjusted[order] = np.minimum(np.minimum.accumulate(stepped[::-1])[::-1], 1)
    return adjusted
