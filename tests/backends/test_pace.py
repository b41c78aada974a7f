"""The pace against simulated servers, on a clock of their own."""

import heapq
import random
from collections.abc import Callable

import pytest

from llmclf.backends.pace import Pace, Sent
from llmclf.backends.rate_limits import Allowance

LATENCY = 0.2


class Bucket:
    """Serves `rate` a second, and lets so many come at once."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst, self.tokens, self.at = rate, burst, burst, 0.0

    def serves(self, now: float) -> bool:
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def tells(self, _: float) -> Allowance:
        return Allowance("requests", int(self.tokens), (self.burst - self.tokens) / self.rate, self.burst)


class Window:
    """Serves so many in each span of seconds, on the clock."""

    def __init__(self, most: int, span: float) -> None:
        self.most, self.span, self.window, self.count = most, span, -1, 0

    def serves(self, now: float) -> bool:
        if int(now / self.span) != self.window:
            self.window, self.count = int(now / self.span), 0
        self.count += 1
        return self.count <= self.most

    def tells(self, now: float) -> Allowance:
        return Allowance("requests", max(0, self.most - self.count), self.span - now % self.span, self.most)


def simulate(
    serves: Callable[[float], bool],
    seconds: float,
    *,
    concurrency: int = 64,
    tells: Callable[[float], Allowance] | None = None,
    **given: float,
) -> tuple[list[float], list[float]]:
    """Keep a server busy, and give when it served and when it refused."""
    clock = [0.0]
    pace = Pace(lambda: clock[0], **given)
    shuffle = random.Random(0)
    events = [(0.0, n, "ask") for n in range(concurrency)]
    served: list[float] = []
    refused: list[float] = []
    sent: dict[int, Sent] = {}
    told: dict[int, Allowance] = {}
    while events:
        clock[0], n, what = heapq.heappop(events)
        if clock[0] > seconds:
            break
        if what == "ask":
            wait = pace.take()
            sent[n] = pace.sent()
            heapq.heappush(events, (clock[0] + wait, n, "ask" if wait else "arrive"))
        elif what == "arrive":
            after = clock[0] + LATENCY * shuffle.uniform(0.8, 1.2)
            heapq.heappush(events, (after, n, "served" if serves(clock[0]) else "refused"))
            if tells:
                told[n] = tells(clock[0])
        else:
            pace.told(sent[n], [told[n]] if tells else [])
            (served if what == "served" else refused).append(clock[0])
            (pace.served if what == "served" else pace.refused)()
            heapq.heappush(events, (clock[0], n, "ask"))
    return served, refused


def between(times: list[float], start: float, end: float) -> float:
    return sum(start <= at < end for at in times) / (end - start)


@pytest.mark.parametrize("concurrency", [16, 200])
@pytest.mark.parametrize(
    "server", [lambda: Bucket(50, 50), lambda: Bucket(50, 5), lambda: Bucket(50, 1.5), lambda: Window(50, 1)]
)
def test_it_finds_the_rate_that_a_server_allows_and_keeps_just_below_it(
    server: Callable[[], Bucket | Window], concurrency: int
) -> None:
    served, refused = simulate(server().serves, 90, concurrency=concurrency)
    assert between(served, 5, 15) >= 0.8 * 50
    assert between(served, 30, 90) >= 0.95 * 50
    assert between(refused, 30, 90) <= 0.05 * 50


def test_a_server_that_counts_in_long_spans_and_says_nothing_is_asked_when_it_may_serve_again() -> None:
    served, refused = simulate(Window(500, 10).serves, 300)
    assert between(served, 60, 300) >= 0.4 * 50
    assert between(refused, 60, 300) <= 0.2 * 50


def test_a_server_that_never_refuses_is_kept_as_busy_as_may_be() -> None:
    served, refused = simulate(lambda _: True, 60)
    assert between(served, 1, 60) == pytest.approx(64 / LATENCY, rel=0.05)
    assert not refused


def test_what_is_said_is_kept_to() -> None:
    served, _ = simulate(lambda _: True, 60, requests_per_minute=600)
    assert between(served, 1, 60) == pytest.approx(10, rel=0.05)


def test_it_goes_up_again_when_more_is_allowed() -> None:
    slow, fast = Bucket(10, 5), Bucket(100, 5)
    served, _ = simulate(lambda now: (slow if now < 60 else fast).serves(now), 400)
    assert between(served, 30, 60) >= 0.9 * 10
    assert between(served, 350, 400) >= 0.9 * 100


def test_all_wait_as_long_as_the_server_asks() -> None:
    now = [0.0]
    pace = Pace(lambda: now[0])
    assert pace.take() == 0
    pace.refused(pause=7.0)
    assert pace.take() == 1.0, "asks again before that, since things may change"
    now[0] = 6.5
    assert pace.take() == 0.5
    now[0] = 7.0
    assert pace.take() == 0


def test_tokens_are_paced_as_requests_are() -> None:
    now = [0.0]
    pace = Pace(lambda: now[0], tokens_per_minute=600)
    assert pace.take(5) == 0
    assert pace.take(5) == 0.5
    now[0] = 0.5
    assert pace.take(100) == 0
    now[0] = 10.0
    assert pace.take(5) == 0.5


# Servers that say how much they still allow


@pytest.mark.parametrize("concurrency", [8, 64])
@pytest.mark.parametrize(
    "server",
    [
        lambda: Bucket(50, 50),
        lambda: Bucket(8, 500),
        lambda: Window(50, 1),
        lambda: Window(500, 10),
        lambda: Window(3000, 60),
    ],
)
def test_a_server_that_says_what_is_left_is_asked_for_all_of_it_and_refuses_nothing_more(
    server: Callable[[], Bucket | Window], concurrency: int
) -> None:
    one = server()
    allowed = one.rate if isinstance(one, Bucket) else one.most / one.span
    served, refused = simulate(one.serves, 120, concurrency=concurrency, tells=one.tells)
    assert between(served, 60, 120) >= min(0.85 * allowed, 0.9 * concurrency / LATENCY)
    assert all(at < 2 for at in refused), "only until it has been heard"


def test_what_is_left_for_long_is_spent_as_fast_as_may_be() -> None:
    day = Bucket(10_000 / 86_400, 10_000)
    served, refused = simulate(day.serves, 30, tells=day.tells)
    assert between(served, 1, 30) >= 0.9 * 64 / LATENCY
    assert not refused


@pytest.mark.parametrize("left", [0, 3])
def test_nothing_is_sent_when_nothing_is_left(left: int) -> None:
    now = [0.0]
    pace = Pace(lambda: now[0])
    assert pace.take() == 0
    pace.told(pace.sent(), [Allowance("requests", left, 8.0, 100)])
    for n in range(left):
        assert pace.take() == 0
        now[0] = (n + 1.001) * 8 / 3
    assert left or pace.take() == 1.0
    now[0] = 8.0
    assert pace.take() == 0


def test_a_new_allowance_is_not_overdrawn_before_it_is_heard_of() -> None:
    now = [0.0]
    pace = Pace(lambda: now[0])
    assert pace.take() == 0
    pace.told(pace.sent(), [Allowance("requests", 0, 5.0, 20)])
    now[0] = 5.0
    assert sum(pace.take() == 0 for _ in range(50)) == 20


def test_tokens_that_are_left_are_spread_as_requests_are() -> None:
    now = [0.0]
    pace = Pace(lambda: now[0])
    assert pace.take(100) == 0
    pace.told(pace.sent(), [Allowance("tokens", 1000, 10.0, 60_000)])
    assert pace.take(100) == 0
    assert pace.take(100) == pytest.approx(1.0)
    now[0] = 1.0
    assert pace.take(2000) == 1.0, "more than is left, and so it waits"
    now[0] = 10.0
    assert pace.take(2000) == 0


def test_what_takes_no_tokens_may_be_sent_when_none_are_left() -> None:
    pace = Pace(lambda: 0.0)
    pace.told(Sent(0.0, 0, 0), [Allowance("tokens", 0, 10.0)])
    assert pace.take(0) == 0
    assert pace.take(1) == 1.0


def test_replies_that_overtake_each_other_say_what_the_last_request_met() -> None:
    now = [0.0]
    pace = Pace(lambda: now[0])
    assert pace.take() == 0
    first = pace.sent()
    now[0] = 0.1
    assert pace.take() == 0
    second = pace.sent()
    now[0] = 0.2
    pace.told(second, [Allowance("requests", 0, 5.0)])
    pace.told(first, [Allowance("requests", 100, 5.0)])
    assert pace.take() == 1.0


def test_a_refusal_that_says_when_to_come_is_kept_to() -> None:
    now = [0.0]
    pace = Pace(lambda: now[0])
    pace.told(Sent(0.0, 0, 0), [Allowance("requests", 0, 90.0)])
    pace.told(Sent(0.0, 0, 0), [Allowance("tokens", 0, 3600.0)])  # a day's, perhaps: the server may know better
    now[0] = 89.5
    assert pace.take() == 0.5
    now[0] = 90.0
    assert pace.take(5) == 0
