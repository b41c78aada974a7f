"""A chat server for the works of `evals.bulk`: it counts, delays, limits, and fails on purpose. A process of its own.

python -m evals.bulk_servers '{"latency": 0.2}'   # prints its port, and ends with its standard input
"""

import asyncio
import json
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from http.client import HTTPConnection
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
LABELS: Final = ("negative", "neutral", "positive")
FAULTS: Final = ("500", "dropped", "truncated", "html", "refusal", "cut", "stall")
"""What can go wrong with a request. A refusal and a cut answer hold; of the rest, the next attempt is answered."""
_NUMBER: Final = re.compile(r"snippet (\d+)")
_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


@dataclass(frozen=True)
class Behaviour:
    """What a server does.

    Args:
        latency: seconds before each answer.
        allowed: requests a second; those beyond are answered 429, without a word on when to come again. A second's
            worth may be saved up.
        faulty: whether each of the `FAULTS` befalls the first attempt at one text in a hundred.
        stall: seconds before an answer that stalls.

    """

    latency: float = 0.0
    allowed: float | None = None
    faulty: bool = False
    stall: float = 30.0

    def fault(self, number: int) -> str | None:
        """Say what befalls a text."""
        place = number % 100
        return FAULTS[place] if self.faulty and place < len(FAULTS) else None


def text(number: int) -> str:
    """Give the text of a number, which the server reads from it."""
    return f"The snippet {number} that somebody wrote."


def number_in(prompt: str) -> int:
    """Give the number of the text that a prompt holds."""
    found = _NUMBER.search(prompt)
    if found is None:
        raise ValueError("the prompt holds no numbered text")
    return int(found[1])


def label(number: int) -> str:
    """Give the label that the server gives to the text of a number."""
    return LABELS[number % len(LABELS)]


@dataclass
class Counts:
    """What a server has seen; times are seconds of its clock."""

    asked: Counter[int] = field(default_factory=Counter)
    """How often each text was asked about, without what was beyond the allowed rate."""
    refused: int = 0
    """Requests beyond the allowed rate."""
    first_asked: list[float] = field(default_factory=list)
    """When each text was asked about for the first time."""
    answered: list[float] = field(default_factory=list)
    """When each answer was given, faults included."""

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Counts":
        """Read what a server wrote."""
        return cls(**{**content, "asked": Counter({int(n): count for n, count in content["asked"].items()})})

    @property
    def requests(self) -> int:
        """All that were counted."""
        return self.asked.total()

    @property
    def longest_gap(self) -> float:
        """The longest time in which no new text was asked about, until all were."""
        return max((after - before for before, after in pairwise(self.first_asked)), default=0.0)

    @property
    def rate(self) -> float:
        """Answers a second, from the first request to the last answer."""
        return len(self.answered) / (self.answered[-1] - self.first_asked[0])


class Bucket:
    """Tokens that come at a steady rate; a second's worth is kept."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._tokens = rate
        self._at = time.monotonic()

    def take(self) -> bool:
        """Take a token, if there is one."""
        now = time.monotonic()
        self._tokens = min(self._rate, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class _Connection(asyncio.Protocol):
    """One connection, kept alive; HTTP as far as the openai client speaks it."""

    def __init__(self, behaviour: Behaviour, counts: Counts, bucket: Bucket | None) -> None:
        self._behaviour = behaviour
        self._counts = counts
        self._bucket = bucket
        self._read = b""
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, end, rest = self._read.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        size = int(length[1]) if length else 0
        if end and len(rest) >= size:
            self._read = rest[size:]
            self._serve(head, rest[:size])

    def _serve(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET /requests "):
            self._send(str(self._counts.requests).encode())
        elif head.startswith(b"GET /counts "):
            self._send(json.dumps(vars(self._counts)).encode())
        elif self._bucket and not self._bucket.take():
            self._counts.refused += 1
            self._send(b'{"error": {"message": "too fast"}}', status=b"429 Too Many Requests")
        else:
            number = number_in(body.decode())
            self._answer(number, self._behaviour.fault(number))

    def _answer(self, number: int, fault: str | None) -> None:
        counts = self._counts
        counts.asked[number] += 1
        is_first = counts.asked[number] == 1
        if is_first:
            counts.first_asked.append(time.monotonic())
        seconds = self._behaviour.stall if fault == "stall" and is_first else self._behaviour.latency
        if not is_first and fault not in {"refusal", "cut"}:
            fault = None
        if seconds:
            self._loop.call_later(seconds, self._finish, number, fault)
        else:
            self._finish(number, fault)

    def _finish(self, number: int, fault: str | None) -> None:
        if self._transport.is_closing():
            return
        self._counts.answered.append(time.monotonic())
        match fault:
            case "500":
                self._send(b'{"error": {"message": "overloaded"}}', status=b"500 Internal Server Error")
            case "dropped":
                self._transport.abort()
            case "truncated":
                self._send(_completion(number)[:-20])
            case "html":
                self._send(b"<html>Come back later</html>", kind=b"text/html")
            case "refusal":
                self._send(_completion(number, refusal="I would rather not."))
            case "cut":
                self._send(_completion(number, finish="length"))
            case _:
                self._send(_completion(number))

    def _send(self, body: bytes, *, status: bytes = b"200 OK", kind: bytes = b"application/json") -> None:
        head = b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (status, kind, len(body))
        self._transport.write(head + body)


def _completion(number: int, *, finish: str = "stop", refusal: str | None = None) -> bytes:
    said = json.dumps({"label": label(number)})
    message = {
        "role": "assistant",
        "content": None if refusal else said[:-3] if finish == "length" else said,
        "refusal": refusal,
    }
    return json.dumps(
        {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "created": 1,
            "model": "scripted",
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 8, "total_tokens": 108},
        }
    ).encode()


async def _run(behaviour: Behaviour) -> None:
    counts, loop = Counts(), asyncio.get_running_loop()
    bucket = Bucket(behaviour.allowed) if behaviour.allowed else None
    server = await loop.create_server(lambda: _Connection(behaviour, counts, bucket), "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    over = asyncio.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(over.set)

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    await over.wait()


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    port: int

    @property
    def address(self) -> str:
        """Of its API."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def uri(self) -> str:
        """For --backend."""
        return f"{self.address}#scripted"

    def requests(self) -> int:
        """Say how many were counted, quickly."""
        return int(self._get("/requests"))

    def counts(self) -> Counts:
        """Give all that was counted."""
        return Counts.from_dict(json.loads(self._get("/counts")))

    def _get(self, path: str) -> bytes:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[Server]:
    """Run a server as a process of its own."""
    command = [sys.executable, "-m", "evals.bulk_servers", json.dumps(asdict(behaviour))]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own
        assert process.stdout
        try:
            yield Server(int(process.stdout.readline()))
        finally:
            process.communicate()  # closes its standard input, which ends it


if __name__ == "__main__":
    asyncio.run(_run(Behaviour(**json.loads(sys.argv[1]))))
