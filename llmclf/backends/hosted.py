"""Any OpenAI-compatible chat server, kept busy with many requests at once."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from itertools import islice
from queue import SimpleQueue
from typing import Any

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from llmclf.backends.base import CHARACTERS_A_TOKEN, Failure, Json, Likelihoods, Reply, Request, Structured
from llmclf.backends.chat_answer import ChatAnswer
from llmclf.backends.chat_errors import AttemptError
from llmclf.backends.chat_server import ChatServer
from llmclf.backends.pace import Pace
from llmclf.errors import BackendError, InputError, ServerUnreachable

POOL = 1000  # connections that the client opens at most; a wait for one would count as the server's time
LONGEST_PAUSE = 120.0  # seconds; where a server asks for more, the request fails, to be asked again another time
BACKOFF = wait_exponential(multiplier=2, max=60)  # 2, 4, 8 ... seconds: six attempts outlast a limit per minute
SHORT_BACKOFF = wait_exponential(multiplier=0.5, max=8)  # the pace, too, is slowed down
SCATTER = wait_random(0, 2)  # those who failed together shall not come back together


class HostedBackend:
    """Answers by a chat server, with up to `concurrency` requests in flight.

    Args:
        model: the name that the server knows it by.
        base_url: the address of the API, as the server documents it; None is OpenAI's own.
        key: None sends none. It goes to this address only: redirects are not followed.
        key_variable: the environment variable that holds the key, for hints; None is OPENAI_API_KEY where `base_url` is
            None, else LLMCLF_API_KEY.
        concurrency: 1 to 1000.
        timeout: seconds for one attempt, from sending to the last byte.
        attempts: how often a request is sent before it fails.
        requests_per_minute: how many are sent at most; without it, as many as the server turns out to allow.
        tokens_per_minute: how many are sent for and asked for at most, at four characters a token.
        max_tokens: where a reply is cut; None leaves it to the server.
        temperature: None leaves it to the server; some models take no other value than their own.
        sleep: how to wait between attempts.
        clock: seconds, as `sleep` counts them.

    """

    forms: frozenset[type[Likelihoods] | type[Structured]] = frozenset({Structured})

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        *,
        key: str | None = None,
        key_variable: str | None = None,
        concurrency: int = 16,
        timeout: float = 60.0,
        attempts: int = 6,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        max_tokens: int | None = 512,
        temperature: float | None = 0.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 1 <= concurrency <= POOL:
            raise InputError(f"concurrency is {concurrency}, and must be 1 to {POOL}")
        for name, limit in (("requests", requests_per_minute), ("tokens", tokens_per_minute)):
            if limit is not None and limit <= 0:
                raise InputError(f"{name}_per_minute is {limit}", "Give more than 0")
        self._server = ChatServer(
            model, base_url, key=key, key_variable=key_variable, max_tokens=max_tokens, temperature=temperature
        )
        self.address = self._server.address
        self.name = model
        self.concurrency = concurrency
        self.identity = self._server.identity
        self.resolved: Mapping[str, Json] = {}
        self.measured: Mapping[str, Json] = {}
        self.ahead = concurrency
        self._errors = self._server.errors(timeout)
        self._timeout = timeout
        self._max_tokens = max_tokens
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
        self._client = self._server.async_client()
        # A loop of its own: requests go on while the caller works on replies, and a notebook's loop is left alone.
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="llmclf-hosted", daemon=True)
        self._thread.start()

    def answer(self, requests: Iterable[Request]) -> Iterator[Reply]:
        """Give one reply for every request, as they come, pulling at most `concurrency` requests ahead.

        After a `BackendError` nothing more is asked; what is in flight, and perhaps paid for, is still given before it
        is raised.
        """
        source = iter(requests)
        running: set[Future[Reply]] = set()
        finished: SimpleQueue[Future[Reply]] = SimpleQueue()
        fatal: BackendError | None = None
        try:
            while True:
                for request in islice(source, 0 if fatal else self.concurrency - len(running)):
                    future = asyncio.run_coroutine_threadsafe(self._reply(request), self._loop)
                    running.add(future)
                    future.add_done_callback(finished.put)
                if not running:
                    break
                future = finished.get()
                running.remove(future)
                try:
                    reply = future.result()
                except BackendError as error:
                    fatal = fatal or error
                else:
                    yield reply
        finally:
            for future in running:
                future.cancel()
        if fatal:
            raise fatal

    def tokens_to_read(self, requests: Iterable[Request]) -> None:
        """What a server shares between requests is not known."""

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

    async def _reply(self, request: Request) -> Reply:
        if task := asyncio.current_task():
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        started, answered = time.monotonic(), self._answered
        try:
            # A copy, since the object holds the state of one call.
            answer: ChatAnswer = await self._retrying.copy()(self._attempt, request)
        except AttemptError as error:
            if error.unreachable and self._answered == answered:
                what = f"nobody answers at {self.address}: {error.detail}"
                raise ServerUnreachable(what, "Start the server, or correct the address") from None
            seconds = time.monotonic() - started
            return Failure(request.id, error.status, error.detail, error.retryable, seconds=seconds)
        return self._errors.without_key(answer.reply(request.id, time.monotonic() - started))

    async def _attempt(self, request: Request) -> ChatAnswer:
        body = self._server.body(request)
        await self._turn(request)
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._client.chat.completions.with_raw_response.create(**body)
            answer = ChatAnswer.model_validate_json(response.text)
        except Exception as error:
            found = self._errors.translated(error, has_answered=self._answered > 0)
            if isinstance(found, AttemptError) and found.is_too_fast:
                self._pace.refused(found.pause if (found.pause or 0) <= LONGEST_PAUSE else None)
            raise found from None
        self._answered += 1
        self._pace.served()
        return answer

    async def _turn(self, request: Request) -> None:
        """Wait until the request may be sent, one after the other."""
        characters = sum(len(message.content) for message in request.messages)
        tokens = characters // CHARACTERS_A_TOKEN + (self._max_tokens or 0)
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
