"""What goes wrong between a chat server and its client, in this package's words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from pydantic import ValidationError

from llmclf.backends.base import Reply, Scores
from llmclf.backends.keys import LEAST_PART, cover_key
from llmclf.backends.rate_limits import Allowance, allowances
from llmclf.errors import ServerRefused
from llmclf.status import Status

if TYPE_CHECKING:
    import openai

# By name, since the client has changed its transport before.
UNREACHABLE = frozenset({"ConnectError", "ConnectTimeout", "ProxyError", "UnsupportedProtocol"})
RETRIED = frozenset({408, 409, 425, 429})
UNPAID = frozenset({"insufficient_quota", "billing_not_active", "billing_hard_limit_reached"})
UNSUPPORTED = frozenset({"unsupported_parameter", "unsupported_value"})
STATUS_OF_CODE = {
    "context_length_exceeded": Status.TOO_LONG,  # OpenAI
    "string_above_max_length": Status.TOO_LONG,  # OpenAI
    "exceed_context_size_error": Status.TOO_LONG,  # llama.cpp
    "content_policy_violation": Status.FILTERED,  # OpenAI
    "content_filter": Status.FILTERED,  # Azure
}
SETTING_OF_PARAMETER = {
    "temperature": "temperature",
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
}
TOO_LONG = re.compile(r"maximum (context|model) length|context (size|length|window)", re.IGNORECASE)  # vLLM and others


@dataclass(eq=False)
class AttemptError(Exception):
    """An attempt that brought no answer; `pause` is what the server asks for, in seconds.

    One that was `is_too_fast` for a server that answers others waits for its turn, and for nothing else.
    """

    status: Status
    detail: str
    retryable: bool = True
    pause: float | None = None
    unreachable: bool = False
    is_too_fast: bool = False
    allowances: tuple[Allowance, ...] = ()


@dataclass(frozen=True)
class ChatErrors:
    """Translates what the client raises: every foreign error passes here, and the key nowhere."""

    address: str
    model: str
    key_variable: str
    timeout: float
    key: str | None = field(default=None, repr=False)
    asks_logprobs: bool = False

    def translated(self, error: Exception, *, has_answered: bool) -> Exception:
        """Say in this package's words what went wrong; the server may have answered other requests."""
        import openai

        found: Exception = error
        match error:
            case openai.APIStatusError():
                found = self._refused(error, has_answered) or self._failed(error, has_answered)
            case openai.APIConnectionError() if type(error.__cause__).__name__ in UNREACHABLE:
                detail = self.one_line(error.__cause__) or type(error.__cause__).__name__
                found = AttemptError(Status.FAILED, detail, unreachable=True)
            case TimeoutError() | openai.APITimeoutError():
                found = AttemptError(Status.TIMEOUT, f"no answer within {self.timeout:g} s")
            case openai.APIConnectionError():
                found = AttemptError(Status.FAILED, f"the connection broke: {self.one_line(error.__cause__)}")
            case ValidationError():
                what = self.one_line(error.errors()[0]["input"])
                found = AttemptError(Status.FAILED, f"not a chat completion: {what}")
            case UnicodeEncodeError():
                found = AttemptError(Status.BAD_ENCODING, f"cannot be sent: {error.reason}", retryable=False)
        return found

    def _refused(self, error: "openai.APIStatusError", has_answered: bool) -> ServerRefused | None:
        """What the server would say to every request."""
        codes = {error.code, error.type}
        is_final = error.status_code < 500 and error.status_code not in RETRIED
        if self.asks_logprobs and is_final and "logprobs" in f"{error.param} {self._said(error)}":
            return self.no_log_probabilities(self._said(error))
        if codes & UNSUPPORTED:
            return self._unsupported(error)
        name = "Check the model's name, and that the address ends as the server's API does, often in /v1"
        bill = "Check the plan and the billing of the account"
        hints = {401: f"Put a valid key into {self.key_variable}", 402: bill, 404: name, 405: name}
        if codes & UNPAID:
            hint = bill
        elif error.status_code < 400:
            to = self.one_line(error.response.headers.get("location"))
            hint = f"It redirects to {to}: give that address, if you trust it"
        # To one who was served before, it forbids this one text: some moderate, some have a firewall.
        elif error.status_code == 403 and not has_answered:
            hint = f"Check what the key in {self.key_variable} may use"
        else:
            hint = hints.get(error.status_code, "")
        return ServerRefused(f"{self.address} refuses {self.model!r}: {self._said(error)}", hint) if hint else None

    def _unsupported(self, error: "openai.APIStatusError") -> ServerRefused:
        said = self._said(error)
        parameter = error.param or next((name for name in SETTING_OF_PARAMETER if name in said), "a parameter")
        setting = SETTING_OF_PARAMETER.get(parameter)
        hint = f"Leave it out: --setting {setting}=none" if setting else "Give a model that takes it"
        return ServerRefused(f"{self.address}: {self.model!r} does not take {parameter} as given: {said}", hint)

    def no_log_probabilities(self, said: str) -> ServerRefused:
        """Say that a server gives no log-probabilities, and what gives probabilities all the same."""
        return ServerRefused(
            f"{self.address} gives no log-probabilities of {self.model!r}: {said}",
            "Give fewer top_logprobs, or leave them out: --samples gives probabilities, too",
        )

    def _failed(self, error: "openai.APIStatusError", has_answered: bool) -> AttemptError:
        """What the server says to this request, or at this moment."""
        said = self._said(error)
        if error.status_code in RETRIED or error.status_code >= 500:
            headers = error.response.headers
            is_too_fast = error.status_code == 429 and has_answered
            return AttemptError(
                Status.FAILED,
                said,
                pause=asked_pause(headers),
                is_too_fast=is_too_fast,
                allowances=allowances(headers),
            )
        status = next((STATUS_OF_CODE[code] for code in (error.code, error.type) if code in STATUS_OF_CODE), None)
        if status is None:
            status = Status.TOO_LONG if error.status_code == 413 or TOO_LONG.search(said) else Status.FAILED
        return AttemptError(status, said, retryable=False)

    def _said(self, error: "openai.APIStatusError") -> str:
        said = error.body.get("message", error.body) if isinstance(error.body, dict) else error.body
        return f"HTTP {error.status_code}: {self.one_line(said)}".rstrip(": ")

    def one_line(self, text: object) -> str:
        """Give one short line, without the key, which some servers repeat."""
        line = " ".join(str(text).split())
        return cover_key(line, self.key, min(LEAST_PART, len(self.key or "")))[:200]

    def without_key(self, reply: Reply) -> Reply:
        """Give a reply without the key; one as short as `none` or `ollama` is no secret, and may be a word in it."""
        text, model, fingerprint = (
            cover_key(said, self.key) for said in (reply.text, reply.served_model, reply.fingerprint)
        )
        if isinstance(reply, Scores) and text != reply.text:  # its tokens spell the key, too
            reply = replace(reply, written=())
        return replace(reply, text=text, served_model=model, fingerprint=fingerprint)


def asked_pause(headers: Mapping[str, str]) -> float | None:
    """Read Retry-After, seconds or a date, or better its form in milliseconds, as seconds from now."""
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        if re.fullmatch(r"\d{1,12}(\.\d+)?", headers.get(name, "")):
            return float(headers[name]) / unit
    try:
        return max(0.0, (parsedate_to_datetime(headers.get("retry-after", "")) - datetime.now(UTC)).total_seconds())
    except ValueError:
        return None
