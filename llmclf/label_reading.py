"""Probabilities -> a label, or none: how a policy reads the distribution over one question's labels."""

import math
from dataclasses import replace

import numpy as np

from llmclf.codebook import Question
from llmclf.decisions import Decision
from llmclf.log_scores import Floats
from llmclf.policy import Fitted, Policy
from llmclf.status import Status


class LabelReader:
    """Reads labels of one question, as a policy says and labelled examples have settled."""

    def __init__(self, question: Question, policy: Policy, fitted: Fitted) -> None:
        self._question = question
        self._codes = question.codes
        self._score = policy.score if question.kind == "score" else "mode"
        self._calibration = None
        if fitted.calibration:
            from llmclf.calibration import from_dict

            self._calibration = from_dict(fitted.calibration)
        self._thresholds = fitted.thresholds
        self._least = policy.least_probability if fitted.least_probability is None else fitted.least_probability

    def probabilities(self, log_p: Floats) -> Floats:
        """Give calibrated probabilities, shape (n, q): of a set, that each label applies."""
        if self._question.kind == "set":
            return np.asarray(np.exp(log_p[..., 1]))
        return self._calibration.apply(log_p) if self._calibration else np.asarray(np.exp(log_p))

    def decision(self, probabilities: Floats, said: Decision) -> Decision:
        """Decide on one item, with the origin and the reasons of what was said."""
        p = probabilities.tolist()
        decision = self._of_set(p) if self._question.kind == "set" else self._of_one(probabilities, p)
        decision = replace(
            decision,
            probabilities=dict(zip(self._codes, p, strict=True)),
            origin=said.origin,
            samples=said.samples,
            rationale=said.rationale,
            evidence=said.evidence,
        )
        if self._least is not None and (decision.probability or 0.0) < self._least:
            return replace(decision, status=Status.ABSTAINED, label=None, probability=None)
        return decision

    def _of_one(self, probabilities: Floats, p: list[float]) -> Decision:
        best = p.index(max(p))
        if self._score != "mode":
            from llmclf.calibration.score_reading import read_scores

            values = np.array([label.value for label in self._question.label], dtype=np.float64)
            best = int(read_scores(self._score, probabilities[None, :], values)[0])
        return Decision(Status.OK, self._codes[best], p[best])

    def _of_set(self, p: list[float]) -> Decision:
        applies = [
            one >= least if self._thresholds else one > least
            for one, least in zip(p, self._thresholds or [0.5] * len(p), strict=True)
        ]
        chosen = tuple(code for code, is_chosen in zip(self._codes, applies, strict=True) if is_chosen)
        joint = math.prod(one if is_chosen else 1 - one for one, is_chosen in zip(p, applies, strict=True))
        return Decision(Status.OK, chosen, joint)
