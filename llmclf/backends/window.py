"""How many requests to keep in flight."""

from collections.abc import Callable
from math import log

_FIRST = 8
_GLANCE, _SAMPLE = 32, 128
"""Answers over which a size is judged, at least: where a leap clearly pays, and otherwise; and as many as in flight."""
_FULL = 0.8
"""Of its size that is in flight, where the window is what limits the rate."""
_WORTH = 0.25
"""What a wider window must bring: the rate grows by this power of the width; 1 is a server on which nobody waits."""
_LEAP, _STEP = 2.0, 2**0.5
_CLEARLY = 0.7
"""As `_WORTH`, for what a glance can tell."""
_TICK = 1e-6
"""Seconds that an answer takes, at least, where a clock is too coarse to tell."""
_REST = 60.0
"""Seconds until a size that was found is questioned."""


class Window:
    """Finds the size at which a wider window brings hardly more answers a second, only longer waits for them.

    The rate is the requests in flight over the seconds that each takes (Little's law). The window is doubled as long as
    that pays, then widened and narrowed by smaller steps. Where something else limits the rate, the size stays.
    """

    def __init__(self, clock: Callable[[], float], least: int, most: int) -> None:
        self._clock = clock
        self._least, self._most = least, most
        self.size = min(max(_FIRST, least), most)
        self._best: tuple[int, float] | None = None
        self._factor, self._widens, self._has_turned = _LEAP, True, False
        self._timeouts = 0
        self._judge_from(float("-inf"))

    def answered(self, sent: float, in_flight: int) -> None:
        """Take note of an answer to what was sent at a time; so many were in flight, itself included."""
        if self._least == self._most:
            return
        now = self._clock()
        self._timeouts = max(0, self._timeouts - 1)
        if sent < self._from:
            return
        self._count += 1
        self._seconds += now - sent
        self._in_flight += in_flight
        if self._count < max(self.size, _GLANCE):
            return
        tried = (self.size, max(self._seconds / self._count, _TICK))
        is_full = self._in_flight >= _FULL * self.size * self._count
        is_sure = self._factor == _LEAP and (self._best is None or _gain(self._best, tried) >= _CLEARLY)
        if is_sure or not is_full or self._count >= max(self.size, _SAMPLE):
            self._judge_from(now)
            if is_full:
                self._judge(tried)

    def timed_out(self) -> None:
        """Take note of a request that took too long; where more do than are answered, the window is halved."""
        self._timeouts += 1
        if self._timeouts > self.size / 2 and self.size > self._least:
            self._timeouts = 0
            self._begin_anew(max(self._least, self.size // 2))

    def _judge(self, tried: tuple[int, float]) -> None:
        """Keep the better of the size that was tried and the best one before it, and try the next."""
        if self._best is None or (_gain(self._best, tried) >= _WORTH) == (tried[0] > self._best[0]):
            self._best = tried
        elif self._factor == _LEAP:
            self._begin_anew(self._best[0], rest=0.0)  # it was judged by a glance
            return
        elif self._widens and not self._has_turned:
            self._widens, self._has_turned = False, True
        else:
            self._begin_anew(self._best[0])
            return
        size = self._next_size(self._best[0])
        if size == self._best[0] and self._widens:
            self._factor, self._widens, self._has_turned = _STEP, False, True
            size = self._next_size(size)
        if size == self._best[0]:
            self._begin_anew(size)
            return
        self.size = size
        # What is sent until the answers come at the new rate still meets the old one, and opens connections.
        self._judge_from(self._clock() + tried[1])

    def _next_size(self, size: int) -> int:
        if self._widens:
            return min(max(size + 1, round(size * self._factor)), self._most)
        return max(min(size - 1, round(size / self._factor)), self._least)

    def _begin_anew(self, size: int, rest: float = _REST) -> None:
        """Rest, then judge from this size on."""
        self.size, self._best = size, None
        self._factor, self._widens, self._has_turned = _STEP, True, False
        self._judge_from(self._clock() + rest)

    def _judge_from(self, time: float) -> None:
        self._from = time
        self._count, self._seconds, self._in_flight = 0, 0.0, 0


def _gain(one: tuple[int, float], other: tuple[int, float]) -> float:
    """Give the power of the width by which the rate grows from the narrower to the wider one."""
    narrow, wide = sorted((one, other))
    return 1 - log(wide[1] / narrow[1]) / log(wide[0] / narrow[0])
