"""`llmclf audit`: models beside people, question by question."""

from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from llmclf.annotations import AnnotationColumns, Kind
from llmclf.cli.columns import (
    AnnotatorColumnOption,
    ItemColumnOption,
    LabelColumnOption,
    QuestionColumnsOption,
    question_columns_of,
)
from llmclf.cli.common import JsonOption, console, split_list
from llmclf.errors import InputError


def audit(
    codebook: Annotated[Path, typer.Option("--codebook", "-c", help="A folder with codebook.toml, or a TOML file.")],
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="Tables of annotations that say who is what; jobs of models."),
    ] = None,
    expert: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A table of experts, which need not say it; repeatable.")
    ] = None,
    crowd: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A table of a crowd, which need not say it; repeatable.")
    ] = None,
    model: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A table of a model, which need not say it; repeatable.")
    ] = None,
    margin: Annotated[
        float, typer.Option(help="The loss of agreement that still does; to be fixed before anybody looks.")
    ] = 0.1,
    ceiling: Annotated[
        float, typer.Option(help="What the experts' own agreement must exceed for them to be a standard.")
    ] = 0.0,
    epsilon: Annotated[
        str, typer.Option(metavar="E,...", help="Alternative annotator test: what the model's lower cost is worth.")
    ] = "0.1,0.15,0.2",
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write report.html, report.json and report.md there.")
    ] = None,
    gate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="QUESTION=VERDICT,...",
            help="Exit with 5 where a model has another verdict, with 4 where there is none; repeatable.",
        ),
    ] = None,
    kind: Annotated[
        Kind | None, typer.Option(help="What the annotators of FILE... are, in tables without a column kind.")
    ] = None,
    question: Annotated[
        str, typer.Option("--question", "-q", help="The question, in tables without a column question.")
    ] = "",
    item_column: ItemColumnOption = "item",
    annotator_column: AnnotatorColumnOption = "annotator",
    label_column: LabelColumnOption = "label",
    question_columns: QuestionColumnsOption = "",
    items: Annotated[Path | None, typer.Option(help="The annotated table, for the worst items' texts.")] = None,
    id_column: Annotated[str, typer.Option(help="In --items, the column with the ids.")] = "id",
    text_column: Annotated[str, typer.Option(help="In --items, the column with the texts.")] = "text",
    as_json: JsonOption = False,
) -> None:
    """Say whether a model's labels may stand in for experts', and whether they are better than a crowd's.

    A table that `llmclf annotate` wrote is read as it is; the column options say where other tables hold theirs.
    Columns `prompt` and `run` tell repeats of a model apart; `sampling_probability` says how items were chosen for
    experts who saw a sample.

    Example: llmclf audit labels.csv --expert anna.csv --expert ben.csv --codebook prompts/sentiment --out report
    """
    from llmclf.audit.compare import audit as compare
    from llmclf.audit.gate import Gate
    from llmclf.audit.public_data import public_data_warning
    from llmclf.audit.report import Settings
    from llmclf.audit.sources import Sources
    from llmclf.audit.warnings import plan_warnings
    from llmclf.cli.audit_view import show
    from llmclf.codebook import Codebook

    columns = AnnotationColumns(
        item=item_column,
        annotator=annotator_column,
        label=label_column,
        questions=question_columns_of(question_columns),
        question=question,
    )
    given = [(path, kind) for path in files or ()]
    for its_kind, paths in ((Kind.EXPERT, expert), (Kind.CROWD, crowd), (Kind.MODEL, model)):
        given += [(path, its_kind) for path in paths or ()]
    book = Codebook.load(codebook)
    gates = [Gate.parse(text, book) for text in gate or ()]
    settings = Settings(margin=margin, ceiling=ceiling, epsilons=_numbers(epsilon))
    with Sources(columns) as sources:
        texts = _texts(items, id_column, text_column) if items else {}
        found = compare(sources.annotations(given), book, settings, texts, sources.record, sources.changes)
        public = public_data_warning(chain(texts.values(), sources.asked_texts()))
        warnings = [*plan_warnings(sources.plans), *found.warnings, *([public] if public else [])]
        found = found.model_copy(update={"sources": sources.read, "plans": sources.plans, "warnings": warnings})
    if out:
        from llmclf.audit.writing import write_report

        write_report(out, found)
    if as_json:
        print(found.model_dump_json())
    else:
        show(found, console(), details=out is None)
        if out:
            console().print(f"{out / 'report.html'}, report.json and report.md are written", markup=False)
    failed = [outcome for one in gates for outcome in one.outcomes(found)]
    if failed:
        for line in failed:
            typer.echo(line.sentence, err=True)
        raise typer.Exit(max(line.exit_code for line in failed))


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(map(float, split_list(text)))
    except ValueError:
        raise InputError(f"--epsilon {text}: no numbers", "Give them as 0.1,0.2") from None


def _texts(path: Path, id_column: str, text_column: str) -> dict[str, str]:
    from llmclf.items import ItemColumns, read_items

    return {item.id: item.text for item in read_items(path, ItemColumns(id=id_column, text=text_column))}
