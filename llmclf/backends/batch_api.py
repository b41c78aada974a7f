"""The Batch API of a hosted service: files of requests, answered within 24 hours at half the price.

The service itself is the ledger. A request's `custom_id` is the hash of what is asked, so a process that begins reads
from our batches there what is answered or under way, and asks for the rest only; nothing is kept here.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from llmclf.backends.base import Failure, Json, Likelihoods, Origin, Reply, Request, Structured
from llmclf.backends.batch_files import Batch, is_settled
from llmclf.backends.batch_ledger import Ledger, Queue
from llmclf.backends.batch_service import ENDPOINT, BatchService
from llmclf.backends.chat_answer import ChatAnswer
from llmclf.backends.chat_errors import AttemptError
from llmclf.backends.chat_server import ChatServer
from llmclf.errors import InputError, ServerRefused
from llmclf.record_json import digest
from llmclf.status import Status

FULL_PAUSE = 600.0
"""Seconds until a batch that found no place is begun again."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Asked:
    """A question without an answer so far."""

    requests: list[Request]
    """Those that ask it, which are equal."""
    rounds: int = 0
    """Batches that left it unanswered."""


@dataclass(slots=True)
class _Work:
    """What one call of `answer` has to do; questions are known by their custom ids."""

    stream: Iterator[Request]
    queue: Queue
    is_over: bool = False
    """Whether the stream is."""
    asked: dict[str, _Asked] = field(default_factory=dict)
    """All that is queued or expected."""
    expected: dict[str, dict[str, int]] = field(default_factory=dict)
    """By batch, what it is to answer, with the bytes of each line."""
    not_before: float = 0.0
    """When the next batch may be begun."""
    refusals: int = 0
    """How often in a row the service had no place though nothing else of ours was under way."""


