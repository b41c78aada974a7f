"""Chat servers that count, delay, limit, and fail on purpose: what each is to do, and what it has seen."""

import json
import re
import subprocess
import sys
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
    """What a server has seen; times are of the clock that all processes share, `time.monotonic`."""

    asked: Counter[int] = field(default_factory=Counter)
    """How often each text was asked about, without what was beyond the allowed rate."""
    refused: int = 0
    """Requests beyond the allowed rate."""
    first_asked: list[float] = field(default_factory=list)
    """When each text was asked about for the first time."""
    answered: list[float] = field(default_factory=list)
    """When each answer was given, faults included."""
    asked_again: list[float] = field(default_factory=list)
    """Of the texts that were asked about although they had been answered without a fault: when that was."""

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
    command = [sys.executable, "-m", "evals.bulk_serve", json.dumps(asdict(behaviour))]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own
        assert process.stdout
        try:
            yield Server(int(process.stdout.readline()))
        finally:
            process.communicate()  # closes its standard input, which ends it
