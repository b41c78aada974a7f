"""Crowds made for tests, and the published values that tests are held against."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from llmclf.agreement.counts import Ints
from llmclf.agreement.long_form import LongForm
from llmclf.levels import Level

REFERENCE = Path(__file__).parent.parent / "reference"


def reference(name: str) -> dict[str, Any]:
    """Read the values of one source, transcribed as numbers."""
    values: dict[str, Any] = json.loads((REFERENCE / f"{name}.json").read_text())
    return values


def crowd(words: str, level: Level = Level.NOMINAL, values: Sequence[float] = (1, 2, 3, 4)) -> LongForm:
    """Read one item per word, one digit per rating, each by another annotator; a dot is an item without ratings."""
    items = words.split()
    rows = [(i, int(digit) - 1) for i, word in enumerate(items) for digit in word if digit != "."]
    item, label = np.array(rows).T
    places = np.array(values, dtype=np.float64)
    return LongForm(item, np.arange(len(rows)), label, len(items), len(rows), places, level)


def erring_crowd(
    truth: Ints, n_annotators: int, per_item: int, accuracy: float, n_labels: int, seed: int = 0
) -> LongForm:
    """Let workers drawn for each item name its true label with the same probability, and else any."""
    random = np.random.default_rng(seed)
    item = np.repeat(np.arange(len(truth)), per_item)
    right = random.random(len(item)) < accuracy
    label = np.where(right, truth[item], random.integers(0, n_labels, len(item)))
    annotator = random.integers(0, n_annotators, len(item))
    return LongForm(
        item, annotator, label, len(truth), n_annotators, np.arange(n_labels, dtype=np.float64), Level.NOMINAL
    )


def anaesthesia() -> LongForm:
    """Give the ratings of Dawid & Skene (1979): five observers, of whom the first rated every patient three times."""
    rows = [
        (item, observer, int(digit) - 1)
        for item, words in enumerate(reference("dawid_skene_1979")["ratings"])
        for observer, word in enumerate(words.split())
        for digit in word
    ]
    items, annotator, label = np.array(rows).T
    return LongForm(items, annotator, label, 45, 5, np.arange(1.0, 5), Level.NOMINAL)
