"""A tree of prompts and labels, walked through a context: what they share is read once."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from llmclf.backends.context import LlamaContext
from llmclf.backends.llama import Tokens
from llmclf.backends.prefix_tree import LabelNode, PromptNode, prompt_tree, shared_length
from llmclf.backends.tasks import Task, log_sums

_SPARE_SEQUENCES = 64
"""Sequences that only the current way down may use, so that it can always be finished."""


class Walk(Protocol):
    """Adds up the log-likelihoods of tasks."""

    def run(self, tasks: Sequence[Task]) -> None:
        """Add up the log-likelihoods of all tasks."""

    def forget(self) -> None:
        """Drop all that was read."""


class _Slice(NamedTuple):
    """A part of a node's tokens that is read in one batch, and which of the node's rows of logits it gives."""

    begin: int
    end: int
    rows: int
    first_row: int


def _label_slices(context: LlamaContext, node: LabelNode, tokens: Tokens) -> Iterator[_Slice]:
    """Cut a label's tokens, or all on its path, into slices whose logits fit in memory."""
    before = len(tokens) - len(node.tokens)
    for begin, end in pairwise([0, *context.slices(len(tokens))]):
        yield _Slice(begin, end, max(0, end - max(begin, before)), max(0, begin - before))


@dataclass(slots=True, eq=False)
class _Visit:
    """One node on its way through the context: what to read, after which visit, and for whom."""

    node: PromptNode | LabelNode
    parent: "_Visit | None"
    tokens: Tokens
    slices: list[_Slice]
    """Yet to be read, the next one last."""
    task: Task | None = None
    start: int = field(init=False)
    sequence: int = 0
    children: int = 0

    def __post_init__(self) -> None:
        self.start = self.parent.start + len(self.parent.tokens) if self.parent else 0

    @property
    def is_search(self) -> bool:
        """Whether it looks for the best label: from the prompt's end each time, so that no way down is held open."""
        return self.task is not None and self.task.best_only is not None

    @property
    def segment(self) -> tuple[int, int, Tokens, int]:
        """What is to be decoded next."""
        begin, end, rows, _ = self.slices[-1]
        return self.sequence, self.start + begin, self.tokens[begin:end], rows


class PackedWalk:
    """Reads as many nodes a batch as fit, depth first.

    Sequence 0 holds the tree's root and stays for the next tree, which often has the same head.
    """

    def __init__(self, context: LlamaContext) -> None:
        self._context = context
        self._start_over()

    def _start_over(self) -> None:
        self._free = list(range(self._context.sequences - 2, 0, -1))
        self._root: Tokens = np.empty(0, dtype=np.int32)
        self._used = self._spare_cells = self._spare_sequences = 0
        self._tasks: Sequence[Task] = ()

    def forget(self) -> None:
        """Drop all that was read."""
        self._context.clear()
        self._start_over()

    def run(self, tasks: Sequence[Task]) -> None:
        """Add up the log-likelihoods of all tasks."""
        if not tasks:
            return
        try:
            self._run(tasks)
        except BaseException:
            self.forget()  # interrupted midway: what the sequences hold is no longer known
            raise

    def _run(self, tasks: Sequence[Task]) -> None:
        self._tasks = tasks
        tree = prompt_tree([task.prompt for task in tasks], longest=self._context.batch)
        longest = max(task.need for task in tasks)
        highest = tree.height + max(task.labels.tree.height for task in tasks)
        self._spare_cells = longest - len(tree.tokens)
        self._spare_sequences = max(highest, _SPARE_SEQUENCES)
        waiting = self._below(self._prompt_visit(tree, None), self._read_root(tree))
        while waiting:
            batch = self._admit(waiting)
            for visit, logits in zip(batch, self._context.decode([v.segment for v in batch]), strict=True):
                waiting += self._below(visit, logits)
                if not visit.slices and not visit.children:
                    self._release(visit)

    def _read_root(self, root: PromptNode) -> NDArray[np.float32]:
        size = len(root.tokens)
        rows = 1 if root.ends else 0
        kept = min(shared_length(self._root, root.tokens), size - rows)
        self._context.forget(0, kept)
        logits = self._context.read(0, kept, root.tokens[kept:], rows=rows)
        self._root = root.tokens
        self._used = size
        return logits

    def _below(self, visit: _Visit, logits: NDArray[np.float32]) -> list[_Visit]:
        """Add what a slice's logits say to its tasks, and give the visits to come, the first one last."""
        node = visit.node
        read = visit.slices.pop()
        if isinstance(node, LabelNode):
            assert visit.task is not None
            visit.task.add(node, logits, read.first_row)
            if visit.slices:
                return [visit]
            below = self._labels_below(visit.task, node, visit.parent if visit.is_search else visit)
        else:
            below = [self._prompt_visit(child, visit) for child in node.children]
            for task in (self._tasks[number] for number in node.ends):
                task.add(task.labels.tree, logits)
                below += self._labels_below(task, task.labels.tree, visit)
        for one in below:
            assert one.parent is not None
            one.parent.children += 1
        return below[::-1]

    def _prompt_visit(self, node: PromptNode, parent: _Visit | None) -> _Visit:
        return _Visit(node, parent, node.tokens, [_Slice(0, len(node.tokens), 1 if node.ends else 0, 0)])

    def _labels_below(self, task: Task, node: LabelNode, parent: _Visit | None) -> list[_Visit]:
        below = []
        for after in task.nodes_after(node):
            tokens = after.path if task.best_only else after.tokens
            slices = list(_label_slices(self._context, after, tokens))
            below.append(_Visit(after, parent, tokens, slices[::-1], task))
        return below

    def _admit(self, waiting: list[_Visit]) -> list[_Visit]:
        """Take the next visits that fit in one batch, and give each its sequence."""
        batch: list[_Visit] = []
        tokens = rows = 0
        while waiting:
            visit = waiting[-1]
            begin, end, wanted, _ = visit.slices[-1]
            tokens += end - begin
            rows += wanted
            is_full = tokens > self._context.batch or rows > self._context.rows
            if batch and (is_full or not self._may_join(visit)):
                break
            waiting.pop()
            if not begin:
                visit.sequence = self._free.pop()
                self._used += len(visit.tokens)
                assert visit.parent is not None
                self._context.share(visit.parent.sequence, visit.sequence)
            batch.append(visit)
        return batch

    def _may_join(self, visit: _Visit) -> bool:
        """Say whether all that is then held can still be finished: the spare is for one way down at a time."""
        if visit.slices[-1].begin:  # it holds its cells
            return True
        cells = self._context.cells - self._used - len(visit.tokens)
        if not self._goes_on(visit):  # let go of right after this batch
            return bool(self._free) and cells >= 0
        return len(self._free) > self._spare_sequences and cells >= self._spare_cells

    def _goes_on(self, visit: _Visit) -> bool:
        node = visit.node
        if len(visit.slices) > 1:
            return True
        if isinstance(node, LabelNode):
            return bool(node.children) and not visit.is_search
        return bool(node.children) or any(self._tasks[number].labels.tree.children for number in node.ends)

    def _release(self, visit: _Visit) -> None:
        """Let go of a node that is done, and of those above it that waited for it alone."""
        done: _Visit | None = visit
        while done is not None and done.parent is not None and done.children == 0:
            self._context.forget(done.sequence)
            self._free.append(done.sequence)
            self._used -= len(done.tokens)
            done = done.parent
            done.children -= 1


