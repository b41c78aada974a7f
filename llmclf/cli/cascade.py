"""`llmclf cascade`: a cheap model answers where it is sure, and a better one the rest."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from llmclf.annotations import AnnotationColumns, Kind
from llmclf.cli.columns import AnnotatorColumnOption, IdOption, ItemColumnOption, LabelColumnOption
from llmclf.cli.common import SOME_UNLABELLED, CodebookOption, JsonOption, OutputFormatOption, PricesOption, console
from llmclf.cli.reading import read_by_question, read_one_model
from llmclf.errors import InputError
from llmclf.status import Status

if TYPE_CHECKING:
    from llmclf.agreement import Undefined
    from llmclf.codebook import Codebook, Question
    from llmclf.ensembles.cascade_report import Prices
    from llmclf.ensembles.cascades import Pair

INCONCLUSIVE = 4


def cascade(
    cheap: Annotated[Path, typer.Argument(metavar="CHEAP", help="The cheap model's table or job, of all items.")],
    better: Annotated[
        Path, typer.Option(metavar="FILE", help="The better model's, of a random sample of the items, or of all.")
    ],
    codebook: CodebookOption,
    out: Annotated[Path, typer.Option("--out", "-o", help="The table to write: *.csv, *.jsonl or *.parquet.")],
    expert: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="People's labels of the sample; repeatable.")
    ] = None,
    agreement: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Choose the threshold by this agreement of the kept answers.")
    ] = None,
    agreement_with: Annotated[
        Literal["better", "people"], typer.Option(help="With whom: the better model, or the people of --expert.")
    ] = "better",
    delta: Annotated[float, typer.Option(help="How likely the agreement may be less than that.")] = 0.1,
    calls: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Choose it so that no more of the items go to the better one.")
    ] = None,
    cost: Annotated[
        float | None, typer.Option(metavar="MONEY", help="Choose it so that all items cost no more; needs prices.")
    ] = None,
    threshold: Annotated[float | None, typer.Option(help="The threshold of the cheap model's probability.")] = None,
    routed: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The better model's answers to the rows of --route.")
    ] = None,
    route: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the rows that wait for the better model there.")
    ] = None,
    table: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The annotated table: --route has its rows, not ids alone.")
    ] = None,
    id_column: IdOption = "id",
    price_cheap: Annotated[
        float | None, typer.Option(metavar="MONEY", help="What an answer of the cheap model costs.")
    ] = None,
    price_better: Annotated[
        float | None, typer.Option(metavar="MONEY", help="What an answer of the better model costs.")
    ] = None,
    prices: PricesOption = None,
    margin: Annotated[
        float, typer.Option(help="The loss of accuracy or macro-F1 beside the better model that still does.")
    ] = 0.02,
    question: Annotated[
        str | None, typer.Option("--question", "-q", help="The question, in a codebook of several.")
    ] = None,
    item_column: ItemColumnOption = "item",
    annotator_column: AnnotatorColumnOption = "annotator",
    label_column: LabelColumnOption = "label",
    output_format: OutputFormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take the cheap model's answers where it is sure enough, and the better model's for the rest.

    The threshold is chosen by a random sample of the items that the better model has answered too; the rows below it
    are written for `llmclf annotate`, and the same command with --routed completes the table. Its column answered_by
    says which model gave an answer. Intervals do not know that the threshold was chosen by the same sample. With
    --prices, what an answer costs is taken from jobs.

    Example: llmclf cascade cheap.csv --better sample.csv --agreement 0.95 -c BOOK
    --out labels.csv --route rest.csv --table items.csv

    then: llmclf annotate rest.csv -c BOOK --backend openai:MODEL --out routed.csv

    then: the first command again, with --routed routed.csv
    """
    from llmclf.agreement import Undefined
    from llmclf.cli.cascade_files import check_paths, read_routed, write_answers, write_route
    from llmclf.cli.cascade_view import show, show_curve
    from llmclf.codebook import Codebook
    from llmclf.ensembles.answers import labels_of_people
    from llmclf.ensembles.cascade_report import cascade_report, curve
    from llmclf.ensembles.cascades import Pair, answered
    from llmclf.tables import json_text

    check_paths(out, route, [cheap, better, routed, table, *(expert or ())], output_format)
    wanted = {"--agreement": agreement, "--calls": calls, "--cost": cost, "--threshold": threshold}
    options = [option for option, value in wanted.items() if value is not None]
    if len(options) != 1:
        raise InputError("the threshold is chosen in one way", f"Give one of {', '.join(wanted)}")
    if agreement_with == "people" and not expert:
        raise InputError("there are no people to agree with", "Give their labels by --expert")
    book = Codebook.load(codebook)
    asked = _question(book, question)
    columns = AnnotationColumns(item=item_column, annotator=annotator_column, label=label_column)
    rated = read_by_question(book, expert, Kind.EXPERT, columns).get(asked.name, []) if expert else []
    people = labels_of_people(asked, rated) if expert else {}
    pair = Pair(asked, read_one_model(book, asked, cheap), read_one_model(book, asked, better), people)
    rest = read_routed(book, asked, routed, pair.better.model) if routed else None
    money = _money(price_cheap, price_better, prices, cheap, better)
    chosen = _threshold(pair, wanted, money, agreement_with, delta)
    points = curve(pair, money, delta)
    if isinstance(chosen, Undefined):
        if as_json:
            print(json_text({"threshold": None, **chosen.to_dict(), "curve": [asdict(point) for point in points]}))
        else:
            show_curve(points, delta, console())
            print(chosen.undefined)
        raise typer.Exit(INCONCLUSIVE)
    report = cascade_report(pair, chosen, money, margin, delta)
    answers = list(answered(pair, chosen, rest))
    write_answers(out, book.reasons, answers, output_format)
    if route:
        write_route(
            route,
            [annotation.item for annotation, _ in answers if annotation.status is Status.ROUTED],
            table,
            id_column,
        )
    statuses = Counter(str(annotation.status) for annotation, _ in answers)
    if as_json:
        found = {
            "out": str(out),
            "statuses": statuses,
            **report.to_dict(),
            "curve": [asdict(point) for point in points],
        }
        print(json_text(found))
    else:
        show(report, points, f"{options[0]} {wanted[options[0]]:g}", console())
        for line in _written(out, statuses, route, pair.better.model):
            print(line)
    if statuses.keys() != {str(Status.OK)}:
        raise typer.Exit(SOME_UNLABELLED)


