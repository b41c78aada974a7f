"""The calls that a Batch API takes: each is tried until it is done, and whatever breaks in between, done once."""

from collections.abc import Callable, Container, Iterator
from dataclasses import asdict
from io import BytesIO
from typing import Any, Literal, TypeVar

from pydantic import ValidationError
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random

from llmclf.backends.batch_files import Batch, File, Found, Line, Listed, Page
from llmclf.backends.chat_errors import AttemptError
from llmclf.backends.chat_server import ChatServer
from llmclf.errors import ServerRefused, ServerUnreachable
from llmclf.record_json import canonical_json, digest
from llmclf.status import Status

ENDPOINT: Literal["/v1/chat/completions"] = "/v1/chat/completions"
MARK = "llmclf"
"""The key in a batch's metadata that says whose it is."""
KEPT_SECONDS = 30 * 86400.0
"""How long a service keeps a batch's input file."""
BACKOFF = wait_exponential(multiplier=2, max=60) + wait_random(0, 2)

T = TypeVar("T")


class BatchService:
    """A server's files and batches, those of one model and its settings.

    Every method raises what ends it all: `ServerRefused`, or `ServerUnreachable` where a call does not get through
    in so many attempts.
    """

    def __init__(
        self,
        server: ChatServer,
        *,
        timeout: float,
        attempts: int,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
    ) -> None:
        self._address = server.address
        self._errors = server.chat_errors(timeout)
        self._client = server.client(timeout)
        self._mark = digest(canonical_json(asdict(server.identity))).hex()
        self._clock = clock
        self._has_answered = False
        self._retrying = Retrying(
            sleep=sleep,
            stop=stop_after_attempt(attempts),
            wait=_pause,
            retry=retry_if_exception(self._worth_a_retry),
            reraise=True,
        )

    def batches(self) -> list[Batch]:
        """List our batches of the last 30 days."""
        return self._done(lambda: list(self._ours()))

    def upload(self, name: str, content: bytes) -> str:
        """Upload a file if none of that name is there, and give its id."""

        def once() -> str:
            # An upload may have been done though its answer was lost, by us or by a process that was killed.
            files = self._pages(self._client.files.with_raw_response.list, Page[File], purpose="batch")
            file = next((file for file in files if file.filename == name), None)
            if file is None:
                sent = (name, content, "application/jsonl")
                answer = self._client.files.with_raw_response.create(file=sent, purpose="batch")
                file = File.model_validate_json(answer.text)
            return file.id

        return self._done(once)

    def begin(self, file_id: str, known: Container[str]) -> Batch:
        """Begin a batch, if none but the known ones has that file."""

        def once() -> Batch:
            begun = (batch for batch in self._ours() if batch.input_file_id == file_id and batch.id not in known)
            batch = next(begun, None)
            if batch is None:
                answer = self._client.batches.with_raw_response.create(
                    input_file_id=file_id,
                    endpoint=ENDPOINT,
                    completion_window="24h",
                    metadata={MARK: self._mark},
                )
                batch = Batch.model_validate_json(answer.text)
            return batch

        return self._done(once)

    def look(self, batch_id: str) -> Batch:
        """Look how far a batch is."""
        call = self._client.batches.with_raw_response.retrieve
        return self._done(lambda: Batch.model_validate_json(call(batch_id).text))

    def answers(self, batch: Batch, *, may_be_gone: bool = False) -> Iterator[tuple[str, Found]]:
        """Give what became of a batch's requests, by their custom ids.

        A file that is gone has no lines, if it may be; a line that is none of a batch is left out.
        """
        for file_id in (batch.output_file_id, batch.error_file_id):
            for line in self._lines(file_id, may_be_gone) if file_id else ():
                yield line.custom_id, line.read(self._errors)

    def asked(self, batch: Batch) -> Iterator[str]:
        """Give the custom ids of a batch's requests; none where its input is gone."""
        return (line.custom_id for line in self._lines(batch.input_file_id, may_be_gone=True))

    def refusal(self, batch: Batch, hint: str = "") -> ServerRefused:
        """Give why a batch was refused as a whole."""
        said = "; ".join(str(fault) for fault in batch.faults) or "no reason is given"
        return ServerRefused(f"{self._address} refuses the batch {batch.id}: {self._errors.one_line(said)}", hint)

    def close(self) -> None:
        """Drop the connections."""
        self._client.close()

    def _ours(self) -> Iterator[Batch]:
        since = self._clock() - KEPT_SECONDS
        for batch in self._pages(self._client.batches.with_raw_response.list, Page[Batch], limit=100):
            if (batch.metadata or {}).get(MARK) == self._mark and batch.created_at >= since:
                yield batch

    def _pages(self, call: Callable[..., Any], page: type[Page[Listed]], **query: object) -> Iterator[Listed]:
        while True:
            found = page.model_validate_json(call(**query).text)
            yield from found.data
            if not found.has_more or not found.data:
                return
            query["after"] = found.data[-1].id

    def _lines(self, file_id: str, may_be_gone: bool) -> Iterator[Line]:
        for text in BytesIO(self._content(file_id, may_be_gone)):
            try:
                line = Line.model_validate_json(text)
            except ValidationError:
                continue
            yield line

    def _content(self, file_id: str, may_be_gone: bool) -> bytes:
        import openai

        def once() -> bytes:
            try:
                content = self._client.files.content(file_id).content
            except openai.NotFoundError:
                if may_be_gone:
                    return b""
                # It was named a moment ago.
                raise AttemptError(Status.FAILED, f"there is no file {file_id}") from None
            if content[:1] not in (b"", b"{"):
                what = self._errors.one_line(content[:200].decode(errors="replace"))
                raise AttemptError(Status.FAILED, f"not a batch's file: {what}")
            return content

        return self._done(once)

    def _done(self, call: Callable[[], T]) -> T:
        def attempt() -> T:
            try:
                done = call()
            except ValidationError as error:
                what = self._errors.one_line(error.errors()[0]["input"])
                raise AttemptError(Status.FAILED, f"not what a Batch API says: {what}") from None
            except Exception as error:
                raise self._errors.translated(error, has_answered=self._has_answered) from None
            self._has_answered = True
            return done

        try:
            return self._retrying(attempt)
        except AttemptError as error:
            if error.unreachable and not self._has_answered:
                what = f"nobody answers at {self._address}: {error.detail}"
                raise ServerUnreachable(what, "Start the server, or correct the address") from None
            if error.retryable:
                what = f"{self._address} does not answer: {error.detail}"
                hint = "Start the same again later: what is under way there goes on"
                raise ServerUnreachable(what, hint) from None
            raise ServerRefused(f"{self._address} refuses: {error.detail}") from None

    def _worth_a_retry(self, error: BaseException) -> bool:
        return isinstance(error, AttemptError) and error.retryable and (self._has_answered or not error.unreachable)


def _pause(state: RetryCallState) -> float:
    """Wait as long as the server asks for, else longer every time."""
    error = state.outcome and state.outcome.exception()
    asked = error.pause if isinstance(error, AttemptError) else None
    return BACKOFF(state) if asked is None else asked
