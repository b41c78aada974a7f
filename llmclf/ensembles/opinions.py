"""Several models' answers to one question as arrays."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from llmclf.agreement.counts import Floats, Ints
from llmclf.agreement.long_form import LongForm
from llmclf.annotations import LabelValue, label_text
from llmclf.codebook import Question
from llmclf.ensembles.answers import ModelAnswers
from llmclf.levels import Level


@dataclass(frozen=True, eq=False)
class Opinions:
    """A label for each of R answers of models about items, of q labels."""

    votes: LongForm
    probabilities: Floats
    """Shape (R, q), NaN throughout where an answer has not all of them."""

    def with_probabilities(self) -> Self:
        """Keep the answers that have them."""
        return self.taken(np.asarray(~np.isnan(self.probabilities).any(axis=1)))

    def taken(self, kept: npt.NDArray[np.bool_]) -> Self:
        """Keep some of the answers; items, models and labels stay as they are."""
        votes = self.votes
        some = replace(votes, item=votes.item[kept], annotator=votes.annotator[kept], label=votes.label[kept])
        return type(self)(some, self.probabilities[kept])


class Gathered:
    """All answers to the question, and the parts in which it is decided: the whole, or each label of a set."""

    def __init__(
        self, question: Question, models: Sequence[ModelAnswers], people: Mapping[str, LabelValue] | None
    ) -> None:
        self.question = question
        self.models = models
        self.people = people
        self.items = tuple(dict.fromkeys(item for model in models for item in model.by_item))
        self.place = {item: at for at, item in enumerate(self.items)}
        given = [
            (self.place[item], number, found)
            for number, model in enumerate(models)
            for item, found in model.by_item.items()
            if found.label is not None
        ]
        self.answers = [found for *_, found in given]
        self.item: Ints = np.array([item for item, *_ in given], dtype=np.int64)
        self.model: Ints = np.array([number for _, number, _ in given], dtype=np.int64)
        self.is_whole = np.array(
            [len(found.probabilities) == len(question.codes) for found in self.answers], dtype=np.bool_
        )

    def parts(self) -> Iterator[tuple[str, Opinions]]:
        """Give the opinions on each label of a set, 0 without and 1 with it; of another question on all labels."""
        codes = self.question.codes
        if self.question.kind == "set":
            for code in codes:
                applies = np.array([code in (one.label or ()) for one in self.answers], dtype=np.int64)
                p = np.array([one.probabilities.get(code, np.nan) for one in self.answers])
                yield code, self._opinions(applies, np.stack([1 - p, p], axis=1), Level.NOMINAL)
        else:
            place = {code: at for at, code in enumerate(codes)}
            label = np.array([place[str(one.label)] for one in self.answers], dtype=np.int64)
            table = [[one.probabilities.get(code, np.nan) for code in codes] for one in self.answers]
            yield "", self._opinions(label, np.array(table).reshape(-1, len(codes)), self.question.level)

    def _opinions(self, label: Ints, probabilities: Floats, level: Level) -> Opinions:
        q = probabilities.shape[1]
        votes = LongForm(
            self.item, self.model, label, len(self.items), len(self.models), np.arange(q, dtype=np.float64), level
        )
        return Opinions(votes, np.where(self.is_whole[:, np.newaxis], probabilities, np.nan))

    def known(self, code: str) -> Floats | None:
        """Give what people said of a part, as probabilities of 0 and 1 with NaN where they said nothing."""
        if self.people is None:
            return None
        labels = ("", code) if code else self.question.codes
        known = np.full((len(self.items), len(labels)), np.nan)
        for item, label in self.people.items():
            if item in self.place:
                said = labels[code in label] if code else label
                known[self.place[item]] = [one == said for one in labels]
        return known

    def unanimity(self) -> tuple[int, int]:
        """Count the items with several labels, and those of them where all are the same."""
        labels: dict[int, list[str]] = defaultdict(list)
        for item, found in zip(self.item.tolist(), self.answers, strict=True):
            labels[item].append(label_text(found.label))
        several = [given for given in labels.values() if len(given) > 1]
        return len(several), sum(len(set(given)) == 1 for given in several)
