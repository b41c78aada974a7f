"""What is sent to a chat server: a request in its words."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from llmclf.backends.base import CHARACTERS_A_TOKEN, Likelihoods, Message, Request

ANSWER_ALONE = "Reply with the answer alone."
"""Where labels are to be told by the first tokens, which no grammar may force: a server gives the log-probabilities
beside one from before it was applied."""
_SPARE_TOKENS = 8  # for what may stand around a label


@dataclass(frozen=True)
class ChatRequests:
    """Requests to one model of a server; see `HostedBackend`."""

    model: str
    limit_name: str
    """What the server calls `max_tokens`."""
    temperature: float | None
    max_tokens: int | None
    top_logprobs: int | None

    def body(self, request: Request) -> dict[str, Any]:
        """Give the body of a request; what is None is left to the server."""
        settings = {"temperature": self.temperature, self.limit_name: self._limit(request)}
        return {
            "model": self.model,
            **self._asked(request),
            **{name: value for name, value in settings.items() if value is not None},
        }

    def tokens(self, request: Request) -> int:
        """Give about how many tokens are sent and asked for."""
        characters = sum(len(message.content) for message in request.messages)
        return characters // CHARACTERS_A_TOKEN + (self._limit(request) or 0)

    def _asked(self, request: Request) -> dict[str, Any]:
        if isinstance(request.form, Likelihoods):
            if self.top_logprobs is None:
                raise TypeError(f"a chat server cannot give {type(request.form).__name__} without top_logprobs")
            messages = _asking_for_the_answer_alone(request.messages)
            return {"messages": messages, "logprobs": True, "top_logprobs": self.top_logprobs}
        form = {"name": request.form.name, "strict": True, "schema": _parsed(request.form.schema)}
        return {
            "messages": [_message(message) for message in request.messages],
            "response_format": {"type": "json_schema", "json_schema": form},
        }

    def _limit(self, request: Request) -> int | None:
        if self.max_tokens is None or not isinstance(request.form, Likelihoods):
            return self.max_tokens
        # No token is shorter than a byte.
        return max(len(label.encode()) for label in request.form.labels) + _SPARE_TOKENS


def _asking_for_the_answer_alone(messages: Sequence[Message]) -> list[dict[str, str]]:
    """Give messages up to the model's reply, which few servers go on with where it is begun."""
    *before, asked = [message for message in messages if message.role != "assistant"]
    return [*map(_message, before), _message(asked) | {"content": f"{asked.content}\n\n{ANSWER_ALONE}"}]


def _message(message: Message) -> dict[str, str]:
    return {"role": message.role, "content": message.content}


@lru_cache
def _parsed(schema: str) -> Any:  # noqa: ANN401 - JSON
    return json.loads(schema)
