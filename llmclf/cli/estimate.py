"""`llmclf estimate`: what annotating a table would take, before it is begun."""

from collections.abc import Mapping
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
    BackendOption,
    CodebookOption,
    JsonOption,
    OrderOption,
    PolicyOption,
    PricesOption,
    SamplesOption,
    SettingOption,
    console,
    parse_order,
    parse_policy,
    parse_settings,
)
from llmclf.errors import InputError

if TYPE_CHECKING:
    from llmclf.budget import Price
    from llmclf.estimate import Estimate
    from llmclf.students.estimate import DistilEstimate


def estimate(
    table: TableArgument,
    codebook: CodebookOption,
    backend: BackendOption = "local",
    setting: SettingOption = None,
    id_column: IdOption = "id",
    text_column: TextOption = "text",
    turns_column: TurnsOption = None,
    turn: TurnOption = None,
    conversation_column: ConversationOption = None,
    speaker_column: SpeakerOption = "speaker",
    input_format: FormatOption = None,
    order: OrderOption = None,
    policy: PolicyOption = None,
    samples: SamplesOption = None,
    prices: PricesOption = None,
    requests_per_minute: Annotated[
        float | None, typer.Option(min=0.001, help="At which a server is asked, for the time.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", hidden=True)] = None,  # noqa: ARG001 - as in annotate
    job: Annotated[Path | None, typer.Option("--job", hidden=True)] = None,  # noqa: ARG001 - as in annotate
    distil: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Compare with a student of N labelled rows, and with hosted batches."),
    ] = None,
    unsure_share: Annotated[
        float, typer.Option(min=0, max=1, help="With --distil: of the student's rows, those that the model labels.")
    ] = 0.05,
    rows: Annotated[
        int | None, typer.Option(min=1, help="With --distil: how many there will be; default: those of INPUT.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say how many requests and tokens `annotate` would take with the same arguments, and what they cost.

    With --distil, each model in --prices is taken for one that a Batch API serves at half its price.

    Example: llmclf estimate reviews.csv --codebook prompts/sentiment --backend openai:MODEL --prices prices.toml
    """
    from dataclasses import asdict

    from llmclf.backends.registry import open_backend
    from llmclf.budget import price_of, read_prices
    from llmclf.codebook import Codebook
    from llmclf.estimate import estimate as estimate_items
    from llmclf.items import ItemTable
    from llmclf.tables import is_stream, json_text

    columns = item_columns(id_column, text_column, turns_column, turn, conversation_column, speaker_column)
    book = Codebook.load(codebook)
    decides_by = parse_policy(policy)
    price_table = read_prices(prices) if prices else None
    items = ItemTable(table, columns, input_format)
    if distil is None and rows is not None:
        raise InputError("--rows is for a plan of a larger table", "Give it with --distil N")
    if distil is not None and is_stream(table):
        raise InputError(f"{table} can be read once only", "Give a file for --distil")
    count = items.check()

    def estimated(uri: str, price_by_model: "Mapping[str, Price] | None", **settings: Any) -> "tuple[str, Estimate]":  # noqa: ANN401
        engine = open_backend(uri, needs_key=False, samples=samples or 1, **settings)
        try:
            return engine.name, estimate_items(
                items.items(),
                book,
                engine,
                order=parse_order(order),
                samples=samples or 1,
                price=None if price_by_model is None else price_of(engine.name, price_by_model),
                requests_per_minute=requests_per_minute,
                policy=decides_by.for_answers(book, engine.origin),
            )
        finally:
            engine.close()

    if distil is None:
        _, found = estimated(backend, price_table, **parse_settings(setting))
        for line in [json_text(asdict(found))] if as_json else _lines(found):
            print(line)
        return
    from llmclf.students.estimate import estimate_distil, student_speed

    on_this_machine = backend.partition(":")[0] == "local"
    plan = estimate_distil(
        estimated(backend, None if on_this_machine else price_table, **parse_settings(setting)),
        dict(estimated(f"batch:{model}", price_table) for model in price_table or ()),
        rows=rows or count or 0,
        taught=distil,
        unsure_share=unsure_share,
        speed=student_speed(items, book),
    )
    if as_json:
        print(json_text(asdict(plan)))
    else:
        _show_plan(plan)


def _show_plan(plan: "DistilEstimate") -> None:
    from rich.table import Table

    from llmclf.students.estimate import BATCH_REQUESTS

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(f"{plan.rows:,} rows labelled by", overflow="fold")
    for heading in ("rows asked", "time", "money"):
        table.add_column(heading, justify="right", no_wrap=True)
    for way in plan.ways:
        times = [_duration(way.seconds)] if way.seconds else []
        times += [f"{way.batches:,} batches"] if way.batches else []
        money = "" if way.money is None else f"{way.money:,.2f}"
        table.add_row(way.name, f"{way.rows_asked:,}", " + ".join(times) or "not known", money)
    console().print(table, markup=False)
    print(
        f"a student learns from {plan.taught:,} rows and leaves {plan.unsure_share:.0%} of the others to its teacher,"
    )
    print(f"at {plan.student_rows_per_second:,.0f} rows/s, measured here on the first rows")
    if any(way.batches for way in plan.ways):
        print(f"a batch: up to {BATCH_REQUESTS:,} requests, answered within 24 h, at half the usual price")


def _lines(found: "Estimate") -> list[str]:
    sample = "" if found.sampled == found.items else f", from the first {found.sampled:,} items"
    without = f" ({found.without_question:,} with nothing to ask about)" if found.without_question else ""
    return [
        f"items     {found.items:,}{without}, {found.distinct:,} different",
        f"requests  {found.requests:,}",
        f"tokens    {found.tokens_in:,} to read, {found.tokens_out:,} to write (counted by {found.counted_by}{sample})",
        f"time      {'not known: give --requests-per-minute' if found.seconds is None else _duration(found.seconds)}",
        f"money     {'not known: give --prices' if found.money is None else f'{found.money:,.2f}'}",
    ]


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
