"""Headers as services send them, and what is read in them."""

import pytest

from llmclf.backends.rate_limits import Allowance, allowances, seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1s", 1),
        ("6m0s", 360),
        ("17ms", 0.017),
        ("2m59.56s", 179.56),
        ("1h2m3s", 3723),
        ("30", 30),
        ("0", 0),
        ("0.5", 0.5),
        ("", None),
        (None, None),
        ("soon", None),
        ("-1s", None),
        ("1x", None),
        ("s", None),
        ("nan", None),
        ("1764000000", None),  # a date
        ("9" * 400, None),
    ],
)
def test_durations(text: str | None, expected: float | None) -> None:
    assert seconds(text) == (expected if expected is None else pytest.approx(expected))


def test_openai_says_what_is_left_of_requests_and_of_tokens() -> None:
    headers = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-tokens": "6m0s",
    }
    assert allowances(headers) == (Allowance("requests", 59, 1, 60), Allowance("tokens", 149984, 360, 150000))


@pytest.mark.parametrize(
    "headers",
    [
        {"ratelimit-limit": "100", "ratelimit-remaining": "50", "ratelimit-reset": "30"},
        {"x-ratelimit-limit": "100", "x-ratelimit-remaining": "50", "x-ratelimit-reset": "30"},
        {"ratelimit": "limit=100, remaining=50, reset=30"},
        {"ratelimit": '"default";r=50;t=30', "ratelimit-policy": '"default";q=100;w=60'},
        {"ratelimit": '"burst";r=50', "ratelimit-policy": '"day";q=9;w=86400, "burst";q=100;w=30;qu="requests"'},
    ],
)
def test_the_forms_of_the_drafts_say_the_same(headers: dict[str, str]) -> None:
    assert allowances(headers) == (Allowance("requests", 50, 30, 100),)


def test_what_is_left_is_enough_where_the_limit_is_not_said() -> None:
    assert allowances({"ratelimit-remaining": "50", "ratelimit-reset": "30"}) == (Allowance("requests", 50, 30),)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "application/json"},
        {"x-ratelimit-remaining-requests": "5"},
        {"x-ratelimit-remaining-requests": "many", "x-ratelimit-reset-requests": "1s"},
        {"x-ratelimit-remaining-requests": "-1", "x-ratelimit-reset-requests": "1s"},
        {"x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "later"},
        {
            "x-ratelimit-remaining-requests": "61",
            "x-ratelimit-reset-requests": "1s",
            "x-ratelimit-limit-requests": "60",
        },
        {"x-ratelimit-remaining": "5", "x-ratelimit-reset": "1764000000"},
        {"ratelimit": "nonsense"},
        {"ratelimit": ";;=,,"},
        {"ratelimit": '"default";r=50', "ratelimit-policy": "none"},
        {"ratelimit": '"default";r=50;t=3', "ratelimit-policy": '"default";q=100;w=60;qu="content-bytes"'},
    ],
)
def test_nonsense_says_nothing(headers: dict[str, str]) -> None:
    assert allowances(headers) == ()
