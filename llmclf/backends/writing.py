"""Replies written together, each under its own grammar."""

import ctypes
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmclf.backends.context import LlamaContext
from llmclf.backends.grammar import examples, grammar, opening
from llmclf.backends.llama import LlamaModel, Tokens, llama_cpp
from llmclf.backends.prefix_tree import shared_length
from llmclf.errors import BackendError

MOST_TOGETHER = 64
"""Replies written at a time: more fill the cache with cells that every token has to pass."""
_LIKELIEST = 32
"""Tokens tried against a grammar at once, before the whole vocabulary is: that takes milliseconds."""


@dataclass(slots=True, eq=False)
class Writing:
    """One reply to be written."""

    prompt: Tokens
    schema: str
    max_tokens: int
    text: bytes = b""
    tokens: int = 0
    is_whole: bool = False

    @property
    def key(self) -> tuple[bytes, str, int]:
        """What equal ones have in common."""
        return self.prompt.tobytes(), self.schema, self.max_tokens


@dataclass(slots=True, eq=False)
class _Line:
    """A reply on its way: what is to be read next, and where."""

    writing: Writing
    sequence: int
    grammar: "Grammar"
    unread: Tokens
    position: int
    cells: int


class Writer:
    """Writes replies, as many at a time as the cache holds; the likeliest token that the grammar allows is next."""

    def __init__(self, context: LlamaContext, model: LlamaModel, *, packed: bool) -> None:
        self._together = MOST_TOGETHER if packed else 1
        self._context = context
        self._model = model
        self._grammars: dict[str, tuple[str, list[int], list[int]]] = {}

    def need(self, writing: Writing) -> int:
        """Give the cells that a reply takes at the most."""
        return len(writing.prompt) + len(self._grammar(writing.schema)[1]) + writing.max_tokens

    def write(self, writings: Sequence[Writing]) -> None:
        """Write each reply until it is whole, or cut at the budget."""
        self._context.clear()
        head = self._read_head(writings) if self._together > 1 and len(writings) > 1 else 0
        waiting = deque(writings)
        free = list(range(self._together, 0, -1))
        room = self._context.cells - head
        lines: list[_Line] = []
        try:
            while waiting or lines:
                while waiting and free:
                    cells = self.need(waiting[0]) - head
                    if lines and cells > room:
                        break
                    room -= cells
                    lines.append(self._open(waiting.popleft(), free.pop(), head, cells))
                for line in self._step(lines):
                    self._context.forget(line.sequence)
                    line.grammar.close()
                    lines.remove(line)
                    free.append(line.sequence)
                    room += line.cells
        finally:
            for line in lines:
                line.grammar.close()
            self._context.clear()

    def _read_head(self, writings: Sequence[Writing]) -> int:
        """Read into sequence 0 what all prompts begin with."""
        first = writings[0].prompt
        head = min((shared_length(first, writing.prompt) for writing in writings), default=0)
        head = min(head, *(len(writing.prompt) - 1 for writing in writings))
        self._context.read(0, 0, first[:head])
        return head

    def _open(self, writing: Writing, sequence: int, head: int, cells: int) -> _Line:
        rules, begun, fixed = self._grammar(writing.schema)
        self._context.share(0, sequence)
        held = Grammar(self._model, rules, fixed)
        for token in begun:
            held.accept(token)
        writing.text = self._model.text_of(begun)
        unread = np.concatenate([writing.prompt[head:], np.array(begun, dtype=np.int32)])
        return _Line(writing, sequence, held, unread, head, cells)

    def _step(self, lines: Sequence[_Line]) -> list[_Line]:
        """Read what is unread, a batch of it, write the next token of each line that is up, and give the done ones."""
        room = self._context.batch
        read: list[tuple[_Line, int]] = []
        for line in sorted(lines, key=lambda line: len(line.unread)):  # a token each first, new prompts after them
            size = min(len(line.unread), room)
            if size:
                read.append((line, size))
                room -= size
        segments = [
            (line.sequence, line.position, line.unread[:size], int(size == len(line.unread))) for line, size in read
        ]
        done = []
        for (line, size), logits in zip(read, self._context.decode(segments, exact=False), strict=True):
            line.position += size
            line.unread = line.unread[size:]
            if len(logits) and self._write(line, logits[0]):
                done.append(line)
        return done

    def _write(self, line: _Line, logits: NDArray[np.float32]) -> bool:
        """Write the next token, and say whether that was the last."""
        writing = line.writing
        token = line.grammar.choose(logits)
        line.grammar.accept(token)
        writing.text += self._model.text_of([token])
        writing.tokens += 1
        writing.is_whole = line.grammar.may_end()
        line.unread = np.array([token], dtype=np.int32)
        return writing.is_whole or writing.tokens >= writing.max_tokens

    def _grammar(self, schema: str) -> tuple[str, list[int], list[int]]:
        """Give a schema's grammar, the tokens with which every reply begins, and those of the fixed parts."""
        if schema not in self._grammars:
            fixed = {token for text in examples(schema) for token in self._model.tokenize(text)}
            self._grammars[schema] = grammar(schema), self._model.tokenize(opening(schema)), sorted(fixed)
        return self._grammars[schema]


class Grammar:
    """What one reply may go on with."""

    def __init__(self, model: LlamaModel, rules: str, fixed: Sequence[int]) -> None:
        self._lib = llama_cpp()
        self._model = model
        self._fixed = np.array(fixed, dtype=np.int32)
        self._sampler = self._lib.llama_sampler_init_grammar(model.vocabulary, rules.encode(), b"root")
        if not self._sampler:
            raise BackendError("llama.cpp refuses the grammar of a reply")

    def close(self) -> None:
        """Free it."""
        if self._sampler:
            self._lib.llama_sampler_free(self._sampler)
            self._sampler = None

    def accept(self, token: int) -> None:
        """Go on by a token that is allowed."""
        self._lib.llama_sampler_accept(self._sampler, token)

    def may_end(self) -> bool:
        """Say whether the reply is whole."""
        return len(self._allowed(np.array([self._model.end], dtype=np.int32))) > 0

    def choose(self, logits: NDArray[np.float32]) -> int:
        """Give the likeliest token that is allowed: tried alone first, then among few, then among all."""
        logits[self._model.control_tokens] = -np.inf  # a reply's text holds none
        best = int(logits.argmax())
        if len(self._allowed(np.array([best], dtype=np.int32))):
            return best
        likeliest = np.argpartition(logits, -_LIKELIEST)[-_LIKELIEST:].astype(np.int32)
        for candidates in (likeliest, self._fixed, np.arange(len(logits), dtype=np.int32)):
            allowed = self._allowed(candidates)
            if len(allowed):
                return int(allowed[logits[allowed].argmax()])
        raise BackendError("a reply can neither go on nor end under its grammar")

    def _allowed(self, tokens: NDArray[np.int32]) -> NDArray[np.int32]:
        candidates = np.zeros(len(tokens), dtype=_CANDIDATE)
        candidates["id"] = tokens
        array = self._lib.llama_token_data_array(
            data=candidates.ctypes.data_as(self._lib.llama_token_data_p), size=len(tokens), selected=-1, sorted=False
        )
        self._lib.llama_sampler_apply(self._sampler, ctypes.byref(array))
        allowed: NDArray[np.int32] = tokens[np.isfinite(candidates["logit"])]
        return allowed


_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