class _LoneWalk(ABC):
    """Reads one task at a time, each from an empty cache."""

    def __init__(self, context: LlamaContext) -> None:
        self._context = context

    def forget(self) -> None:
        """Drop all that was read."""
        self._context.clear()

    def run(self, tasks: Sequence[Task]) -> None:
        """Add up the log-likelihoods of all tasks."""
        for task in tasks:
            self._run(task)

    @abstractmethod
    def _run(self, task: Task) -> None:
        """Add up the log-likelihoods of one task."""


class SeparateWalk(_LoneWalk):
    """Reads every node in a batch of its own, after a prompt that is read from an empty cache.

    So what a task's batches are does not depend on what else is asked, and its scores are the same bits each time.
    """

    def _run(self, task: Task) -> None:
        self._context.clear()
        root, end = task.labels.tree, len(task.prompt)
        task.add(root, self._context.read(0, 0, task.prompt, rows=1))
        if task.best_only:
            self._search(task, root, end)
        else:
            self._below(task, root, end)

    def _below(self, task: Task, node: LabelNode, end: int) -> None:
        for child in task.nodes_after(node):
            self._add(task, child, child.tokens, end)
            self._below(task, child, end + len(child.tokens))
            self._context.forget(0, end)

    def _search(self, task: Task, root: LabelNode, end: int) -> None:
        waiting = task.nodes_after(root)
        while waiting:
            node = waiting.pop()
            self._add(task, node, node.path, end)
            self._context.forget(0, end)
            waiting += task.nodes_after(node)

    def _add(self, task: Task, node: LabelNode, tokens: Tokens, start: int) -> None:
        for begin, end, rows, first_row in _label_slices(self._context, node, tokens):
            (logits,) = self._context.decode([(0, start + begin, tokens[begin:end], rows)])
            task.add(node, logits, first_row)


class PlainWalk(_LoneWalk):
    """Reads one text and label at a time, all of it from an empty cache: for models whose past cannot be shared."""

    def _run(self, task: Task) -> None:
        ways: dict[tuple[int, ...], list[int]] = {}
        for label, sequence in enumerate(task.labels.sequences):
            ways.setdefault(tuple(sequence[:-1]), []).append(label)
        for way, labels in ways.items():
            self._context.clear()
            tokens = np.concatenate([task.prompt, np.array(way, dtype=np.int32)])
            totals, before, start = np.zeros(len(labels)), len(task.prompt) - 1, 0
            for begin, end in pairwise([0, *self._context.slices(1 + len(way))]):
                logits = self._context.read(0, start, tokens[start : before + end], rows=end - begin)
                start = before + end
                following = np.array([task.labels.sequences[label][begin:end] for label in labels])
                rows = np.arange(end - begin)
                totals += (logits[rows, following] - log_sums(logits)).sum(axis=1)
            for label, total in zip(labels, totals.tolist(), strict=True):
                task.put(label, total)
