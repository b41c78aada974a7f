"""Typed-decision endpoints: a text and many questions about it in one call, and probabilities for each.

The codebook's instructions are told with every question: the input is what is judged, and nothing else.
"""

import asyncio
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, islice

from pydantic import ValidationError

from llmclf.backends.base import (
    CHARACTERS_A_TOKEN,
    AnswerForms,
    Failure,
    Identity,
    Json,
    Origin,
    Reply,
    Request,
    Scores,
    Typed,
    Usage,
)
from llmclf.backends.caller import Caller
from llmclf.backends.chat_errors import AttemptError
from llmclf.backends.decisions_wire import Answer, Decisions, OpenAIDecisions, SystemOne
from llmclf.backends.loop_thread import Flight
from llmclf.backends.server import Server
from llmclf.errors import InputError, unknown
from llmclf.schemas import Fault
from llmclf.status import Status

APIS: Mapping[str, type[OpenAIDecisions] | type[SystemOne]] = {"decisions": OpenAIDecisions, "systemone": SystemOne}
MOST_LABELS = 255
LEAST = sys.float_info.min
"""What a probability of 0 is recorded as, so that its logarithm, -708, is a number in JSON and in sums."""
_ROUNDING = 0.01
"""By which a probability may be off: some servers give two decimals."""


