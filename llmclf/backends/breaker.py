"""A circuit breaker: a service that is down is looked after by one request at a time, and the others wait."""

from collections.abc import Callable

_FAULTS = 5
"""Requests that fail one after the other, with no answer in between, before a service counts as down."""
_FIRST_LOOK, _LAST_LOOK = 1.0, 60.0
"""Seconds between two looks whether it is back; each time twice as many."""


class Breaker:
    """Tells a service that is down from a request that fails.

    A fault counts once a request, since it may be the text's, unless nobody was reached at all. Before its first answer
    a service is not down but wrong: then every request is told so.
    """

    def __init__(self, clock: Callable[[], float], down_seconds: float) -> None:
        self._clock = clock
        self.down_seconds = down_seconds
        self.has_answered = False
        self._faults: set[object] = set()
        self._since = self._next = 0.0
        self._pause = _FIRST_LOOK

    @property
    def is_open(self) -> bool:
        """Whether the service is down."""
        return len(self._faults) >= _FAULTS

    @property
    def has_given_up(self) -> bool:
        """Whether it has been down for too long."""
        return self.is_open and self._clock() - self._since >= self.down_seconds

    def wait(self) -> float:
        """Give the seconds until a request may be sent."""
        return max(0.0, self._next - self._clock()) if self.is_open else 0.0

    def sent(self) -> None:
        """Take note of a request; while the service is down, the next one looks again later."""
        if self.is_open:
            self._pause = min(2 * self._pause, _LAST_LOOK)
            self._next = self._clock() + self._pause

    def answered(self) -> None:
        """Take note of an answer, to whatever request."""
        self.has_answered = True
        self._faults.clear()

    def failed(self, request: object, *, unreachable: bool) -> bool:
        """Take note of an attempt that brought no answer, and say whether that was the service and not the request."""
        if not self.has_answered:
            return False
        was_open = self.is_open
        if not self._faults:
            self._since = self._clock()
        self._faults.add((request, len(self._faults)) if unreachable else request)
        if self.is_open and not was_open:
            self._pause = _FIRST_LOOK
            self._next = self._clock() + self._pause
        return unreachable or self.is_open
