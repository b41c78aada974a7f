"""The local engine: label likelihoods, and replies under a grammar, from a GGUF model on this machine."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from llmclf.backends.base import (
    Completion,
    Failure,
    Identity,
    Json,
    Likelihoods,
    Origin,
    Reading,
    Reply,
    Request,
    RequestId,
    Scores,
    Structured,
    Usage,
)
from llmclf.backends.engine import Engine, engine
from llmclf.backends.layouts import REFERENCE, SHIPPED, Weights, weights
from llmclf.backends.llama import Tokens, available_cpus
from llmclf.backends.prefix_tree import prompt_tree, shared_length, tokens_below
from llmclf.backends.tasks import Labels, Task, one_begins_another
from llmclf.backends.writing import Writing
from llmclf.errors import BackendError, InputError
from llmclf.status import Status

_WINDOW_TOKENS = 8192
"""Tokens to read after which no more requests are taken, so that long texts too give replies in good time."""
_REVISION = 3
"""To be raised with every change that moves scores, so that no record mixes two."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request as tokens."""

    request: Request
    prompt: Tokens
    labels: Labels | None
    """None where it is no labels that are asked for, and for a text without tokens."""

    @property
    def text_tokens(self) -> int:
        """The tokens of a single label, which may be a whole text; those of ordinary labels are few."""
        return self.labels.longest if self.labels and len(self.labels.names) == 1 else 0