class DecisionsBackend:
    """Answers by a typed-decision endpoint, with many calls in flight.

    Requests that follow each other and have the same messages go into one call; its usage stands in the first reply.

    Args:
        model: the name that the server knows it by.
        base_url: the address of the API, up to where its paths begin; None is OpenAI's own.
        api: `decisions` is OpenAI's, `systemone` that of TypeSafe, Ollama and others.
        key: None sends none. It goes to this address only: redirects are not followed.
        key_variable: the environment variable that holds the key, for hints; None is OPENAI_API_KEY where `base_url` is
            None, else LLMCLF_API_KEY.
        questions_per_call: how many at most; None is 400 for `decisions` and 64 for `systemone`.
        concurrency: how many calls are in flight, 1 to 1000; None finds how many bring the most answers a second.
        timeout: seconds for one attempt, from sending to the last byte.
        attempts: how often a call is sent before its questions fail.
        retry_seconds: for how long it is, waiting for its turn not counted.
        down_seconds: how long a server that has answered is waited for when it answers nobody any more.
        requests_per_minute: how many calls are sent at most; without it, as many as the server turns out to allow.
        tokens_per_minute: how many are sent at most, at four characters a token.
        sleep: how to wait between attempts.
        clock: seconds, as `sleep` counts them.

    """

    forms: AnswerForms = frozenset({Typed})
    origin: Origin | None = "decisions"

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        api: str = "decisions",
        *,
        key: str | None = None,
        key_variable: str | None = None,
        questions_per_call: int | None = None,
        concurrency: int | None = None,
        timeout: float = 60.0,
        attempts: int = 6,
        retry_seconds: float = 600.0,
        down_seconds: float = 900.0,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if api not in APIS:
            raise InputError(unknown("API", api, APIS))
        self._wire = APIS[api]()
        self._questions_per_call = self._wire.most_questions if questions_per_call is None else questions_per_call
        if self._questions_per_call < 1:
            raise InputError(f"questions_per_call is {questions_per_call}", "Give 1 or more")
        self._server = Server(model, base_url, key=key, key_variable=key_variable)
        self._errors = self._server.errors(timeout, "a set of decisions")
        self._caller: Caller[Sequence[Request], list[Reply]] = Caller(
            self._server.async_client,
            self._errors,
            concurrency=concurrency,
            attempts=attempts,
            retry_seconds=retry_seconds,
            down_seconds=down_seconds,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
            sleep=sleep,
            clock=clock,
        )
        self.name = model
        self.identity = Identity({"server": self._server.address, "model": model, "api": api})
        self.resolved: Mapping[str, Json] = {}
        self.measured: Mapping[str, Json] = {}

    @property
    def ahead(self) -> int:
        """How many questions are in flight, at most, as things stand."""
        return self._caller.in_flight * self._questions_per_call

    def answer(self, requests: Iterable[Request]) -> Iterator[Reply]:
        """Give one reply for every request, as they come, pulling at most `concurrency` calls ahead.

        Raises:
            InputError: a question has more labels than may be.
            BackendError: nothing more can be answered; what is in flight is still given before.

        """
        for replies in self._caller.answers(self._replies, self._calls(requests)):
            yield from replies

    def tokens_to_read(self, requests: Iterable[Request]) -> None:
        """How a server puts a text and its questions together is not known."""

    def close(self) -> None:
        """Drop what is in flight, the connections and the thread."""
        self._caller.close()

    def _calls(self, requests: Iterable[Request]) -> Iterator[Sequence[Request]]:
        for _, alike in groupby(requests, key=lambda request: (request.messages, request.replicate)):
            while together := tuple(islice(alike, self._questions_per_call)):
                for request in together:
                    _check(request)
                yield together

    async def _replies(self, flight: Flight[Sequence[Request]]) -> list[Reply]:
        requests, started = flight.asked, time.monotonic()
        messages = requests[0].messages
        instructions = "".join(f"{message.content}\n\n" for message in messages if message.role == "system")
        text = "\n\n".join(message.content for message in messages if message.role != "system")
        questions = {f"q{place}": _question(request, instructions) for place, request in enumerate(requests, 1)}
        characters = len(text) + sum(
            len(question.ask) + sum(map(len, question.labels + question.definitions)) for question in questions.values()
        )
        body = self._wire.body(self.name, text, questions)
        try:
            decisions = await self._caller.call(
                flight, characters // CHARACTERS_A_TOKEN, self._wire.path, body, lambda said: self._wire.read(said.text)
            )
        except AttemptError as error:
            failed = (error.status, error.detail, error.retryable)
            seconds = time.monotonic() - started
            return [Failure(request.id, *failed, seconds=seconds) for request in requests]
        seconds = time.monotonic() - started
        usages = [decisions.usage] + [Usage()] * (len(requests) - 1)
        asked = zip(requests, questions.items(), usages, strict=True)
        replies = [self._reply(request, *named, decisions, usage, seconds) for request, named, usage in asked]
        return [self._errors.without_key(reply) for reply in replies]

    def _reply(
        self, request: Request, name: str, question: Typed, decisions: Decisions, usage: Usage, seconds: float
    ) -> Reply:
        answers = decisions.answers.get(name, ())
        found = self._log_likelihoods(question, answers)
        served_model, fingerprint = decisions.served_model, decisions.fingerprint
        if isinstance(found, Fault):
            said = json.dumps(answers) if answers else ""
            served = (served_model, fingerprint, usage, seconds)
            return Failure(request.id, found.status, found.reason, False, said, *served)
        return Scores(
            request.id,
            found,
            dict.fromkeys(question.labels, 1),
            usage=usage,
            seconds=seconds,
            origin="decisions",
            served_model=served_model,
            fingerprint=fingerprint,
        )

    def _log_likelihoods(self, question: Typed, answers: Sequence[Answer]) -> dict[str, float] | Fault:
        if len(answers) != 1:
            return Fault(Status.MALFORMED, f"{len(answers)} answers to one question")
        if answers[0].get("type") == "refusal":
            return Fault(Status.REFUSED, "the model refused")
        try:
            pairs = list(self._wire.probabilities(question, answers[0]))
        except ValidationError as error:
            fault = error.errors()[0]
            where = " ".join(map(str, fault["loc"]))  # in which labels stand, as the server gave them
            return Fault(Status.MALFORMED, self._errors.one_line(f"{where}: {fault['msg']}"))
        if Counter(label for label, _ in pairs) != Counter(question.labels):
            return Fault(Status.MALFORMED, "its probabilities are not those of the labels")
        total = math.fsum(probability for _, probability in pairs)
        if abs(total - 1) > min(_ROUNDING * len(pairs), 0.5):
            return Fault(Status.MALFORMED, f"its probabilities sum to {total:g}")
        by_label = dict(pairs)
        return {label: math.log(max(by_label[label], LEAST)) for label in question.labels}


def _check(request: Request) -> None:
    if not isinstance(request.form, Typed):
        raise TypeError(f"a typed-decision endpoint cannot give {type(request.form).__name__}")
    if len(request.form.labels) > MOST_LABELS:
        raise InputError(
            f"a question has {len(request.form.labels)} labels, and typed decisions take {MOST_LABELS} at most",
            "Ask about fewer, or use another backend",
        )


def _question(request: Request, instructions: str) -> Typed:
    assert isinstance(request.form, Typed)
    return replace(request.form, ask=instructions + request.form.ask)
