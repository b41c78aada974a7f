"""A server behind an OpenAI client: kept busy with many calls at once, paced, and asked again where that can help."""

import asyncio
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from llmclf.backends.addresses import is_loopback
from llmclf.backends.base import Failure, Reply, RequestId
from llmclf.backends.chat_errors import AttemptError, ChatErrors
from llmclf.backends.pace import Pace
from llmclf.errors import BackendError, InputError, ServerUnreachable

if TYPE_CHECKING:
    import httpx2
    import openai

OPENAI_ADDRESS = "https://api.openai.com/v1"
POOL = 1000  # connections that the client opens at most; a wait for one would count as the server's time
CONNECT_SECONDS = 10.0
LONGEST_PAUSE = 120.0  # seconds; where a server asks for more, the request fails, to be asked again another time
BACKOFF = wait_exponential(multiplier=2, max=60)  # 2, 4, 8 ... seconds: six attempts outlast a limit per minute
SHORT_BACKOFF = wait_exponential(multiplier=0.5, max=8)  # the pace, too, is slowed down
SCATTER = wait_random(0, 2)  # those who failed together shall not come back together

# All that is sent. The client adds what it finds in a dozen environment variables (OPENAI_ORG_ID,
# OPENAI_CUSTOM_HEADERS ...), whatever the server; and it needs its own mark on a request to return the raw response.
HEADERS = frozenset({"host", "accept", "accept-encoding", "connection", "user-agent", "content-type", "content-length"})
CLIENT_MARK = frozenset({"x-stainless-raw-response"})
ACCOUNT_HEADERS = frozenset({"openai-organization", "openai-project"})


@dataclass(frozen=True, slots=True)
class Call:
    """What is sent at once, in answer to one request or several.

    `tokens` are those sent and asked for, about. `send` gives the body of the response, and `read` makes replies of it
    and of the seconds it took; a `ValidationError` of it says that the body is none of the server's answers.
    """

    request_ids: tuple[RequestId, ...]
    tokens: int
    send: Callable[["openai.AsyncOpenAI"], Awaitable[str]]
    read: Callable[[str, float], Sequence[Reply]]


