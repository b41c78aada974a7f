"""Answer only where the model is sure enough: the confidence below which it abstains, chosen for a wanted risk.

The risk is the share of errors among the items that are answered. Tests on labelled items turn it into a promise,
P(true risk <= alpha) >= 1 - delta: of all draws of labelled items, a share of delta at most leads to a threshold whose
true risk is higher. It holds if the labelled items are drawn at random from those that are to be answered (they are
exchangeable), and if neither the model nor its calibration was fitted to them.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from llmclf.agreement.clopper_pearson import upper_bound
from llmclf.agreement.counts import Floats
from llmclf.agreement.estimate import Undefined
from llmclf.errors import InputError, unknown

FIXED_SEQUENCE: Final = "fixed-sequence"
BONFERRONI: Final = "bonferroni"
METHODS: Final = (FIXED_SEQUENCE, BONFERRONI)
N_THRESHOLDS: Final = 20
"""At most. More would find a threshold nearer to the best, and each is one more test to pass or to pay for."""
POWER: Final = 0.8
"""The probability with which the strictest threshold passes where its true risk is a quarter of the wanted one."""

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SelectiveThreshold:
    """The confidence from which on a model answers."""

    threshold: float
    coverage: float
    """The share of all items, with or without a label, that are answered."""
    risk: float
    """The share of errors among the labelled items that are answered."""
    upper_bound: float
    """Of the true risk (Clopper & Pearson 1934), at most alpha."""
    n_answered: int
    """Labelled items that are answered."""
    n_labelled: int
    alpha: float
    """The wanted risk."""
    delta: float
    method: str

    def apply(self, confidence: Floats) -> Bools:
        """Tell which items are answered: those at the threshold or above; none without a confidence, NaN."""
        return np.asarray(confidence >= self.threshold)

    @property
    def statement(self) -> str:
        """What is promised, on which evidence and on which condition."""
        return (
            f"P(true risk <= {self.alpha:g}) >= {1 - self.delta:g} when answering at a confidence of"
            f" {self.threshold:.4g} or more, which is {self.coverage:.1%} of the items:"
            f" of {self.n_answered} labelled items among them {self.risk:.1%} were wrong,"
            f" and at most {self.upper_bound:.1%} are ({self.method}). This holds if the labelled items"
            " were drawn at random from the items to be answered, and nothing was fitted to them."
        )

    def to_dict(self) -> dict[str, Any]:
        """Give the fields by name, and the statement."""
        return asdict(self) | {"statement": self.statement}


def select_threshold(
    confidence: Floats, correct: Bools, others: Floats, alpha: float, delta: float = 0.1, method: str = FIXED_SEQUENCE
) -> SelectiveThreshold | Undefined:
    """Choose the threshold of the highest coverage that passes a test of its risk (Geifman & El-Yaniv 2017).

    The thresholds t_1 > t_2 > .. are fixed before the labelled items are seen: `thresholds_before`. Given the number n
    of labelled items at t or above, the errors k among them are binomial, with the true risk R(t). So where
    R(t) > alpha, the upper bound of Clopper & Pearson at 1 - delta is alpha or less with probability delta at most;
    where n is 0, it is 1. No more is assumed: confidences may be wrong, and the risk need not fall as they rise.

    `fixed-sequence` (Angelopoulos et al. 2021, "Learn then test", section 2.3) starts at t_1 and half-way, with
    delta / 2 each, and goes on to the next threshold while the bound at 1 - what it has is alpha or less; it takes what
    it has along, so that the second part is tested with delta once the first has passed. If there is a t with
    R(t) > alpha in the first part, a wrong choice needs the first such t to pass with delta / 2, or that of the second
    part; if not, it needs that of the second part to pass, with delta at most. Either happens with probability
    delta at most. The second start is for models whose surest answers are not their best.
    `bonferroni` gives each of m thresholds the bound at 1 - delta / m, so that with probability 1 - delta all hold.

    Undefined where none passes, or the labelled items could not suffice: to answer nothing is no success.

    Args:
        confidence: of the labelled items, shape (n,), NaN where the model has no answer.
        correct: whether its answer is the reference label, shape (n,).
        others: confidences of items that are not labelled, from the same source, NaN alike.
        alpha: the wanted risk.
        delta: the probability with which the true risk may exceed it.
        method: one of `METHODS`.

    Raises:
        InputError: alpha or delta is not between 0 and 1, there is no such method, or `others` are none.

    """
    if method not in METHODS:
        raise InputError(unknown("method of abstention", method, METHODS))
    n_labelled = int((~np.isnan(confidence)).sum())
    thresholds = thresholds_before(others, n_labelled, alpha, delta)
    if isinstance(thresholds, Undefined):
        return thresholds
    answered = confidence >= thresholds[:, np.newaxis]
    n, wrong = answered.sum(axis=1), (answered & ~correct).sum(axis=1)
    m = len(thresholds)
    starts = {0, m // 2} if method == FIXED_SEQUENCE else set(range(m))
    upper, taken_along, chosen = np.ones(m), 0.0, None
    for j in range(m):
        level = taken_along + (delta / len(starts) if j in starts else 0.0)
        if level:
            upper[j] = upper_bound(int(wrong[j]), int(n[j]), level)
        passes = upper[j] <= alpha
        taken_along = level if passes and method == FIXED_SEQUENCE else 0.0
        chosen = j if passes else chosen
    if chosen is None:
        nearest = int(upper.argmin())
        return Undefined(
            f"no threshold found: answering at a confidence of {thresholds[nearest]:.4g} or more, {wrong[nearest]} of"
            f" {n[nearest]} labelled items are wrong, so the risk may be {upper[nearest]:.1%}, above {alpha:.1%}"
        )
    everybody = np.concatenate([confidence, others])
    return SelectiveThreshold(
        float(thresholds[chosen]),
        float((everybody >= thresholds[chosen]).mean()),
        float(wrong[chosen] / n[chosen]),
        float(upper[chosen]),
        int(n[chosen]),
        n_labelled,
        alpha,
        delta,
        method,
    )


def thresholds_before(others: Floats, n_labelled: int, alpha: float, delta: float = 0.1) -> Floats | Undefined:
    """Fix descending thresholds by the confidences of items that are not labelled, so that no label has a say in them.

    They answer equal steps of these items up to all; items of equal confidence are answered together. The strictest
    answers so many that, of n labelled ones, enough are to be expected for its test to pass with probability `POWER`
    where its true risk is alpha / 4: a sequence that began with fewer would mostly end there.
    Undefined where even n items without an error could not pass.

    Raises:
        InputError: alpha or delta is not between 0 and 1, or no other item has a confidence.

    """
    from scipy.special import bdtr  # type: ignore[import-untyped]  # scipy has no types

    for name, value in (("alpha", alpha), ("delta", delta)):
        if not 0 < value < 1:
            raise InputError(f"{name} is {value:g}", "Give a number between 0 and 1, such as 0.1")
    descending = -np.sort(-others[~np.isnan(others)])
    if len(descending) == 0:
        raise InputError(
            "no item without a label has a confidence, and these fix the thresholds to test",
            "Leave some of the items without a label, drawn at random",
        )
    errors, n = 0, 1
    while bdtr(errors, n, alpha) > delta:
        n += 1
    if n_labelled < n:
        return Undefined(
            f"no threshold found: {n_labelled} labelled items with an answer are too few for a risk of {alpha:.1%},"
            f" which takes {n} without an error"
        )
    while bdtr(errors, n, alpha / 4) < POWER:
        errors += 1
        while bdtr(errors, n, alpha) > delta:
            n += 1
    coverages = np.linspace(min(n / n_labelled, 1), 1, N_THRESHOLDS)
    places = np.ceil(coverages * len(descending) - 1e-9).astype(np.int64) - 1
    return np.asarray(np.unique(descending[np.maximum(places, 0)])[::-1])
