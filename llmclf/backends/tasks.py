"""A prompt and its labels, and the labels' log-likelihoods as they add up."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from llmclf.backends.base import Reading
from llmclf.backends.prefix_tree import LabelNode, Tokens, label_tree


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Labels as token sequences, of which none begins another."""

    names: tuple[str, ...]
    sequences: Sequence[Sequence[int]]
    counts: NDArray[np.intp] = field(init=False)
    tree: LabelNode = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", np.array([len(sequence) for sequence in self.sequences]))
        object.__setattr__(self, "tree", label_tree(self.sequences))

    @property
    def longest(self) -> int:
        """The number of tokens in the longest label."""
        return int(self.counts.max())


def one_begins_another(sequences: Sequence[Sequence[int]]) -> bool:
    """Say whether one of the sequences is the beginning of another, or equal to it."""
    ordered = sorted(map(list, sequences))
    return any(long[: len(short)] == short for short, long in pairwise(ordered))


@dataclass(slots=True, eq=False)
class Task:
    """What is asked about one prompt: the log-likelihood of all labels, or of the best one by a reading."""

    prompt: Tokens
    labels: Labels
    best_only: Reading | None = None
    totals: NDArray[np.float64] = field(init=False)
    """A label's log-likelihood, as far as its tokens have been read."""
    _read: NDArray[np.intp] = field(init=False)
    _frontier: list[tuple[float, int, LabelNode]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.totals = np.zeros(len(self.labels.names))
        self._read = np.zeros(len(self.labels.names), dtype=np.intp)

    @property
    def key(self) -> tuple[bytes, tuple[str, ...], Reading | None]:
        """What equal tasks have in common."""
        return self.prompt.tobytes(), self.labels.names, self.best_only

    @property
    def need(self) -> int:
        """The cells that it takes at the most."""
        return len(self.prompt) + self.labels.longest

    @property
    def is_known(self) -> NDArray[np.bool_]:
        """Of which labels all tokens have been read."""
        return np.equal(self._read, self.labels.counts)

    def add(self, node: LabelNode, logits: NDArray[np.float32], first_row: int = 0) -> None:
        """Add what a node's logits say, one row a token of it, or those that begin with its `first_row`."""
        rows = node.rows - first_row
        here = (rows >= 0) & (rows < len(logits))
        rows, labels = rows[here], node.labels[here]
        np.add.at(self.totals, labels, logits[rows, node.next_tokens[here]] - log_sums(logits)[rows])
        np.add.at(self._read, labels, 1)

    def put(self, label: int, log_likelihood: float) -> None:
        """Put down a label's whole log-likelihood."""
        self.totals[label] = log_likelihood
        self._read[label] = self.labels.counts[label]

    def nodes_after(self, node: LabelNode) -> list[LabelNode]:
        """Give the nodes to read next: all that are below, or in a search the most promising of all so far.

        Log-probabilities are never positive, so no label below a node can be read as better than by the tokens
        that are known: a node's bound is the best such value among its labels.
        """
        if self.best_only is None:
            return node.children
        values = self.best_only.values(self.totals, self.labels.counts)
        for child in node.children:
            heappush(self._frontier, (-float(values[child.below].max()), int(child.below[0]), child))
        best = values[self.is_known].max(initial=-np.inf)
        if self._frontier and -self._frontier[0][0] > best:
            return [heappop(self._frontier)[2]]
        self._frontier.clear()
        return []


def log_sums(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Give the logarithm of each row's sum of exponentials, a row at a time so that it stays in the cache."""
    sums = np.empty(len(logits))
    scratch = np.empty(logits.shape[1], dtype=np.float32)
    for number, row in enumerate(logits):
        top = row.max()
        np.subtract(row, top, out=scratch)
        np.exp(scratch, out=scratch)
        sums[number] = top + np.log(scratch.sum())
    return sums
