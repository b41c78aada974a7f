"""A model's answers in all ways in which it was asked, item by item, each taken as it is: no correction, no average."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from llmclf.agreement.counts import Floats
from llmclf.agreement.ratings import MISSING, Codes
from llmclf.annotations import label_text
from llmclf.backends.base import Origin
from llmclf.codebook import Question
from llmclf.deciding import base_decision
from llmclf.decisions import Decision
from llmclf.job_file import JobFile
from llmclf.variants import Asked, Variant, VariantKind


@dataclass(frozen=True, eq=False)
class WayAnswers:
    """The answers to one question, a row an item and a column a way of asking."""

    question: Question
    ways: tuple[Variant, ...]
    """Each is another one; the plain one comes first."""
    items: tuple[str, ...]
    """Those that were asked about in several ways."""
    scale: tuple[str, ...]
    codes: Codes
    """Positions in `scale`, -1 where there is no label: shape (items, ways)."""
    probabilities: Floats
    """In the order of the question's labels, NaN where not all have one: shape (items, ways, labels)."""
    origins: frozenset[Origin]
    """Where probabilities come from."""

    def columns(self, kind: VariantKind) -> list[int]:
        """Give the columns of one kind of way."""
        return [column for column, way in enumerate(self.ways) if way.kind == kind]


def way_answers(file: JobFile, plans: Iterable[int]) -> dict[str, WayAnswers]:
    """Read, for each question that was asked in several ways, the answers in the plans that ask in several."""
    found: dict[str, _Answers] = {}
    for number in plans:
        if len(file.plans[number].ways) == 1:
            continue
        asked = [one for one in file.asked(number) if one.variant.kind != "channel"]
        columns = [found.setdefault(one.base.name, _Answers(one.base)).column(one) for one in asked]
        for row, replies in file.records.rows(number):
            if row.problem:
                continue
            for one, column, numbers in zip(asked, columns, row.replies, strict=True):
                decision = base_decision(one, [replies[reply] for reply in numbers])
                found[one.base.name].by_item.setdefault(row.item, {}).setdefault(column, decision)
    return {name: answers.table() for name, answers in found.items() if len(answers.asked) > 1}


@dataclass(slots=True)
class _Answers:
    """Answers to one question as they are read."""

    question: Question
    asked: list[Asked] = field(default_factory=list)
    by_item: dict[str, dict[int, Decision]] = field(default_factory=dict)

    def column(self, asked: Asked) -> int:
        """Give the column of a way, which two plans may have asked in."""
        for column, one in enumerate(self.asked):
            if one.is_same(asked):
                return column
        self.asked.append(asked)
        return len(self.asked) - 1

    def table(self) -> WayAnswers:
        decisions = [
            (row, column, decision)
            for row, by_column in enumerate(self.by_item.values())
            for column, decision in by_column.items()
        ]
        labels = [label_text(decision.label) for _, _, decision in decisions]
        is_set = self.question.kind == "set"
        scale = tuple(sorted({label for label in labels if label})) if is_set else self.question.codes
        place = {label: code for code, label in enumerate(scale)}
        shape = len(self.by_item), len(self.asked)
        codes = np.full(shape, MISSING, dtype=np.int32)
        probabilities = np.full((*shape, len(self.question.label)), np.nan)
        for (row, column, decision), label in zip(decisions, labels, strict=True):
            codes[row, column] = place.get(label, MISSING)
            told = decision.probabilities or {}
            if len(told) == len(self.question.label):
                probabilities[row, column] = list(told.values())
        return WayAnswers(
            self.question,
            tuple(one.variant for one in self.asked),
            tuple(self.by_item),
            scale,
            codes,
            probabilities,
            frozenset(decision.origin for _, _, decision in decisions if decision.origin),
        )
