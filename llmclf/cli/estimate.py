"""`llmclf estimate`: what annotating a table would take, before it is begun."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    parse_order,
    parse_policy,
    parse_settings,
)

if TYPE_CHECKING:
    from llmclf.estimate import Estimate


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
    as_json: JsonOption = False,
) -> None:
    """Say how many requests and tokens `annotate` would take with the same arguments, and what they cost.

    Example: llmclf estimate reviews.csv --codebook prompts/sentiment --backend openai:MODEL --prices prices.toml
    """
    from dataclasses import asdict

    from llmclf.backends.registry import open_backend
    from llmclf.budget import price_of, read_prices
    from llmclf.codebook import Codebook
    from llmclf.estimate import estimate as estimated
    from llmclf.items import check_items, stream_items
    from llmclf.tables import json_text

    columns = item_columns(id_column, text_column, turns_column, turn, conversation_column, speaker_column)
    book = Codebook.load(codebook)
    decides_by = parse_policy(policy)
    decides_by.check(book)
    price_table = read_prices(prices) if prices else None
    check_items(table, columns, input_format)
    times = samples or 1
    engine = open_backend(backend, needs_key=False, samples=times, **parse_settings(setting))
    try:
        found = estimated(
            stream_items(table, columns, input_format),
            book,
            engine,
            order=parse_order(order),
            samples=times,
            price=price_of(engine.name, price_table) if price_table is not None else None,
            requests_per_minute=requests_per_minute,
            variants=decides_by.for_forms(engine.forms).variants,
        )
    finally:
        engine.close()
    if as_json:
        print(json_text(asdict(found)))
    else:
        for line in _lines(found):
            print(line)


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
