"""A column of texts as whole numbers, so that columns of ten million rows are handled at once."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Categorical:
    """The distinct texts of a column, in the order of their first rows, and which of them each row has."""

    codes: npt.NDArray[np.int32]
    """Positions in `categories`: shape (rows,)."""
    categories: Sequence[str]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Take the texts of a column, row by row."""
        code_by_text: dict[str, int] = {}
        codes = np.fromiter((code_by_text.setdefault(text, len(code_by_text)) for text in texts), dtype=np.int32)
        return cls(codes, list(code_by_text))

    def __getitem__(self, row: int) -> str:
        return self.categories[int(self.codes[row])]

    def first_row(self, category: int) -> int:
        """Give the first row with the category at this position."""
        return int(np.argmax(self.codes == category))

    def mapped(self, function: Callable[[str], str]) -> Self:
        """Replace each category; those that become equal are one."""
        return type(self)(self.codes, list(map(function, self.categories))).distinct()

    def distinct(self) -> Self:
        """Make equal categories one."""
        if len(set(self.categories)) == len(self.categories):
            return self
        merged = self.of(self.categories)
        return type(self)(merged.codes[self.codes], merged.categories)

    def taken(self, rows: npt.NDArray[np.bool_]) -> Self:
        """Keep these rows, and the categories that they have."""
        codes = self.codes[rows]
        is_kept = np.bincount(codes, minlength=len(self.categories)) > 0
        places = np.cumsum(is_kept, dtype=np.int32) - 1
        kept = [self.categories[code] for code in np.flatnonzero(is_kept).tolist()]
        return type(self)(places[codes].astype(np.int32, copy=False), kept)
