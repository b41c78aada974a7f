"""Token sequences as trees, so that what prompts share, and what labels share, is read once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int32]

LEAST_SAVED = 16
"""Tokens that a branch must save: each branch costs a sequence, and its children a later batch."""


@dataclass(slots=True)
class LabelNode:
    """Label tokens that are read together, and what their logits say about which label's next token.

    `path` are all tokens from the root to here, and `below` the labels that go on after them.
    Row r of the node's logits follows its r-th token; the root has no tokens of its own,
    and its one row is that of the prompt's last token.
    """

    tokens: Tokens
    path: Tokens
    below: NDArray[np.intp]
    rows: NDArray[np.intp]
    next_tokens: NDArray[np.intp]
    labels: NDArray[np.intp]
    children: list["LabelNode"] = field(default_factory=list)

    @property
    def height(self) -> int:
        """The number of nodes below this one, on the longest way down."""
        return max((1 + child.height for child in self.children), default=0)


def label_tree(sequences: Sequence[Sequence[int]]) -> LabelNode:
    """Grow the tree of labels, given as token sequences of which none begins another.

    A label's last token is never a node: its log-probability stands in the row before it.
    """
    everyone = list(range(len(sequences)))
    root = _label_node((), 0, everyone, [(0, sequence[0], label) for label, sequence in enumerate(sequences)])
    _grow(root, sequences, everyone, 0)
    return root


def _grow(parent: LabelNode, sequences: Sequence[Sequence[int]], labels: Sequence[int], depth: int) -> None:
    for _, members in _by_token(sequences, labels, depth):
        going_on = [label for label in members if len(sequences[label]) > depth + 1]
        if not going_on:
            continue
        end = depth + 1
        first = sequences[going_on[0]]
        while end + 1 < len(first) and all(sequences[label][end] == first[end] for label in going_on):
            end += 1
        reads = [(row, sequences[label][depth + row + 1], label) for row in range(end - depth) for label in going_on]
        node = _label_node(first[:end], end - depth, going_on, reads)
        parent.children.append(node)
        _grow(node, sequences, going_on, end)


def _by_token(
    sequences: Sequence[Sequence[int]], members: Sequence[int], depth: int
) -> Iterator[tuple[int, list[int]]]:
    def token(member: int) -> int:
        return sequences[member][depth]

    longer = [member for member in members if len(sequences[member]) > depth]
    for value, group in groupby(sorted(longer, key=token), key=token):
        yield value, list(group)


def _label_node(
    path: Sequence[int], size: int, below: Sequence[int], reads: Sequence[tuple[int, int, int]]
) -> LabelNode:
    rows, next_tokens, labels = np.array(reads, dtype=np.intp).T
    way = np.array(path, dtype=np.int32)
    return LabelNode(way[len(way) - size :], way, np.array(below, dtype=np.intp), rows, next_tokens, labels)


@dataclass(slots=True)
class PromptNode:
    """Prompt tokens that are read together; `ends` are the prompts whose last token is this node's last."""

    tokens: Tokens
    ends: list[int] = field(default_factory=list)
    children: list["PromptNode"] = field(default_factory=list)

    @property
    def height(self) -> int:
        """The number of nodes below this one, on the longest way down."""
        return max((1 + child.height for child in self.children), default=0)


def prompt_tree(prompts: Sequence[Tokens], *, longest: int) -> PromptNode:
    """Grow the tree of different prompts, in nodes of at most `longest` tokens (the root may be longer)."""
    order = sorted(range(len(prompts)), key=lambda i: prompts[i].astype(">u4").tobytes())
    return _prompt_node([prompts[i] for i in order], order, 0, longest, is_root=True)


def tokens_below(node: PromptNode) -> int:
    """Count the tokens in all nodes below one."""
    return sum(len(child.tokens) + tokens_below(child) for child in node.children)


def _prompt_node(
    sorted_prompts: list[Tokens], numbers: list[int], depth: int, longest: int, *, is_root: bool
) -> PromptNode:
    first, last = sorted_prompts[0], sorted_prompts[-1]
    end = shared_length(first, last)
    bottom = PromptNode(first[depth:end])
    top = bottom if is_root else _split(bottom, longest)
    start = 0
    while start < len(numbers) and len(sorted_prompts[start]) == end:
        bottom.ends.append(numbers[start])
        start += 1
    while start < len(numbers):
        stop = start + 1
        while stop < len(numbers) and sorted_prompts[stop][end] == sorted_prompts[start][end]:
            stop += 1
        saved = (stop - start - 1) * (shared_length(sorted_prompts[start], sorted_prompts[stop - 1]) - end)
        step = stop - start if saved >= LEAST_SAVED else 1
        for at in range(start, stop, step):
            members = slice(at, at + step)
            bottom.children.append(_prompt_node(sorted_prompts[members], numbers[members], end, longest, is_root=False))
        start = stop
    return top


def _split(node: PromptNode, longest: int) -> PromptNode:
    """Put a node's first tokens into nodes above it, and give the topmost."""
    pieces = [node.tokens[i : i + longest] for i in range(0, len(node.tokens), longest)]
    node.tokens = pieces[-1]
    top = node
    for piece in reversed(pieces[:-1]):
        top = PromptNode(piece, children=[top])
    return top


def shared_length(first: Tokens, second: Tokens) -> int:
    """Count the tokens with which both begin."""
    shortest = min(len(first), len(second))
    different = np.flatnonzero(first[:shortest] != second[:shortest])
    return int(different[0]) if len(different) else shortest
