"""An event loop on a thread of its own, for callers that know nothing of event loops."""

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from queue import SimpleQueue
from typing import Any, TypeAlias

from llmclf.backends.base import Reply, Request
from llmclf.errors import BackendError


@dataclass(eq=False, slots=True)
class Flight:
    """A request under way."""

    request: Request
    is_waiting: bool = True
    """For its turn, or to be sent again; not for an answer."""
    is_sent: bool = False
    """Once, whatever became of it."""
    is_called_off: bool = False
    """Nothing more shall be sent for it."""
    seconds: float = 0.0
    """Spent on attempts that failed, and between them."""


Ask: TypeAlias = Callable[[Flight], Coroutine[Any, Any, Reply]]
_Outcome: TypeAlias = Reply | BaseException | None
"""None where the request was called off."""


class LoopThread:
    """Keeps many requests in flight.

    They go on while the caller works on replies, and a notebook's own loop is left alone.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[Reply]] = set()
        self._is_closing = False
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def answer(self, ask: Ask, requests: Iterable[Request], most: Callable[[], int]) -> Iterator[Reply]:
        """Give the replies as they come, pulling requests only so that at most so many are in flight.

        After a `BackendError` nothing more is asked; what waits for an answer, perhaps paid for, is still given before
        it is raised.
        """
        source = iter(requests)
        group = _Group(self._loop, ask, self._tasks)
        in_flight, fatal = 0, None
        try:
            while True:
                # What has come in is given first: the caller may have to keep it before its place is taken again.
                room = 0 if fatal or self._is_closing or group.has_landed else max(0, most() - in_flight)
                for request in islice(source, room):
                    group.start(request)
                    in_flight += 1
                if not in_flight:
                    break
                outcome = group.next()
                in_flight -= 1
                if isinstance(outcome, BackendError):
                    fatal = fatal or outcome
                elif isinstance(outcome, BaseException):
                    raise outcome
                elif outcome:
                    yield outcome
        finally:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(group.cancel)
        if fatal:
            raise fatal

    def close(self, hang_up: Callable[[], Awaitable[None]]) -> None:
        """Drop what is in flight, hang up, and end the thread."""
        if self._is_closing:
            return
        self._is_closing = True

        async def end() -> None:
            # Not `all_tasks`: those that the client spawned end with ours, and spill warnings if cancelled unstarted.
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await hang_up()

        asyncio.run_coroutine_threadsafe(end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class _Group:
    """The requests of one caller. Each side wakes the other once for all that has gathered meanwhile."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ask: Ask, tasks: set[asyncio.Task[Reply]]) -> None:
        self._loop = loop
        self._ask = ask
        self._tasks = tasks
        self._arrived: deque[Request] = deque()
        self._is_woken = self._is_over = False
        self._flights: dict[asyncio.Task[Reply], Flight] = {}
        self._ended: list[_Outcome] = []
        self._handed_over: SimpleQueue[list[_Outcome]] = SimpleQueue()
        self._taken: deque[_Outcome] = deque()

    # On the caller's thread

    def start(self, request: Request) -> None:
        self._arrived.append(request)
        if not self._is_woken:
            self._is_woken = True
            self._loop.call_soon_threadsafe(self._take_off)

    @property
    def has_landed(self) -> bool:
        """Whether the next outcome is here."""
        return bool(self._taken)

    def next(self) -> _Outcome:
        if not self._taken:
            self._taken.extend(self._handed_over.get())
        return self._taken.popleft()

    # On the loop's thread

    def cancel(self) -> None:
        self._is_over = True
        for task in self._flights:
            task.cancel()

    def _take_off(self) -> None:
        self._is_woken = False
        while self._arrived:
            flight = Flight(self._arrived.popleft())
            task = self._loop.create_task(self._ask(flight))
            self._flights[task] = flight
            self._tasks.add(task)
            task.add_done_callback(self._land)
            if self._is_over:
                task.cancel()

    def _land(self, task: asyncio.Task[Reply]) -> None:
        del self._flights[task]
        self._tasks.discard(task)
        outcome = None if task.cancelled() else task.exception() or task.result()
        if isinstance(outcome, BackendError):
            self._call_off()
        if not self._ended:
            self._loop.call_soon(self._hand_over)
        self._ended.append(outcome)

    def _call_off(self) -> None:
        self._is_over = True
        for task, flight in self._flights.items():
            flight.is_called_off = True
            if flight.is_waiting:
                task.cancel()

    def _hand_over(self) -> None:
        self._handed_over.put(self._ended)
        self._ended = []
