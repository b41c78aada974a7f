"""Any OpenAI-compatible chat server, kept busy with many requests at once."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from llmclf.backends.base import CHARACTERS_A_TOKEN, Identity, Json, Likelihoods, Reply, Request, Structured
from llmclf.backends.chat_answer import ChatAnswer
from llmclf.backends.connection import Call, Connection

if TYPE_CHECKING:
    import openai


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
        self._connection = Connection(
            model,
            base_url,
            answer_name="a chat completion",
            key=key,
            key_variable=key_variable,
            concurrency=concurrency,
            timeout=timeout,
            attempts=attempts,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
            sleep=sleep,
            clock=clock,
        )
        self.name = model
        self.address = self._connection.address
        self.concurrency = concurrency
        settings = {"temperature": temperature, "max_tokens": max_tokens}
        self.identity = Identity({"server": self.address, "model": model}, settings)
        self.resolved: Mapping[str, Json] = {}
        self.measured: Mapping[str, Json] = {}
        # OpenAI's reasoning models refuse `max_tokens`. Elsewhere it is the name that everybody knows:
        # Mistral refuses the new one, and Ollama ignores it and would write on.
        limit_name = "max_completion_tokens" if self._connection.is_openai else "max_tokens"
        sampling = {"temperature": temperature, limit_name: max_tokens}
        self._sampling = {name: value for name, value in sampling.items() if value is not None}
        self._max_tokens = max_tokens

    def answer(self, requests: Iterable[Request]) -> Iterator[Reply]:
        """Give one reply for every request, as they come, pulling at most `concurrency` requests ahead.

        After a `BackendError` nothing more is asked; what is in flight, and perhaps paid for, is still given before it
        is raised.
        """
        return self._connection.replies(map(self._call, requests))

    def tokens_to_read(self, requests: Iterable[Request]) -> None:
        """What a server shares between requests is not known."""

    def close(self) -> None:
        """Drop what is in flight, the connections and the thread."""
        self._connection.close()

    def _call(self, request: Request) -> Call:
        if not isinstance(request.form, Structured):
            raise TypeError(f"a chat server cannot give {type(request.form).__name__}")
        form = {"name": request.form.name, "strict": True, "schema": json.loads(request.form.schema)}
        body: dict[str, Any] = {
            "model": self.name,
            "messages": [{"role": message.role, "content": message.content} for message in request.messages],
            "response_format": {"type": "json_schema", "json_schema": form},
            **self._sampling,
        }
        characters = sum(len(message.content) for message in request.messages)

        async def send(client: "openai.AsyncOpenAI") -> str:
            response = await client.chat.completions.with_raw_response.create(**body)
            text: str = response.text
            return text

        def read(text: str, seconds: float) -> list[Reply]:
            return [ChatAnswer.model_validate_json(text).reply(request.id, seconds)]

        return Call((request.id,), characters // CHARACTERS_A_TOKEN + (self._max_tokens or 0), send, read)
