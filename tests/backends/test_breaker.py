"""The breaker against services that go down, on a clock of their own."""

import random

import pytest

from llmclf.backends.breaker import Breaker


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    breaker = Breaker(clock, 900)
    breaker.answered()
    return breaker


def test_faults_of_many_requests_in_a_row_are_the_services(breaker: Breaker) -> None:
    assert [breaker.failed(n, unreachable=False) for n in range(6)] == [False] * 4 + [True] * 2


def test_one_text_that_always_fails_is_not_taken_for_the_service(breaker: Breaker) -> None:
    assert not any(breaker.failed("a text", unreachable=False) for _ in range(100))
    assert breaker.wait() == 0


def test_where_nobody_is_reached_it_is_never_the_request(breaker: Breaker) -> None:
    assert all(breaker.failed("a text", unreachable=True) for _ in range(4))
    assert not breaker.is_open, "as long as others may be answered"
    assert breaker.failed("a text", unreachable=True)
    assert breaker.is_open


def test_faults_among_answers_never_open_it(breaker: Breaker, clock: Clock) -> None:
    chance = random.Random(0)
    for number in range(100_000):
        clock.now += 0.01
        if chance.random() < 0.01:
            assert not breaker.failed(number, unreachable=False)
        else:
            breaker.answered()
        assert breaker.wait() == 0


def test_before_its_first_answer_a_service_is_not_down(clock: Clock) -> None:
    breaker = Breaker(clock, 900)
    assert not any(breaker.failed(n, unreachable=True) for n in range(100))
    assert breaker.wait() == 0


def test_a_service_that_is_down_is_looked_after_ever_more_seldom_and_given_up(breaker: Breaker, clock: Clock) -> None:
    for number in range(5):
        breaker.failed(number, unreachable=False)
    looks = []
    while not breaker.has_given_up:
        if wait := breaker.wait():
            clock.now += wait
        else:
            looks.append(clock.now)
            breaker.sent()
            breaker.failed(len(looks), unreachable=False)
    assert looks[:8] == [1, 3, 7, 15, 31, 63, 123, 183]
    assert 900 <= clock.now <= 960


def test_an_answer_ends_it(breaker: Breaker, clock: Clock) -> None:
    for number in range(50):
        breaker.failed(number, unreachable=False)
    clock.now = breaker.wait()
    breaker.sent()
    assert breaker.wait() > 0, "one looks, and no other"
    breaker.answered()
    assert breaker.wait() == 0
    clock.now = 5000
    assert not breaker.failed("a text", unreachable=False)
    assert not breaker.has_given_up
