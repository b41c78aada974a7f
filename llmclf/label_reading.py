"""Probabilities -> a label, or none: how a policy reads the distribution over one question's labels."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from llmclf.annotations import LabelValue
from llmclf.codebook import Question
from llmclf.decisions import Decision
from llmclf.log_scores import Floats
from llmclf.policy import Fitted, Policy
from llmclf.status import Status

UNTUNED = 0.5


class LabelReader:
    """Reads labels of one question, as a policy says and labelled examples have settled."""

    def __init__(self, question: Question, policy: Policy) -> None:
        self.question = question
        self._codes = question.codes
        self._fitted = policy.fitted.get(question.name, Fitted())
        self._score = policy.score if question.kind == "score" else "mode"
        self._least = self._fitted.least_probability
        if self._least is None:
            self._least = policy.least_probability

    def probabilities(self, log_p: Floats, items: Sequence[str]) -> Floats:
        """Give calibrated probabilities, shape (n, q): of a set, that each label applies."""
        if self.question.kind == "set":
            return np.asarray(np.exp(log_p[..., 1]))
        if not self._fitted.calibration:
            return np.asarray(np.exp(log_p))
        from llmclf.calibration import from_dict

        probabilities = from_dict(self._fitted.calibration).apply(log_p)
        folds = np.array([self._fitted.folds.get(item, -1) for item in items])
        for fold in np.unique(folds[folds >= 0]):
            apart = folds == fold
            probabilities[apart] = from_dict(self._fitted.calibration_without[fold]).apply(log_p[apart])
        return probabilities

    def labels(self, items: Sequence[str], log_p: Floats) -> list[tuple[LabelValue, float]]:
        """Give each item's label, however unlikely, and its probability."""
        decisions = (self._label(item, p) for item, p in zip(items, self.probabilities(log_p, items), strict=True))
        return [(one.label or (), one.probability or 0.0) for one in decisions]

    def decision(self, item: str, probabilities: Floats, said: Decision) -> Decision:
        """Decide on one item, with the origin and the reasons of what was said."""
        decision = replace(
            self._label(item, probabilities),
            probabilities=dict(zip(self._codes, probabilities.tolist(), strict=True)),
            origin=said.origin,
            samples=said.samples,
            rationale=said.rationale,
            evidence=said.evidence,
        )
        if self._least is not None and (decision.probability or 0.0) < self._least:
            return replace(decision, status=Status.ABSTAINED, label=None, probability=None)
        return decision

    def _label(self, item: str, probabilities: Floats) -> Decision:
        p = probabilities.tolist()
        return self._of_set(p, item) if self.question.kind == "set" else self._of_one(probabilities, p)

    def _of_one(self, probabilities: Floats, p: list[float]) -> Decision:
        best = p.index(max(p))
        if self._score != "mode":
            from llmclf.calibration.score_reading import read_scores

            values = np.array([label.value for label in self.question.label], dtype=np.float64)
            best = int(read_scores(self._score, probabilities[None, :], values)[0])
        return Decision(Status.OK, self._codes[best], p[best])

    def _of_set(self, p: list[float], item: str) -> Decision:
        thresholds = self._fitted.thresholds
        if thresholds and item in self._fitted.folds:
            thresholds = self._fitted.thresholds_without[self._fitted.folds[item]]
        applies = (
            [one >= least for one, least in zip(p, thresholds, strict=True)] if thresholds else [one > 0.5 for one in p]
        )
        chosen = tuple(code for code, is_chosen in zip(self._codes, applies, strict=True) if is_chosen)
        joint = math.prod(one if is_chosen else 1 - one for one, is_chosen in zip(p, applies, strict=True))
        return Decision(Status.OK, chosen, joint)