def _written(out: Path, statuses: Counter[str], route: Path | None, better: str) -> Iterator[str]:
    yield f"wrote {out}: {', '.join(f'{n:,} {status}' for status, n in statuses.most_common())}"
    if waiting := statuses[Status.ROUTED]:
        where = f"wrote {route}: ask {better} about it, then give --routed" if route else "write them by --route"
        yield f"{waiting:,} rows wait; {where}"


def _question(codebook: "Codebook", name: str | None) -> "Question":
    if name is not None:
        return codebook.get(name)
    if len(codebook.questions) > 1:
        names = ", ".join(question.name for question in codebook.questions)
        raise InputError(f"the codebook asks {names}", "Choose one with --question")
    return codebook.questions[0]


def _money(
    cheap: float | None, better: float | None, prices: Path | None, cheap_file: Path, better_file: Path
) -> "Prices | None":
    from llmclf.budget import read_prices
    from llmclf.cli.cascade_files import price_of_answer
    from llmclf.ensembles.cascade_report import Prices

    if prices is None and cheap is None and better is None:
        return None
    by_model = read_prices(prices) if prices else {}
    if prices is None and (cheap is None or better is None):
        raise InputError("one price alone says nothing of what is saved", "Give --price-cheap and --price-better")
    return Prices(
        price_of_answer(cheap_file, by_model) if cheap is None else cheap,
        price_of_answer(better_file, by_model) if better is None else better,
    )


def _threshold(
    pair: "Pair", wanted: Mapping[str, float | None], money: "Prices | None", reference: str, delta: float
) -> "float | Undefined":
    from llmclf.ensembles.cascades import threshold_for_agreement, threshold_for_calls

    if (agreement := wanted["--agreement"]) is not None:
        return threshold_for_agreement(pair, agreement, reference, delta)
    if (share := wanted["--calls"]) is not None:
        return threshold_for_calls(pair, share)
    if (cost := wanted["--cost"]) is not None:
        if money is None:
            raise InputError("a limit of the cost needs prices", "Give --price-cheap and --price-better, or --prices")
        return threshold_for_calls(pair, money.share_for(cost, pair.n_askable))
    threshold = wanted["--threshold"]
    assert threshold is not None
    if not math.isfinite(threshold):
        raise InputError(f"{threshold} is no threshold", "Give a probability")
    return threshold
