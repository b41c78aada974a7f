"""Labelled examples -> a fitted policy: calibration, thresholds of sets, and where there is no label."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmclf.agreement.estimate import Undefined
from llmclf.annotations import LabelValue, label_text
from llmclf.codebook import Question
from llmclf.errors import Inconclusive, InputError
from llmclf.label_reading import LabelReader
from llmclf.log_scores import Floats
from llmclf.policy import Fitted, Policy
from llmclf.recorded_decisions import File, Sources

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

    def halves(self) -> tuple["Examples", "Examples"]:
        """Part them in two by their ids."""
        is_first = [sha256(f"half {item}".encode()).digest()[0] % 2 == 0 for item in self.items]
        return self._take(np.flatnonzero(is_first)), self._take(np.flatnonzero(np.logical_not(is_first)))

    def _take(self, rows: NDArray[np.intp]) -> "Examples":
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
    scored = _Scored(file, number, policy.model_copy(update={"fitted": {}}))
    fitted = {}
    for question in file.codebook(number).questions:
        if question.name not in labels:
            continue
        teaching = judging = scored.examples(question, labels[question.name])
        fits = wanted.calibration if question.kind != "set" else wanted.metric
        if fits and wanted.risk is not None:
            teaching, judging = teaching.halves()
        settled = Fitted(**_fitted(teaching, wanted)) if fits else Fitted()
        if wanted.risk is not None:
            given = policy.model_copy(update={"fitted": {question.name: settled.model_copy(update={"folds": {}})}})
            others = scored.confidences(LabelReader(question, given), labels[question.name])
            settled = settled.model_copy(update=_abstaining(judging, LabelReader(question, given), others, wanted.risk))
        fitted[question.name] = settled
    name = policy.name if policy.fitted else f"{policy.name}, fitted"
    return policy.model_copy(update={"name": name, "fitted": {**policy.fitted, **fitted}})


class _Scored:
    """The log-scores of a job's items.

    Raises:
        MissingRecords: the policy takes answers that were not asked for.

    """

    def __init__(self, file: File, number: int, policy: Policy) -> None:
        self._sources = Sources(file, number, policy)
        self._sources.check()
        self._decider = self._sources.decider()

    def _of(self, question: Question, *, chosen: Callable[[str], bool]) -> Iterator[tuple[list[str], Floats]]:
        """Give items and their log-scores in blocks, those that have any."""
        rows = ((row.item, said) for row, said, _ in self._sources.rows() if chosen(row.item))
        while block := list(islice(rows, _AT_ONCE)):
            log_p = self._decider.log_scores(question, [said for _, said in block])
            scored = np.flatnonzero(~np.isnan(log_p.reshape(len(block), -1)).any(axis=-1)).tolist()
            yield [block[row][0] for row in scored], log_p[scored]

    def examples(self, question: Question, labels: Mapping[str, LabelValue]) -> Examples:
        """Give the labelled items.

        Raises:
            InputError: there is none.

        """
        blocks = list(self._of(question, chosen=labels.__contains__))
        items = [item for some, _ in blocks for item in some]
        if not items:
            raise InputError(
                f"question {question.name!r}: no labelled example is an item of the job with likelihoods",
                "Give labels of its items, by the same ids",
            )
        truth = [labels[item] for item in items]
        return Examples(question, items, np.concatenate([log_p for _, log_p in blocks]), truth)

    def confidences(self, reader: LabelReader, labels: Mapping[str, LabelValue]) -> Floats:
        """Give the probability of the label that each item without a label of people would have."""
        blocks = self._of(reader.question, chosen=lambda item: item not in labels)
        return np.array([p for items, log_p in blocks for _, p in reader.labels(items, log_p)], dtype=np.float64)


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
    fold = folds(examples.items, np.array([int(bool(label)) for label in examples.truth]))
    without = [tune_thresholds(metric, applies[fold != one], truth[fold != one]) for one in range(fold.max() + 1)]
    return {
        "thresholds": whole.thresholds,
        "thresholds_without": tuple(one.thresholds for one in without),
        "folds": dict(zip(examples.items, fold.tolist(), strict=True)),
    }


def _abstaining(examples: Examples, reader: LabelReader, others: Floats, risk: float) -> dict[str, Any]:
    """Choose the least probability."""
    from llmclf.abstention import select_threshold

    given = reader.labels(examples.items, examples.log_p)
    confidence = np.array([probability for _, probability in given])
    known = map(label_text, examples.truth)
    correct = np.array([label_text(label) == truth for (label, _), truth in zip(given, known, strict=True)])
    found = select_threshold(confidence, correct, others, risk, DELTA)
    if isinstance(found, Undefined):
        raise Inconclusive(
            f"question {examples.question.name!r}: {found.undefined}", "Label more examples, or allow a larger risk"
        )
    return {
        "least_probability": found.threshold,
        "statement": found.statement,
        "risk_examples": tuple(examples.items),
    }
