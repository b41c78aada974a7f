"""The window against simulated servers, on a clock of their own."""

import heapq
import random
from collections.abc import Callable

import pytest

from llmclf.backends.window import Window

Takes = Callable[[float, int], float]
"""When a request comes and how many are then in flight -> the seconds until it is answered."""


def even(seconds: float, spread: float = 0.2) -> Takes:
    """Answer everything after about so many seconds, however many there are."""
    chance = random.Random(0)
    return lambda _now, _in_flight: seconds * chance.uniform(1 - spread, 1 + spread)


def slots(count: int, seconds: float) -> Takes:
    """Work on so many at once; the others wait."""
    chance, free = random.Random(0), [0.0] * count

    def takes(now: float, _: int) -> float:
        done = max(now, heapq.heappop(free)) + seconds * chance.gammavariate(4, 0.25)
        heapq.heappush(free, done)
        return done - now

    return takes


def together(seconds: float, batch: int) -> Takes:
    """Work on all at once, and twice as long where `batch` are in flight."""
    return lambda _, in_flight: seconds * (1 + in_flight / batch)


def simulate(
    takes: Takes, seconds: float, *, least: int = 1, most: int = 1000, pulled: int = 1000
) -> tuple[list[float], list[int]]:
    """Keep the window full, as far as the caller pulls; give when answers came, and the window's size then."""
    now = [0.0]
    window = Window(lambda: now[0], least, most)
    air: list[tuple[float, int, float]] = []
    answers: list[float] = []
    sizes: list[int] = []
    sent = 0
    while now[0] < seconds:
        while len(air) < min(window.size, pulled):
            sent += 1
            heapq.heappush(air, (now[0] + takes(now[0], len(air) + 1), sent, now[0]))
        now[0], _, began = heapq.heappop(air)
        window.answered(began, len(air) + 1)
        answers.append(now[0])
        sizes.append(window.size)
    return answers, sizes


def rate(answers: list[float], start: float, end: float) -> float:
    return sum(start <= at < end for at in answers) / (end - start)


def test_a_server_that_answers_everything_as_fast_is_asked_as_much_as_may_be_within_seconds() -> None:
    answers, sizes = simulate(even(0.2), 60)
    assert max(sizes) == 1000
    assert rate(answers, 10, 60) >= 0.95 * 1000 / 0.2


@pytest.mark.parametrize("count", [1, 4, 8, 30, 100])
def test_a_server_with_a_few_slots_is_kept_busy_and_not_flooded(count: int) -> None:
    answers, sizes = simulate(slots(count, 0.5), 1200)
    assert rate(answers, 200, 1200) >= 0.9 * count / 0.5
    settled = sizes[len(sizes) // 3 :]
    assert sum(settled) / len(settled) <= 2 * count + 2
    assert max(sizes) <= max(16, 4 * count)


def test_a_server_that_slows_down_for_all_is_asked_until_more_brings_hardly_more() -> None:
    answers, sizes = simulate(together(0.5, 32), 300)
    assert rate(answers, 100, 300) >= 0.65 * 32 / 0.5
    assert max(sizes) <= 256


def test_no_more_are_in_flight_than_may_be() -> None:
    _, sizes = simulate(even(0.2), 30, most=50)
    assert max(sizes) == 50


def test_a_size_that_is_given_stays() -> None:
    _, sizes = simulate(slots(4, 0.5), 120, least=20, most=20)
    assert set(sizes) == {20}


def test_where_the_caller_is_what_limits_the_rate_the_window_stays() -> None:
    _, sizes = simulate(even(0.2), 60, pulled=3)
    assert set(sizes) == {8}


def test_a_server_that_answers_too_late_is_asked_less() -> None:
    now = [0.0]
    window = Window(lambda: now[0], 1, 1000)
    for _ in range(3):
        window.timed_out()
        window.answered(-1.0, 8)
    assert window.size == 8, "some answers take too long"
    for _ in range(5):
        window.timed_out()
    assert window.size == 4
    for _ in range(20):
        window.timed_out()
    assert window.size == 1


def test_a_clock_too_coarse_for_the_server_shows_no_wait() -> None:
    window = Window(lambda: 0.0, 1, 1000)
    for _ in range(3000):
        window.answered(0.0, window.size)
    assert window.size > 8
