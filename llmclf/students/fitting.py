"""How a student learns: one logistic regression a label, whose strength and calibration are cross-fitted."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from llmclf.errors import MissingPackage

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Features = Any
"""A row a text: an array, or a sparse matrix of SciPy, which has no types."""
Split: TypeAlias = Callable[[Bools], tuple[Features, Features]]

FOLDS: Final = 5
STRENGTHS: Final = (0.3, 1.0, 3.0, 10.0)
"""Of the data against the ridge penalty: scikit-learn's C."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """Linear scores of q labels, which are calibrated, and what was found on the way."""

    weights: Floats
    """Shape (features, q)."""
    bias: Floats
    """Shape (q,)."""
    cross_fitted: Floats
    """Probabilities of each text by a student that has not learned from it: shape (texts, q)."""
    strength: float


def fit(features: Features, split: Split, targets: Floats, given: Bools, fold: Ints, *, is_set: bool) -> Fitted:
    """Fit on all texts with the strength whose cross-fitted probabilities have the least log loss.

    Args:
        features: of n texts.
        split: gives the features of some of the texts, and of the others as if they were new.
        targets: the teacher's probability of each label, or 0 and 1: shape (n, q).
        given: which labels the teacher gave, to which the probabilities are calibrated: shape (n, q).
        fold: which texts are held out together: shape (n,), from 0 to `FOLDS` - 1.
        is_set: whether labels apply independently of each other.

    Raises:
        MissingPackage: scikit-learn is not installed.

    """
    by_strength = {strength: np.empty_like(targets) for strength in STRENGTHS}
    for number in range(FOLDS):
        held_out = fold == number
        learned, new = split(~held_out)
        for strength, scores in by_strength.items():
            weights, bias = _one_vs_rest(learned, targets[~held_out], strength)
            scores[held_out] = new @ weights + bias
    scales = {strength: _calibrated(scores, given, is_set=is_set) for strength, scores in by_strength.items()}
    strength = min(scales, key=lambda strength: scales[strength].loss)
    scale = scales[strength]
    weights, bias = _one_vs_rest(features, targets, strength)
    return Fitted(
        weights * scale.slope,
        bias * scale.slope + scale.offset,
        probabilities_of(by_strength[strength] * scale.slope + scale.offset, is_set=is_set),
        strength,
    )


def folds(strata: Ints) -> Ints:
    """Deal texts that stand in an order of their own out to folds, those of each stratum evenly."""
    fold = np.empty(len(strata), dtype=np.int64)
    fold[np.argsort(strata, kind="stable")] = np.arange(len(strata)) % FOLDS
    return fold


def probabilities_of(scores: Floats, *, is_set: bool) -> Floats:
    """Turn calibrated scores of shape (n, q) into probabilities: of each label alone in a set, otherwise a softmax."""
    from scipy.special import expit, softmax  # type: ignore[import-untyped]  # scipy has no types

    return np.asarray(expit(scores) if is_set else softmax(scores, axis=1))


def _one_vs_rest(features: Features, targets: Floats, strength: float) -> tuple[Floats, Floats]:
    """Fit a logistic regression a label; a probability counts for it with its weight, and the rest against it."""
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        raise MissingPackage("a student needs scikit-learn", "Run: pip install 'llmclf[sklearn]'") from None
    from scipy import sparse  # type: ignore[import-untyped]  # scipy has no types

    n, q = targets.shape
    is_sparse = sparse.issparse(features)
    twice = sparse.vstack([features] * 2, format="csr") if is_sparse else np.vstack([features] * 2)
    applies = np.repeat([1, 0], n)
    weights, bias = np.zeros((features.shape[1], q)), np.zeros(q)
    for label, p in enumerate(targets.T):
        weight = np.concatenate([p, 1 - p])
        counts = weight > 0
        if applies[counts].min() == applies[counts].max():
            share = (p.sum() + 0.5) / (n + 1)
            bias[label] = np.log(share / (1 - share))
            continue
        # Of many rare words the dual is the fast form, of few dense features the primal.
        model = LogisticRegression(C=strength, solver="liblinear", dual=is_sparse, max_iter=1000, random_state=0)
        model.fit(twice[counts], applies[counts], weight[counts])
        weights[:, label], bias[label] = model.coef_[0], model.intercept_[0]
    return weights, bias


@dataclass(frozen=True, eq=False)
class _Scale:
    """What makes scores calibrated: their factor, what is added, and the log loss that is left."""

    slope: Floats
    offset: Floats
    loss: float


def _calibrated(scores: Floats, given: Bools, *, is_set: bool) -> _Scale:
    """Find one factor and an offset a label; in a set, where each label is a question of its own, a factor each."""
    if not is_set:
        slope, offset, loss = _scaled_softmax(scores, given)
        return _Scale(np.full(scores.shape[1], slope), offset, loss)
    found = [
        _scaled_softmax(np.column_stack([np.zeros(len(z)), z]), np.column_stack([~applies, applies]))
        for z, applies in zip(scores.T, given.T, strict=True)
    ]
    slopes, offsets, losses = zip(*found, strict=True)
    return _Scale(np.array(slopes), np.array([high - low for low, high in offsets]), sum(losses))


def _scaled_softmax(scores: Floats, given: Bools) -> tuple[float, Floats, float]:
    """Fit a temperature and offsets (vector scaling with one slope; Guo et al. 2017) by the least log loss.

    Of n items, each counts as if one more had each of the q labels (Platt 2000), so that nothing becomes certain.
    """
    from scipy.optimize import minimize  # type: ignore[import-untyped]  # scipy has no types
    from scipy.special import log_softmax

    n, q = scores.shape
    wanted = (n * given + 1) / (n + q)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        slope = np.exp(parameters[0])
        log_p = log_softmax(slope * scores + parameters[1:], axis=1)
        residual = np.exp(log_p) - wanted
        gradient = [slope * (residual * scores).sum() / n, *(residual.sum(axis=0) / n)]
        return -float((wanted * log_p).sum()) / n, np.array(gradient)

    found = minimize(loss, np.zeros(q + 1), jac=True, method="L-BFGS-B", bounds=[(-5, 5), *[(-50, 50)] * q])
    return float(np.exp(found.x[0])), np.asarray(found.x[1:]), float(found.fun)
