"""Rogan & Gladen's estimate: true prevalence from apparent prevalence, sensitivity and specificity.

Rogan & Gladen 1978, "Estimating Prevalence from the Results of a Screening Test": (p + sp - 1) / (se + sp - 1), with
p the share that the model calls positive. The estimand is the share that these experts would have called positive.
Undefined where se + sp <= 1, where the model is no better than chance; estimate and interval are cut at 0 and 1.
"""

import math
from typing import Literal

import numpy as np

from llmclf.agreement.clopper_pearson import lower_bound
from llmclf.agreement.counts import Floats
from llmclf.agreement.estimate import Coefficient, Estimate, Undefined
from llmclf.agreement.expert_sample import ESTIMAND, ExpertSample
from llmclf.agreement.intervals import CONFIDENCE, normal
from llmclf.agreement.wilson import wilson
from llmclf.errors import InputError

Interval = Literal["wilson", "blaker"]
_METHODS = {"wilson": "Wilson 1927", "blaker": "Blaker 2000"}
_GRID = 4000


def rogan_gladen(
    positive: int, n: int, sensitivity: float, specificity: float, interval: Interval = "wilson"
) -> Coefficient:
    """Correct a share of n items by a sensitivity and a specificity that are known.

    The interval is that of the apparent prevalence (Wilson 1927, or Blaker 2000, exact), corrected alike. No standard
    error is given: the interval is not built of one.

    Raises:
        InputError: a number is out of its range.

    """
    if not (n > 0 and 0 <= positive <= n and 0 <= sensitivity <= 1 and 0 <= specificity <= 1):
        raise InputError(
            f"{positive} positive of {n}, sensitivity {sensitivity}, specificity {specificity} are no rates",
            "Give counts of items, and rates from 0 to 1",
        )
    gain = sensitivity + specificity - 1
    if gain <= 0:
        return _no_better_than_chance(sensitivity, specificity)
    share = np.asarray(positive / n)
    apparent = wilson(share, np.asarray(float(n))) if interval == "wilson" else blaker(positive, n)
    value, low, high = (_cut((float(p) + specificity - 1) / gain) for p in (share, *apparent))
    return Estimate(value, None, low, high, n, f"Rogan-Gladen, known rates, {_METHODS[interval]}; {ESTIMAND}")


def rogan_gladen_estimated(sample: ExpertSample) -> Coefficient:
    """Correct the share of all items by rates estimated from the expert labels, weighted by 1 / pi.

    Outcome and prediction are 1 (positive) or 0. The standard error is that of the influences
    (f - p - theta dse + (1 - theta) dsp) / (se + sp - 1), so p, se and sp may be of the same items (delta method).

    Raises:
        InputError: an outcome or a prediction is neither 0 nor 1.

    """
    sampled, f = sample.is_sampled, sample.prediction
    y = np.where(sampled, sample.outcome, 0)
    if not np.isin(np.concatenate([y, f]), (0, 1)).all():
        raise InputError("an outcome or a prediction is neither 0 nor 1", "Give 1 for positive and 0 for negative")
    weight = np.where(sampled, 1 / sample.probability, 0)
    positive, negative = weight * y, weight * (1 - y)
    if not positive.any() or not negative.any():
        return Undefined(f"the experts call no item {'negative' if positive.any() else 'positive'}")
    p, se, sp = f.mean(), positive @ f / positive.sum(), negative @ (1 - f) / negative.sum()
    gain = se + sp - 1
    if gain <= 0:
        return _no_better_than_chance(float(se), float(sp))
    theta = (p + sp - 1) / gain
    of_se = positive * (f - se) / positive.mean()
    of_sp = negative * (1 - f - sp) / negative.mean()
    influence = (f - p - theta * of_se + (1 - theta) * of_sp) / gain
    method = f"Rogan-Gladen, sensitivity {se:.3f} and specificity {sp:.3f} estimated, delta method, normal; {ESTIMAND}"
    return normal(_cut(float(theta)), math.sqrt(float(influence @ influence)) / len(f), len(f), method, (0.0, 1.0))


def blaker(positive: int, n: int) -> tuple[float, float]:
    """Give the exact interval of a share that two-sided acceptability makes (Blaker 2000): within Clopper-Pearson's."""
    return _blaker_low(positive, n), 1 - _blaker_low(n - positive, n)


def _blaker_low(positive: int, n: int) -> float:
    if positive == 0:
        return 0.0
    low, high = lower_bound(positive, n, (1 - CONFIDENCE) / 2), positive / n
    # acceptability jumps, so its first crossing is looked for before it is narrowed down
    while high - low > 1e-14:
        grid = np.linspace(low, high, _GRID)
        first = int(np.argmax(_acceptability(grid, positive, n) >= 1 - CONFIDENCE))
        low, high = grid[max(first - 1, 0)], grid[first]
        if first == 0:
            break
    return float(high)


def _acceptability(p: Floats, positive: int, n: int) -> Floats:
    """Add to the tail at the observed count the largest opposite tail that is no more likely; for p <= positive / n."""
    from scipy.stats import binom  # type: ignore[import-untyped]  # scipy has no types

    tail = binom.sf(positive - 1, n, p)
    return np.asarray(tail + binom.cdf(binom.ppf(tail, n, p) - 1, n, p))


def _no_better_than_chance(sensitivity: float, specificity: float) -> Undefined:
    return Undefined(
        f"sensitivity {sensitivity:.3f} and specificity {specificity:.3f}: the model is no better than chance"
    )


def _cut(share: float) -> float:
    return min(max(share, 0.0), 1.0)
