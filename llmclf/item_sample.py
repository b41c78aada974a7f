"""A random sample of a table's items: the same items whenever it is drawn again."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from heapq import nsmallest
from typing import Any

from llmclf.errors import InputError
from llmclf.items import Item, ItemTable

SAMPLE = "sample"
"""Under which `source` says how many items are drawn."""
_SEED = b"llmclf sample"


@dataclass(frozen=True)
class ItemSample(ItemTable):
    """Those items of a table whose ids have the smallest hashes; items that cannot be asked about are none.

    A larger sample of the same table holds the smaller one.

    Raises:
        InputError: the table is a pipe, which cannot be read twice.

    """

    size: int = 200

    def __post_init__(self) -> None:
        if self._whole.source is None:
            raise InputError("a sample is drawn from a file, and this is a pipe", "Give a file, or ask about all items")

    @cached_property
    def source(self) -> dict[str, Any] | None:
        """What tells whether it is the same as once."""
        return {**(self._whole.source or {}), SAMPLE: self.size}

    def check(self) -> int:
        """Check the whole table, and count the items drawn."""
        self._whole.check()
        return len(self._drawn)

    def items(self, start: int = 0) -> Iterator[Item]:
        """Read the items drawn, in the order of the table."""
        return (item for item in self._whole.items(start) if item.id in self._drawn)

    @cached_property
    def _whole(self) -> ItemTable:
        return ItemTable(self.path, self.columns, self.given_format)

    @cached_property
    def _drawn(self) -> frozenset[str]:
        ids = (item.id for item in self._whole.items() if not item.problem)
        return frozenset(nsmallest(self.size, ids, key=_hash))


def _hash(item_id: str) -> bytes:
    return hashlib.blake2b(item_id.encode(), digest_size=16, key=_SEED).digest()
