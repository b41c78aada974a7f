"""Ratings one by one: what a crowd needs, of which each annotator sees few of many items."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from llmclf.agreement.counts import Floats, Ints
from llmclf.agreement.ratings import MISSING, Ratings
from llmclf.levels import Level


@dataclass(frozen=True, eq=False)
class LongForm:
    """R given ratings of items by annotators; one annotator may rate an item several times.

    Its size grows with the ratings, not with items x annotators.
    """

    item: Ints
    """Shape (R,): 0 .. n_items-1."""
    annotator: Ints
    """Shape (R,): 0 .. n_annotators-1."""
    label: Ints
    """Shape (R,): positions on the scale."""
    n_items: int
    n_annotators: int
    values: Floats
    """Shape (q,): the labels' places on the scale."""
    level: Level

    @classmethod
    def of(cls, ratings: Ratings) -> Self:
        """List the ratings that are not missing; items and annotators keep their positions."""
        item, annotator = np.nonzero(ratings.codes != MISSING)
        label = ratings.codes[item, annotator].astype(np.int64)
        n_items, n_annotators = ratings.codes.shape
        return cls(item, annotator, label, n_items, n_annotators, ratings.values, ratings.level)

    @property
    def n_labels(self) -> int:
        """The number of labels on the scale, q."""
        return len(self.values)

    @property
    def n_ratings(self) -> Ints:
        """The ratings of each item: shape (n_items,)."""
        return np.bincount(self.item, minlength=self.n_items)

    def counts(self) -> Ints:
        """Count how often each item was given each label: shape (n_items, q)."""
        cell = self.item * self.n_labels + self.label
        return np.bincount(cell, minlength=self.n_items * self.n_labels).reshape(self.n_items, self.n_labels)