class LocalBackend:
    """Scores labels, and writes replies, with a llama.cpp model on this machine.

    A label's log-likelihood is the teacher-forced sum over its tokens after the prompt. Where one label's tokens
    begin another's, every label of that question is scored with its terminator, so that each can win. A single label
    may be a whole text, as the noisy channel P(text | label) asks for it, up to what the context holds.

    Texts are packed many to a batch. That changes the order of sums, and so a label's log-likelihood: with weights
    in F16 by up to 0.01 nats on average, in F32 by half of that, in 4 bits by 0.2 (`python -m evals.exactness`). With
    `reproducible` the layout is F16 and every text is read by itself: the same bits whatever else is asked, several
    times slower.

    Args:
        path: the GGUF file.
        layout: of the weights, one of `LAYOUTS`; None measures which is the fastest here, once.
        context: tokens that the cache holds.
        batch: tokens that are read at a time, at most.
        window: requests that are looked at together, at most, for what they share.
        threads: None takes the cores that this process may use.
        gpu_layers: how many of the model's layers a GPU holds.
        reproducible: the same bits, whatever else is asked.
        max_tokens: where a written reply is cut.

    """

    forms: frozenset[type[Likelihoods] | type[Structured]] = frozenset({Likelihoods, Structured})
    origin: Origin = "likelihoods"

    def __init__(
        self,
        path: str | Path | Weights,
        *,
        layout: str | None = None,
        context: int = 8192,
        batch: int = 384,
        window: int = 256,
        threads: int | None = None,
        gpu_layers: int = 0,
        reproducible: bool = False,
        max_tokens: int = 256,
    ) -> None:
        if reproducible:
            if layout not in (None, REFERENCE):
                raise InputError(f"reproducible scores are in {REFERENCE}, not {layout}", "Leave out one of the two")
            layout = REFERENCE
        if not isinstance(path, Weights):
            path = weights(Path(path), layout or (SHIPPED if gpu_layers else None))
        threads = available_cpus() if threads is None else threads
        sizes = {"context": context, "batch": batch, "window": window, "threads": threads, "max_tokens": max_tokens}
        for name, size in sizes.items():
            if size < 1:
                raise InputError(f"the setting {name} is {size}", "Give 1 or more")
        self._engine: Engine | None = engine(
            path.path,
            repacked=path.repacked,
            gpu_layers=gpu_layers,
            context=context,
            batch=batch,
            threads=threads,
            packed=not reproducible,
        )
        self.ahead = self._window = window
        self._max_tokens = max_tokens
        self._labels: dict[tuple[tuple[str, ...], bool], Labels] = {}
        self.name = path.name
        cells = self._engine.context.cells
        self.identity = Identity(
            model={"engine": "llama.cpp", "sha256": path.sha256, "layout": path.layout},
            settings={
                "context": cells,
                "reproducible": reproducible,
                "max_tokens": max_tokens,
                "revision": _REVISION,
            },
        )
        self.resolved: Mapping[str, Json] = {
            "layout": path.layout,
            "context": context,
            "batch": batch,
            "window": window,
            "threads": threads,
            "gpu_layers": gpu_layers,
            "reproducible": reproducible,
            "max_tokens": max_tokens,
        }
        self.measured: Mapping[str, Json] = {layout: asdict(one) for layout, one in path.measured.items()}

    def answer(self, requests: Iterable[Request]) -> Iterator[Reply]:
        """Answer window by window; see `Backend.answer`."""
        stream = iter(requests)
        while window := self._take_window(stream):
            with self._open.lock:  # not while replies are handed on: who takes them may ask here, too
                replies = [*self._score(window), *self._write(window)]
            yield from replies

    def tokens_to_read(self, requests: Iterable[Request]) -> int:
        """Count the tokens that answering these would take, but for those that all prompts begin with."""
        asked = [self._asked(request) for request in requests]
        if not asked:
            return 0
        different = {(one.prompt.tobytes(), one.request.form): one for one in asked}.values()
        prompts, in_texts = [one.prompt for one in different], sum(one.text_tokens for one in different)
        if self._open.packed and all(isinstance(one.request.form, Likelihoods) for one in different):
            return in_texts + tokens_below(prompt_tree(prompts, longest=self._open.context.batch))
        return in_texts + sum(map(len, prompts))

    def close(self) -> None:
        """Let go of the model; it is freed when nobody else in this process holds it."""
        self._engine = None

    @property
    def _open(self) -> Engine:
        if self._engine is None:
            raise BackendError(f"the model {self.name} is closed")
        return self._engine

    def _prompt(self, request: Request) -> Tokens:
        return np.array(self._open.chat.prompt_tokens(request.messages), dtype=np.int32)

    def _asked(self, request: Request) -> _Asked:
        labels = None
        if isinstance(request.form, Likelihoods):
            labels = self._labels_of(request.form.labels, continues=request.messages[-1].role == "assistant")
        return _Asked(request, self._prompt(request), labels)

    def _take_window(self, stream: Iterator[Request]) -> list[_Asked]:
        """Take the requests that are looked at together: few enough that replies keep coming."""
        window: list[_Asked] = []
        tokens, last = 0, np.empty(0, dtype=np.int32)
        while len(window) < self._window and tokens < _WINDOW_TOKENS and (request := next(stream, None)) is not None:
            asked = self._asked(request)
            tokens += len(asked.prompt) - shared_length(last, asked.prompt) + asked.text_tokens
            last = asked.prompt
            window.append(asked)
        return window

    def _score(self, window: Sequence[_Asked]) -> Iterator[Reply]:
        """Score the labels of those that ask for likelihoods, equal ones once."""
        began = time.perf_counter()
        cells = self._open.context.cells
        asked: list[tuple[Request, Task]] = []
        for one in window:
            if isinstance(form := one.request.form, Likelihoods):
                if one.labels:
                    asked.append((one.request, Task(one.prompt, one.labels, _checked(form))))
                else:
                    yield Failure(one.request.id, Status.EMPTY, f"a text without tokens to {self.name}")
        different = {task.key: task for _, task in asked if task.need <= cells}
        self._open.walk.run(list(different.values()))
        seconds = (time.perf_counter() - began) / max(1, len(asked))
        for request, task in asked:
            if task.need > cells:
                detail = f"{task.need} tokens with its labels, and the context holds {cells}"
                yield Failure(request.id, Status.TOO_LONG, detail)
            else:
                yield _scores(request.id, different[task.key], seconds)

    def _write(self, window: Sequence[_Asked]) -> Iterator[Reply]:
        """Write the replies that are asked for, equal ones once."""
        asked = [
            (one.request, Writing(one.prompt, form.schema, self._max_tokens))
            for one in window
            if isinstance(form := one.request.form, Structured)
        ]
        if not asked:
            return
        began = time.perf_counter()
        cells = self._open.context.cells
        writer = self._open.writer
        different = {writing.key: writing for _, writing in asked if writer.need(writing) <= cells}
        self._open.walk.forget()  # a reply may need all of the context
        writer.write(list(different.values()))
        seconds = (time.perf_counter() - began) / len(asked)
        for request, one in asked:
            if (need := writer.need(one)) > cells:
                detail = f"{need} tokens with its reply, and the context holds {cells}"
                yield Failure(request.id, Status.TOO_LONG, detail)
                continue
            writing = different[one.key]
            text = writing.text.decode(errors="replace")
            usage = Usage(prompt_tokens=len(one.prompt), completion_tokens=writing.tokens)
            if writing.is_whole:
                yield Completion(request.id, text, usage=usage, seconds=seconds)
            else:
                detail = f"cut at {self._max_tokens} tokens: give a larger max_tokens"
                yield Failure(request.id, Status.CUT, detail, text=text, usage=usage, seconds=seconds)

    def _labels_of(self, names: tuple[str, ...], *, continues: bool) -> Labels | None:
        if len(names) == 1:  # a text: not kept, as there are as many as items
            tokens = self._open.chat.label_tokens(names[0], continues=continues)
            return Labels(names, [tokens]) if tokens else None
        key = (names, continues)
        if key not in self._labels:
            chat = self._open.chat
            sequences = [chat.label_tokens(name, continues=continues) for name in names]
            if one_begins_another(sequences):
                sequences = [[*sequence, *chat.terminator] for sequence in sequences]
            if one_begins_another(sequences) or not all(sequences):
                raise InputError(
                    f"two of the labels {', '.join(names)} are the same tokens to {self.name}", "Rename one"
                )
            self._labels[key] = Labels(names, sequences)
        return self._labels[key]


def _checked(form: Likelihoods) -> Reading | None:
    reading = form.best_only
    if reading and reading.correction and len(reading.correction) != len(form.labels):
        raise InputError(
            f"a correction of {len(reading.correction)} numbers for {len(form.labels)} labels", "Give one a label"
        )
    return reading


def _scores(request: RequestId, task: Task, seconds: float) -> Scores:
    known = task.is_known.tolist()
    names = [name for name, is_known in zip(task.labels.names, known, strict=True) if is_known]
    return Scores(
        request,
        log_likelihoods=dict(zip(names, task.totals[task.is_known].tolist(), strict=True)),
        tokens=dict(zip(names, task.labels.counts[task.is_known].tolist(), strict=True)),
        best_by=task.best_only,
        usage=Usage(prompt_tokens=len(task.prompt)),
        seconds=seconds,
    )
