"""What a chat server sends back, and what it means: an answer, a refusal, a cut one."""

from pydantic import BaseModel, Field

from llmclf.backends.base import Completion, Failure, RequestId, Usage
from llmclf.status import Status


class Details(BaseModel):
    """What the prompt's tokens were."""

    cached_tokens: int | None = None


class WrittenDetails(BaseModel):
    """What the written tokens were."""

    reasoning_tokens: int | None = None


class Counts(BaseModel):
    """The tokens of a reply, as far as the server counts them."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: Details | None = None
    completion_tokens_details: WrittenDetails | None = None

    @property
    def usage(self) -> Usage:
        """The counts that the server leaves out are 0."""
        read, written = self.prompt_tokens_details, self.completion_tokens_details
        return Usage(
            self.prompt_tokens or 0,
            (read and read.cached_tokens) or 0,
            self.completion_tokens or 0,
            (written and written.reasoning_tokens) or 0,
        )


class ChatMessage(BaseModel):
    """What the model said, or why it does not."""

    content: object = None
    refusal: str | None = None


class Choice(BaseModel):
    """One of the replies, and why it ended."""

    message: ChatMessage
    finish_reason: str | None = None


class ChatAnswer(BaseModel):
    """What is read of a chat completion; the client itself checks nothing, and takes a web page for an answer."""

    choices: list[Choice] = Field(min_length=1)
    model: str | None = None
    system_fingerprint: str | None = None
    usage: Counts | None = None

    def reply(self, request_id: RequestId, seconds: float) -> Completion | Failure:
        """Tell an answer from a refusal, a filtered, a cut and an empty one."""
        message, finish = self.choices[0].message, self.choices[0].finish_reason
        text = message.content if isinstance(message.content, str) else ""
        usage = (self.usage or Counts()).usage
        origin = (self.model or "", self.system_fingerprint or "", usage, seconds)
        if message.refusal:
            return Failure(request_id, Status.REFUSED, "the model refused", False, message.refusal, *origin)
        if finish == "content_filter":
            return Failure(request_id, Status.FILTERED, "the server's filter stopped the reply", False, text, *origin)
        if finish == "length":
            detail = f"the reply was cut at {usage.completion_tokens} tokens"
            return Failure(request_id, Status.CUT, detail, False, text, *origin)
        if not text.strip():
            return Failure(request_id, Status.MALFORMED, "the reply is empty", False, text, *origin)
        return Completion(request_id, text, *origin)
