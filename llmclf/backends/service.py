"""How a service is asked: at its pace, again after a fault, and not while it is down."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_exponential, wait_random

from llmclf.backends.breaker import Breaker
from llmclf.backends.chat_errors import AttemptError, ChatErrors
from llmclf.backends.loop_thread import Flight
from llmclf.backends.pace import Pace, Sent
from llmclf.backends.rate_limits import allowances
from llmclf.backends.window import Window
from llmclf.errors import ServerUnreachable
from llmclf.status import Status

if TYPE_CHECKING:
    import httpx2

LONGEST_PAUSE = 120.0  # seconds; where a server asks for more, the request fails, to be asked again another time
BACKOFF = wait_exponential(multiplier=2, max=60)  # 2, 4, 8 ... seconds: six attempts outlast a limit per minute
SHORT_BACKOFF = wait_exponential(multiplier=0.5, max=8)  # the pace, too, is slowed down
SCATTER = wait_random(0, 2)  # those who failed together shall not come back together
BREATH = 1.0  # seconds before a request that nobody took is sent again

Answer = TypeVar("Answer")


class Service:
    """Sends requests to one service, from one event loop.

    Args:
        errors: what the service's faults mean.
        pace: how fast it may be asked.
        breaker: whether it is down.
        window: is told how long answers take.
        timeout: seconds for one attempt.
        attempts: how often a request is sent before it fails.
        retry_seconds: how long it is, at most; waiting for its turn does not count.
        sleep: how to wait.
        clock: seconds, as `sleep` counts them.

    """

    def __init__(
        self,
        errors: ChatErrors,
        pace: Pace,
        breaker: Breaker,
        window: Window,
        *,
        timeout: float,
        attempts: int,
        retry_seconds: float,
        sleep: Callable[[float], Awaitable[None]],
        clock: Callable[[], float],
    ) -> None:
        self._errors = errors
        self._pace = pace
        self._breaker = breaker
        self._window = window
        self._timeout = timeout
        self._attempts = attempts
        self._retry_seconds = retry_seconds
        self._sleep = sleep
        self._clock = clock
        self._gate = asyncio.Lock()
        self._in_flight = 0
        self._last_fault = ""
        self.tell_sent: Callable[[], None] | None = None
        """Is called when a request goes out for the first time."""
        self._retrying = AsyncRetrying(
            sleep=sleep, stop=self._is_spent, wait=pause, retry=retry_if_exception(self._worth_a_retry), reraise=True
        )

    async def ask(
        self,
        flight: Flight,
        tokens: int,
        send: Callable[[], Awaitable["httpx2.Response"]],
        read: Callable[["httpx2.Response"], Answer],
    ) -> Answer:
        """Send a request of so many tokens until it is answered, and read the answer.

        Raises:
            AttemptError: it is not answered; this is its last attempt.
            BackendError: nothing more will be.

        """
        try:
            # A copy, since the object holds the state of one call.
            return await self._retrying.copy()(self._attempt, flight, tokens, send, read)
        except AttemptError as error:
            if error.unreachable and not self._breaker.has_answered:
                what = f"nobody answers at {self._errors.address}: {error.detail}"
                raise ServerUnreachable(what, "Start the server, or correct the address") from None
            raise

    async def _attempt(
        self,
        flight: Flight,
        tokens: int,
        send: Callable[[], Awaitable["httpx2.Response"]],
        read: Callable[["httpx2.Response"], Answer],
    ) -> Answer:
        """Send it once; attempts that were made while the service was down do not count."""
        while True:
            sent = await self._turn(tokens)
            flight.is_waiting = False
            if self.tell_sent and not flight.is_sent:
                self.tell_sent()
            flight.is_sent = True
            self._in_flight += 1
            try:
                async with asyncio.timeout(self._timeout):
                    response = await send()
                answer = read(response)
            except Exception as error:
                found = self._errors.translated(error, has_answered=self._breaker.has_answered)
                if not isinstance(found, AttemptError) or self._counts(flight, sent, found) or flight.is_called_off:
                    raise found from None
            else:
                self._breaker.answered()
                self._pace.served()
                self._pace.told(sent, allowances(response.headers))
                self._window.answered(sent.at, self._in_flight)
                return answer
            finally:
                self._in_flight -= 1
                flight.is_waiting = True
            await self._sleep(BREATH)

    async def _turn(self, tokens: int) -> Sent:
        """Wait until the request may be sent, one after the other."""
        async with self._gate:
            while seconds := min(self._breaker.wait(), 1.0) or self._pace.take(tokens):
                if self._breaker.has_given_up:
                    what = f"{self._errors.address} has not answered for {_told(self._breaker.down_seconds)}"
                    raise ServerUnreachable(f"{what}: {self._last_fault}", "The same command goes on later")
                await self._sleep(seconds)
            self._breaker.sent()
            return self._pace.sent()

    def _counts(self, flight: Flight, sent: Sent, fault: AttemptError) -> bool:
        """Take note of a fault, and say whether it is the request's."""
        self._pace.told(sent, fault.allowances)
        pause = fault.pause if (fault.pause or 0) <= LONGEST_PAUSE else None
        if fault.is_too_fast:
            self._pace.refused(pause)
        if fault.retryable and not (fault.is_too_fast and pause == fault.pause):
            self._last_fault = fault.detail
            if self._breaker.failed(flight, unreachable=fault.unreachable):
                return False
        elif fault.status is not Status.BAD_ENCODING and not fault.retryable:
            self._breaker.answered()
        if fault.status is Status.TIMEOUT:
            self._window.timed_out()
        flight.seconds += self._clock() - sent.at
        return True

    def _worth_a_retry(self, error: BaseException) -> bool:
        if not isinstance(error, AttemptError) or (error.unreachable and not self._breaker.has_answered):
            return False
        return error.retryable and (error.pause or 0) <= LONGEST_PAUSE

    def _is_spent(self, state: RetryCallState) -> bool:
        flight: Flight = state.args[0]
        flight.seconds += state.upcoming_sleep
        return flight.is_called_off or state.attempt_number >= self._attempts or flight.seconds > self._retry_seconds


def pause(state: RetryCallState) -> float:
    """Wait as long as the server asks for, else longer every time; not long where it was only the pace."""
    error = state.outcome and state.outcome.exception()
    asked = error.pause if isinstance(error, AttemptError) else None
    if isinstance(error, AttemptError) and error.is_too_fast and asked is None:
        return SHORT_BACKOFF(state) + SCATTER(state) / 4
    return (BACKOFF(state) if asked is None else asked) + SCATTER(state)


def _told(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:g} s"
