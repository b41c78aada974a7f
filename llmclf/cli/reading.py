"""What commands on several models read: tables and jobs, by question."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from llmclf.annotations import AnnotationColumns, Kind
from llmclf.errors import InputError

if TYPE_CHECKING:
    from llmclf.codebook import Codebook, Question
    from llmclf.ensembles.answers import ModelAnswers, Placed


def read_by_question(
    codebook: "Codebook", files: Iterable[Path], kind: Kind, columns: AnnotationColumns | None = None
) -> "dict[str, list[Placed]]":
    """Read the annotations in tables and jobs; what a job asked by another codebook is left out.

    Args:
        codebook: what was asked.
        files: tables, and jobs of models.
        kind: what the annotators are, where a table does not say it.
        columns: where a table that `llmclf annotate` has not written holds its annotations.

    Raises:
        InputError: a table asks what the codebook does not, or nothing answers it.

    """
    from llmclf.audit.sources import Sources
    from llmclf.ensembles.answers import by_question

    known = {question.name for question in codebook.questions}
    with Sources(columns) as sources:
        rows = [
            (row.where, row.annotation)
            for row in sources.annotations([(path, kind) for path in files])
            if not row.job or row.annotation.question in known
        ]
    if not rows:
        raise InputError("nothing here answers this codebook", "Give the codebook that was asked")
    return by_question(codebook, rows)


def read_one_model(codebook: "Codebook", question: "Question", path: Path) -> "ModelAnswers":
    """Read one model's answers to one question.

    Raises:
        InputError: there are none, or of several models.

    """
    from llmclf.ensembles.answers import answers_by_model

    rows = read_by_question(codebook, [path], Kind.MODEL).get(question.name, [])
    models = answers_by_model(question, rows)
    if len(models) != 1:
        found = f"the models {', '.join(models)}" if models else f"no answers to question {question.name!r}"
        raise InputError(f"{path} has {found}", "Give the table or the job of one model")
    return next(iter(models.values()))
