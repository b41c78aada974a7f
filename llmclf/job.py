"""A job: a codebook asked of a backend, on one record. What is settled when it begins is kept to when it goes on."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from llmclf.annotations import Annotation
from llmclf.asking import check_samples, choose_order
from llmclf.backends.base import Backend, Json, Reading, Reply
from llmclf.backends.recorded import RecordedBackend
from llmclf.backends.registry import open_backend
from llmclf.classifier import Answered, ask
from llmclf.codebook import Codebook
from llmclf.errors import InputError
from llmclf.hold import Hold
from llmclf.items import Item
from llmclf.prompts import Order
from llmclf.store import ItemRow, Store


@dataclass(frozen=True, slots=True)
class Plan:
    """What is settled when a job begins."""

    codebook: Mapping[str, Json]
    uri: str
    annotator: str
    """The backend's name in tables."""
    order: Order
    """What comes first in the prompts."""
    model: Mapping[str, Json]
    """Who answers: the model's resolved identity."""
    settings: Mapping[str, Json]
    """The backend's, as they were resolved."""
    measured: Mapping[str, Json] = field(default_factory=dict)
    """What they were chosen by: of a local model, the speed and the noise of each layout of its weights."""
    samples: int = 1
    """How often each question is asked."""


class Job:
    """Asks a codebook's questions of the backend that a URI names, and records all replies in a file.

    Args:
        path: the file; what is recorded there is not asked again.
        codebook: what is asked.
        uri: who is asked; see `open_backend`.
        settings: the backend's; those that a job was begun with need not be given again.
        order: what comes first in the prompts; None chooses.
        samples: how often each question is asked; None is once, or as often as the job was begun with.
        max_requests: how many are asked at most, until it is opened again.
        local_only: refuse a backend to which texts would leave this machine.

    Raises:
        InputError: a setting or the order differs from those that the job was begun with, or the model does.
        BackendError: the backend cannot be opened.
        StoreError: the file cannot be opened, or another process works on it.

    """

    def __init__(
        self,
        path: str | Path,
        codebook: Codebook,
        uri: str,
        settings: Mapping[str, Any] | None = None,
        order: Order | None = None,
        *,
        samples: int | None = None,
        max_requests: int | None = None,
        local_only: bool = False,
    ) -> None:
        self._path = Path(path)
        self._codebook = codebook
        self._uri = uri
        with ExitStack() as undo:
            self._hold = Hold(self._path)
            undo.callback(self._hold.close)
            store = Store(path) if self._path.exists() else None  # none is made before the backend is open
            if store:
                undo.callback(store.close)
            self._number, content = store.plans().get(self._key, (0, None)) if store else (0, None)
            self.plan = Plan(**content) if content else None
            self._order = self._settle("order", order, self.plan and self.plan.order)
            self._samples = self._settle("samples", samples, self.plan and self.plan.samples) or 1
            given = self._settings(settings or {})
            backend = open_backend(uri, local_only=local_only, samples=self._samples, **given)
            undo.callback(backend.close)
            check_samples(backend, self._samples)
            self._check_model(backend)
            self._store = store or Store(path)
            undo.pop_all()
        self._backend = RecordedBackend(backend, self._store, max_requests)

    @property
    def _key(self) -> str:
        return f"{self._codebook.hash} {self._uri}"

    def annotate(self, items: Iterable[Item], *, best_only: Reading | None = None) -> Iterator[Annotation]:
        """Annotate items, in their order, and ask only what is not on record; see `classifier.annotate`.

        Which requests were made about which item is recorded, too, so that the file alone gives the table again.
        """
        order, stream = self._order, iter(items)
        if order is None:
            order, stream = choose_order(stream, self._codebook, self._backend)
        if self.plan is None:
            self.plan = Plan(
                self._codebook.model_dump(mode="json"),
                self._uri,
                self._backend.name,
                order,
                self._backend.identity.model,
                self._backend.resolved,
                self._backend.measured,
                self._samples,
            )
        asked = ask(stream, self._codebook, self._backend, order=order, best_only=best_only, samples=self._samples)
        return self._kept(asked)

    def _kept(self, answered: Iterator[Answered]) -> Iterator[Annotation]:
        """Record each item with its requests as its answers come."""
        count = 0
        while answers := list(islice(answered, len(self._codebook.questions))):
            if not self._number and self.plan:  # a beginning that brought no answer binds nobody
                self._number = self._store.keep_plan(self._key, asdict(self.plan))
            self._store.put_row(self._number, count, self._row(answers))
            count += 1
            yield from (one.annotation(self._backend.name) for one in answers)
        self._store.end_rows(self._number, count)
        self._store.commit()

    def _row(self, answers: list[Answered]) -> ItemRow:
        item = answers[0].item
        words = item.words if "evidence" in self._codebook.reasons else None  # quotes are looked for in them
        keys = tuple(self._backend.key(request) for one in answers for request in one.requests)
        return ItemRow(item.id, str(item.problem or ""), words, keys)

    def ask_again(self, keys: Iterable[bytes]) -> Iterator[Reply]:
        """Ask again what is recorded as failed, by the keys of the records."""
        failed = []
        for number, key in enumerate(keys):
            self._store.reopen(key)
            record = self._store.record(key)
            if record:
                failed.append(replace(record.request, id=number))
        return self._backend.answer(failed)

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
        self._hold.close()

    def _settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        begun = self.plan.settings if self.plan else {}
        for name in given.keys() & begun.keys():  # here None says something, too
            if given[name] != begun[name]:
                raise self._differs(f"setting {name}", begun[name], given[name])
        return {**given, **begun}

    def _check_model(self, backend: Backend) -> None:
        for name, value in (self.plan.model if self.plan else {}).items():
            self._settle(f"model's {name}", backend.identity.model.get(name), value)

    def _settle(self, what: str, given: Any, begun: Any) -> Any:  # noqa: ANN401 - any setting
        """Give what the job was begun with, or else what is given."""
        if None not in (given, begun) and given != begun:
            raise self._differs(what, begun, given)
        return given if begun is None else begun

    def _differs(self, what: str, begun: object, given: object) -> InputError:
        return InputError(
            f"the job {self._path} was begun with the {what} {begun!r}, and now it is {given!r}",
            "Keep to it, or give another --job",
        )
