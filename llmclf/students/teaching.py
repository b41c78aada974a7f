"""What a student is taught: a teacher's labels, from a table of annotations or a job file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from llmclf.annotations import Annotation, AnnotationColumns, Kind
from llmclf.audit.sources import Sources
from llmclf.errors import InputError, unknown
from llmclf.tables import hash_of_file


@dataclass(frozen=True, slots=True)
class Teacher:
    """One annotator's labels for one question."""

    annotator: str
    question: str
    by_item: Mapping[str, Annotation]
    source: str = field(repr=False)
    """The hash of the file."""


def read_teacher(path: Path, question: str = "", annotator: str = "") -> Teacher:
    """Read labels; of several for one item, as by several prompts, the first counts.

    Args:
        path: a table, or a job file.
        question: which, where there are several, and what was asked in a table that does not say it.
        annotator: whose, where there are several.

    Raises:
        InputError: there are several questions or annotators and none is chosen, or there are no labels.

    """
    found: dict[tuple[str, str], dict[str, Annotation]] = {}
    with Sources(AnnotationColumns(question=question)) as sources:
        for row in sources.annotations([(path, Kind.MODEL)]):
            one = row.annotation
            if one.label is not None:
                found.setdefault((one.question, one.annotator), {}).setdefault(one.item, one)
    if not found:
        raise InputError(f"{path} has no labels", "Give a table or job of `llmclf annotate`")
    question = _choice(path, "question", "--question", question, {asked for asked, _ in found})
    names = {name for asked, name in found if asked == question}
    annotator = _choice(path, "annotator", "--annotator", annotator, names)
    return Teacher(annotator, question, found[question, annotator], hash_of_file(path))


def _choice(path: Path, what: str, option: str, given: str, known: set[str]) -> str:
    if given in known:
        return given
    if given:
        raise InputError(f"{path}: {unknown(what, given, sorted(known))}")
    if len(known) > 1:
        raise InputError(f"{path} has several {what}s: {', '.join(sorted(known))}", f"Choose one with {option}")
    return known.pop()
