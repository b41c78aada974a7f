"""The seam between what is asked and who answers: a stream of requests in, a stream of replies out."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from llmclf.status import Status

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHARACTERS_A_TOKEN = 4
"""Of English, about, where a model's own tokens cannot be counted; other languages and scripts take more."""

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message, in parts: what many items share stands in parts of its own.

    A backend that works on tokens tokenizes each part alone, so that equal parts are equal tokens
    and can be read once. Everywhere else only `content` counts.
    """

    role: Role
    parts: tuple[str, ...]

    @property
    def content(self) -> str:
        """The whole text of the message."""
        return "".join(self.parts)


@dataclass(frozen=True, slots=True)
class Reading:
    """How labels are compared: by the sum of their tokens' log-probabilities or the mean, less a correction each."""

    mean: bool = False
    correction: tuple[float, ...] = ()
    """One number a label, in the order asked; empty for none."""

    def values(self, sums: "NDArray[np.float64]", tokens: "NDArray[np.intp]") -> "NDArray[np.float64]":
        """Read the sums of labels that have so many tokens each."""
        read = sums / tokens if self.mean else sums
        return read - self.correction if self.correction else read


@dataclass(frozen=True, slots=True)
class Likelihoods:
    """An answer form: the log-likelihood of every label, as the model's next words.

    With `best_only`, of the label that is best by this reading, and of those met on the way to it.
    """

    labels: tuple[str, ...]
    best_only: Reading | None = None


@dataclass(frozen=True, slots=True)
class Structured:
    """An answer form: a completion that follows a JSON schema (given as canonical JSON text)."""

    name: str
    schema: str


@dataclass(frozen=True, slots=True)
class Typed:
    """An answer form: a probability for every label, from a service that takes the question apart from the text.

    A choice and a score, whose labels ascend, have a definition for each label, empty where there is none. What a
    predicate asks is a statement, which its first label calls true and its second false.
    """

    kind: Literal["choice", "score", "predicate"]
    ask: str
    labels: tuple[str, ...]
    definitions: tuple[str, ...] = ()


AnswerForm: TypeAlias = Likelihoods | Structured | Typed
AnswerForms: TypeAlias = frozenset[type[Likelihoods] | type[Structured] | type[Typed]]
RequestId: TypeAlias = int


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a model. The id is the asker's own and is not part of what is asked.

    An assistant message at the end is the beginning of the model's reply.
    `replicate` tells repeats of the same request apart: equal requests are asked once per replicate.
    """

    id: RequestId
    messages: tuple[Message, ...]
    form: AnswerForm
    replicate: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that a reply took: read, of these read from a cache; written, of these thought and not said."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0


Origin = Literal["likelihoods", "logprobs", "samples", "decisions", "ensemble", "student"]
"""Where probabilities come from: the model's likelihoods of whole labels, the log-probabilities that a server gave of
the tokens it wrote, the shares of repeated answers, a service that gives probabilities itself, several models, or a
student."""


@dataclass(frozen=True, slots=True)
class WrittenToken:
    """A token that a server wrote, and the likeliest in its place, with their log-probabilities in nats.

    Bytes that are no whole character are surrogate escapes; a token without text ends the reply.
    """

    text: str
    log_probability: float
    likeliest: tuple[tuple[str, float], ...]
    """As many as the server gave; the written one is among them or not."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Log-likelihoods in nats, each summed over all tokens of its label, in the order asked.

    From a service that gives probabilities, their logarithms; `origin` says so. `tokens` counts each label's tokens,
    terminator included where one was scored. A partial record holds the label that is best by the reading `best_by`,
    and of the others those that were met on the way to it.

    From a server's tables of its likeliest tokens (`written`), read by `label_tokens.read_labels`: a label has the
    probability of the tokens that begin it and no other. Labels that were not seen are missing, and have at most
    `remainder` together: the probability that the server did not show, or that no single label can claim.
    """

    request_id: RequestId
    log_likelihoods: Mapping[str, float]
    tokens: Mapping[str, int]
    best_by: Reading | None = None
    usage: Usage = Usage()
    seconds: float = 0.0
    origin: Origin = "likelihoods"
    served_model: str = ""
    fingerprint: str = ""
    text: str = ""
    """What the model wrote, where it wrote."""
    written: tuple[WrittenToken, ...] = ()
    remainder: float = 0.0


@dataclass(frozen=True, slots=True)
class Completion:
    """What the model wrote, raw, and the model and fingerprint that the server says wrote it."""

    request_id: RequestId
    text: str
    served_model: str = ""
    fingerprint: str = ""
    usage: Usage = Usage()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a request has no answer; `text` is what the model wrote all the same, if anything."""

    request_id: RequestId
    status: Status
    detail: str
    retryable: bool = False
    text: str = ""
    served_model: str = ""
    fingerprint: str = ""
    usage: Usage = Usage()
    seconds: float = 0.0


Reply: TypeAlias = Scores | Completion | Failure


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answers, and how: all that can change an answer and does not stand in the request.

    `model` is resolved: a file's hash and layout, or a server's address and the model's name.
    """

    model: Mapping[str, Json]
    settings: Mapping[str, Json] = field(default_factory=dict)


class Backend(Protocol):
    """Answers requests about texts; knows nothing of files, jobs or statistics."""

    @property
    def name(self) -> str:
        """The annotator's name in tables."""

    @property
    def identity(self) -> Identity:
        """Who answers, for the record."""

    @property
    def resolved(self) -> Mapping[str, Json]:
        """Settings as they came to be when it was opened; opened with them again, it answers as before."""

    @property
    def measured(self) -> Mapping[str, Json]:
        """What was measured to choose them."""

    @property
    def forms(self) -> AnswerForms:
        """The answer forms that it can give."""

    @property
    def origin(self) -> Origin | None:
        """Where the probabilities that it gives come from; None where it says labels alone."""

    @property
    def ahead(self) -> int:
        """How many requests it may take before it gives a reply."""

    def answer(self, requests: Iterable[Request]) -> Iterator[Reply]:
        """Give one reply for every request, in any order, matched by id.

        Pulling replies pulls requests. A request that fails is answered by its `Failure`.

        Raises:
            BackendError: nothing more can be answered.

        """

    def tokens_to_read(self, requests: Iterable[Request]) -> int | None:
        """Count the tokens that answering these would take, or None where what is shared is not known."""

    def close(self) -> None:
        """Let go of what the backend holds; it answers nothing after that."""
