"""Backends that need no model: the record in front of another backend, and the scripted double."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain

from llmclf.backends.base import Backend, Identity, Json, Likelihoods, Reply, Request, Structured
from llmclf.errors import LimitReached
from llmclf.record_json import renumbered, request_key
from llmclf.store import Store

_MOST_WAITING = 1024
"""Requests that need no asking and may wait while the backend takes requests."""

_Forms = frozenset[type[Likelihoods] | type[Structured]]


class RecordedBackend:
    """Answers from a store what is recorded there; asks a backend for the rest, once, and records it.

    At most `most` requests are asked; before another is, what is under way is still answered, and then it raises.
    """

    def __init__(self, backend: Backend, store: Store, most: int | None = None) -> None:
        self._backend = backend
        self._store = store
        self.name = backend.name
        self.identity = backend.identity
        self.forms = backend.forms
        self.resolved = backend.resolved
        self.measured = backend.measured
        self.tokens_to_read = backend.tokens_to_read
        self._most = most
        self._handed_on = 0
        self.asked = 0
        """Requests that went to the backend."""
        self.found = 0
        """Requests that were answered from the record, or by an equal request's answer."""

    def key(self, request: Request) -> bytes:
        """Give what a request and its reply are recorded under."""
        return request_key(request, self.identity)

    def answer(self, requests: Iterable[Request]) -> Iterator[Reply]:
        """Answer from the record, and through the backend; see `Backend.answer`.

        Raises:
            LimitReached: another request would have to be asked than may be.

        """
        stream = iter(requests)
        try:
            for request in stream:
                key = self.key(request)
                reply = self._store.find(request, key)
                if reply is not None:
                    self.found += 1
                    yield reply
                else:
                    yield from self._ask(chain([request], stream))
        finally:
            self._store.commit()

    def _ask(self, stream: Iterator[Request]) -> Iterator[Reply]:
        """Ask the backend, until the stream ends or so much is found in the record that it must be handed on."""
        found: deque[Reply] = deque()
        open_requests: dict[bytes, list[Request]] = {}
        keys: dict[int, bytes] = {}
        equals = 0
        is_over = False

        def missing() -> Iterator[Request]:
            nonlocal equals, is_over
            while len(found) + equals < _MOST_WAITING and (request := next(stream, None)) is not None:
                key = self.key(request)
                if key in open_requests:
                    open_requests[key].append(request)
                    equals += 1
                elif (reply := self._store.find(request, key)) is not None:
                    found.append(reply)
                elif self._handed_on == self._most:
                    is_over = True
                    return
                else:
                    self._handed_on += 1
                    open_requests[key] = [request]
                    keys[request.id] = key
                    yield request

        for reply in self._backend.answer(missing()):
            key = keys.pop(reply.request_id)
            equal = open_requests.pop(key)
            self._store.add(equal[0], key, self.identity, reply)
            self.asked += 1
            self.found += len(equal) - 1
            equals -= len(equal) - 1
            yield from (renumbered(reply, request) for request in equal)
            yield from self._drain(found)
        yield from self._drain(found)
        if is_over:
            raise LimitReached(f"stopped at the limit of {self._most} requests", "The same command goes on")

    def _drain(self, found: deque[Reply]) -> Iterator[Reply]:
        while found:
            self.found += 1
            yield found.popleft()

    def close(self) -> None:
        """Close the backend and the store."""
        self._backend.close()
        self._store.close()


class ScriptedBackend:
    """Answers by a function of the request; serves tests, and shows how small a backend can be."""

    def __init__(
        self,
        script: Callable[[Request], Reply],
        *,
        name: str = "scripted",
        forms: _Forms = frozenset({Likelihoods, Structured}),
    ) -> None:
        self._script = script
        self.name = name
        self.forms = forms
        self.identity = Identity({"engine": "scripted", "name": name})
        self.resolved: Mapping[str, Json] = {}
        self.measured: Mapping[str, Json] = {}

    def answer(self, requests: Iterable[Request]) -> Iterator[Reply]:
        """Answer one request after the other; see `Backend.answer`."""
        return map(self._script, requests)

    def tokens_to_read(self, requests: Iterable[Request]) -> None:
        """It reads no tokens."""

    def close(self) -> None:
        """Nothing to let go of."""
