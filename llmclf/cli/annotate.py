"""`llmclf annotate`: a table of items in, the table of annotations out."""

import logging
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmclf.cli.columns import (
    ConversationOption,
    FormatOption,
    IdOption,
    SpeakerOption,
    TableArgument,
    TextOption,
    TurnOption,
    TurnsOption,
    item_columns,
)
from llmclf.cli.common import (
    SOME_UNLABELLED,
    BackendOption,
    CodebookOption,
    JsonOption,
    LocalOnlyOption,
    MaxCostOption,
    MaxRequestsOption,
    NoTextsOption,
    OrderOption,
    OutputFormatOption,
    PhoneRegionsOption,
    PolicyOption,
    PricesOption,
    RedactOption,
    SamplesOption,
    SettingOption,
    parse_order,
    parse_policy,
    parse_regions,
    parse_settings,
    progress,
)
from llmclf.cli.engine import EngineOption, check_out, write_table
from llmclf.cli.summary import Summary
from llmclf.errors import InputError

if TYPE_CHECKING:
    from llmclf.cluster import RayJob
    from llmclf.items import ItemColumns
    from llmclf.job import Job
    from llmclf.policy import Policy
    from llmclf.prompts import Order

log = logging.getLogger("llmclf")


def annotate(
    table: TableArgument,
    codebook: CodebookOption,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The table to write: *.csv, *.jsonl or *.parquet; - is standard output.")
    ],
    backend: BackendOption = "local",
    setting: SettingOption = None,
    id_column: IdOption = "id",
    text_column: TextOption = "text",
    turns_column: TurnsOption = None,
    turn: TurnOption = None,
    conversation_column: ConversationOption = None,
    speaker_column: SpeakerOption = "speaker",
    input_format: FormatOption = None,
    output_format: OutputFormatOption = None,
    job: Annotated[Path | None, typer.Option(help="The record of replies; default: OUT.job.sqlite.")] = None,
    order: OrderOption = None,
    policy: PolicyOption = None,
    best_only: Annotated[
        bool,
        typer.Option("--best-only", help="Local models: find the best label alone, without probabilities."),
    ] = False,
    samples: SamplesOption = None,
    reproducible: Annotated[
        bool, typer.Option("--reproducible", help="Local models: the same bits each time, several times slower.")
    ] = False,
    re_ask: Annotated[
        int,
        typer.Option("--re-ask", min=0, help="How often a reply that cannot be read is asked for again."),
    ] = 1,
    max_requests: MaxRequestsOption = None,
    max_cost: MaxCostOption = None,
    prices: PricesOption = None,
    local_only: LocalOnlyOption = False,
    engine: EngineOption = None,
    redact: RedactOption = False,
    phone_regions: PhoneRegionsOption = "",
    no_texts: NoTextsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Ask a codebook's questions about every row, and write one row an item and question.

    What was answered once is not asked again: after any end, the same command goes on.

    Example: llmclf annotate reviews.csv --codebook prompts/sentiment --out labels.csv
    """
    columns = item_columns(id_column, text_column, turns_column, turn, conversation_column, speaker_column)
    run_annotation(
        table,
        codebook,
        out,
        backend=backend,
        settings=parse_settings(setting) | ({"reproducible": True} if reproducible else {}),
        columns=columns,
        input_format=input_format,
        output_format=output_format,
        job=job,
        order=parse_order(order),
        policy=parse_policy(policy or ("raw" if engine else None), best_only=best_only),
        best_only=best_only,
        samples=samples,
        re_ask=re_ask,
        max_requests=max_requests,
        max_cost=max_cost,
        prices=prices,
        local_only=local_only,
        engine=engine,
        phone_regions=parse_regions(phone_regions) if redact else None,
        no_texts=no_texts,
        as_json=as_json,
    )


def run_annotation(
    table: str | Path,
    codebook: Path,
    out: Path,
    *,
    backend: str,
    settings: Mapping[str, Any] | None = None,
    columns: "ItemColumns | None" = None,
    input_format: str | None = None,
    output_format: str | None = None,
    job: Path | None = None,
    order: "Order | None" = None,
    policy: "Policy | None" = None,
    best_only: bool = False,
    samples: int | None = None,
    re_ask: int = 1,
    max_requests: int | None = None,
    max_cost: float | None = None,
    prices: Path | None = None,
    local_only: bool = False,
    engine: str | None = None,
    phone_regions: Sequence[str] | None = None,
    no_texts: bool = False,
    as_json: bool = False,
) -> None:
    """Annotate a table, with progress on standard error and a summary at the end."""
    from llmclf.backends.base import Reading
    from llmclf.budget import price_of, read_prices
    from llmclf.cluster import RayJob
    from llmclf.codebook import Codebook
    from llmclf.items import ItemColumns, ItemTable
    from llmclf.job import Job
    from llmclf.job_file import known_items
    from llmclf.prompts import Prompt
    from llmclf.tables import STDIO
    from llmclf.without_texts import text_key

    book = Codebook.load(codebook)
    Prompt(book).check()
    price_table = read_prices(prices) if prices else None
    policy = policy or parse_policy(None, best_only=best_only)
    in_process = {
        "--max-requests": max_requests,
        "--max-cost": max_cost,
        "--samples": samples,
        "--redact": phone_regions,
        "--no-texts": no_texts or None,
        "--policy": None if policy.is_raw else policy.name,
    }
    check_out(out, output_format, engine, in_process)
    if str(out) == STDIO and not job:
        raise InputError("--out - has no name for the record of replies", "Give --job FILE")
    if out.exists() and out.samefile(table):
        raise InputError(f"--out {out} is the input", "Give another path")
    record = job or out.with_name(f"{out.name}.job.sqlite")
    items = ItemTable(table, columns or ItemColumns(), input_format)
    count = known_items(record, items.source)
    if count is None:  # of one that was read to its end, nothing more need be checked
        count = items.check()
    price = None if price_table is None else lambda model: price_of(model, price_table)
    work: Job | RayJob
    if engine:
        work = RayJob(record, book, backend, settings or {}, order, price=price, local_only=local_only)
    else:
        work = Job(
            record,
            book,
            backend,
            settings,
            order,
            samples=samples,
            re_ask=re_ask,
            max_requests=max_requests,
            max_cost=max_cost,
            price=price,
            local_only=local_only,
            phone_regions=phone_regions,
            text_key=text_key() if no_texts else None,
            policy=policy,
        )
    summary = Summary(book)
    try:
        if work.lost:
            log.info("%d requests were sent before the last stop and have no answer on record", work.lost)
        with progress("annotating", count, "items") as step:
            for done, failed in work.run_table(items, best_only=Reading() if best_only else None, count=count):
                step(done, failed, work.cost)
        write_table(out, summary.watch(work.annotations()), book.reasons, output_format, engine)
    except KeyboardInterrupt:
        under_way = f", {work.under_way} that were sent are not" if work.under_way else ""
        kept = f"{work.asked} new replies are kept in {record}{under_way}"
        print(f"llmclf: stopped; {kept}; {_go_on()}", file=sys.stderr)
        raise
    finally:
        work.close()
    _report(summary, work, out, record, as_json=as_json)
    if summary.unlabelled:
        raise typer.Exit(SOME_UNLABELLED)


def _report(summary: "Summary", work: "Job | RayJob", out: Path, record: Path, *, as_json: bool) -> None:
    from llmclf.tables import STDIO, json_text

    is_piped = str(out) == STDIO
    shown = sys.stderr if is_piped else sys.stdout
    if as_json:
        written = {"out": str(out), "job": str(record), "asked": work.asked, "found": work.found}
        written |= {"kept": work.kept, "cost": work.cost}
        print(json_text(summary.to_dict() | written), file=shown)
        return
    for line in summary.lines():
        print(line, file=shown)
    if not work.policy.is_raw:
        print(f"the policy assumes {work.policy.assumes}", file=shown)
    cost = "" if work.cost is None else f", at a cost of {work.cost:,.4g} with what was on record"
    print(f"{work.asked} requests asked{cost}, {work.found} answered from the record {record}", file=shown)
    if work.kept:
        print(f"{work.kept} items were done before", file=shown)
    if not is_piped:
        print(f"wrote {out}")


def _go_on() -> str:
    """Say which command goes on: the one that was given."""
    program, *arguments = sys.argv
    name = Path(program).name
    return f"go on with: {shlex.join(['llmclf', *arguments])}" if name == "llmclf" else "the same command goes on"
