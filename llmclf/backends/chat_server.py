"""A model on an OpenAI-compatible server: its address, the client to it, and a request's body."""

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llmclf.backends.addresses import is_loopback
from llmclf.backends.base import Identity, Json, Request
from llmclf.backends.chat_errors import ChatErrors
from llmclf.backends.chat_request import ANSWER_ALONE, ChatRequests
from llmclf.errors import InputError

if TYPE_CHECKING:
    import ssl

    import httpx2
    import openai

OPENAI_ADDRESS = "https://api.openai.com/v1"
CONNECT_SECONDS = 10.0

# All that is sent. The client adds what it finds in a dozen environment variables (OPENAI_ORG_ID,
# OPENAI_CUSTOM_HEADERS ...), whatever the server; and it needs its own mark on a request to return the raw response.
HEADERS = frozenset({"host", "accept", "accept-encoding", "connection", "user-agent", "content-type", "content-length"})
CLIENT_MARK = frozenset({"x-stainless-raw-response"})
ACCOUNT_HEADERS = frozenset({"openai-organization", "openai-project"})


class ChatServer:
    """What the backends that ask a chat server have in common; for the arguments, see there.

    Raises:
        InputError: the key or the address cannot be one.

    """

    def __init__(
        self,
        model: str,
        base_url: str | None,
        *,
        key: str | None,
        key_variable: str | None,
        max_tokens: int | None,
        temperature: float | None,
        top_logprobs: int | None = None,
    ) -> None:
        self._key_variable = key_variable or ("LLMCLF_API_KEY" if base_url else "OPENAI_API_KEY")
        # A line break in a key would be quoted, key and all, in the transport's own error.
        if key is not None and not re.fullmatch("[!-~]+", key):
            raise InputError("the key is empty or holds characters that no key has", f"Look at {self._key_variable}")
        self.address = (base_url or OPENAI_ADDRESS).rstrip("/")
        url = urlsplit(self.address)
        # The address is shown and stored. A password that holds a slash is none to the parser.
        if "@" in self.address or url.query:
            raise InputError(
                "an address with a password or a query is not kept", f"Put a key into {self._key_variable}"
            )
        self.model = model
        self.settings: dict[str, Json] = {"temperature": temperature, "max_tokens": max_tokens}
        told: dict[str, Json] = {}
        if top_logprobs is not None:
            self.settings["top_logprobs"] = top_logprobs
            told["instruction"] = ANSWER_ALONE
        self.identity = Identity({"server": self.address, "model": model}, self.settings | told)
        of_openai = f".{url.hostname}".endswith(".openai.com")
        # OpenAI's reasoning models refuse `max_tokens`. Elsewhere it is the name that everybody knows:
        # Mistral refuses the new one, and Ollama ignores it and would write on.
        limit_name = "max_completion_tokens" if of_openai else "max_tokens"
        self._requests = ChatRequests(model, limit_name, temperature, max_tokens, top_logprobs)
        self._gives_log_probabilities = top_logprobs is not None
        self._headers = HEADERS | CLIENT_MARK | (ACCOUNT_HEADERS if of_openai else frozenset())
        self._key = key

    def errors(self, timeout: float) -> ChatErrors:
        """Give what translates the client's errors, for calls that may take so many seconds."""
        return ChatErrors(
            self.address, self.model, self._key_variable, timeout, self._key, self._gives_log_probabilities
        )

    def body(self, request: Request) -> dict[str, Any]:
        """Give what is sent to ask for a chat completion."""
        return self._requests.body(request)

    def tokens(self, request: Request) -> int:
        """Give about how many tokens are sent and asked for."""
        return self._requests.tokens(request)

    def client(self, timeout: float) -> "openai.OpenAI":
        """Open a client; it waits so many seconds at most for the next byte."""
        import openai

        http_client = openai.DefaultHttpxClient(**self._transport(), event_hooks={"request": [self._send_only_ours]})
        return openai.OpenAI(**self._options(timeout), http_client=http_client)

    def async_client(self) -> "openai.AsyncOpenAI":
        """Open a client that waits for ever; the caller counts the time."""
        import openai

        async def send_only_ours(request: "httpx2.Request") -> None:
            self._send_only_ours(request)

        http_client = openai.DefaultAsyncHttpxClient(**self._transport(), event_hooks={"request": [send_only_ours]})
        return openai.AsyncOpenAI(**self._options(None), http_client=http_client)

    def _send_only_ours(self, request: "httpx2.Request") -> None:
        import httpx2

        kept = [(name, value) for name, value in request.headers.multi_items() if name in self._headers]
        request.headers = httpx2.Headers(kept)
        if self._key is not None:
            request.headers["Authorization"] = f"Bearer {self._key}"

    def _transport(self) -> dict[str, Any]:
        return {"follow_redirects": False, "trust_env": self._trusts_environment, "verify": self._certificates}

    @property
    def _trusts_environment(self) -> bool:
        return not is_loopback(self.address)  # no proxy between a machine and itself

    @cached_property
    def _certificates(self) -> "ssl.SSLContext":
        """Read once for all clients: it takes the time of many requests."""
        import httpx2

        return httpx2.create_ssl_context(trust_env=self._trusts_environment)

    def _options(self, timeout: float | None) -> dict[str, Any]:
        import openai

        return {
            "api_key": self._key or "none",  # None would send the client to the environment
            "base_url": self.address,
            "max_retries": 0,
            "timeout": openai.Timeout(timeout, connect=CONNECT_SECONDS),
        }
