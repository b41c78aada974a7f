"""What a Batch API says: its files, its batches, and the lines of what they have answered."""

from typing import Any, Generic, TypeAlias, TypeVar

from pydantic import BaseModel, ValidationError

from llmclf.backends.chat_answer import ChatAnswer
from llmclf.backends.chat_errors import AttemptError, ChatErrors
from llmclf.errors import ServerRefused
from llmclf.status import Status

NO_PLACE = frozenset({"token_limit_exceeded", "rate_limit_exceeded"})


class File(BaseModel):
    """An uploaded file."""

    id: str
    filename: str


class Fault(BaseModel):
    """Why a batch was refused, or one of its requests."""

    code: str | None = None
    message: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        where = f" (line {self.line})" if self.line is not None else ""
        return ": ".join(filter(None, (self.code, self.message))) + where


class Faults(BaseModel):
    """Why a batch was refused."""

    data: list[Fault] | None = None


class Counts(BaseModel):
    """How far a batch is."""

    completed: int = 0
    failed: int = 0
    total: int = 0


class Batch(BaseModel):
    """A batch, as far as it is read."""

    id: str
    status: str
    input_file_id: str
    created_at: float
    output_file_id: str | None = None
    error_file_id: str | None = None
    metadata: dict[str, object] | None = None
    request_counts: Counts | None = None
    errors: Faults | None = None

    @property
    def is_over(self) -> bool:
        """Whether no more of it will be answered."""
        return self.status in ("completed", "expired", "cancelled", "failed")

    @property
    def total(self) -> int:
        """How many requests it has; 0 until they are counted."""
        return self.request_counts.total if self.request_counts else 0

    @property
    def done(self) -> int:
        """How many of them have been answered, or have failed."""
        return self.request_counts.completed + self.request_counts.failed if self.request_counts else 0

    @property
    def tenths_done(self) -> int:
        """How far it is."""
        return 10 * self.done // self.total if self.total else 0

    @property
    def faults(self) -> list[Fault]:
        """Why it was refused as a whole."""
        return (self.errors and self.errors.data) or []

    @property
    def found_no_place(self) -> bool:
        """Whether it was refused only for those that are under way already."""
        return bool(self.faults) and all(fault.code in NO_PLACE for fault in self.faults)


Listed = TypeVar("Listed", File, Batch)


class Page(BaseModel, Generic[Listed]):
    """A part of a list."""

    data: list[Listed]
    has_more: bool | None = None


class Response(BaseModel):
    """What one request was answered, as HTTP would."""

    status_code: int
    body: Any = None


Found: TypeAlias = ChatAnswer | AttemptError | ServerRefused
"""What became of a request: an answer, why there is none, or what every request would hear."""


class Line(BaseModel):
    """One line of a batch's files: of the input what was asked, of the others what became of it."""

    custom_id: str
    response: Response | None = None
    error: Fault | None = None

    def read(self, errors: ChatErrors) -> Found:
        """Say what became of the request."""
        if self.response is None:
            fault = self.error or Fault()
            status = Status.TIMEOUT if fault.code == "batch_expired" else Status.FAILED
            return AttemptError(status, errors.one_line(fault))
        if self.response.status_code == 200:
            try:
                return ChatAnswer.model_validate(self.response.body)
            except ValidationError as invalid:
                found = errors.translated(invalid, has_answered=True)
        else:
            found = errors.translated(_status_error(self.response), has_answered=True)
        assert isinstance(found, AttemptError | ServerRefused)
        return found


def is_settled(found: Found) -> bool:
    """Say whether a request need not be asked again."""
    return isinstance(found, ChatAnswer) or (isinstance(found, AttemptError) and not found.retryable)


def _status_error(response: Response) -> Exception:
    """Give the error that the client raises where the answer comes by HTTP."""
    import httpx2  # the client's own transport
    import openai

    body = response.body.get("error", response.body) if isinstance(response.body, dict) else response.body
    request = httpx2.Request("POST", "/")
    return openai.APIStatusError("", response=httpx2.Response(response.status_code, request=request), body=body)
