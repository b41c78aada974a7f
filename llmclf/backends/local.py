"""The local engine: label likelihoods from a GGUF model, each shared token read once."""

import hashlib
import time
import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from llmclf.backends.base import Failure, Identity, Likelihoods, Reply, Request, Scores, Structured, Usage
from llmclf.backends.chat import ChatFormat
from llmclf.backends.llama import MAX_SEQUENCES, LlamaContext, LlamaModel, Tokens, available_cpus
from llmclf.backends.prefix_tree import LabelNode, PromptNode, label_tree, prompt_tree, shared_length
from llmclf.errors import BackendError, InputError
from llmclf.status import Status

WINDOW = 256
"""Requests that are looked at together, at most, for what they share."""
WINDOW_TOKENS = 8192
"""Tokens of their prompts after which no more are taken, so that long texts too give replies in good time."""
BATCH_TOKENS = 1024
DEFAULT_CONTEXT = 8192
_REVISION = 1
"""To be raised with every change that moves scores, so that no record mixes two."""
_LOGIT_BYTES = 64 * 2**20
"""Memory for the logits of one batch; a row is 0.2 MB for a vocabulary of 49,152."""
_SPARE_SEQUENCES = 64
"""Sequences that only the current way down may use, so that it can always be finished."""


class LocalBackend:
    """Scores labels with a llama.cpp model on this machine.

    A label's log-likelihood is the teacher-forced sum over its tokens after the prompt. Where one label's tokens
    begin another's, every label of that question is scored with its terminator, so that each can win.

    Texts are packed many to a batch. That changes the order of sums, and so a label's log-likelihood: with weights
    in F16 by 0.03 nats (0.01 a token for labels of many), by half a nat in 4 bits. Without `packed` one text is read
    at a time, at the places in memory where plain decoding would have it: within 0.005 nats, several times slower.
    """

    forms: frozenset[type[Likelihoods] | type[Structured]] = frozenset({Likelihoods})

    def __init__(
        self,
        path: str | Path,
        *,
        context: int = DEFAULT_CONTEXT,
        threads: int | None = None,
        gpu_layers: int = 0,
        packed: bool = True,
    ) -> None:
        path = Path(path)
        self._model = LlamaModel(path, gpu_layers=gpu_layers)
        self._chat = ChatFormat(self._model)
        cells = min(context, self._model.trained_context)
        self._walk = _Walk(
            LlamaContext(self._model, cells=cells, batch=BATCH_TOKENS, threads=threads or available_cpus()),
            rows=max(1, _LOGIT_BYTES // (4 * self._model.vocabulary_size)),
            packed=packed,
        )
        self._trees: dict[tuple[tuple[str, ...], bool], _Labels] = {}
        self._free = weakref.finalize(self, _free, self._walk.context, self._model)
        self.name = path.stem
        self.identity = Identity(
            model={"engine": "llama.cpp", "sha256": file_hash(path)},
            settings={"context": cells, "packed": packed, "revision": _REVISION},
        )

    def answer(self, requests: Iterable[Request]) -> Iterator[Reply]:
        """Answer window by window; see `Backend.answer`."""
        if not self._free.alive:
            raise BackendError(f"the model {self.name} is closed")
        stream = iter(requests)
        while window := self._take_window(stream):
            yield from self._answer_window(window)

    def close(self) -> None:
        """Free the model and its context."""
        self._free()

    def _take_window(self, stream: Iterator[Request]) -> list[tuple[Request, "_Task"]]:
        """Take the requests that are looked at together: few enough that replies keep coming."""
        window: list[tuple[Request, _Task]] = []
        tokens = 0
        while len(window) < WINDOW and tokens < WINDOW_TOKENS and (request := next(stream, None)) is not None:
            if not isinstance(request.form, Likelihoods):
                raise BackendError("the local engine gives label likelihoods only", "Use a hosted model for text")
            labels = self._labels(request.form.labels, continues=request.messages[-1].role == "assistant")
            prompt = np.array(self._chat.prompt_tokens(request.messages), dtype=np.int32)
            window.append((request, _Task(prompt, labels)))
            tokens += len(prompt)
        return window

    def _answer_window(self, window: Sequence[tuple[Request, "_Task"]]) -> Iterator[Reply]:
        began = time.perf_counter()
        cells = self._walk.context.cells
        different = {task.key: task for _, task in window if task.need <= cells}
        self._walk.run(list(different.values()))
        seconds = (time.perf_counter() - began) / len(window)
        for request, asked in window:
            if asked.need > cells:
                detail = f"{asked.need} tokens with its labels, and the context holds {cells}"
                yield Failure(request.id, Status.TOO_LONG, detail)
                continue
            task = different[asked.key]
            yield Scores(
                request.id,
                log_likelihoods=dict(zip(task.labels.names, task.totals.tolist(), strict=True)),
                tokens=dict(zip(task.labels.names, task.labels.counts, strict=True)),
                usage=Usage(prompt_tokens=len(task.prompt)),
                seconds=seconds,
            )

    def _labels(self, names: tuple[str, ...], *, continues: bool) -> "_Labels":
        key = (names, continues)
        if key not in self._trees:
            sequences = [self._chat.label_tokens(name, continues=continues) for name in names]
            if _one_begins_another(sequences):
                sequences = [[*sequence, *self._chat.terminator] for sequence in sequences]
            if _one_begins_another(sequences) or not all(sequences):
                raise InputError(
                    f"two of the labels {', '.join(names)} are the same tokens to {self.name}", "Rename one"
                )
            counts = [len(sequence) for sequence in sequences]
            if max(counts) > self._walk.context.batch:
                raise InputError(f"a label is {max(counts)} tokens long", "Give it a short name and a definition")
            self._trees[key] = _Labels(names, counts, label_tree(sequences))
        return self._trees[key]


def _free(context: LlamaContext, model: LlamaModel) -> None:
    context.close()
    model.close()


def file_hash(path: Path) -> str:
    """Give the SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _one_begins_another(sequences: Sequence[Sequence[int]]) -> bool:
    ordered = sorted(map(list, sequences))
    return any(long[: len(short)] == short for short, long in pairwise(ordered))


@dataclass(frozen=True, slots=True)
class _Labels:
    names: tuple[str, ...]
    counts: list[int]
    tree: LabelNode

    @property
    def longest(self) -> int:
        return max(self.counts)


@dataclass(slots=True)
class _Task:
    """A prompt and its labels, and the log-likelihoods as they add up."""

    prompt: Tokens
    labels: _Labels
    totals: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.totals = np.zeros(len(self.labels.names))

    @property
    def key(self) -> tuple[bytes, tuple[str, ...]]:
        """What equal tasks have in common."""
        return self.prompt.tobytes(), self.labels.names

    @property
    def need(self) -> int:
        """The cells that it takes at the most."""
        return len(self.prompt) + self.labels.longest


@dataclass(slots=True, eq=False)
class _Visit:
    """One node on its way through the context: what to read, after which sequence, and for whom."""

    node: PromptNode | LabelNode
    parent: "_Visit | None"
    start: int
    task: _Task | None = None
    sequence: int = 0
    children: int = 0

    @property
    def rows(self) -> int:
        if isinstance(self.node, LabelNode):
            return len(self.node.tokens)
        return 1 if self.node.ends else 0


class _Walk:
    """Walks a tree of prompts and labels through a context, depth first, as many nodes a batch as fit.

    Sequence 0 holds the tree's root and stays for the next tree, which often has the same head.
    """

    def __init__(self, context: LlamaContext, *, rows: int, packed: bool) -> None:
        self.context = context
        self._packed = packed
        self._rows = rows
        self._reset()

    def _reset(self) -> None:
        self._free = list(range(MAX_SEQUENCES - 2, 0, -1))
        self._root: Tokens = np.empty(0, dtype=np.int32)
        self._used = self._spare_cells = self._spare_sequences = 0
        self._tasks: Sequence[_Task] = ()

    def run(self, tasks: Sequence[_Task]) -> None:
        """Add up the log-likelihoods of all tasks."""
        if not tasks:
            return
        try:
            self._run(tasks)
        except BaseException:
            self.context.forget(-1)  # interrupted midway: what the sequences hold is no longer known
            self._reset()
            raise

    def _run(self, tasks: Sequence[_Task]) -> None:
        self._tasks = tasks
        tree = prompt_tree([task.prompt for task in tasks], longest=self.context.batch)
        longest = max(task.need for task in tasks)
        highest = tree.height + max(task.labels.tree.height for task in tasks)
        self._spare_cells = longest - len(tree.tokens)
        self._spare_sequences = max(highest, _SPARE_SEQUENCES)
        waiting = self._below(_Visit(tree, None, 0), self._read_root(tree))
        while waiting:
            batch = self._admit(waiting)
            logits = self.context.decode([(v.sequence, v.start, v.node.tokens, v.rows) for v in batch])
            for visit, rows in zip(batch, logits, strict=True):
                below = self._below(visit, rows)
                waiting += below
                if not below:
                    self._release(visit)

    def _read_root(self, root: PromptNode) -> NDArray[np.float32]:
        size = len(root.tokens)
        kept = min(shared_length(self._root, root.tokens), size - 1 if root.ends else size)
        self.context.forget(0, kept)
        logits = np.empty((0, 0), dtype=np.float32)
        for start in range(kept, size, self.context.batch):
            piece = root.tokens[start : start + self.context.batch]
            is_end = bool(root.ends) and start + len(piece) == size
            (logits,) = self.context.decode([(0, start, piece, int(is_end))])
        self._root = root.tokens
        self._used = size
        return logits

    def _below(self, visit: _Visit, logits: NDArray[np.float32]) -> list[_Visit]:
        """Add what a node's logits say to its tasks, and give the visits to come, the first one last."""
        node, end = visit.node, visit.start + len(visit.node.tokens)
        if isinstance(node, LabelNode):
            assert visit.task is not None
            _add_log_probabilities(visit.task, node, logits)
            below = [_Visit(child, visit, end, visit.task) for child in node.children]
        else:
            below = [_Visit(child, visit, end) for child in node.children]
            for task in (self._tasks[number] for number in node.ends):
                _add_log_probabilities(task, task.labels.tree, logits)
                below += [_Visit(child, visit, end, task) for child in task.labels.tree.children]
        visit.children = len(below)
        return below[::-1]

    def _admit(self, waiting: list[_Visit]) -> list[_Visit]:
        """Take the next visits that fit in one batch, and give each its sequence."""
        batch: list[_Visit] = []
        tokens = rows = 0
        while waiting:
            visit = waiting[-1]
            tokens += len(visit.node.tokens)
            rows += visit.rows
            is_full = tokens > self.context.batch or rows > self._rows or not self._packed
            if batch and (is_full or not self._may_join(visit)):
                break
            waiting.pop()
            visit.sequence = self._free.pop()
            self._used += len(visit.node.tokens)
            assert visit.parent is not None
            self.context.share(visit.parent.sequence, visit.sequence)
            batch.append(visit)
        return batch

    def _may_join(self, visit: _Visit) -> bool:
        """Say whether all that is then held can still be finished: the spare is for one way down at a time."""
        cells = self.context.cells - self._used - len(visit.node.tokens)
        if not self._has_below(visit):  # let go of right after this batch
            return bool(self._free) and cells >= 0
        return len(self._free) > self._spare_sequences and cells >= self._spare_cells

    def _has_below(self, visit: _Visit) -> bool:
        node = visit.node
        if isinstance(node, LabelNode):
            return bool(node.children)
        return bool(node.children) or any(self._tasks[number].labels.tree.children for number in node.ends)

    def _release(self, visit: _Visit) -> None:
        """Let go of a node that is done, and of those above it that waited for it alone."""
        done: _Visit | None = visit
        while done is not None and done.parent is not None and done.children == 0:
            self.context.forget(done.sequence)
            self._free.append(done.sequence)
            self._used -= len(done.node.tokens)
            done = done.parent
            done.children -= 1


def _add_log_probabilities(task: _Task, node: LabelNode, logits: NDArray[np.float32]) -> None:
    top = logits.max(axis=1, keepdims=True)
    log_sums = top[:, 0] + np.log(np.exp(logits - top).sum(axis=1, dtype=np.float64))
    np.add.at(task.totals, node.labels, logits[node.rows, node.next_tokens] - log_sums[node.rows])
