"""Any OpenAI-compatible chat server, kept busy with many requests at once."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from llmclf.backends.base import Failure, Json, Likelihoods, Origin, Reply, Request, Scores, Structured
from llmclf.backends.caller import Caller
from llmclf.backends.chat_answer import ChatAnswer
from llmclf.backends.chat_errors import AttemptError
from llmclf.backends.chat_server import ChatServer
from llmclf.backends.loop_thread import Flight
from llmclf.errors import InputError

if TYPE_CHECKING:
    import httpx2


class HostedBackend:
    """Answers by a chat server, with many requests in flight.

    With `top_logprobs`, labels that need no reason are asked for without a schema, and have the probability of their
    first tokens: see `Scores`. What a prompt begins of the reply is then left out, and `ANSWER_ALONE` put at its end.

    Args:
        model: the name that the server knows it by.
        base_url: the address of the API, as the server documents it; None is OpenAI's own.
        key: None sends none. It goes to this address only: redirects are not followed.
        key_variable: the environment variable that holds the key, for hints; None is OPENAI_API_KEY where `base_url` is
            None, else LLMCLF_API_KEY.
        concurrency: how many requests are in flight, 1 to 1000; None finds how many bring the most answers a second.
        timeout: seconds for one attempt, from sending to the last byte.
        attempts: how often a request is sent before it fails, to be asked again another time.
        retry_seconds: for how long it is, waiting for its turn not counted.
        down_seconds: how long a server that has answered is waited for when it answers nobody any more.
        requests_per_minute: how many are sent at most; without it, as many as the server turns out to allow.
        tokens_per_minute: how many are sent for and asked for at most, at four characters a token.
        max_tokens: where a reply that gives reasons, or is JSON, is cut; None leaves it to the server.
        temperature: None leaves it to the server; some models take no other value than their own.
        top_logprobs: how many of the likeliest tokens, in each place, the server gives log-probabilities of; most give
            20 at most. None asks for none.
        sleep: how to wait between attempts.
        clock: seconds, as `sleep` counts them.

    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        *,
        key: str | None = None,
        key_variable: str | None = None,
        concurrency: int | None = None,
        timeout: float = 60.0,
        attempts: int = 6,
        retry_seconds: float = 600.0,
        down_seconds: float = 900.0,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        max_tokens: int | None = 512,
        temperature: float | None = 0.0,
        top_logprobs: int | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if top_logprobs is not None and top_logprobs < 1:
            raise InputError(f"top_logprobs is {top_logprobs}", "Give 1 or more, or none")
        self._server = ChatServer(
            model,
            base_url,
            key=key,
            key_variable=key_variable,
            max_tokens=max_tokens,
            temperature=temperature,
            top_logprobs=top_logprobs,
        )
        self.address = self._server.address
        self.name = model
        self.forms: frozenset[type[Likelihoods] | type[Structured]] = frozenset({Structured})
        self.origin: Origin | None = None
        if top_logprobs is not None:
            self.forms |= {Likelihoods}
            self.origin = "logprobs"
        self.identity = self._server.identity
        self.resolved: Mapping[str, Json] = self._server.settings
        self.measured: Mapping[str, Json] = {}
        self._errors = self._server.chat_errors(timeout)
        self._caller: Caller[Request, Reply] = Caller(
            self._server.async_client,
            self._errors,
            concurrency=concurrency,
            attempts=attempts,
            retry_seconds=retry_seconds,
            down_seconds=down_seconds,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
            sleep=sleep,
            clock=clock,
        )

    @property
    def ahead(self) -> int:
        """How many requests are in flight, at most, as things stand."""
        return self._caller.in_flight

    def tell_sent(self, tell: Callable[[], None]) -> None:
        """Have it called, on another thread, when a request goes out for the first time."""
        self._caller.tell_sent(tell)

    def answer(self, requests: Iterable[Request]) -> Iterator[Reply]:
        """Give one reply for every request, as they come, pulling at most `concurrency` requests ahead.

        After a `BackendError` nothing more is asked; what is in flight, and perhaps paid for, is still given before it
        is raised.
        """
        return self._caller.answers(self._reply, requests)

    def tokens_to_read(self, requests: Iterable[Request]) -> None:
        """What a server shares between requests is not known."""

    def close(self) -> None:
        """Drop what is in flight, the connections and the thread."""
        self._caller.close()

    async def _reply(self, flight: Flight[Request]) -> Reply:
        request, started = flight.asked, time.monotonic()
        body, tokens = self._server.body(request), self._server.tokens(request)
        try:
            answer = await self._caller.call(flight, tokens, "/chat/completions", body, _read)
        except AttemptError as error:
            seconds = time.monotonic() - started
            return Failure(request.id, error.status, error.detail, error.retryable, seconds=seconds)
        reply = self._errors.without_key(answer.reply(request, time.monotonic() - started))
        if isinstance(reply, Scores) and not reply.written:
            raise self._errors.no_log_probabilities("its answer holds none")
        return reply


def _read(response: "httpx2.Response") -> ChatAnswer:
    return ChatAnswer.model_validate_json(response.text)
