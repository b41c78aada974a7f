"""Which questions are in which batch, and which are in none yet; they are known by their custom ids."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from llmclf.record_json import digest


class Ledger:
    """Tells which batch holds a question, at 12 bytes for each.

    Two of a million questions are mixed up once in 37 million times; the batch then has no answer to one of them.
    """

    def __init__(self, held: Iterable[tuple[str, Iterable[str]]]) -> None:
        self._batches: list[str] = []
        columns: list[NDArray[np.uint64]] = [np.empty(0, np.uint64)]
        owners: list[NDArray[np.int32]] = [np.empty(0, np.int32)]
        for batch_id, custom_ids in held:
            numbers = np.fromiter(map(_number, custom_ids), np.uint64)
            columns.append(numbers)
            owners.append(np.full(len(numbers), len(self._batches), np.int32))
            self._batches.append(batch_id)
        self._numbers, first = np.unique(np.concatenate(columns), return_index=True)
        self._owners = np.concatenate(owners)[first]

    def batch_of(self, custom_id: str) -> str | None:
        """Give the id of the batch that holds it, or None."""
        number = np.uint64(_number(custom_id))
        place = int(np.searchsorted(self._numbers, number))
        is_there = place < len(self._numbers) and self._numbers[place] == number
        return self._batches[self._owners[place]] if is_there else None


class Queue:
    """Questions that wait for the next file, with the bytes that each takes there."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._sizes: dict[str, int] = {}
        self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self._sizes)

    @property
    def fills_a_file(self) -> bool:
        """Whether no more is needed for a file that is full."""
        return len(self._sizes) >= self._most or self._bytes >= self._most_bytes

    def put(self, custom_id: str, size: int) -> None:
        """Put a question at the end."""
        self._sizes[custom_id] = size
        self._bytes += size

    def take(self) -> dict[str, int]:
        """Take those that fit into the next file."""
        taken = dict(self._fitting())
        for custom_id, size in taken.items():
            del self._sizes[custom_id]
            self._bytes -= size
        return taken

    def _fitting(self) -> Iterator[tuple[str, int]]:
        room = self._most_bytes
        for number, (custom_id, size) in enumerate(self._sizes.items()):
            room -= size
            if room < 0 or number == self._most:
                return
            yield custom_id, size


def _number(custom_id: str) -> int:
    return int.from_bytes(digest(custom_id)[:8])
