"""The rows of the zero-shot table: each system on each task, with llmclf's difference from each peer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from evals.zero_shot_abstention import Abstaining, abstaining
from evals.zero_shot_cascade import Cascade
from evals.zero_shot_labelled import BEST, Calibrated, calibrate, calibrated
from evals.zero_shot_measures import Answers, Difference, Measures, differences, measure, weights_for_share
from evals.zero_shot_peers import PeerAnswers
from evals.zero_shot_policies import BATCH, Quality
from evals.zero_shot_scores import Recorded
from evals.zero_shot_tasks import LabelTask
from llmclf.agreement.counts import Floats
from llmclf.errors import InputError
from llmclf.policy import RAW, Policy

SHARES: Final = (0.5, 0.9, 0.97)
"""Of the first of two labels, to which the same answered texts are reweighted."""
DEFAULT: Final = "llmclf default"
RAW_NAME: Final = "llmclf raw"


@dataclass(frozen=True)
class Row:
    """One system on one task, or in `problem` why there is nothing."""

    model: str
    task: str
    system: str
    texts: int
    """Of the task, answered by llmclf: fewer than `GATED` are reported, and not judged."""
    problem: str = ""
    share: float | None = None
    """Of the first label, where texts are reweighted; None is the data's own."""
    measures: Measures | None = None
    differences: Mapping[str, Difference] = field(default_factory=dict)
    """llmclf's default less this system, on the texts that both answered."""
    with_labels: Mapping[str, Difference] = field(default_factory=dict)
    """The same of llmclf's default calibrated by labelled examples."""


@dataclass
class Found:
    """All that was measured."""

    chosen: dict[str, str] = field(default_factory=dict)
    """By task, the policy that is best on all other tasks."""
    policies: dict[str, Quality] = field(default_factory=dict)
    """By name, over all tasks and models."""
    rows: list[Row] = field(default_factory=list)
    calibrated: list[Calibrated] = field(default_factory=list)
    abstaining: list[Abstaining] = field(default_factory=list)
    cascades: list[Cascade] = field(default_factory=list)

    def add(self, model: str, recorded: Recorded, default: Policy, peers: Sequence[PeerAnswers]) -> None:
        """Measure one model on one task: llmclf's policies on all held-out texts, and the peers on the first of them.

        Args:
            model: its name.
            recorded: what it said.
            default: the policy that was chosen on other tasks.
            peers: what they answered.

        """
        task = recorded.task
        policies = {DEFAULT: default, RAW_NAME: RAW, "llmclf batch": BATCH}
        ours = {
            name: Answers.likeliest(recorded.probabilities(policy)[task.labelled :])
            for name, policy in policies.items()
        }
        labelled = _with_labels(task, recorded.probabilities(default))
        for system, answers in ours.items():
            self.rows += _at_shares(model, task, system, answers)
        compared = max((len(peer.answers) for peer in peers if peer.answers is not None), default=0)
        if 0 < compared < len(task.items) - task.labelled:
            self.rows += _at_shares(model, task, f"{DEFAULT}, first {compared}", ours[DEFAULT].first(compared))
        for peer in peers:
            if peer.answers is None:
                self.rows.append(Row(model, task.name, peer.name, len(task.items), peer.problem))
            else:
                given = Answers(peer.answers, peer.probabilities)
                self.rows += _at_shares(model, task, peer.name, given, ours[DEFAULT], labelled)
        probabilities = {name: recorded.probabilities(policies[name]) for name in (DEFAULT, RAW_NAME)}
        self.calibrated += calibrated(model, task, probabilities[DEFAULT])
        self.abstaining += abstaining(model, task.name, probabilities, task.truth)


def _with_labels(task: LabelTask, probabilities: Floats) -> Answers | None:
    if not task.labelled:
        return None
    try:
        return Answers.likeliest(calibrate(BEST, task, probabilities))
    except InputError:
        return None  # the table of what labelled examples are worth says why


def _at_shares(
    model: str,
    task: LabelTask,
    system: str,
    given: Answers,
    default: Answers | None = None,
    labelled: Answers | None = None,
) -> Iterator[Row]:
    n, q = len(given.labels), len(task.question.codes)
    truth = task.truth[task.labelled :][:n]
    for share in (None, *SHARES) if q == 2 else (None,):
        weights = None if share is None else weights_for_share(truth, share)
        compared, with_labels = (
            {} if ours is None else differences(ours.first(n), given, truth, q, weights) for ours in (default, labelled)
        )
        measures = measure(given, truth, q, weights)
        if share is not None:  # labelled examples are of the data's own shares
            with_labels = {}
        yield Row(model, task.name, system, len(task.items), "", share, measures, compared, with_labels)
