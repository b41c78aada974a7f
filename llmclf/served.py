"""Who answered a job, by what the server said of itself: a hosted model may change behind its name."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from llmclf.backends.base import Reply
from llmclf.store import Store


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


def served(store: Store, plan: int) -> list[Served]:
    """Give who answered the requests of a job; see `count_served`."""
    records = (store.record(key) for row in store.rows(plan) for key in row.keys)
    return count_served((record.reply, record.recorded_at) for record in records if record)


def count_served(replies: Iterable[tuple[Reply, float]]) -> list[Served]:
    """Count replies, each with the Unix time of its record, by model and fingerprint, in the order of their first ones.

    Replies that say neither do not count.
    """
    found: dict[tuple[str, str], Served] = {}
    for reply, recorded_at in replies:
        who, at = (reply.served_model, reply.fingerprint), datetime.fromtimestamp(recorded_at, UTC)
        if any(who):
            one = found.get(who) or Served(*who, 0, at, at)
            found[who] = replace(one, answers=one.answers + 1, first=min(one.first, at), last=max(one.last, at))
    return sorted(found.values(), key=lambda one: one.first)


def change(found: Iterable[Served]) -> str:
    """Say in a line that the model or its fingerprint changed; nothing where neither did."""
    said = [str(one) for one in found]
    return f"the model changed within the job: {'; '.join(said)}" if len(said) > 1 else ""
