"""A loaded model and its context: one in a process for all who open the same file in the same way."""

import logging
import threading
import weakref
from functools import cached_property
from pathlib import Path

from llmclf.backends.chat import ChatFormat
from llmclf.backends.context import MAX_SEQUENCES, LlamaContext
from llmclf.backends.llama import LlamaModel
from llmclf.backends.walk import PackedWalk, PlainWalk, SeparateWalk, Walk
from llmclf.backends.writing import Writer

log = logging.getLogger(__name__)

_PLAIN_SEQUENCES = 3
"""For models whose past cannot be shared: one that reads, one that writes, one for filler."""

_models: weakref.WeakValueDictionary[tuple[Path, bool, int], LlamaModel] = weakref.WeakValueDictionary()
_engines: "weakref.WeakValueDictionary[tuple[object, ...], Engine]" = weakref.WeakValueDictionary()
_opening = threading.Lock()


class Engine:
    """What reads and writes with one model; used by one thread at a time, under its lock."""

    def __init__(self, model: LlamaModel, *, cells: int, batch: int, threads: int, packed: bool) -> None:
        self.lock = threading.Lock()
        self.model = model
        self.chat = ChatFormat(model)
        self.packed = packed and model.shares_past
        sequences = MAX_SEQUENCES if model.shares_past else _PLAIN_SEQUENCES
        self.context = LlamaContext(
            model, cells=cells, batch=batch, threads=threads, sequences=sequences, packed=self.packed
        )
        weakref.finalize(self, self.context.close)
        if not model.shares_past:
            log.info(
                "%s is read one text and label at a time, which is slow: its past cannot be shared between texts",
                model.path.stem,
            )

    @cached_property
    def walk(self) -> Walk:
        """How it reads prompts and labels."""
        if self.packed:
            return PackedWalk(self.context)
        return SeparateWalk(self.context) if self.model.shares_past else PlainWalk(self.context)

    @cached_property
    def writer(self) -> Writer:
        """How it writes replies."""
        return Writer(self.context, self.model, packed=self.packed)


def engine(
    path: Path, *, repacked: bool, gpu_layers: int, context: int, batch: int, threads: int, packed: bool
) -> Engine:
    """Open a model file, or give the engine that is open on it; it is freed when nobody holds it any more."""
    with _opening:
        file = path.resolve()
        model = _models.get((file, repacked, gpu_layers))
        if model is None:
            model = LlamaModel(path, gpu_layers=gpu_layers, repacked=repacked)
            _models[file, repacked, gpu_layers] = model
        cells = min(context, model.trained_context)
        key = (id(model), cells, batch, threads, packed)
        opened = _engines.get(key)
        if opened is None:
            opened = Engine(model, cells=cells, batch=batch, threads=threads, packed=packed)
            _engines[key] = opened
        return opened
