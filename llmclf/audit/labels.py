"""All that was answered to one question: the ratings of people and models, and what a model was asked again."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from llmclf.agreement import Rating, Ratings
from llmclf.agreement.long_form import LongForm
from llmclf.agreement.majority import Consensus, majority
from llmclf.agreement.ratings import MISSING, Codes
from llmclf.annotations import Kind, label_text
from llmclf.audit.fitted_on import comparable
from llmclf.audit.sources import Sourced
from llmclf.codebook import Question
from llmclf.ensembles.answers import read_label
from llmclf.errors import InputError
from llmclf.levels import Level

PEOPLE = (Kind.EXPERT, Kind.CROWD)


@dataclass(frozen=True, eq=False)
class Labels:
    """The answers to one question; of a model that was asked by several prompts or again, the first count as its own.

    Raises:
        InputError: there is no model, or there are no people, or one name stands for two kinds of annotators.
        ScaleError: a label is not on the question's scale.

    """

    question: Question
    ratings: Ratings
    """Of all annotators."""
    names: Mapping[Kind, list[str]]
    rows: Sequence[Sourced]
    """With labels as their codes; where a policy was fitted to an item's own label, without any."""
    repeats: Mapping[str, Mapping[tuple[str, str], Codes]]
    """Of each model, all its answers by prompt and run, if there are several: shape (items,)."""

    @classmethod
    def of(cls, question: Question, given: Iterable[Sourced]) -> "Labels":
        """Read the labels and put them in order."""
        rows = [comparable(_read(question, row)) for row in given]
        names = _names_by_kind(rows)
        if not names[Kind.MODEL]:
            raise InputError(
                f"question {question.name!r} has no annotations of a model",
                "Give the table that `llmclf annotate` wrote, or its job",
            )
        if not any(names[kind] for kind in PEOPLE):
            raise InputError(
                f"question {question.name!r} has no annotations of people", "Give a table of experts or of a crowd"
            )
        asked: dict[str, dict[tuple[str, str], list[Sourced]]] = defaultdict(lambda: defaultdict(list))
        own: list[Sourced] = []
        for row in rows:
            if row.annotation.kind is Kind.MODEL:
                asked[row.annotation.annotator][row.prompt, row.run].append(row)
            else:
                own.append(row)
        own += [row for times in asked.values() for row in next(iter(times.values()))]
        again = [_renamed(row) for times in asked.values() if len(times) > 1 for t in times.values() for row in t]
        everything = _ratings(question, [*own, *again])
        repeats = {
            model: {time: _column(everything, _name(model, *time)) for time in times}
            for model, times in asked.items()
            if len(times) > 1
        }
        ratings = everything.drop([_name(model, *time) for model, times in repeats.items() for time in times])
        return cls(question, ratings, names, own, repeats)

    @property
    def experts(self) -> list[str]:
        """The experts' names."""
        return self.names[Kind.EXPERT]

    @property
    def models(self) -> list[str]:
        """The models' names."""
        return self.names[Kind.MODEL]

    @property
    def crowd_name(self) -> str | None:
        """What stands for the crowd among annotators: its one member, or its consensus."""
        crowd = self.names[Kind.CROWD]
        return (crowd[0] if len(crowd) == 1 else f"consensus of {len(crowd)}") if crowd else None

    @cached_property
    def crowd(self) -> LongForm:
        """The ratings of the crowd one by one."""
        return LongForm.of(self.ratings.select(self.names[Kind.CROWD]))

    @cached_property
    def consensus(self) -> Consensus:
        """The label that the crowd gives each item."""
        return majority(self.crowd)

    @cached_property
    def beside(self) -> Ratings:
        """The experts, the models, and the crowd as one: all that are compared two by two."""
        chosen = self.ratings.select([*self.experts, *self.models])
        if chosen.raters is not None:
            raise InputError(
                f"question {self.question.name!r} has {len(chosen.annotators)} experts and models",
                "Give --kind crowd for annotators of whom each saw a few items",
            )
        if self.crowd_name is None:
            return chosen
        codes = np.column_stack([chosen.codes, self.consensus.codes.astype(chosen.codes.dtype)])
        return replace(chosen, codes=codes, annotators=(*chosen.annotators, self.crowd_name))

    @cached_property
    def reference(self) -> Codes:
        """The consensus of the experts or, where there are none, of the crowd; -1 where there is no single one."""
        if not self.experts:
            return self.consensus.codes
        return majority(LongForm.of(self.ratings.select(self.experts))).codes

    @cached_property
    def of_people(self) -> Mapping[str, dict[str, str]]:
        """Each person's label, by the item and their name."""
        found: dict[str, dict[str, str]] = defaultdict(dict)
        for row in self.rows:
            if row.annotation.kind in PEOPLE and row.annotation.label is not None:
                found[row.annotation.item][row.annotation.annotator] = label_text(row.annotation.label)
        return found

    def own_rows(self, model: str) -> list[Sourced]:
        """Give a model's rows."""
        return [row for row in self.rows if row.annotation.annotator == model]

    def label_counts(self, item: str) -> Counter[str]:
        """Count the labels that people gave an item."""
        return Counter(self.of_people[item].values()) if item in self.of_people else Counter()


def _read(question: Question, row: Sourced) -> Sourced:
    label = row.annotation.label
    if label is None:
        return row
    return replace(row, annotation=replace(row.annotation, label=read_label(question, label, row.where)))


def _names_by_kind(rows: Iterable[Sourced]) -> dict[Kind, list[str]]:
    kinds: dict[str, Kind] = {}
    for row in rows:
        name, kind = row.annotation.annotator, row.annotation.kind
        if kinds.setdefault(name, kind) is not kind:
            raise InputError(
                f"{row.where}: the annotator {name!r} is {kind} here and {kinds[name]} elsewhere",
                "Give each a name of its own",
            )
    return {kind: [name for name, its_kind in kinds.items() if its_kind is kind] for kind in Kind}


def _name(model: str, prompt: str, run: str) -> str:
    return f"{model} {prompt} {run}\x00"  # the last character keeps it from being anybody else's name


def _renamed(row: Sourced) -> Sourced:
    return replace(
        row, annotation=replace(row.annotation, annotator=_name(row.annotation.annotator, row.prompt, row.run))
    )


def _column(ratings: Ratings, name: str) -> Codes:
    if name not in ratings.annotators:
        return np.full(len(ratings.items), MISSING, dtype=ratings.codes.dtype)
    column: Codes = ratings.select([name]).codes[:, 0]
    return column


def _ratings(question: Question, rows: Iterable[Sourced]) -> Ratings:
    ratings = [
        Rating(row.annotation.item, row.annotation.annotator, label_text(row.annotation.label), row.where)
        for row in rows
    ]
    if not any(rating.label for rating in ratings):
        raise InputError(f"question {question.name!r} has no labels", "Take its rows out, or fill them in")
    return Ratings.from_rows(ratings, question.level, None if question.level is Level.SET else question.codes)
