"""`llmclf classify`: texts given by hand, labels given by hand."""

import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from llmclf.cli.common import (
    SOME_UNLABELLED,
    BackendOption,
    JsonOption,
    LocalOnlyOption,
    PhoneRegionsOption,
    PolicyOption,
    RedactOption,
    SamplesOption,
    SettingOption,
    console,
    parse_policy,
    parse_regions,
    parse_settings,
    split_list,
)
from llmclf.errors import InputError

if TYPE_CHECKING:
    from llmclf.annotations import Annotation
    from llmclf.redaction import Redactor


def classify(
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT]...", help="Texts; without any, a line each on standard input.")
    ] = None,
    labels: Annotated[str, typer.Option("--labels", "-l", help="Two or more labels, separated by commas.")] = "",
    ask: Annotated[
        str, typer.Option("--ask", help="The question that the labels answer.")
    ] = "Which label fits the text best?",
    backend: BackendOption = "local",
    setting: SettingOption = None,
    policy: PolicyOption = None,
    samples: SamplesOption = None,
    local_only: LocalOnlyOption = False,
    redact: RedactOption = False,
    phone_regions: PhoneRegionsOption = "",
    as_json: JsonOption = False,
) -> None:
    """Label a few texts; with --json, one JSON object a text, in order.

    Example: llmclf classify "I love it" "It broke" --labels positive,negative,neutral
    """
    from llmclf.backends.registry import open_backend
    from llmclf.classifier import annotate
    from llmclf.codebook import Codebook
    from llmclf.items import Item

    codebook = Codebook.from_labels(split_list(labels), ask=ask)
    stream = iter(texts) if texts else _standard_input()
    first = next(stream, None)
    if first is None:
        raise InputError("no texts", "Give them as arguments, or a line each on standard input")
    asked: list[str] = []

    def items() -> Iterator[Item]:
        for number, text in enumerate(chain([first], stream)):
            asked.append(text)
            yield Item(str(number), text=text)

    times = samples or 1
    unlabelled = 0
    with ExitStack() as opened:
        hidden = opened.enter_context(_redactor(parse_regions(phone_regions))).item if redact else None
        engine = open_backend(backend, local_only=local_only, samples=times, **parse_settings(setting))
        opened.callback(engine.close)
        decides_by = parse_policy(policy).for_answers(codebook, engine.origin)
        if not policy:  # which would wait for many texts before it gives an answer
            decides_by = decides_by.for_items([])
        asked_about = map(hidden, items()) if hidden else items()
        answers = annotate(asked_about, codebook, engine, samples=times, policy=decides_by)
        for number, annotation in enumerate(answers):
            unlabelled += annotation.label is None
            _show(asked[number], annotation, as_json=as_json)
            asked[number] = ""
    if unlabelled:
        raise typer.Exit(SOME_UNLABELLED)


@contextmanager
def _redactor(regions: Sequence[str]) -> "Iterator[Redactor]":
    """Give a redactor that forgets at the end what it has replaced: a label brings none of it back."""
    from llmclf.redaction import Redactor

    with TemporaryDirectory(prefix="llmclf-") as folder:
        redactor = Redactor.open(Path(folder) / "redactions", regions)
        try:
            yield redactor
        finally:
            redactor.close()


def _standard_input() -> Iterator[str]:
    if sys.stdin.isatty():
        return
    lines = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="surrogateescape")
    yield from (line.rstrip("\r\n") for line in lines)


def _show(text: str, annotation: "Annotation", *, as_json: bool) -> None:
    shown = text.encode(errors="surrogateescape").decode(errors="backslashreplace")
    if as_json:
        from llmclf.tables import json_text

        row = annotation.to_dict()
        keys = ("question", "label", "probabilities", "origin", "samples", "status", "policy")
        print(json_text({"text": shown} | {key: row[key] for key in keys}), flush=True)
        return
    probability = "" if annotation.probability is None else f"{annotation.probability:.2f}"
    console().print(
        f"{annotation.label or annotation.status:<16} {probability:>4}  {shown}",
        markup=False,
        overflow="ellipsis",
        no_wrap=True,
    )
