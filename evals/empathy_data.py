"""The files of Kumar et al. 2025: conversations, ratings and published coefficients, as their authors lay them out."""

import ast
import csv
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

from evals.datasets import find
from llmclf.errors import TableError

Conversation = tuple[str, list[tuple[str, str]]]
"""An item's id and its turns: speaker (`Seeker` or `Supporter`) and text."""


@dataclass(frozen=True)
class Framework:
    """A way to judge empathy, with its 50 conversations."""

    title: str
    """As the published tables write it."""
    key: str
    """The column that holds the conversation's id."""
    scale: tuple[str, ...]
    dimensions: tuple[str, ...]


FRAMEWORKS: Final = {
    "epitome": Framework(
        "EPITOME",
        "sp_id",
        ("0", "1", "2"),
        ("level_emotional_reactions", "level_explorations", "level_interpretations"),
    ),
    "empatheticdialogues": Framework(
        "Empathetic Dialogues",
        "conv_id",
        ("1", "2", "3", "4", "5"),
        ("empathy", "relevance", "fluency"),
    ),
    "lend_an_ear": Framework(
        "Lend an Ear",
        "conversation_id",
        ("1", "2", "3", "4", "5"),
        (
            "validating_emotions",
            "encouraging_elaboration",
            "demonstrating_understanding",
            "advice_giving",
            "self_oriented",
            "dismissing_emotions",
        ),
    ),
    "perceived_empathy": Framework(
        "Perceived Empathy",
        "id",
        ("1", "2", "3", "4", "5", "6", "7"),
        (
            "m_understood",
            "m_validated",
            "m_affirmed",
            "m_seen",
            "m_accepted",
            "m_caredfor",
            "m_emotional",
            "m_practical",
            "m_motivation",
        ),
    ),
}
"""By the name of their folder."""

Kind = Literal["expert", "crowd", "model"]

ANNOTATORS: Final[dict[str, Kind]] = {
    "expert1": "expert",
    "expert2": "expert",
    "expert3": "expert",
    "crowd": "crowd",
    "gpt": "model",
    "claude": "model",
    "gemini": "model",
}
"""The crowd's rating is the mean of its members, so seldom a label of the scale."""


class Row(NamedTuple):
    """One annotator's rating of one conversation in one dimension."""

    item: str
    annotator: str
    kind: Kind
    dimension: str
    value: float | None
    """None where there is no rating."""


class Published(NamedTuple):
    """A published coefficient of one pair of annotators."""

    framework: str
    dimension: str
    pair: tuple[str, str]
    kappa: float
    """Two decimals, as published; z and p have three."""
    z: float
    p: float


def ratings(dataset: str) -> list[Row]:
    """Read all ratings of the 50 conversations of one framework."""
    framework = FRAMEWORKS[dataset]
    folder = find("empathy") / "annotations" / dataset
    return [
        # columns stand in different orders in the experts' and the models' files: by name only
        Row(line[framework.key], annotator, kind, dimension, _value(line[dimension]))
        for annotator, kind in ANNOTATORS.items()
        for line in _lines(folder / f"{annotator}_ratings.csv")
        for dimension in framework.dimensions
    ]


def published() -> list[Published]:
    """Read the kappas of 21 dimensions x 6 pairs of annotators."""
    names = {framework.title: name for name, framework in FRAMEWORKS.items()}
    lines = _lines(find("empathy") / "annotations" / "all_annotator_pairs_spearman_kappa.csv")
    return [
        Published(
            names[line["Dataset"]],
            line["Dimension"],
            ast.literal_eval(line["Annotator Pair"]),
            float(line["Weighted Cohen's Kappa"]),
            float(line["Kappa Z-statistic"]),
            float(line["Kappa P-value"]),
        )
        for line in lines
    ]


def conversations() -> dict[str, list[Conversation]]:
    """Read the 50 conversations of each framework whose texts are public; those of Perceived Empathy are not."""
    folder = find("empathy") / "conversations"
    posts = _lines(folder / "sample_epitome.csv")
    ears = _lines(folder / "sample_lend_an_ear_conversations.csv")
    # one line per utterance, each with the whole conversation
    dialogues = {line["conv_id"]: line for line in _lines(folder / "sample_empatheticdialogues.csv")}
    return {
        "epitome": [
            (line["sp_id"], [("Seeker", line["seeker_post"].strip()), ("Supporter", line["response_post"].strip())])
            for line in posts
        ],
        "lend_an_ear": [(line["conversation_id"], _turns(line["full_conversation"])) for line in ears],
        "empatheticdialogues": [
            (name, _turns(line["full_conversation"].replace("_comma_", ","))) for name, line in dialogues.items()
        ],
    }


def _turns(text: str) -> list[tuple[str, str]]:
    """Split where a line begins with a speaker; other lines go on with the turn before them."""
    parts = re.split(r"^\s*(Seeker|Supporter):", text, flags=re.MULTILINE)
    return [(speaker, said.strip()) for speaker, said in zip(parts[1::2], parts[2::2], strict=True)]


def _value(cell: str) -> float | None:
    value = float(cell) if cell else math.nan
    return None if math.isnan(value) else value


def _lines(file: Path) -> Iterator[dict[str, str]]:
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            yield from csv.DictReader(opened)
    except FileNotFoundError:
        raise TableError(f"no file {file}", "Fetch the dataset whole") from None
