"""The policies that are compared, and which of them is chosen for a task: the best one on all other tasks."""

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np

from evals.zero_shot_measures import Answers, briers, losses, macro_f1
from evals.zero_shot_scores import Recorded
from llmclf.policy import Policy

_NEUTRAL: Final[Mapping[str, Mapping[str, object]]] = {
    "content-free": {},
    "random words": {"content_free": (), "random_texts": 20},
    "content-free and random words": {"random_texts": 20},
}
_READINGS: Final[tuple[Literal["sum", "mean"], ...]] = ("sum", "mean")
_TEMPERATURES: Final = (1.0, 0.7, 0.5, 0.35, 0.25)


def _candidates() -> tuple[Policy, ...]:
    plain = [Policy(name=f"{reading}", reading=reading) for reading in _READINGS]
    corrected = [
        Policy.model_validate(
            {
                "name": f"{reading}, {texts}, temperature {temperature:g}",
                "reading": reading,
                "correction": "content-free",
                "temperature": temperature,
                **settings,
            }
        )
        for reading, (texts, settings), temperature in product(_READINGS, _NEUTRAL.items(), _TEMPERATURES)
    ]
    return (*plain, *corrected)


CANDIDATES: Final = _candidates()
"""Policies that need no labels and assume no label shares."""
ASKED: Final = Policy(name="all", correction="content-free", random_texts=20)
"""It takes all records that the candidates take."""
BATCH: Final = Policy(name="batch", correction="batch")
"""Beside them: it assumes that all labels are equally frequent among the first texts."""


class Quality(NamedTuple):
    """How good a policy is, in units of knowing nothing: the loss log q and the Brier score 1 - 1/q of equal shares."""

    macro_f1: float
    log_loss: float
    brier: float

    @property
    def score(self) -> float:
        """What policies are ranked by."""
        return self.macro_f1 - (self.log_loss + self.brier) / 2


def quality(recorded: Recorded, policy: Policy) -> Quality:
    """Rate a policy on one task."""
    truth, q = recorded.task.truth, len(recorded.task.question.codes)
    probabilities = recorded.probabilities(policy)
    is_known = ~np.isnan(probabilities).any(axis=1)
    p, y = probabilities[is_known], truth[is_known]
    f1 = macro_f1(Answers.likeliest(p).labels, y, q, np.ones((1, len(y))))[0]
    return Quality(float(f1), float(losses(p, y).mean()) / math.log(q), float(briers(p, y).mean()) / (1 - 1 / q))


Qualities: TypeAlias = Mapping[str, Sequence[Mapping[str, Quality]]]
"""By task, and there of each model, by policy. Of tasks with enough texts to judge by."""


def mean_quality(qualities: Qualities, policy: Policy, left_out: str = "") -> Quality:
    """Give a policy's mean quality over tasks and models, but for one task."""
    others = [one[policy.name] for task, of_models in qualities.items() if task != left_out for one in of_models]
    return Quality(*np.mean(others, axis=0).tolist())


def choose(qualities: Qualities, left_out: str = "") -> Policy:
    """Give the best candidate on all tasks but one."""
    return max(CANDIDATES, key=lambda policy: mean_quality(qualities, policy, left_out).score)
