"""Who answered a job, by what the server said of itself: a hosted model may change behind its name."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from llmclf.backends.base import Identity
from llmclf.records import Records


@dataclass(frozen=True, slots=True)
class Served:
    """A model and a fingerprint that came back, in how many answers, and when these were recorded first and last."""

    model: str
    fingerprint: str
    answers: int
    first: datetime
    last: datetime

    def __str__(self) -> str:
        fingerprint = f" ({self.fingerprint})" if self.fingerprint else ""
        when = " to ".join(f"{at:%Y-%m-%d %H:%M}" for at in (self.first, self.last))
        return f"{self.model or 'no name'}{fingerprint}, {self.answers} answers, {when}"


def served(records: Records, identity: Identity) -> list[Served]:
    """Give who answered of one that was asked, by their first answers; replies that name nobody do not count."""
    return [
        Served(model, fingerprint, answers, datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC))
        for model, fingerprint, answers, first, last in records.served(identity)
    ]


def change(found: Iterable[Served]) -> str:
    """Say in a line that the model or its fingerprint changed; nothing where neither did."""
    said = [str(one) for one in found]
    return f"the model changed within the job: {'; '.join(said)}" if len(said) > 1 else ""
