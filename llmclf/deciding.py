"""What a policy makes of recorded replies: log-scores, corrected and averaged, and the labels that follow from them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from llmclf.backends.base import Reply, Scores
from llmclf.codebook import Question
from llmclf.decisions import Decision, decide
from llmclf.errors import InputError
from llmclf.label_reading import LabelReader
from llmclf.log_scores import Floats, log_mean_exp, log_scores, log_softmax
from llmclf.policy import LEAST_WINDOW, Policy
from llmclf.status import Status
from llmclf.variants import Asked

ItemReplies: TypeAlias = Status | Sequence[Sequence[Reply]]
"""What was replied about an item, for each of the questions asked; or why nothing could be asked."""


class Decider:
    """Decides on labels by a policy.

    Args:
        policy: how.
        asked: the questions that replies answer, in their order.

    """

    def __init__(self, policy: Policy, asked: Sequence[Asked]) -> None:
        self.policy = policy
        self._questions = {
            question: [place for place, one in enumerate(asked) if one.base.name == question.name]
            for question in dict.fromkeys(one.base for one in asked)
        }
        self._asked = asked
        self._offsets: dict[str, Floats] = {}

    def learn(self, kinds: Iterable[Sequence[ItemReplies]]) -> None:
        """Learn the correction: from the replies about each kind of texts that say nothing, or about the first items.

        Raises:
            InputError: too few of them have an answer, or the answers have no likelihoods.

        """
        by_kind = [[one for one in replies if not isinstance(one, Status)] for replies in kinds]
        for question in self._questions:
            of_kinds = [self._without_text(question, replies) for replies in by_kind]
            self._offsets[question.name] = self.policy.strength * np.mean(of_kinds, axis=0)

    def _without_text(self, question: Question, replies: Sequence[ItemReplies]) -> Floats:
        """Give the log-scores that labels have on average, whatever the text."""
        found = self._read(question, replies)
        if found.are_votes.any():
            raise InputError(
                f"the policy {self.policy.name} corrects likelihoods, and these answers are labels without any",
                "Use the policy raw",
            )
        values = found.values[found.is_answered]
        least = LEAST_WINDOW if self.policy.learns else 1
        if len(values) < least:
            what = "items" if self.policy.learns else "texts that say nothing"
            hint = "Use the policy content-free" if self.policy.learns else "See `llmclf job failures`"
            raise InputError(f"question {question.name!r}: {len(values)} {what} have an answer, not {least}", hint)
        log_p = log_softmax(values)
        mean: Floats = log_p.mean(axis=0) if self.policy.correction == "batch-mean" else log_mean_exp(log_p)
        return mean

    def decide(self, items: Sequence[str], replies: Sequence[ItemReplies]) -> list[list[Decision]]:
        """Decide on every question about each item; examples of a fitted policy are known by their ids."""
        if self.policy.is_raw:
            return [self._decide_raw(one) for one in replies]
        columns = [self._decide_question(question, items, replies) for question in self._questions]
        return [list(row) for row in zip(*columns, strict=True)]

    def log_scores(self, question: Question, replies: Sequence[ItemReplies]) -> Floats:
        """Give each item's log-scores, corrected and averaged, not calibrated: shape (n, q), of a set (n, q, 2).

        They sum to 1 as probabilities. NaN throughout where there is no answer, or no likelihoods.
        """
        found = self._read(question, replies)
        pooled = self._pool(question, self._corrected(question, found.values))
        pooled[~found.is_answered | found.are_votes] = np.nan
        return pooled

    def _decide_raw(self, replies: ItemReplies) -> list[Decision]:
        if isinstance(replies, Status):
            return [Decision(replies)] * len(self._questions)
        return [decide(question, replies[places[0]]) for question, places in self._questions.items()]

    def _read(self, question: Question, replies: Sequence[ItemReplies]) -> "_Read":
        places = self._questions[question]
        shape = (len(question.label), 2) if question.kind == "set" else (len(question.label),)
        found = _Read(
            np.zeros((len(replies), len(places), *shape)),
            [Status.OK] * len(replies),
            np.zeros(len(replies), dtype=np.bool_),
        )
        for item, said in enumerate(replies):
            if isinstance(said, Status):
                found.statuses[item] = said
                continue
            for way, place in enumerate(places):
                read = log_scores(self._asked[place], said[place], self.policy.reading)
                if isinstance(read, Status):
                    found.statuses[item] = read
                    break
                if read is None:
                    found.are_votes[item] = True
                else:
                    found.values[item, way] = read
        return found

    def _corrected(self, question: Question, values: Floats) -> Floats:
        """Give log-probabilities in each way of asking, less what the labels have without any text."""
        log_p = log_softmax(values)
        if question.name not in self._offsets:
            return log_p
        return log_softmax(log_p - self._offsets[question.name])

    def _pool(self, question: Question, log_p: Floats) -> Floats:
        pooled = log_softmax(log_p.mean(axis=1) / self.policy.temperature)
        shares = self.policy.prior.get(question.name)
        if shares:
            by_code = {question.read(label): share for label, share in shares.items()}
            pooled = log_softmax(pooled + np.log([by_code[code] for code in question.codes]))
        return pooled

    def _decide_question(
        self, question: Question, items: Sequence[str], replies: Sequence[ItemReplies]
    ) -> list[Decision]:
        found = self._read(question, replies)
        by_way = self._corrected(question, found.values)
        pooled = self._pool(question, by_way)
        spread = np.abs(np.exp(by_way) - np.exp(by_way).mean(axis=1, keepdims=True)).sum(axis=-1) / 2
        instability = spread.reshape(len(replies), -1).mean(axis=1) if by_way.shape[1] > 1 else None
        reader = LabelReader(question, self.policy)
        probabilities = reader.probabilities(pooled, items)
        decisions = []
        for item, said in enumerate(replies):
            status = found.statuses[item]
            if isinstance(said, Status) or status is not Status.OK:
                decisions.append(Decision(status))
            elif found.are_votes[item]:
                decisions.append(self._vote(question, said))
            else:
                decision = reader.decision(items[item], probabilities[item], self._said_first(question, said))
                if instability is not None:
                    decision = replace(decision, instability=float(instability[item]))
                decisions.append(decision)
        return decisions

    def _said_first(self, question: Question, said: Sequence[Sequence[Reply]]) -> Decision:
        """Give where the probabilities come from, and the reasons, of the first way of asking."""
        place = self._questions[question][0]
        first = said[place][0]
        if isinstance(first, Scores) and first.origin == "likelihoods":
            return Decision(Status.OK, origin=first.origin)
        return decide(self._asked[place].question, said[place])

    def _vote(self, question: Question, said: Sequence[Sequence[Reply]]) -> Decision:
        """Give the label that most ways of asking bring, of equals the one that comes first."""
        ways = [self._asked[place] for place in self._questions[question]]
        told = [base_decision(way, said[place]) for way, place in zip(ways, self._questions[question], strict=True)]
        if len(told) == 1:
            return told[0]
        labels = [one.label for one in told]
        ((label, count),) = Counter(labels).most_common(1)
        votes = Counter(code for one in labels for code in ((one,) if isinstance(one, str) else one or ()))
        first = told[labels.index(label)]
        return replace(
            first,
            label=label,
            probability=count / len(told),
            probabilities={code: votes[code] / len(told) for code in question.codes},
            origin="samples",
            samples=len(told),
            instability=1 - count / len(told),
        )


@dataclass(slots=True)
class _Read:
    """What replies about items come to, before anything is corrected."""

    values: Floats
    """Shape (n, ways of asking, q), of a set (n, ways of asking, q, 2)."""
    statuses: list[Status]
    are_votes: NDArray[np.bool_]
    """Where labels were said without probabilities."""

    @property
    def is_answered(self) -> NDArray[np.bool_]:
        return np.array([status is Status.OK for status in self.statuses], dtype=np.bool_)


def base_decision(asked: Asked, replies: Sequence[Reply]) -> Decision:
    """Decide on the replies to a question asked in one way, and say it in the codebook's codes and their order."""
    decision = decide(asked.question, replies)
    codes = dict(zip(asked.question.codes, asked.codes, strict=True))
    told = {codes[code]: p for code, p in (decision.probabilities or {}).items()}
    label = decision.label
    if isinstance(label, tuple):
        said = {codes[code] for code in label}
        label = tuple(code for code in asked.base.codes if code in said)
    elif label is not None:
        label = codes[label]
    return replace(decision, label=label, probabilities={code: told[code] for code in asked.base.codes if code in told})
