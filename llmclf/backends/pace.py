"""How fast a server may be asked: as fast as is said, or as it turns out to allow."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from llmclf.backends.rate_limits import Allowance, Unit

_LOOK = 60.0
"""Seconds over which served requests are counted, at most."""
_SETTLE = 1.0
"""Seconds after a change in which refusals are of what was sent before it."""
_BELOW = 0.97
"""Of what a server was seen to allow, or of the rate before it was raised too far."""
_LONGEST_PAUSE = 4.0
"""Seconds between two requests where nothing is served any more; twice as many after each refusal."""
_LATE = 0.05
"""Seconds by which waking may be late."""
_FIRST_CUT = 0.7
"""Of the rate at which was sent in the second before the first refusal."""
_FIRST_STEP, _LARGEST_STEP = 0.01, 0.2
"""By how much a rate is raised after a second without a refusal; twice as much after each further one."""
_ENOUGH = 5
"""Requests over which a rate is judged, at least."""
_SLOWEST = 1 / 60
_LONGEST_ALLOWANCE = 120.0
"""Seconds over which what is left is spread. A limit for a day is spent as fast as can be: it may never be reached."""
_UNHEARD = 10.0
"""Seconds for which a new allowance may be used up unheard, and no more sent."""


@dataclass(frozen=True, slots=True)
class Sent:
    """How much had been sent at a time, since the beginning."""

    at: float
    requests: int
    tokens: int


@dataclass(slots=True)
class _Told:
    """What a server said may be sent until a time, and how much had been sent, then and now."""

    left: float
    until: float
    at: float
    spent: int
    limit: float | None
    is_fresh: bool = True

    def wait(self, now: float, spent: int, amount: int) -> float:
        """Give the seconds until so much more may be sent: 0, or those until the server allows more."""
        if now >= self.until and self.is_fresh and self.limit is not None:
            # What is allowed then is known, and how long it must last is heard with the next reply.
            self.left, self.spent, self.until, self.is_fresh = self.limit, spent, now + _UNHEARD, False
        enough = self.left - (spent - self.spent) >= amount
        return 0.0 if enough or now >= self.until else self.until - now

    def span(self, now: float, spent: int, amount: int) -> float:
        """Give the seconds that so much takes, when what is left is spread over the time until there is more."""
        if not self.is_fresh or now >= self.until or not amount:
            return 0.0
        return (self.until - now) * amount / (self.left - (spent - self.spent))


class Pace:
    """Gives each request its time.

    As long as nothing is refused there is no limit but those that are given, in requests and in tokens a minute.
    When requests are refused, the rate becomes a little less than what was served of late; where nothing was, one
    request at a time looks whether that has changed. Then it is raised, gently at first and faster the longer nothing
    is refused. Where the server says how much it still allows until when, that is spread over the time.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
    ) -> None:
        self._clock = clock
        self._most = requests_per_minute / 60 if requests_per_minute else None
        self._tokens = tokens_per_minute / 60 if tokens_per_minute else None
        self.rate: float | None = None
        """Requests a second that the server was seen to allow; None while it has refused none."""
        self._sent: deque[float] = deque()
        self._served: deque[float] = deque()
        self._good: float | None = None
        self._step, self._pause = _FIRST_STEP, 0.0
        self._changed = self._lowered = float("-inf")
        self._next = self._not_before = float("-inf")
        self._spent: dict[Unit, int] = {"requests": 0, "tokens": 0}
        self._told: dict[Unit, _Told] = {}

    def take(self, tokens: int = 0) -> float:
        """Take the next place, for a request of so many tokens, if it has come; else give the seconds to ask again in.

        What is known of the server may change while somebody waits, so these are never many.
        """
        now = self._clock()
        costs: dict[Unit, int] = {"requests": 1, "tokens": tokens}
        wait = max((told.wait(now, self._spent[unit], costs[unit]) for unit, told in self._told.items()), default=0.0)
        at = max(self._next, self._not_before, now + wait if wait else self._next)
        if at > now:
            return min(at - now, 1.0)
        spans = [1 / rate for rate in (self.rate, self._most) if rate]
        spans += [tokens / self._tokens] if self._tokens else []
        spans += [self._pause]
        spans += [told.span(now, self._spent[unit], costs[unit]) for unit, told in self._told.items()]
        # Waking is late by some milliseconds, and the next place does not follow it.
        late = now - at if now - at < _LATE else 0.0
        self._next = now - late + max(spans)
        self._sent.append(now)
        _forget(self._sent, now - 1)
        for unit, cost in costs.items():
            self._spent[unit] += cost
        return 0.0

    def sent(self) -> Sent:
        """Give how much has been sent by now."""
        return Sent(self._clock(), self._spent["requests"], self._spent["tokens"])

    def told(self, sent: Sent, allowances: Iterable[Allowance]) -> None:
        """Take note of what the reply to a request says; `sent` is as it was when that was the last one."""
        now = self._clock()
        for one in allowances:
            known = self._told.get(one.unit)
            # Replies overtake each other; and what is over sooner than a reply takes is over.
            if (known is None or known.at <= sent.at) and one.seconds > now - sent.at:
                self._told.pop(one.unit, None)
                if one.seconds <= _LONGEST_ALLOWANCE:
                    spent = sent.requests if one.unit == "requests" else sent.tokens
                    self._told[one.unit] = _Told(one.left, now + one.seconds, sent.at, spent, one.limit)

    def served(self) -> None:
        """Take note of an answer."""
        now = self._clock()
        self._served.append(now)
        _forget(self._served, now - _LOOK)
        self._pause = 0.0
        if self.rate and now - self._changed >= 1:
            self._good = self.rate
            self.rate *= 1 + self._step
            self._step = min(2 * self._step, _LARGEST_STEP)
            self._changed = now

    def refused(self, pause: float | None = None) -> None:
        """Take note that a request came too fast, and of the seconds that the server asks for, of all."""
        now = self._clock()
        self._not_before = max(self._not_before, now + (pause or 0.0))
        if self.rate is None:
            span = min(1.0, max(now - self._sent[0], 0.1)) if self._sent else 1.0
            self._lower(_FIRST_CUT * len(self._sent) / span)
        elif now - self._lowered < max(_SETTLE, _ENOUGH / self.rate):
            return
        elif self._good:
            self._lower(_BELOW * self._good)
        elif served := sum(at >= self._lowered for at in self._served):
            self._lower(_BELOW * min(self.rate, served / (now - self._lowered)))
        else:
            self._pause = min(max(1.0, 2 * self._pause), _LONGEST_PAUSE)
            self._lower(self.rate)

    def _lower(self, rate: float) -> None:
        self.rate = max(rate, _SLOWEST)
        self._good, self._step = None, _FIRST_STEP
        self._changed = self._lowered = self._clock()


def _forget(times: deque[float], before: float) -> None:
    while times and times[0] < before:
        times.popleft()
