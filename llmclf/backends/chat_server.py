"""A model that chats, on a server: its settings, and a request's body."""

from typing import Any

from llmclf.backends.base import Identity, Json, Request
from llmclf.backends.chat_errors import ChatErrors
from llmclf.backends.chat_request import ANSWER_ALONE, ChatRequests
from llmclf.backends.server import Server


class ChatServer(Server):
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
        super().__init__(model, base_url, key=key, key_variable=key_variable)
        self.settings: dict[str, Json] = {"temperature": temperature, "max_tokens": max_tokens}
        told: dict[str, Json] = {}
        if top_logprobs is not None:
            self.settings["top_logprobs"] = top_logprobs
            told["instruction"] = ANSWER_ALONE
        self.identity = Identity({"server": self.address, "model": model}, self.settings | told)
        # OpenAI's reasoning models refuse `max_tokens`. Elsewhere it is the name that everybody knows:
        # Mistral refuses the new one, and Ollama ignores it and would write on.
        limit_name = "max_completion_tokens" if self.is_openai else "max_tokens"
        self._requests = ChatRequests(model, limit_name, temperature, max_tokens, top_logprobs)
        self._asks_logprobs = top_logprobs is not None

    def chat_errors(self, timeout: float) -> ChatErrors:
        """Give what translates the client's errors, for calls that may take so many seconds."""
        return self.errors(timeout, "a chat completion", asks_logprobs=self._asks_logprobs)

    def body(self, request: Request) -> dict[str, Any]:
        """Give what is sent to ask for a chat completion."""
        return self._requests.body(request)

    def tokens(self, request: Request) -> int:
        """Give about how many tokens are sent and asked for."""
        return self._requests.tokens(request)
