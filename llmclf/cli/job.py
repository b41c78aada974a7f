"""`llmclf job`: look into a job file, ask again what failed, and write its table again."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmclf.cli.common import JsonOption, OutputFormatOption, PolicyOption, console, parse_policy, progress

if TYPE_CHECKING:
    from llmclf.job_file import JobFile, Progress

job = typer.Typer(
    help="Look into a job file, ask again what failed, and write its table again.",
    epilog="Example: llmclf job status labels.csv.job.sqlite",
    no_args_is_help=True,
)

JobArgument = Annotated[Path, typer.Argument(metavar="JOB", help="The --job of an earlier annotate.")]
PlanOption = Annotated[
    int | None, typer.Option("--plan", metavar="N", help="Which of its plans, by the number that status shows.")
]


@job.command()
def status(path: JobArgument, as_json: JsonOption = False) -> None:
    """Say what was asked, what is done, and what has no label and why.

    Example: llmclf job status labels.csv.job.sqlite
    """
    from llmclf.job_file import JobFile, open_records
    from llmclf.served import change
    from llmclf.tables import json_text

    with open_records(path) as records:
        file = JobFile(records)
        found = {number: file.progress(number) for number in file.plans}
        served = {number: file.served(number) for number in file.plans}
        if as_json:
            print(json_text([_to_dict(file, n, one) for n, one in found.items()]))
            return
        terminal = console()
        for number, one in found.items():
            plan = file.plans[number]
            book = file.codebook(number)
            by = f"{plan.annotator} ({plan.uri})" if plan.uri else plan.annotator
            terminal.print(f"plan {number}: {book.name}, by {by}", markup=False)
            if plan.variants:
                terminal.print(f"  asked in the ways {', '.join(map(str, plan.ways))}", markup=False)
            what = "texts that say nothing" if plan.is_about_texts else "items"
            terminal.print(f"  {one.items} {what}, {_statuses(one)}", markup=False)
            spent = file.spent(number)
            if spent.prompt_tokens:
                terminal.print(
                    f"  {spent.prompt_tokens:,} tokens read, {spent.completion_tokens:,} written", markup=False
                )
            if one.can_retry:
                terminal.print(f"  {one.can_retry} may be answered another time: llmclf job retry {path}", markup=False)
            if changed := change(served[number]):
                terminal.print(f"  {changed}", markup=False)
        if records.lost_in_all:
            terminal.print(f"{records.lost_in_all} requests were sent and never answered: the process had been ended")
        if not found:
            terminal.print("nothing was asked yet")


@job.command()
def failures(path: JobArgument, plan: PlanOption = None, as_json: JsonOption = False) -> None:
    """List the questions that have no label, and why.

    Example: llmclf job failures labels.csv.job.sqlite --json
    """
    from rich.table import Table

    from llmclf.job_file import JobFile, open_records
    from llmclf.tables import json_text

    with open_records(path) as records:
        file = JobFile(records)
        found = file.unlabelled(file.choose(plan))
        if as_json:
            for one in found:
                shown = {"item": one.item, "question": one.question, "status": str(one.status)}
                print(json_text(shown | {"detail": one.detail, "can_retry": one.can_retry}))
            return
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
        for heading in ("item", "question", "status", "retry", "detail"):
            table.add_column(heading, overflow="fold")
        for one in found:
            table.add_row(one.item, one.question, str(one.status), "yes" if one.can_retry else "no", one.detail)
        console().print(table if table.row_count else "all questions have a label", markup=False)


@job.command()
def retry(
    path: JobArgument,
    plan: PlanOption = None,
    also_final: Annotated[
        bool, typer.Option("--all", help="Also what would fail again unless the backend has changed.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask again what failed, of the same model with the same settings.

    Example: llmclf job retry labels.csv.job.sqlite
    """
    from llmclf.backends.base import Failure
    from llmclf.retrying import retry as ask_again
    from llmclf.tables import json_text

    asked = still = 0
    with progress("asking again", None) as step:
        for reply in ask_again(path, plan, also_final=also_final):
            asked += 1
            still += isinstance(reply, Failure)
            step(1, isinstance(reply, Failure))
    if as_json:
        print(json_text({"asked": asked, "failed": still}))
        return
    print(f"{asked} requests asked again, {still} failed again")
    if asked:
        print(f"write the table again: llmclf job export {path} --out TABLE")


@job.command()
def export(
    path: JobArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="A CSV, JSONL or Parquet file to write; - is a pipe.")],
    plan: PlanOption = None,
    policy: PolicyOption = None,
    output_format: OutputFormatOption = None,
) -> None:
    """Write the table of annotations again from the record, by the policy used at last or another; no model is asked.

    Example: llmclf job export labels.csv.job.sqlite --out labels.parquet
    """
    from llmclf.annotations import write_annotations
    from llmclf.job_file import JobFile, open_records, open_redactor, redactions_of
    from llmclf.tables import STDIO

    with open_records(path) as records:
        file = JobFile(records)
        number = file.choose(plan)
        redactor = open_redactor(path, file.plans[number]) if redactions_of(path).exists() else None
        found = file.annotations(number, redactor, parse_policy(policy) if policy else None)
        write_annotations(out, found, file.codebook(number).reasons, output_format)
        if redactor:
            redactor.close()
    if str(out) != STDIO:
        print(f"wrote {out}")


@job.command()
def bundle(
    path: JobArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="A zip archive to write.")],
) -> None:
    """Pack codebooks, prompts, replies, settings and versions into one archive, which the other commands read, too.

    Example: llmclf job bundle labels.csv.job.sqlite --out job.zip
    """
    from llmclf.bundle import write_bundle
    from llmclf.job_file import open_records

    with open_records(path) as records:
        names = write_bundle(records, out)
    print(f"wrote {out}: {', '.join(names)}")


def _to_dict(file: "JobFile", number: int, found: "Progress") -> dict[str, Any]:
    plan = file.plans[number]
    return {
        "plan": number,
        "codebook": plan.codebook["name"],
        "backend": plan.uri,
        "annotator": plan.annotator,
        "order": plan.order,
        "samples": plan.samples,
        "ways": [str(way) for way in plan.ways],
        "about_texts": plan.is_about_texts,
        "policy": dict(plan.policy) or None,
        "model": dict(plan.identity["model"]),
        "settings": dict(plan.settings),
        "items": found.items,
        "statuses": {str(status): count for status, count in found.statuses.items()},
        "can_retry": found.can_retry,
        "tokens": asdict(file.spent(number)),
        "served": [
            asdict(one) | {"first": one.first.isoformat(), "last": one.last.isoformat()} for one in file.served(number)
        ],
    }


def _statuses(found: "Progress") -> str:
    return ", ".join(f"{count} {status}" for status, count in found.statuses.most_common()) or "no answers"
