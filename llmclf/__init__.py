"""Zero-shot text classification with language models, and its measured agreement with people."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmclf.annotations import Annotation, Kind, read_annotations, write_annotations
    from llmclf.backends.recorded import RecordedBackend
    from llmclf.backends.registry import open_backend
    from llmclf.classifier import annotate
    from llmclf.codebook import Codebook, Label, Question
    from llmclf.errors import InputError, LlmclfError
    from llmclf.estimator import ZeroShotClassifier
    from llmclf.frames import annotate_frame
    from llmclf.items import Item, ItemColumns, ItemTable, Turn, read_items
    from llmclf.job import Job
    from llmclf.policy import Policy
    from llmclf.status import Status
    from llmclf.store import Store

__version__ = "0.1.0"

# Loaded when first used: importing llmclf must not cost what a command does not need.
_HOMES = {
    "Annotation": "annotations",
    "Codebook": "codebook",
    "InputError": "errors",
    "Item": "items",
    "ItemColumns": "items",
    "ItemTable": "items",
    "Job": "job",
    "Kind": "annotations",
    "Label": "codebook",
    "LlmclfError": "errors",
    "Policy": "policy",
    "Question": "codebook",
    "RecordedBackend": "backends.recorded",
    "Status": "status",
    "Store": "store",
    "Turn": "items",
    "ZeroShotClassifier": "estimator",
    "annotate": "classifier",
    "annotate_frame": "frames",
    "open_backend": "backends.registry",
    "read_annotations": "annotations",
    "read_items": "items",
    "write_annotations": "annotations",
}

__all__ = [
    "Annotation",
    "Codebook",
    "InputError",
    "Item",
    "ItemColumns",
    "ItemTable",
    "Job",
    "Kind",
    "Label",
    "LlmclfError",
    "Policy",
    "Question",
    "RecordedBackend",
    "Status",
    "Store",
    "Turn",
    "ZeroShotClassifier",
    "annotate",
    "annotate_frame",
    "open_backend",
    "read_annotations",
    "read_items",
    "write_annotations",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'llmclf' has no attribute {name!r}")
    return getattr(import_module(f"llmclf.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
