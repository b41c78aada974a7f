"""How good labels and probabilities are, with weights for other label shares, and how far two systems differ.

Shapes: probabilities (n, q); answers and truth (n,), positions of labels, an answer that is none of them -1;
weights (n,), or (b, n) for b resamples.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from llmclf.agreement.counts import Floats, Ints
from llmclf.agreement.estimate import Estimate
from llmclf.agreement.probability_quality import expected_calibration_error

LEAST_PROBABILITY: Final = 1e-6
"""Smaller probabilities of the true label, 0 above all, count as this: what is said with certainty costs 13.8 nats."""
BINS: Final = 15
_REPLICATES: Final = 2000


@dataclass(frozen=True, eq=False)
class Answers:
    """What a system answers to some items, and the probabilities that it gives; None where it gives none."""

    labels: Ints
    probabilities: Floats | None = None

    @classmethod
    def likeliest(cls, probabilities: Floats) -> "Answers":
        """Answer with the likeliest label, of equals the first; an item without probabilities has no answer."""
        is_missing = np.isnan(probabilities).any(axis=1)
        labels = np.where(is_missing, -1, np.nan_to_num(probabilities).argmax(axis=1))
        return cls(labels, probabilities)

    def first(self, count: int) -> "Answers":
        """Keep the first items."""
        return Answers(self.labels[:count], None if self.probabilities is None else self.probabilities[:count])


@dataclass(frozen=True)
class Measures:
    """What a system did on one task."""

    n: int
    accuracy: float
    macro_f1: float
    share_error: float
    """Half the sum over labels of |estimated share - true share|: the share of items that would have to change."""
    invalid: int
    log_loss: float | None
    """In nats; None without probabilities, as are the next."""
    brier: float | None
    ece: float | None


def measure(answers: Answers, truth: Ints, q: int, weights: Floats | None = None) -> Measures:
    """Measure a system's answers, each item weighted; calibration error is of unweighted items only."""
    w = np.ones(len(truth)) if weights is None else weights
    p = answers.probabilities
    return Measures(
        n=len(truth),
        accuracy=float(w @ (answers.labels == truth) / w.sum()),
        macro_f1=float(macro_f1(answers.labels, truth, q, w[np.newaxis])[0]),
        share_error=_share_error(answers.labels, truth, q, w),
        invalid=int((answers.labels < 0).sum()),
        log_loss=None if p is None else float(w @ losses(p, truth) / w.sum()),
        brier=None if p is None else float(w @ briers(p, truth) / w.sum()),
        ece=None if p is None or weights is not None else calibration_error(p, truth),
    )


def macro_f1(labels: Ints, truth: Ints, q: int, weights: Floats) -> Floats:
    """Give the mean F1 over the labels that were given or are true, one for each row of weights (b, n)."""
    of_label = np.arange(q)
    given, true = labels[:, np.newaxis] == of_label, truth[:, np.newaxis] == of_label
    both = weights @ (given & true)
    either = weights @ given + weights @ true
    f1 = 2 * both / np.where(either > 0, either, 1.0)
    return np.asarray(f1.sum(axis=1) / (either > 0).sum(axis=1))


def losses(probabilities: Floats, truth: Ints) -> Floats:
    """Give -log p of the true label of each item."""
    of_truth = probabilities[np.arange(len(truth)), truth]
    return np.asarray(-np.log(np.maximum(of_truth, LEAST_PROBABILITY)))


def briers(probabilities: Floats, truth: Ints) -> Floats:
    """Give the sum over labels of (p - y)^2 of each item."""
    of_truth = probabilities[np.arange(len(truth)), truth]
    return np.asarray((probabilities**2).sum(axis=1) - 2 * of_truth + 1)


def calibration_error(probabilities: Floats, truth: Ints) -> float:
    """Give the expected calibration error of 15 bins."""
    found = expected_calibration_error(probabilities, truth, BINS)
    assert isinstance(found, Estimate)
    return found.value


def weights_for_share(truth: Ints, share: float) -> Floats:
    """Give weights under which the first of two labels has this share."""
    is_first = truth == 0
    return np.asarray(np.where(is_first, share / is_first.mean(), (1 - share) / (~is_first).mean()))


@dataclass(frozen=True)
class Difference:
    """llmclf's value less a peer's on the same items, with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether its interval excludes 0."""
        return self.low > 0 or self.high < 0


def differences(
    ours: Answers, theirs: Answers, truth: Ints, q: int, weights: Floats | None = None
) -> dict[str, Difference]:
    """Compare two systems on the same items, by the paired bootstrap over items (percentiles of 2,000 resamples).

    Efron & Tibshirani 1993, chapter 13. Log loss and Brier score where both give probabilities.
    """
    w = np.ones(len(truth)) if weights is None else weights
    n = len(truth)
    drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), _REPLICATES)
    rows = np.vstack([w, drawn * w])
    found = {"macro_f1": macro_f1(ours.labels, truth, q, rows) - macro_f1(theirs.labels, truth, q, rows)}
    if ours.probabilities is not None and theirs.probabilities is not None:
        for name, of_items in (("log_loss", losses), ("brier", briers)):
            gap = of_items(ours.probabilities, truth) - of_items(theirs.probabilities, truth)
            found[name] = rows @ gap / rows.sum(axis=1)
    return {
        name: Difference(float(values[0]), *np.quantile(values[1:], [0.025, 0.975]).tolist())
        for name, values in found.items()
    }


def _share_error(labels: Ints, truth: Ints, q: int, weights: Floats) -> float:
    is_label = labels >= 0
    estimated = np.bincount(labels[is_label], weights[is_label], q) / max(weights[is_label].sum(), 1e-12)
    true = np.bincount(truth, weights, q) / weights.sum()
    return float(np.abs(estimated - true).sum() / 2)