class BatchBackend:
    """Answers by batches; the answers are those of `HostedBackend`, and so is the identity.

    What a batch has answered is not asked again within 30 days, by another job neither; what it left
    open, because it expired or was cancelled or the request failed for the moment, is put into another.

    Args:
        model: the name that the server knows it by.
        base_url: the address of the API, as the server documents it; None is OpenAI's own.
        key: None sends none. It goes to this address only: redirects are not followed.
        key_variable: as `HostedBackend` takes it.
        poll: seconds between two looks at the batches under way.
        batches: how many are under way at most.
        rounds: how many batches a request is put into before it fails.
        requests_per_file: how many a batch holds at most.
        bytes_per_file: how large its file is at most.
        timeout: seconds that a call waits for the server's next byte.
        attempts: how often a call is made before all ends, and how often a batch that finds no place is begun.
        max_tokens: where a reply is cut; None leaves it to the server.
        temperature: None leaves it to the server; some models take no other value than their own.
        sleep: how to wait.
        clock: seconds since 1970, as `sleep` counts them.

    """

    forms: frozenset[type[Likelihoods] | type[Structured]] = frozenset({Structured})
    origin: Origin | None = None

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        *,
        key: str | None = None,
        key_variable: str | None = None,
        poll: float = 30.0,
        batches: int = 4,
        rounds: int = 3,
        requests_per_file: int = 50_000,
        bytes_per_file: int = 200_000_000,
        timeout: float = 120.0,
        attempts: int = 12,
        max_tokens: int | None = 512,
        temperature: float | None = 0.0,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        counts = {
            "batches": batches,
            "rounds": rounds,
            "requests_per_file": requests_per_file,
            "bytes_per_file": bytes_per_file,
            "attempts": attempts,
        }
        for name, count in counts.items():
            if count < 1:
                raise InputError(f"{name} is {count}", "Give 1 or more")
        if poll < 0:
            raise InputError(f"poll is {poll:g}", "Give a number of seconds")
        self._server = ChatServer(
            model, base_url, key=key, key_variable=key_variable, max_tokens=max_tokens, temperature=temperature
        )
        self.name = model
        self.identity = self._server.identity
        self.resolved: Mapping[str, Json] = self._server.settings
        self.measured: Mapping[str, Json] = {}
        self.ahead = batches * requests_per_file
        self._poll = poll
        self._most_batches = batches
        self._most_rounds = rounds
        self._most_requests = requests_per_file
        self._most_bytes = bytes_per_file
        self._most_refusals = attempts
        self._sleep = sleep
        self._clock = clock
        self._errors = self._server.chat_errors(timeout)
        self._service = BatchService(self._server, timeout=timeout, attempts=attempts, sleep=sleep, clock=clock)
        self._ledger: Ledger | None = None
        self._batches: dict[str, Batch] = {}

    def answer(self, requests: Iterable[Request]) -> Iterator[Reply]:
        """Give one reply for every request as batches end, pulling a file's worth at a time."""
        work = _Work(iter(requests), Queue(self._most_requests, self._most_bytes))
        try:
            while True:
                self._send(work)
                if not work.is_over and len(work.expected) < self._most_batches and not work.queue.fills_a_file:
                    yield from self._pull(work)
                elif work.asked:
                    self._wait(work)
                else:
                    return
                yield from self._collect(work)
        finally:
            if work.asked:  # what is under way is learnt anew, should more be asked
                self._ledger = None

    def tokens_to_read(self, requests: Iterable[Request]) -> None:
        """What a server shares between requests is not known."""

    def close(self) -> None:
        """Drop the connections; batches go on."""
        self._service.close()

    def _pull(self, work: _Work) -> Iterator[Reply]:
        """Take a file's worth from the stream: what a batch holds is expected of it, the rest is queued."""
        for _ in range(self._most_requests):
            if work.queue.fills_a_file:
                return
            request = next(work.stream, None)
            if request is None:
                work.is_over = True
                return
            try:
                custom_id, line = self._line(request)
            except UnicodeEncodeError as error:
                yield Failure(request.id, Status.BAD_ENCODING, f"cannot be sent: {error.reason}")
                continue
            if len(line) > self._most_bytes:
                detail = f"the request has {len(line):,} bytes, and a file at most {self._most_bytes:,}"
                yield Failure(request.id, Status.TOO_LONG, detail)
            elif custom_id in work.asked:
                work.asked[custom_id].requests.append(request)
            else:
                batch_id = self._known().batch_of(custom_id)
                work.asked[custom_id] = _Asked([request])
                if batch_id is None:
                    work.queue.put(custom_id, len(line))
                else:
                    work.expected.setdefault(batch_id, {})[custom_id] = len(line)

    def _known(self) -> Ledger:
        """Learn from the service, once, which batch has answered what, or will."""
        if self._ledger is None:
            self._batches = {batch.id: batch for batch in self._service.batches()}
            self._ledger = Ledger((batch.id, self._held(batch)) for batch in self._batches.values())
        return self._ledger

    def _held(self, batch: Batch) -> Iterator[str]:
        if not batch.is_over:
            return self._service.asked(batch)
        answers = self._service.answers(batch, may_be_gone=True)
        return (custom_id for custom_id, found in answers if is_settled(found))

    def _line(self, request: Request) -> tuple[str, bytes]:
        """Give what is asked, by its custom id, and as a line of a batch's file.

        Raises:
            UnicodeEncodeError: no encoding carries the text.

        """
        for message in request.messages:
            message.content.encode()
        body = self._server.body(request)
        custom_id = digest(json.dumps([body, request.replicate])).hex()
        line = {"custom_id": custom_id, "method": "POST", "url": ENDPOINT, "body": body}
        return custom_id, json.dumps(line).encode() + b"\n"

    def _send(self, work: _Work) -> None:
        """Begin as many batches as may be; one that is not full only when the stream is over."""
        while (
            work.queue
            and (work.is_over or work.queue.fills_a_file)
            and len(work.expected) < self._most_batches
            and self._clock() >= work.not_before
        ):
            taken = work.queue.take()
            content = b"".join(self._line(work.asked[custom_id].requests[0])[1] for custom_id in taken)
            file_id = self._service.upload(f"llmclf-{digest(''.join(taken)).hex()}.jsonl", content)
            batch = self._service.begin(file_id, self._batches)
            self._batches[batch.id] = batch
            work.expected[batch.id] = taken
            log.info("batch %s: %s requests sent", batch.id, f"{len(taken):,}")

    def _wait(self, work: _Work) -> None:
        """Let some time pass, and look how far the batches are."""
        self._sleep(self._poll)
        for batch_id in work.expected:
            before, now = self._batches[batch_id], self._service.look(batch_id)
            self._batches[batch_id] = now
            if now.status != before.status or now.tenths_done != before.tenths_done:
                log.info("batch %s: %s, %s of %s done", now.id, now.status, f"{now.done:,}", f"{now.total:,}")

    def _collect(self, work: _Work) -> Iterator[Reply]:
        """Give the replies of the batches that have ended."""
        for batch in [self._batches[batch_id] for batch_id in work.expected]:
            if batch.status == "failed":
                self._put_back(work, batch)
            elif batch.is_over:
                yield from self._replies(work, batch)

    def _replies(self, work: _Work, batch: Batch) -> Iterator[Reply]:
        """Give a batch's replies; what it leaves unanswered is queued again, until it fails."""
        work.refusals = 0
        unanswered = work.expected.pop(batch.id)
        reasons: dict[str, AttemptError] = {}
        refusal: ServerRefused | None = None
        for custom_id, found in self._service.answers(batch):
            if custom_id not in unanswered:
                continue
            if isinstance(found, ServerRefused):
                refusal = found
            elif isinstance(found, AttemptError) and found.retryable:
                reasons[custom_id] = found
            else:
                del unanswered[custom_id]
                yield from self._replies_to(work.asked.pop(custom_id), found)
        if refusal:
            raise refusal
        status = Status.TIMEOUT if batch.status == "expired" else Status.FAILED
        left_out = AttemptError(status, f"the batch {batch.id} is {batch.status} and did not answer it")
        for custom_id, size in unanswered.items():
            asked = work.asked[custom_id]
            asked.rounds += 1
            if asked.rounds < self._most_rounds:
                work.queue.put(custom_id, size)
            else:
                yield from self._replies_to(work.asked.pop(custom_id), reasons.get(custom_id, left_out))

    def _put_back(self, work: _Work, batch: Batch) -> None:
        """Wait with what the service had no place for.

        Raises:
            ServerRefused: the batch is at fault, or finds no place even alone.

        """
        for custom_id, size in work.expected.pop(batch.id).items():
            work.queue.put(custom_id, size)
        if not batch.found_no_place:
            raise self._service.refusal(batch)
        if not work.expected:
            work.refusals += 1
        if work.refusals == self._most_refusals:
            raise self._service.refusal(batch, "Wait for other batches, or give a smaller requests_per_file")
        work.not_before = self._clock() + FULL_PAUSE
        log.info("batch %s finds no place: trying again in %d s", batch.id, FULL_PAUSE)

    def _replies_to(self, asked: _Asked, found: ChatAnswer | AttemptError) -> Iterator[Reply]:
        for request in asked.requests:
            if isinstance(found, ChatAnswer):
                yield self._errors.without_key(found.reply(request, seconds=0.0))
            else:
                yield Failure(request.id, found.status, found.detail, found.retryable)