class Connection:
    """Makes calls to one server, with up to `concurrency` of them in flight.

    Args:
        model: the name that the server knows it by, for messages.
        base_url: the address of the API, as the server documents it; None is OpenAI's own.
        answer_name: what a response should be, for messages.
        key: None sends none. It goes to this address only: redirects are not followed.
        key_variable: the environment variable that holds the key, for hints; None is OPENAI_API_KEY where `base_url` is
            None, else LLMCLF_API_KEY.
        concurrency: 1 to 1000.
        timeout: seconds for one attempt, from sending to the last byte.
        attempts: how often a call is sent before it fails.
        requests_per_minute: how many calls are sent at most; without it, as many as the server turns out to allow.
        tokens_per_minute: how many are sent for and asked for at most, at four characters a token.
        sleep: how to wait between attempts.
        clock: seconds, as `sleep` counts them.

    """

    def __init__(
        self,
        model: str,
        base_url: str | None,
        *,
        answer_name: str,
        key: str | None,
        key_variable: str | None,
        concurrency: int,
        timeout: float,
        attempts: int,
        requests_per_minute: float | None,
        tokens_per_minute: float | None,
        sleep: Callable[[float], Awaitable[None]],
        clock: Callable[[], float],
    ) -> None:
        if not 1 <= concurrency <= POOL:
            raise InputError(f"concurrency is {concurrency}, and must be 1 to {POOL}")
        for name, limit in (("requests", requests_per_minute), ("tokens", tokens_per_minute)):
            if limit is not None and limit <= 0:
                raise InputError(f"{name}_per_minute is {limit}", "Give more than 0")
        key_variable = key_variable or ("LLMCLF_API_KEY" if base_url else "OPENAI_API_KEY")
        # A line break in a key would be quoted, key and all, in the transport's own error.
        if key is not None and not re.fullmatch("[!-~]+", key):
            raise InputError("the key is empty or holds characters that no key has", f"Look at {key_variable}")
        self.address = (base_url or OPENAI_ADDRESS).rstrip("/")
        url = urlsplit(self.address)
        # The address is shown and stored.
        if "@" in url.netloc or url.query:
            raise InputError("an address with a password or a query is not kept", f"Put a key into {key_variable}")
        self.concurrency = concurrency
        self.is_openai = f".{url.hostname}".endswith(".openai.com")
        self._headers = HEADERS | CLIENT_MARK | (ACCOUNT_HEADERS if self.is_openai else frozenset())
        self._key = key
        self._errors = ChatErrors(self.address, model, key_variable, timeout, key, answer_name)
        self._timeout = timeout
        self._pace = Pace(clock, requests_per_minute=requests_per_minute, tokens_per_minute=tokens_per_minute)
        self._gate = asyncio.Lock()
        self._sleep = sleep
        self._answered = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._retrying = AsyncRetrying(
            sleep=sleep,
            stop=stop_after_attempt(attempts),
            wait=pause,
            retry=retry_if_exception(self._worth_a_retry),
            reraise=True,
        )
        self._client = self._open()
        # A loop of its own: requests go on while the caller works on replies, and a notebook's loop is left alone.
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="llmclf-hosted", daemon=True)
        self._thread.start()

    def _open(self) -> "openai.AsyncOpenAI":
        import openai

        async def send_only_ours(request: "httpx2.Request") -> None:
            for name in set(request.headers) - self._headers:
                del request.headers[name]
            if self._key is not None:
                request.headers["Authorization"] = f"Bearer {self._key}"

        return openai.AsyncOpenAI(
            api_key=self._key or "none",  # None would send the client to the environment
            base_url=self.address,
            max_retries=0,
            # The client's timeout counts from byte to byte; `_attempt` counts the whole.
            timeout=openai.Timeout(None, connect=CONNECT_SECONDS),
            http_client=openai.DefaultAsyncHttpxClient(
                follow_redirects=False,
                event_hooks={"request": [send_only_ours]},
                trust_env=not is_loopback(self.address),  # no proxy between a machine and itself
            ),
        )

    def replies(self, calls: Iterable[Call]) -> Iterator[Reply]:
        """Give the replies of all calls, as they come, pulling at most `concurrency` calls ahead.

        After a `BackendError` nothing more is asked; what is in flight, and perhaps paid for, is still given before it
        is raised.
        """
        source = iter(calls)
        running: set[Future[Sequence[Reply]]] = set()
        finished: SimpleQueue[Future[Sequence[Reply]]] = SimpleQueue()
        fatal: BackendError | None = None
        try:
            while True:
                for call in islice(source, 0 if fatal else self.concurrency - len(running)):
                    future = asyncio.run_coroutine_threadsafe(self._replies(call), self._loop)
                    running.add(future)
                    future.add_done_callback(finished.put)
                if not running:
                    break
                future = finished.get()
                running.remove(future)
                try:
                    replies = future.result()
                except BackendError as error:
                    fatal = fatal or error
                else:
                    yield from replies
        finally:
            for future in running:
                future.cancel()
        if fatal:
            raise fatal

    def close(self) -> None:
        """Drop what is in flight, the connections and the thread."""
        if self._loop.is_closed():
            return

        async def hang_up() -> None:
            # Not `all_tasks`: those that the client spawned end with ours, and spill warnings if cancelled unstarted.
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._client.close()

        asyncio.run_coroutine_threadsafe(hang_up(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _replies(self, call: Call) -> Sequence[Reply]:
        if task := asyncio.current_task():
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        started, answered = time.monotonic(), self._answered
        try:
            # A copy, since the object holds the state of one call.
            replies: Sequence[Reply] = await self._retrying.copy()(self._attempt, call, started)
        except AttemptError as error:
            if error.unreachable and self._answered == answered:
                what = f"nobody answers at {self.address}: {error.detail}"
                raise ServerUnreachable(what, "Start the server, or correct the address") from None
            seconds = time.monotonic() - started
            failed = (error.status, error.detail, error.retryable)
            return [Failure(request_id, *failed, seconds=seconds) for request_id in call.request_ids]
        return replies

    async def _attempt(self, call: Call, started: float) -> Sequence[Reply]:
        await self._turn(call.tokens)
        try:
            async with asyncio.timeout(self._timeout):
                body = await call.send(self._client)
            replies = call.read(body, time.monotonic() - started)
        except Exception as error:
            found = self._errors.translated(error, has_answered=self._answered > 0)
            if isinstance(found, AttemptError) and found.is_too_fast:
                self._pace.refused(found.pause if (found.pause or 0) <= LONGEST_PAUSE else None)
            raise found from None
        self._answered += 1
        self._pace.served()
        return replies

    async def _turn(self, tokens: int) -> None:
        """Wait until a call of so many tokens may be sent, one after the other."""
        async with self._gate:
            while seconds := self._pace.take(tokens):
                await self._sleep(seconds)

    def _worth_a_retry(self, error: BaseException) -> bool:
        if not isinstance(error, AttemptError) or (error.unreachable and not self._answered):
            return False
        return error.retryable and (error.pause or 0) <= LONGEST_PAUSE


def pause(state: RetryCallState) -> float:
    """Wait as long as the server asks for, else longer every time; not long where it was only the pace."""
    error = state.outcome and state.outcome.exception()
    asked = error.pause if isinstance(error, AttemptError) else None
    if isinstance(error, AttemptError) and error.is_too_fast and asked is None:
        return SHORT_BACKOFF(state) + SCATTER(state) / 4
    return (BACKOFF(state) if asked is None else asked) + SCATTER(state)
