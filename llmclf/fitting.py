"""Labelled examples -> a fitted policy: calibration, thresholds of sets, and where there is no label."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmclf.agreement.estimate import Undefined
from llmclf.annotations import LabelValue
from llmclf.codebook import Question
from llmclf.decisions import Decision
from llmclf.errors import Inconclusive, InputError
from llmclf.label_reading import LabelReader
from llmclf.log_scores import Floats
from llmclf.policy import Fitted, Policy
from llmclf.recorded_decisions import File, Sources
from llmclf.status import Status

_AT_ONCE = 1000
DELTA = 0.1
"""The probability with which a claimed risk may be exceeded."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be fitted."""

    calibration: str | None = None
    """A method of `llmclf.calibration`."""
    metric: str | None = None
    """What the thresholds of sets are tuned for; see `llmclf.calibration.thresholds`."""
    risk: float | None = None
    """The share of wrong labels among those given, at most."""


@dataclass(frozen=True, eq=False)
class Examples:
    """The labelled items of one question that have an answer."""

    question: Question
    items: Sequence[str]
    log_p: Floats
    """Corrected and averaged, not calibrated: shape (n, q), of a set (n, q, 2)."""
    truth: Sequence[LabelValue]

    def take(self, rows: Sequence[int]) -> "Examples":
        """Give some of them."""
        return Examples(self.question, [self.items[n] for n in rows], self.log_p[rows], [self.truth[n] for n in rows])

    @property
    def codes(self) -> NDArray[np.int64]:
        """The positions of their labels; not of a set."""
        return np.array([self.question.codes.index(str(label)) for label in self.truth], dtype=np.int64)

    @property
    def sets(self) -> NDArray[np.bool_]:
        """Which labels apply, of a set: shape (n, q)."""
        return np.array([[code in label for code in self.question.codes] for label in self.truth], dtype=np.bool_)


def fit(
    file: File, number: int, policy: Policy, labels: Mapping[str, Mapping[str, LabelValue]], wanted: Wanted
) -> Policy:
    """Fit a policy to labelled examples of a job's items, cross-fitted; where a risk is wanted, half of them choose it.

    Args:
        file: the job.
        number: of the plan.
        policy: what its own log-scores come from.
        labels: what people say, by question and item.
        wanted: what is to be fitted.

    Raises:
        InputError: there are too few examples, or what is wanted does not go with the question.
        Inconclusive: at no threshold can the wanted risk be claimed.

    """
    fitted = {}
    for examples in labelled(file, number, policy.model_copy(update={"fitted": {}}), labels):
        teaching, judging = examples, None
        fits = wanted.calibration if examples.question.kind != "set" else wanted.metric
        if wanted.risk is not None:
            half = [n for n, item in enumerate(examples.items) if _is_first_half(item) or not fits]
            judging = examples.take([n for n in range(len(examples.items)) if n not in set(half)] if fits else half)
            teaching = examples.take(half)
        settled = Fitted(**_fitted(teaching, wanted)) if fits else Fitted()
        if judging and wanted.risk is not None:
            settled = settled.model_copy(update=_abstaining(judging, policy, settled, wanted.risk))
        fitted[examples.question.name] = settled
    return policy.model_copy(update={"fitted": {**policy.fitted, **fitted}})


def labelled(
    file: File, number: int, policy: Policy, labels: Mapping[str, Mapping[str, LabelValue]]
) -> Iterator[Examples]:
    """Give the examples of each question that has any.

    Raises:
        MissingRecords: the policy takes answers that were not asked for.
        InputError: a question's labels are of none of the job's items.

    """
    sources = Sources(file, number, policy)
    sources.check()
    decider = sources.decider()
    questions = [question for question in file.codebook(number).questions if question.name in labels]
    found: dict[str, tuple[list[str], list[Floats]]] = {question.name: ([], []) for question in questions}
    rows = sources.rows()
    while block := list(islice(rows, _AT_ONCE)):
        for question in questions:
            known = [(row.item, said) for row, said, _ in block if row.item in labels[question.name]]
            if known:
                log_p = decider.log_scores(question, [said for _, said in known])
                is_scored: NDArray[np.bool_] = ~np.isnan(log_p.reshape(len(known), -1)).any(axis=-1)
                found[question.name][0].extend(
                    item for (item, _), scored in zip(known, is_scored, strict=True) if scored
                )
                found[question.name][1].append(log_p[is_scored])
    for question in questions:
        items, scores = found[question.name]
        if not items:
            raise InputError(
                f"question {question.name!r}: no labelled example is an item of the job with likelihoods",
                "Give labels of its items, by the same ids",
            )
        truth = [labels[question.name][item] for item in items]
        yield Examples(question, items, np.concatenate(scores), truth)


def _is_first_half(item: str) -> bool:
    return sha256(f"half {item}".encode()).digest()[0] % 2 == 0


def _fitted(examples: Examples, wanted: Wanted) -> dict[str, Any]:
    if examples.question.kind == "set":
        return _thresholds(examples, wanted.metric or "")
    from llmclf.calibration import cross_fit

    found = cross_fit(wanted.calibration or "", examples.log_p, examples.codes, examples.items)
    return {
        "calibration": found.calibration.to_dict(),
        "calibration_without": tuple(one.to_dict() for one in found.without),
        "folds": dict(zip(examples.items, found.fold.tolist(), strict=True)),
    }


def _thresholds(examples: Examples, metric: str) -> dict[str, Any]:
    from llmclf.calibration.cross_fit import folds
    from llmclf.calibration.thresholds import tune_thresholds

    applies, truth = np.exp(examples.log_p[..., 1]), examples.sets
    whole = tune_thresholds(metric, applies, truth)
    has_any: NDArray[np.int64] = truth.any(axis=1).astype(np.int64)
    fold = folds(examples.items, has_any)
    without = [tune_thresholds(metric, applies[fold != one], truth[fold != one]) for one in range(fold.max() + 1)]
    return {
        "thresholds": whole.thresholds,
        "thresholds_without": tuple(one.thresholds for one in without),
        "folds": dict(zip(examples.items, fold.tolist(), strict=True)),
    }


def _abstaining(examples: Examples, policy: Policy, settled: Fitted, risk: float) -> dict[str, Any]:
    """Choose the least probability; where there is none that will do, no label is given at all."""
    from llmclf.abstention import selective_threshold

    alone = settled.model_copy(update={"folds": {}})
    reader = LabelReader(examples.question, policy.model_copy(update={"fitted": {examples.question.name: alone}}))
    probabilities = reader.probabilities(examples.log_p, examples.items)
    given = [
        reader.decision(item, row, Decision(Status.OK)) for item, row in zip(examples.items, probabilities, strict=True)
    ]
    confidence = np.array([one.probability for one in given], dtype=np.float64)
    correct = np.array([one.label == label for one, label in zip(given, examples.truth, strict=True)])
    found = selective_threshold(confidence, correct, risk, DELTA)
    if isinstance(found, Undefined):
        raise Inconclusive(
            f"question {examples.question.name!r}: {found.undefined}", "Label more examples, or allow a larger risk"
        )
    return {
        "least_probability": found.threshold,
        "statement": found.statement,
        "risk_examples": tuple(examples.items),
    }
