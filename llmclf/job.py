"""A job: a codebook asked of a backend, on one record. What is settled when it begins is kept to when it goes on."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from llmclf.annotations import Annotation
from llmclf.asking import choose_order
from llmclf.backends.base import Backend, Json, Reading
from llmclf.backends.recorded import RecordedBackend
from llmclf.backends.registry import open_backend
from llmclf.classifier import annotate
from llmclf.codebook import Codebook
from llmclf.errors import InputError
from llmclf.items import Item
from llmclf.prompts import Order
from llmclf.store import Store


@dataclass(frozen=True, slots=True)
class Plan:
    """What is settled when a job begins."""

    order: Order
    """What comes first in the prompts."""
    model: Mapping[str, Json]
    """Who answers: the model's resolved identity."""
    settings: Mapping[str, Json]
    """The backend's, as they were resolved."""
    measured: Mapping[str, Json] = field(default_factory=dict)
    """What they were chosen by: of a local model, the speed and the noise of each layout of its weights."""


class Job:
    """Asks a codebook's questions of the backend that a URI names, and records all replies in a file.

    Raises:
        InputError: a setting or the order differs from those that the job was begun with, or the model does.
        BackendError: the backend cannot be opened.
        StoreError: the file cannot be opened.

    """

    def __init__(
        self,
        path: str | Path,
        codebook: Codebook,
        uri: str,
        settings: Mapping[str, Any] | None = None,
        order: Order | None = None,
    ) -> None:
        self._path = Path(path)
        self._codebook = codebook
        self._key = f"{codebook.hash} {uri}"
        with ExitStack() as undo:
            store = Store(path) if self._path.exists() else None  # none is made before the backend is open
            if store:
                undo.callback(store.close)
            content = store.plan(self._key) if store else None
            self.plan = Plan(**content) if content else None
            self._order = self._settle("order", order, self.plan and self.plan.order)
            backend = open_backend(uri, **self._settings(settings or {}))
            undo.callback(backend.close)
            self._check_model(backend)
            self._store = store or Store(path)
            undo.pop_all()
        self._backend = RecordedBackend(backend, self._store)

    def annotate(self, items: Iterable[Item], *, best_only: Reading | None = None) -> Iterator[Annotation]:
        """Annotate items, in their order, and ask only what is not on record; see `classifier.annotate`."""
        order, stream = self._order, iter(items)
        if order is None:
            order, stream = choose_order(stream, self._codebook, self._backend)
        if self.plan is None:
            self.plan = Plan(order, self._backend.identity.model, self._backend.resolved, self._backend.measured)
            self._store.keep_plan(self._key, asdict(self.plan))
        return annotate(stream, self._codebook, self._backend, order=order, best_only=best_only)

    @property
    def asked(self) -> int:
        """Requests that went to the backend."""
        return self._backend.asked

    @property
    def found(self) -> int:
        """Requests that were answered from the record, or by an equal request's answer."""
        return self._backend.found

    def close(self) -> None:
        """Let go of the backend and the file."""
        self._backend.close()

    def _settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        begun = self.plan.settings if self.plan else {}
        return {name: self._settle(f"setting {name}", given.get(name), begun.get(name)) for name in {**given, **begun}}

    def _check_model(self, backend: Backend) -> None:
        for name, value in (self.plan.model if self.plan else {}).items():
            self._settle(f"model's {name}", backend.identity.model.get(name), value)

    def _settle(self, what: str, given: Any, begun: Any) -> Any:  # noqa: ANN401 - any setting
        """Give what the job was begun with, or else what is given."""
        if None not in (given, begun) and given != begun:
            raise InputError(
                f"the job {self._path} was begun with the {what} {begun!r}, and now it is {given!r}",
                "Keep to it, or give another --job",
            )
        return given if begun is None else begun
