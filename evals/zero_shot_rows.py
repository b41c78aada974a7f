"""The rows of the zero-shot table: each system on each task, with llmclf's difference from each peer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from evals.zero_shot_measures import Answers, Difference, Measures, differences, measure, weights_for_share
from evals.zero_shot_peers import PeerAnswers
from evals.zero_shot_tasks import LabelTask
from llmclf.agreement.counts import Floats

SHARES: Final = (0.5, 0.9, 0.97)
"""Of the first of two labels, to which the same answered texts are reweighted."""
DEFAULT: Final = "llmclf default"


@dataclass(frozen=True)
class Row:
    """One system on one task, or in `problem` why there is nothing."""

    model: str
    task: str
    system: str
    problem: str = ""
    share: float | None = None
    """Of the first label, where texts are reweighted; None is the data's own."""
    measures: Measures | None = None
    differences: Mapping[str, Difference] = field(default_factory=dict)
    """llmclf's default less this system, on the texts that both answered."""


def rows(
    model: str, task: LabelTask, ours: Mapping[str, Floats], peers: Sequence[PeerAnswers], compared: int
) -> Iterator[Row]:
    """Measure llmclf's policies on all held-out items, then on those that the peers answered with these beside.

    Args:
        model: whose answers they are.
        task: what was asked.
        ours: probabilities of the held-out items, shape (n, q), by policy; the first is the default.
        peers: what they answered to the first of these items.
        compared: how many items of the beginning llmclf is shown on beside them.

    """
    default = Answers.likeliest(next(iter(ours.values())))
    for system, probabilities in ours.items():
        yield from _at_shares(model, task, system, Answers.likeliest(probabilities), None)
    if len(default.labels) > compared:
        yield from _at_shares(model, task, f"{DEFAULT}, these {compared}", default.first(compared), None)
    for peer in peers:
        if peer.answers is None:
            yield Row(model, task.name, peer.name, peer.problem)
        else:
            yield from _at_shares(model, task, peer.name, Answers(peer.answers, peer.probabilities), default)


def _at_shares(model: str, task: LabelTask, system: str, given: Answers, default: Answers | None) -> Iterator[Row]:
    n, q = len(given.labels), len(task.question.codes)
    truth = task.truth[task.labelled :][:n]
    for share in (None, *SHARES) if q == 2 else (None,):
        weights = None if share is None else weights_for_share(truth, share)
        compared = {} if default is None else differences(default.first(n), given, truth, q, weights)
        yield Row(model, task.name, system, "", share, measure(given, truth, q, weights), compared)
