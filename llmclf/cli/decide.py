"""`llmclf decide`: labels from a job's records by any policy, and what it takes that was not asked."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmclf.cli.columns import (
    AnnotatorColumnOption,
    ConversationOption,
    FormatOption,
    IdOption,
    ItemColumnOption,
    LabelColumnOption,
    QuestionColumnsOption,
    SpeakerOption,
    TextOption,
    TurnOption,
    TurnsOption,
    item_columns,
    question_columns_of,
)
from llmclf.cli.common import (
    SOME_UNLABELLED,
    JsonOption,
    LocalOnlyOption,
    MaxRequestsOption,
    OutputFormatOption,
    PolicyOption,
    PricesOption,
    ask_table,
    console,
    duration,
    parse_policy,
)
from llmclf.cli.job import JobArgument, PlanOption
from llmclf.cli.summary import Summary
from llmclf.errors import InputError

if TYPE_CHECKING:
    from llmclf.annotations import AnnotationColumns, LabelValue
    from llmclf.codebook import Codebook
    from llmclf.items import ItemColumns
    from llmclf.job_file import JobFile
    from llmclf.policy import Policy
    from llmclf.recorded_decisions import Missing


def decide(
    path: JobArgument,
    policy: PolicyOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The table to write: *.csv, *.jsonl or *.parquet.")
    ] = None,
    labels: Annotated[
        list[Path] | None,
        typer.Option("--labels", metavar="TABLE", help="What people say of some of the items; repeatable."),
    ] = None,
    calibrate: Annotated[
        str | None,
        typer.Option(metavar="METHOD", help="With --labels: temperature, vector, or for two labels isotonic."),
    ] = None,
    thresholds: Annotated[
        str | None,
        typer.Option(metavar="METRIC", help="With --labels, for sets: tuned for macro-f1, micro-f1 or accuracy."),
    ] = None,
    risk: Annotated[
        float | None,
        typer.Option(help="With --labels: give no label where it is unsure, so that at most this share is wrong."),
    ] = None,
    coverage: Annotated[
        float | None,
        typer.Option(help="With --labels: give sets of labels, too, that hold the right one so often."),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Write the fitted policy, for --policy.")
    ] = None,
    ask: Annotated[bool, typer.Option("--ask", help="Ask what the policy takes and is not on record.")] = False,
    table: Annotated[
        str | None, typer.Option(metavar="INPUT", help="With --ask: the table that was annotated.")
    ] = None,
    id_column: IdOption = "id",
    text_column: TextOption = "text",
    turns_column: TurnsOption = None,
    turn: TurnOption = None,
    conversation_column: ConversationOption = None,
    speaker_column: SpeakerOption = "speaker",
    input_format: FormatOption = None,
    item_column: ItemColumnOption = "item",
    annotator_column: AnnotatorColumnOption = "annotator",
    label_column: LabelColumnOption = "label",
    question_columns: QuestionColumnsOption = "",
    plan: PlanOption = None,
    max_requests: MaxRequestsOption = None,
    prices: PricesOption = None,
    local_only: LocalOnlyOption = False,
    output_format: OutputFormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decide on the labels of a job again, by another policy, or by one fitted to labelled examples.

    Nothing is asked but with --ask; without it, what is missing is listed with its cost. Without --policy it is the one
    by which the job's labels were decided on at last.

    Example: llmclf decide labels.csv.job.sqlite --policy orders
    """
    from llmclf.annotations import AnnotationColumns, Kind, write_annotations
    from llmclf.fitting import Wanted, fit
    from llmclf.job_file import JobFile, open_records, open_redactor, redactions_of
    from llmclf.recorded_decisions import Sources

    wanted = Wanted(calibrate, thresholds, risk, coverage)
    if (wanted == Wanted()) != (not labels):
        raise InputError(
            "fitting takes --labels and one of --calibrate, --thresholds, --risk, --coverage", "Give both, or neither"
        )
    with open_records(path) as records:
        number = JobFile(records).choose(plan)
        decides_by = parse_policy(policy) if policy else JobFile(records).policy(number)
    if ask:
        columns = item_columns(id_column, text_column, turns_column, turn, conversation_column, speaker_column)
        _ask(path, number, decides_by, table, columns, input_format, max_requests, local_only=local_only)
    with open_records(path) as records:
        file = JobFile(records)
        missing = Sources(file, number, decides_by).missing
        if missing and not out and not labels:
            _list_missing(file, number, decides_by, missing, policy or decides_by.name, prices, as_json=as_json)
            return
        if labels:
            label_columns = AnnotationColumns(
                item_column, annotator_column, label_column, question_columns_of(question_columns), kind=Kind.EXPERT
            )
            known = _labels(labels, label_columns, file.codebook(number))
            decides_by = fit(file, number, decides_by, known, wanted)
            _tell_fitted(decides_by, as_json=as_json)
        if save:
            _save(save, decides_by)
        summary = Summary(file.codebook(number))
        redactor = open_redactor(path, file.plans[number]) if redactions_of(path).exists() else None
        found = summary.watch(file.annotations(number, redactor, decides_by))
        if out:
            write_annotations(out, found, file.codebook(number).reasons, output_format)
        else:
            for _ in found:
                pass
        if redactor:
            redactor.close()
    _tell(summary, decides_by, out, save, as_json=as_json)
    if summary.unlabelled:
        raise typer.Exit(SOME_UNLABELLED)


