"""`llmclf stability`: the same questions asked again and in other ways, and what that does to the labels."""

from collections.abc import Iterable
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
    LocalOnlyOption,
    MaxCostOption,
    MaxRequestsOption,
    NoTextsOption,
    OrderOption,
    OutputFormatOption,
    PhoneRegionsOption,
    PricesOption,
    RedactOption,
    SettingOption,
    ask_table,
    console,
    parse_order,
    parse_regions,
    parse_settings,
)

if TYPE_CHECKING:
    from llmclf.stability.measures import ItemStability


def stability(
    table: TableArgument,
    codebook: CodebookOption,
    job: Annotated[
        Path, typer.Option(help="The record of replies: that of annotate, whose answers count, or a new one.")
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
    order: OrderOption = None,
    repeats: Annotated[int, typer.Option(min=1, help="How often each question is asked as it is, in all.")] = 3,
    orders: Annotated[int, typer.Option(min=1, help="In how many orders of its labels it is asked, in all.")] = 3,
    codes: Annotated[
        bool, typer.Option("--codes", help="Ask with letters in place of the labels' names, too.")
    ] = False,
    paraphrases: Annotated[
        Path | None, typer.Option(metavar="FILE", help='TOML: QUESTION = ["another wording", "one more"].')
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Ask about so many items drawn by their ids; default: all.")
    ] = None,
    max_requests: MaxRequestsOption = None,
    max_cost: MaxCostOption = None,
    prices: PricesOption = None,
    local_only: LocalOnlyOption = False,
    redact: RedactOption = False,
    phone_regions: PhoneRegionsOption = "",
    no_texts: NoTextsOption = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write a row an item and question: *.csv, *.jsonl or *.parquet.")
    ] = None,
    output_format: OutputFormatOption = None,
    worst: Annotated[int, typer.Option(min=0, help="How many of the least stable items are shown.")] = 5,
    as_json: JsonOption = False,
) -> None:
    """Ask again, with labels in other orders, by letters and in other words, and say how often the label changes.

    What is on record is not asked again: after any end, the same command goes on. `llmclf audit` of the job then says
    the same beside the agreement with people.

    Example: llmclf stability reviews.csv --codebook prompts/sentiment --job labels.csv.job.sqlite --codes --sample 200
    """
    from llmclf.budget import price_of, read_prices
    from llmclf.cli.stability_view import show
    from llmclf.codebook import Codebook
    from llmclf.item_sample import ItemSample
    from llmclf.items import ItemTable
    from llmclf.job import Job
    from llmclf.job_file import JobFile, open_records
    from llmclf.stability.measures import changes, items_by_stability, read_paraphrases, repeats_show, stability_ways
    from llmclf.stability.ways import way_answers
    from llmclf.table_writing import check_writable
    from llmclf.tables import json_text
    from llmclf.without_texts import text_key

    book = Codebook.load(codebook)
    wordings = read_paraphrases(paraphrases) if paraphrases else {}
    for name in wordings:
        book.get(name)
    ways = stability_ways(repeats, orders, codes=codes, paraphrases=wordings)
    if out:
        check_writable(out, output_format)
    price_table = read_prices(prices) if prices else None
    columns = item_columns(id_column, text_column, turns_column, turn, conversation_column, speaker_column)
    items = (
        ItemTable(table, columns, input_format)
        if sample is None
        else ItemSample(table, columns, input_format, size=sample)
    )
    count = items.check()
    work = Job(
        job,
        book,
        backend,
        parse_settings(setting),
        parse_order(order),
        max_requests=max_requests,
        max_cost=max_cost,
        price=None if price_table is None else lambda model: price_of(model, price_table),
        local_only=local_only,
        phone_regions=parse_regions(phone_regions) if redact else None,
        text_key=text_key() if no_texts else None,
        variants=ways,
    )
    ask_table(work, items, count)
    with open_records(job) as records:
        file = JobFile(records)
        answers = list(way_answers(file, [work.number]).values())
        settings = file.plans[work.number].identity["settings"]
    found = [(one, changes(one), items_by_stability(one)) for one in answers]
    if out:
        _write(out, (item for _, _, of_question in found for item in of_question), output_format)
    note = repeats_show(settings, {origin for one in answers for origin in one.origins}) if repeats > 1 else ""
    if as_json:
        questions = [
            {
                "question": one.question.name,
                "n_items": len(one.items),
                "ways": list(map(str, one.ways)),
                "changes": [change.to_dict() for change in by_kind],
                "worst_items": [_to_dict(item) for item in of_question[:worst] if item.flip_rate or item.spread],
            }
            for one, by_kind, of_question in found
        ]
        asked = {"job": str(job), "plan": work.number, "asked": work.asked, "found": work.found, "cost": work.cost}
        print(json_text({"questions": questions, "repeats": note or None, **asked}))
        return
    for one, by_kind, of_question in found:
        show(one, by_kind, of_question[:worst], console())
    if note:
        print(note)
    cost = "" if work.cost is None else f", at a cost of {work.cost:,.4g} with what was on record"
    print(f"{work.asked} requests asked{cost}, {work.found} answered from the record {job}")
    if out:
        print(f"wrote {out}")


def _write(out: Path, items: Iterable["ItemStability"], output_format: str | None) -> None:
    from llmclf.stability.measures import FACETS
    from llmclf.table_writing import write_rows

    numbers = ("flip_rate", *(f"flip_rate_{kind}" for kind in FACETS), "spread")
    with write_rows(
        out, ("item", "question", "label", *numbers), number_columns=numbers, given_format=output_format
    ) as write:
        for item in items:
            write(dict.fromkeys(numbers) | {name: value for name, value in _to_dict(item).items() if name != "labels"})


def _to_dict(item: "ItemStability") -> dict[str, object]:
    return {
        "item": item.item,
        "question": item.question,
        "label": item.label,
        "flip_rate": item.flip_rate,
        **{f"flip_rate_{kind}": rate for kind, rate in item.by_kind.items()},
        "spread": item.spread,
        "labels": dict(item.labels),
    }
