"""How different two sets of labels are: by Jaccard, and by MASI, which asks too whether one holds the other."""

import json
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from llmclf.agreement.counts import Floats, Ints
from llmclf.agreement.metrics import Tabled


class Jaccard(Tabled):
    """1 - |A and B| / |A or B|; 0 for two empty sets.

    The distance itself stands for delta, not its square.
    """

    def __init__(self, sets: list[frozenset[Any]]) -> None:
        from scipy.sparse import csr_array  # type: ignore[import-untyped]  # scipy has no types

        super().__init__(len(sets))
        # the empty set is the one that holds nothing, so that two of them share it
        members = [one or {_NOTHING} for one in sets]
        number = {member: i for i, member in enumerate({member for one in members for member in one})}
        self._sizes = np.array([len(one) for one in members])
        columns = [number[member] for one in members for member in one]
        begins = np.concatenate([[0], np.cumsum(self._sizes)])
        self._holds = csr_array((np.ones(len(columns)), columns, begins), shape=(len(sets), len(number)))

    @classmethod
    def of_texts(cls, texts: Iterable[str]) -> Self | str:
        """Read sets from JSON arrays, or say which text is none, or stands for the same set as another."""
        sets: dict[frozenset[Any], str] = {}
        for text in texts:
            one = _read(text)
            if one is None:
                return f"the label {text!r} is no set: a set is a JSON array of labels"
            if one in sets:
                return f"the labels {sets[one]!r} and {text!r} are the same set"
            sets[one] = text
        return cls(list(sets))

    def between(self, c: Ints, k: Ints) -> Floats:
        """Give the distances of pairs of labels."""
        shared = np.asarray((self._holds[c] * self._holds[k]).sum(axis=1))
        return self._distance(shared, self._sizes[c], self._sizes[k])

    def rows(self, labels: slice) -> Floats:
        """Give the distances of some labels from all."""
        shared = (self._holds[labels] @ self._holds.T).toarray()
        return self._distance(shared, self._sizes[labels, np.newaxis], self._sizes)

    def _distance(self, shared: Floats, size: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> Floats:
        return np.asarray(1 - shared / (size + other - shared))


class Masi(Jaccard):
    """1 - M |A and B| / |A or B|, M 1 for equal sets, 2/3 if one holds the other, 1/3 if they overlap, else 0.

    Passonneau 2006, "Measuring agreement on set-valued items (MASI) for semantic and pragmatic annotation".
    """

    def _distance(self, shared: Floats, size: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> Floats:
        whole = (shared == size).astype(np.float64) + (shared == other)
        return np.asarray(1 - (1 + whole) / 3 * shared / (size + other - shared))


_NOTHING = object()


def _read(text: str) -> frozenset[Any] | None:
    try:
        labels = json.loads(text)
    except ValueError:
        return None
    if not isinstance(labels, list) or not all(isinstance(label, str | int | float) for label in labels):
        return None
    return frozenset(labels)