def _ask(
    path: Path,
    number: int,
    policy: "Policy",
    table: str | None,
    columns: "ItemColumns",
    given_format: str | None,
    max_requests: int | None,
    *,
    local_only: bool,
) -> None:
    from llmclf.items import ItemTable
    from llmclf.job import Job
    from llmclf.job_file import JobFile, open_records
    from llmclf.without_texts import text_key

    with open_records(path) as records:
        file = JobFile(records)
        plan, codebook, source = file.plans[number], file.codebook(number), records.input(number)
    if not plan.uri:
        raise InputError(f"{plan.annotator} was opened in Python", "Run the job with this policy there")
    if table is None:
        raise InputError("--ask takes the items' texts", "Give the table that was annotated with --table")
    items = ItemTable(table, columns, given_format)
    if items.source and source and source[0] and source[0]["table"] != items.source:
        raise InputError(
            f"{table} is not what the job has read, or is read in another way",
            "Give the same table, and the same options for its columns",
        )
    count = items.check()
    work = Job(
        path,
        codebook,
        plan.uri,
        max_requests=max_requests,
        local_only=local_only,
        phone_regions=plan.phone_regions,
        text_key=text_key() if plan.text_key else None,
        policy=policy,
        keep_policy=False,
    )
    ask_table(work, items, count)


def _list_missing(
    file: "JobFile",
    number: int,
    policy: "Policy",
    missing: "list[Missing]",
    given: str,
    prices: Path | None,
    *,
    as_json: bool,
) -> None:
    from llmclf.backends.base import Usage
    from llmclf.budget import price_of, read_prices
    from llmclf.tables import json_text

    spent, plan = file.spent(number), file.plans[number]
    answered = max(1, file.answered(number))
    requests = sum(one.requests for one in missing)
    usage = Usage(spent.prompt_tokens * requests // answered, 0, spent.completion_tokens * requests // answered)
    seconds = file.seconds_for(number, usage)
    money = price_of(plan.annotator, read_prices(prices)).of(usage) if prices else None
    if as_json:
        shown: dict[str, Any] = {"policy": policy.name, "missing": [asdict(one) for one in missing]}
        shown |= {"requests": requests, "tokens_in": usage.prompt_tokens, "seconds": seconds, "money": money}
        print(json_text(shown))
        return
    terminal = console()
    terminal.print(f"policy {policy.name} (assumes {policy.assumes}) takes answers that were not asked for:")
    for one in missing:
        questions = ", ".join(one.questions)
        terminal.print(f"  {one.what}: {one.items:,} items, {one.requests:,} requests ({questions})", markup=False)
    time = "" if seconds is None else f", {duration(seconds)} here"
    cost = "" if money is None else f", {money:,.2f} in money"
    terminal.print(f"{requests:,} requests in all, of about {usage.prompt_tokens:,} tokens{time}{cost}")
    command = f"llmclf decide {file.records.path} --policy {given} --ask --table TABLE --plan {number}"
    terminal.print(f"ask them: {command}", markup=False, soft_wrap=True)


def _labels(
    tables: Iterable[Path],
    columns: "AnnotationColumns",
    codebook: "Codebook",
) -> "Mapping[str, Mapping[str, LabelValue]]":
    from llmclf.annotations import read_annotations
    from llmclf.ensembles.answers import by_question, labels_of_people

    rows = (
        (f"{path}: row {number}", annotation)
        for path in tables
        for number, annotation in read_annotations(path, columns)
    )
    return {name: labels_of_people(codebook.get(name), placed) for name, placed in by_question(codebook, rows).items()}


def _save(path: Path, policy: "Policy") -> None:
    try:
        path.write_text(policy.model_dump_json(indent=1, exclude_defaults=True), encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}", "Give a path in a folder that exists") from None


def _tell_fitted(policy: "Policy", *, as_json: bool) -> None:
    if as_json:
        return
    for name, fitted in policy.fitted.items():
        if fitted.calibration:
            numbers = {key: value for key, value in fitted.calibration.items() if isinstance(value, float)}
            found = ", ".join(f"{key} {value:.3g}" for key, value in numbers.items())
            print(f"{name}: {fitted.calibration['method']}, {found or 'fitted'}, by {len(fitted.folds)} examples")
        if fitted.thresholds:
            found = ", ".join(f"{value:.2f}" for value in fitted.thresholds)
            print(f"{name}: a label applies from {found}, by {len(fitted.folds)} examples")
        for statement in fitted.statements:
            print(f"{name}: {statement}")


def _tell(summary: Summary, policy: "Policy", out: Path | None, save: Path | None, *, as_json: bool) -> None:
    from llmclf.tables import json_text

    if as_json:
        shown = summary.to_dict() | {"assumes": policy.assumes, "out": out and str(out)}
        print(json_text(shown | {"fitted": {name: one.model_dump(mode="json") for name, one in policy.fitted.items()}}))
        return
    for line in summary.lines():
        print(line)
    print(f"the policy assumes {policy.assumes}")
    for written in filter(None, (out, save)):
        print(f"wrote {written}")
