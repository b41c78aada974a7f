"""What a chat server sends back, and what it means: an answer, a refusal, a cut one."""

from functools import cached_property
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from llmclf.backends.base import Completion, Failure, Likelihoods, Reply, Request, Scores, Usage, WrittenToken
from llmclf.backends.label_tokens import read_labels
from llmclf.backends.token_counts import TokenCounts
from llmclf.status import Status


class ChatMessage(BaseModel):
    """What the model said, or why it does not."""

    content: object = None
    refusal: str | None = None


class LikelyToken(BaseModel):
    """A token with its log-probability."""

    token: str
    logprob: Annotated[float, Field(le=0.01)]  # some round; what is not a number is refused, too
    bytes: list[Annotated[int, Field(ge=0, le=255)]] | None = None

    @property
    def text(self) -> str:
        """By its bytes, where the server gives them: a token may end within a character."""
        # `bytes` is the class's own field here.
        return self.token if self.bytes is None else bytearray(self.bytes).decode(errors="surrogateescape")


class PlacedToken(LikelyToken):
    """A token that was written, with the likeliest in its place."""

    top_logprobs: list[LikelyToken] = []


class TokenTables(BaseModel):
    """The tokens of a reply."""

    content: list[PlacedToken]


class Choice(BaseModel):
    """One of the replies, and why it ended."""

    message: ChatMessage
    finish_reason: str | None = None
    logprobs: object = None
    """Of many shapes; read only where it was asked for."""


class ChatAnswer(BaseModel):
    """What is read of a chat completion; the client itself checks nothing, and takes a web page for an answer."""

    choices: list[Choice] = Field(min_length=1)
    model: str | None = None
    system_fingerprint: str | None = None
    usage: TokenCounts | None = None

    @property
    def text(self) -> str:
        """What the model wrote, if anything."""
        content = self.choices[0].message.content
        return content if isinstance(content, str) else ""

    @cached_property
    def tokens(self) -> tuple[WrittenToken, ...]:
        """What it wrote by tokens, where the server says so."""
        try:
            tables = TokenTables.model_validate(self.choices[0].logprobs)
        except ValidationError:
            return ()
        return tuple(
            WrittenToken(one.text, one.logprob, tuple((other.text, other.logprob) for other in one.top_logprobs))
            for one in tables.content
        )

    def reply(self, request: Request, seconds: float) -> Reply:
        """Tell an answer from a refusal, a filtered, a cut and an empty one."""
        message, finish = self.choices[0].message, self.choices[0].finish_reason
        usage = (self.usage or TokenCounts()).usage
        server = (self.model or "", self.system_fingerprint or "")
        said = (self.text, *server, usage, seconds)
        if message.refusal:
            detail = "the model refused"
            return Failure(request.id, Status.REFUSED, detail, False, message.refusal, *server, usage, seconds)
        if finish == "content_filter":
            return Failure(request.id, Status.FILTERED, "the server's filter stopped the reply", False, *said)
        # A label is told by how a reply begins, so that the rest may be missing.
        if finish == "length" and not (self.text.strip() and isinstance(request.form, Likelihoods)):
            return Failure(request.id, Status.CUT, _how_it_was_cut(usage), False, *said)
        if not self.text.strip():
            return Failure(request.id, Status.MALFORMED, "the reply is empty", False, *said)
        if isinstance(request.form, Likelihoods):
            found = read_labels(request.form.labels, self.tokens)
            return Scores(
                request.id,
                found.log_likelihoods,
                found.tokens,
                usage=usage,
                seconds=seconds,
                origin="logprobs",
                served_model=self.model or "",
                fingerprint=self.system_fingerprint or "",
                text=self.text,
                written=self.tokens,
                remainder=found.remainder,
            )
        return Completion(request.id, *said)


def _how_it_was_cut(usage: Usage) -> str:
    cut = f"the reply was cut at {usage.completion_tokens} tokens"
    if not usage.reasoning_tokens:
        return cut
    return f"{cut}, {usage.reasoning_tokens} of them reasoning: give a larger max_tokens"
