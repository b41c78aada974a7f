"""The label that a crowd gives an item together: its plurality, or on an ordered scale its median."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llmclf.agreement.counts import Ints
from llmclf.agreement.long_form import LongForm
from llmclf.agreement.ratings import MISSING
from llmclf.levels import Level


@dataclass(frozen=True, eq=False)
class Consensus:
    """The lowest and the highest of the labels that an item's ratings favour alike, for each of n items."""

    low: Ints
    """Shape (n,): positions on the scale, -1 where the item has no rating."""
    high: Ints
    """Shape (n,): the same as `low` unless there is a tie."""
    method: str
    """`plurality` or `median`."""

    @property
    def tied(self) -> npt.NDArray[np.bool_]:
        """Whether several labels are favoured alike: shape (n,)."""
        return np.asarray(self.low != self.high)

    @property
    def codes(self) -> Ints:
        """The one label that is favoured, -1 where there is a tie or no rating: shape (n,)."""
        return np.where(self.tied, MISSING, self.low)

    def to_dict(self) -> dict[str, str | int]:
        """Give the method, and how many items have a consensus, a tie or no rating."""
        tied, unrated = int(self.tied.sum()), int((self.low == MISSING).sum())
        n_items = len(self.low)
        return {
            "method": self.method,
            "n_items": n_items,
            "n_decided": n_items - tied - unrated,
            "n_tied": tied,
            "n_unrated": unrated,
        }


def majority(ratings: LongForm) -> Consensus:
    """Take each item's median on an ordered scale, and otherwise its most frequent label.

    An even number of ratings whose two middle ones differ is a tie between these.
    """
    if ratings.level in (Level.NOMINAL, Level.SET):
        return Consensus(*_plurality(ratings), "plurality")
    return Consensus(*_median(ratings), "median")


def _plurality(ratings: LongForm) -> tuple[Ints, Ints]:
    cell, count = np.unique(ratings.item * ratings.n_labels + ratings.label, return_counts=True)
    item, label = np.divmod(cell, ratings.n_labels)
    most = np.zeros(ratings.n_items, dtype=np.int64)
    np.maximum.at(most, item, count)
    item, label = item[count == most[item]], label[count == most[item]]
    low, high = np.full((2, ratings.n_items), MISSING)
    high[item] = label  # labels ascend within an item, and the last one written stays
    low[item[::-1]] = label[::-1]
    return low, high


def _median(ratings: LongForm) -> tuple[Ints, Ints]:
    label = ratings.label[np.lexsort((ratings.label, ratings.item))]
    m = ratings.n_ratings
    rated = m > 0
    first = (np.cumsum(m) - m)[rated]
    low, high = np.full((2, ratings.n_items), MISSING)
    low[rated] = label[first + (m[rated] - 1) // 2]
    high[rated] = label[first + m[rated] // 2]
    return low, high
