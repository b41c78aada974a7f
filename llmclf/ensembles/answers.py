"""What models and people answered to one question, item by item, to be held side by side."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from llmclf.agreement import Rating, Ratings
from llmclf.agreement.long_form import LongForm
from llmclf.agreement.majority import majority
from llmclf.agreement.ratings import MISSING
from llmclf.annotations import Annotation, Kind, LabelValue, label_text
from llmclf.codebook import Codebook, Question
from llmclf.errors import InputError, ScaleError, TableError, unknown
from llmclf.levels import Level

Placed: TypeAlias = tuple[str, Annotation]
"""An annotation after its place, for error messages."""


@dataclass(frozen=True, eq=False)
class ModelAnswers:
    """One model's answers to one question; labels are codes."""

    model: str
    by_item: Mapping[str, Annotation]

    def label(self, item: str) -> LabelValue | None:
        """Give its label of an item, None where it has none."""
        found = self.by_item.get(item)
        return None if found is None else found.label


def by_question(codebook: Codebook, rows: Iterable[Placed]) -> dict[str, list[Placed]]:
    """Part annotations by their questions; those of a table that names none answer the only one.

    Raises:
        InputError: the codebook has no such question.

    """
    found: dict[str, list[Placed]] = defaultdict(list)
    for where, annotation in rows:
        name = annotation.question
        if not name and len(codebook.questions) == 1:
            name = codebook.questions[0].name
        try:
            found[codebook.get(name).name].append((where, annotation))
        except InputError as error:
            raise InputError(f"{where}: {error.message}", "Give the codebook that was asked") from None
    return found


def answers_by_model(question: Question, rows: Iterable[Placed]) -> dict[str, ModelAnswers]:
    """Collect the answers of each model.

    Raises:
        InputError: an annotator is no model, or one answers an item twice.
        ScaleError: a label is not the question's.
        TableError: probabilities are none.

    """
    found: dict[str, dict[str, Annotation]] = defaultdict(dict)
    for where, annotation in rows:
        who, item = annotation.annotator, annotation.item
        if annotation.kind is not Kind.MODEL:
            raise InputError(f"{where}: {who!r} is of kind {annotation.kind}, not a model", "Give people by --expert")
        if item in found[who]:
            raise InputError(
                f"{where}: the model {who!r} has answered item {item!r} before",
                "Give each model once, and under a name of its own",
            )
        _check_probabilities(question, annotation, where)
        label = annotation.label and read_label(question, annotation.label, where)
        found[who][item] = replace(annotation, question=question.name, label=label)
    return {model: ModelAnswers(model, by_item) for model, by_item in found.items()}


def read_label(question: Question, label: LabelValue, where: str) -> LabelValue:
    """Give a label as its code or codes.

    Raises:
        ScaleError: it is none of the question.

    """
    if isinstance(label, tuple) != (question.kind == "set"):
        raise ScaleError(
            f"{where}: {label_text(label)!r} is no answer to the {question.kind} question {question.name!r}"
        )
    try:
        return tuple(map(question.read, label)) if isinstance(label, tuple) else question.read(label)
    except ScaleError as error:
        raise ScaleError(f"{where}: {error.message}") from None


def labels_of_people(question: Question, rows: Iterable[Placed]) -> dict[str, LabelValue]:
    """Give the one label that people favour for each item: most of them or, for a score, their median; ties have none.

    Raises:
        InputError: there are no labels, a model is among them, or one of them labels an item twice.
        ScaleError: a label is not the question's.

    """
    ratings = []
    for where, annotation in rows:
        if annotation.kind is Kind.MODEL:
            raise InputError(f"{where}: {annotation.annotator!r} is a model", "Give tables of people by --expert")
        label = annotation.label
        text = "" if label is None else label_text(read_label(question, label, where))
        ratings.append(Rating(annotation.item, annotation.annotator, text, where))
    if not any(rating.label for rating in ratings):
        raise InputError(
            f"question {question.name!r} has no labels of people", "Give tables of this question by --expert"
        )
    is_set = question.level is Level.SET
    table = Ratings.from_rows(ratings, question.level, None if is_set else question.codes)
    favoured = zip(table.items, majority(LongForm.of(table)).codes.tolist(), strict=True)
    labels = {item: table.scale[code] for item, code in favoured if code != MISSING}
    return {item: tuple(json.loads(label)) if is_set else label for item, label in labels.items()}


def _check_probabilities(question: Question, annotation: Annotation, where: str) -> None:
    for code, value in annotation.probabilities.items():
        if code not in question.codes:
            raise ScaleError(f"{where}: question {question.name!r}: {unknown('label', code, question.codes)}")
        if not 0 <= value <= 1:
            raise TableError(f"{where}: {value} is no probability of {code!r}", "Give numbers from 0 to 1")
