"""Backends that need no model: the record in front of another backend, and the scripted double."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from itertools import chain
from typing import Protocol, runtime_checkable

from llmclf.backends.base import Backend, Identity, Json, Likelihoods, Origin, Reply, Request, Structured
from llmclf.budget import Budget
from llmclf.record_json import identity_digest, renumbered, request_key
from llmclf.store import Store

_MOST_WAITING = 1024
"""Requests that need no asking and may wait while the backend takes requests."""

_Forms = frozenset[type[Likelihoods] | type[Structured]]


class Keeping(Protocol):
    """Says what of a request and its reply is recorded."""

    def request(self, request: Request) -> Request:
        """Give what is recorded of a request; by that it is found again."""

    def reply(self, request: Request, reply: Reply) -> Reply:
        """Give what is recorded of a reply."""


@runtime_checkable
class SendsLater(Protocol):
    """A backend that takes requests before it sends them, and tells when it does."""

    def tell_sent(self, tell: Callable[[], None]) -> None:
        """Have it called when a request goes out for the first time."""


class RecordedBackend:
    """Answers from a store what is recorded there; asks a backend for the rest, once, and records it.

    Args:
        backend: who is asked.
        store: where replies are recorded.
        budget: what may be asked; before more is, what is under way is still answered, and then it raises.
        numbers: is filled with the number of each reply's record, by the id of the request.

    """

    def __init__(
        self,
        backend: Backend,
        store: Store,
        budget: Budget | None = None,
        numbers: MutableMapping[int, int] | None = None,
    ) -> None:
        self._backend = backend
        self._store = store
        self._budget = budget or Budget()
        self._numbers = numbers
        self.keeping: Keeping | None = None
        """What is recorded, where that is not all."""
        self.name = backend.name
        self.identity = backend.identity
        self._identity_digest = identity_digest(backend.identity)
        self.forms = backend.forms
        self.origin = backend.origin
        self.resolved = backend.resolved
        self.measured = backend.measured
        self._sends_later = isinstance(backend, SendsLater)
        if isinstance(backend, SendsLater):
            backend.tell_sent(store.count_sent)
        self.tokens_to_read = backend.tokens_to_read
        self.asked = 0
        """Requests that went to the backend and were answered."""
        self.found = 0
        """Requests that were answered from the record, or by an equal request's answer."""

    @property
    def ahead(self) -> int:
        """How many requests it may take before it gives a reply."""
        return self._backend.ahead

    def answer(self, requests: Iterable[Request]) -> Iterator[Reply]:
        """Answer from the record, and through the backend; see `Backend.answer`.

        Raises:
            LimitReached: another request would have to be asked than may be.

        """
        stream = iter(requests)
        try:
            for request in stream:
                reply = self._find(request, self._key(request))
                if reply is not None:
                    self.found += 1
                    yield reply
                else:
                    yield from self._ask(chain([request], stream))
        finally:
            self._store.commit()

    def _key(self, request: Request) -> bytes:
        kept = self.keeping.request(request) if self.keeping else request
        return request_key(kept, self._identity_digest)

    def _add(self, request: Request, key: bytes, reply: Reply) -> int:
        kept, said = request, reply
        if self.keeping:
            kept, said = self.keeping.request(request), self.keeping.reply(request, reply)
        return self._store.add(kept, key, self.identity, said)

    def _find(self, request: Request, key: bytes) -> Reply | None:
        found = self._store.find(request, key)
        if found is None:
            return None
        number, reply = found
        if self._numbers is not None:
            self._numbers[request.id] = number
        return reply

    def _ask(self, stream: Iterator[Request]) -> Iterator[Reply]:
        """Ask the backend, until the stream ends or so much is found in the record that it must be handed on."""
        found: deque[Reply] = deque()
        open_requests: dict[bytes, list[Request]] = {}
        keys: dict[int, bytes] = {}
        equals = 0

        most_waiting = max(_MOST_WAITING, self.ahead)

        def missing() -> Iterator[Request]:
            nonlocal equals
            while len(found) + equals < most_waiting and (request := next(stream, None)) is not None:
                key = self._key(request)
                if key in open_requests:
                    open_requests[key].append(request)
                    equals += 1
                elif (reply := self._find(request, key)) is not None:
                    found.append(reply)
                elif not self._budget.allows(request):
                    return
                else:
                    open_requests[key] = [request]
                    keys[request.id] = key
                    if not self._sends_later:
                        self._store.count_sent()
                    # A kill then costs no more replies than may be under way.
                    if self._store.uncommitted + len(open_requests) > self._backend.ahead:
                        self._store.commit()
                    yield request

        for reply in self._backend.answer(missing()):
            key = keys.pop(reply.request_id)
            equal = open_requests.pop(key)
            number = self._add(equal[0], key, reply)
            self._budget.settle(reply)
            self.asked += 1
            if len(equal) > 1:
                self.found += len(equal) - 1
                equals -= len(equal) - 1
            for request in equal:
                if self._numbers is not None:
                    self._numbers[request.id] = number
                yield reply if request is equal[0] else renumbered(reply, request)
            yield from self._drain(found)
        yield from self._drain(found)
        if self._budget.reached:
            raise self._budget.reached

    def _drain(self, found: deque[Reply]) -> Iterator[Reply]:
        while found:
            self.found += 1
            yield found.popleft()

    def close(self) -> None:
        """Close the backend and the store."""
        self._backend.close()
        self._store.close()


class ScriptedBackend:
    """Answers by a function of the request; serves tests, and shows how small a backend can be.

    It never takes more than one request ahead; `ahead` says what it is taken for.
    """

    def __init__(
        self,
        script: Callable[[Request], Reply],
        *,
        name: str = "scripted",
        forms: _Forms = frozenset({Likelihoods, Structured}),
        ahead: int = 1,
    ) -> None:
        self._script = script
        self.name = name
        self.forms = forms
        self.identity = Identity({"engine": "scripted", "name": name})
        self.resolved: Mapping[str, Json] = {}
        self.measured: Mapping[str, Json] = {}
        self.ahead = ahead

    @property
    def origin(self) -> Origin | None:
        """Where the probabilities that it gives come from."""
        return "likelihoods" if Likelihoods in self.forms else None

    def answer(self, requests: Iterable[Request]) -> Iterator[Reply]:
        """Answer one request after the other; see `Backend.answer`."""
        return map(self._script, requests)

    def tokens_to_read(self, requests: Iterable[Request]) -> None:
        """It reads no tokens."""

    def close(self) -> None:
        """Nothing to let go of."""
