"""What asks a server: as many calls in flight as pay, at its pace, and again where that can help."""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from llmclf.backends.breaker import Breaker
from llmclf.backends.chat_errors import ChatErrors
from llmclf.backends.connections import Connections
from llmclf.backends.loop_thread import Flight, LoopThread
from llmclf.backends.pace import Pace
from llmclf.backends.service import Service
from llmclf.backends.window import Window
from llmclf.errors import InputError

if TYPE_CHECKING:
    import httpx2
    import openai

MOST_IN_FLIGHT = 1000  # each takes a connection, and a process may have about so many files open

Asked = TypeVar("Asked")
Said = TypeVar("Said")
Answer = TypeVar("Answer")


class Caller(Generic[Asked, Said]):
    """Makes calls to one server; for the arguments, see `HostedBackend`.

    Raises:
        InputError: one of the settings cannot be.

    """

    def __init__(
        self,
        open_client: Callable[[], "openai.AsyncOpenAI"],
        errors: ChatErrors,
        *,
        concurrency: int | None,
        attempts: int,
        retry_seconds: float,
        down_seconds: float,
        requests_per_minute: float | None,
        tokens_per_minute: float | None,
        sleep: Callable[[float], Awaitable[None]],
        clock: Callable[[], float],
    ) -> None:
        if concurrency is not None and not 1 <= concurrency <= MOST_IN_FLIGHT:
            raise InputError(f"concurrency is {concurrency}, and must be 1 to {MOST_IN_FLIGHT}")
        for name, seconds in (("retry_seconds", retry_seconds), ("down_seconds", down_seconds)):
            if seconds < 0:
                raise InputError(f"{name} is {seconds}", "Give 0 or more")
        for name, limit in (("requests", requests_per_minute), ("tokens", tokens_per_minute)):
            if limit is not None and limit <= 0:
                raise InputError(f"{name}_per_minute is {limit}", "Give more than 0")
        self._window = Window(clock, concurrency or 1, concurrency or MOST_IN_FLIGHT)
        self._service = Service(
            errors,
            Pace(clock, requests_per_minute=requests_per_minute, tokens_per_minute=tokens_per_minute),
            Breaker(clock, down_seconds),
            self._window,
            timeout=errors.timeout,
            attempts=attempts,
            retry_seconds=retry_seconds,
            sleep=sleep,
            clock=clock,
        )
        self._connections = Connections(open_client)
        self._loop: LoopThread[Asked, Said] = LoopThread("llmclf-hosted")

    @property
    def in_flight(self) -> int:
        """How many calls may be in flight, as things stand."""
        return self._window.size

    def tell_sent(self, tell: Callable[[], None]) -> None:
        """Have it called, on another thread, when a call goes out for the first time."""
        self._service.tell_sent = tell

    def answers(
        self, ask: Callable[[Flight[Asked]], Coroutine[Any, Any, Said]], asked: Iterable[Asked]
    ) -> Iterator[Said]:
        """Give what comes of each, as it comes; see `LoopThread.answer`."""
        return self._loop.answer(ask, asked, lambda: self._window.size)

    async def call(
        self,
        flight: Flight[Asked],
        tokens: int,
        path: str,
        body: dict[str, Any],
        read: Callable[["httpx2.Response"], Answer],
    ) -> Answer:
        """Post a call of so many tokens until it is answered, and read the answer.

        Raises:
            AttemptError: it is not answered.
            BackendError: nothing more will be.

        """

        async def send() -> "httpx2.Response":
            import httpx2

            async with self._connections.client() as client:
                # Not the client's own method: looking for what it may have to rewrite takes a third of the time.
                return await client.post(path, body=body, cast_to=httpx2.Response)

        return await self._service.ask(flight, tokens, send, read)

    def close(self) -> None:
        """Drop what is in flight, the connections and the thread."""
        self._loop.close(self._connections.close)
