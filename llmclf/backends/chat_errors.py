"""What goes wrong between a chat server and its client, in this package's words."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from pydantic import ValidationError

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


@dataclass(frozen=True)
class ChatErrors:
    """Translates what the client raises: every foreign error passes here, and the key nowhere."""

    address: str
    model: str
    key_variable: str
    timeout: float
    key: str | None = field(default=None, repr=False)
    answer_name: str = "a chat completion"

    def translated(self, error: Exception, *, has_answered: bool) -> Exception:
        """Say in this package's words what went wrong; the server may have answered other requests."""
        import openai

        found: Exception = error
        match error:
            case openai.APIStatusError():
                found = self._refused(error, has_answered) or self._failed(error, has_answered)
            case openai.APIConnectionError() if type(error.__cause__).__name__ in UNREACHABLE:
                detail = self._line(error.__cause__) or type(error.__cause__).__name__
                found = AttemptError(Status.FAILED, detail, unreachable=True)
            case TimeoutError() | openai.APITimeoutError():
                found = AttemptError(Status.TIMEOUT, f"no answer within {self.timeout:g} s")
            case openai.APIConnectionError():
                found = AttemptError(Status.FAILED, f"the connection broke: {self._line(error.__cause__)}")
            case ValidationError():
                what = self._line(error.errors()[0]["input"])
                found = AttemptError(Status.FAILED, f"not {self.answer_name}: {what}")
            case UnicodeEncodeError():
                found = AttemptError(Status.BAD_ENCODING, f"cannot be sent: {error.reason}", retryable=False)
        return found

    def _refused(self, error: "openai.APIStatusError", has_answered: bool) -> ServerRefused | None:
        """What the server would say to every request."""
        codes = {error.code, error.type}
        name = "Check the model's name, and that the address ends as the server's API does, often in /v1"
        bill = "Check the plan and the billing of the account"
        hints = {401: f"Put a valid key into {self.key_variable}", 402: bill, 404: name, 405: name}
        if codes & UNPAID:
            hint = bill
        elif codes & UNSUPPORTED:
            hint = "As None, temperature and max_tokens are left to the server"
        elif error.status_code < 400:
            to = self._line(error.response.headers.get("location"))
            hint = f"It redirects to {to}: give that address, if you trust it"
        # To one who was served before, it forbids this one text: some moderate, some have a firewall.
        elif error.status_code == 403 and not has_answered:
            hint = f"Check what the key in {self.key_variable} may use"
        else:
            hint = hints.get(error.status_code, "")
        return ServerRefused(f"{self.address} refuses {self.model!r}: {self._said(error)}", hint) if hint else None

    def _failed(self, error: "openai.APIStatusError", has_answered: bool) -> AttemptError:
        """What the server says to this request, or at this moment."""
        said = self._said(error)
        if error.status_code in RETRIED or error.status_code >= 500:
            asked = asked_pause(error.response.headers.get("retry-after", ""))
            is_too_fast = error.status_code == 429 and has_answered
            return AttemptError(Status.FAILED, said, pause=asked, is_too_fast=is_too_fast)
        status = next((STATUS_OF_CODE[code] for code in (error.code, error.type) if code in STATUS_OF_CODE), None)
        if status is None:
            status = Status.TOO_LONG if error.status_code == 413 or TOO_LONG.search(said) else Status.FAILED
        return AttemptError(status, said, retryable=False)

    def _said(self, error: "openai.APIStatusError") -> str:
        said = error.body.get("message", error.body) if isinstance(error.body, dict) else error.body
        return f"HTTP {error.status_code}: {self._line(said)}".rstrip(": ")

    def _line(self, text: object) -> str:
        """One short line, without the key, which some servers repeat."""
        line = " ".join(str(text).split())
        return (line.replace(self.key, "***") if self.key else line)[:200]


def asked_pause(retry_after: str) -> float | None:
    """Read a Retry-After header, seconds or a date, as seconds from now."""
    if re.fullmatch(r"\d+(\.\d+)?", retry_after):
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except ValueError:
        return None
