"""What a service's headers say about how much may still be sent."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Unit = Literal["requests", "tokens"]
_UNITS: tuple[Unit, ...] = ("requests", "tokens")
_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_AMOUNT = r"(\d{1,15}(?:\.\d{1,9})?)"
_NUMBER = re.compile(_AMOUNT)
_DURATION = re.compile(f"(?:{_AMOUNT}(?:ms|us|µs|ns|[dhms]))+")
_PART = re.compile(f"{_AMOUNT}(ms|us|µs|ns|[dhms])")
_LONGEST = 7 * 86400.0
"""Where a reset lies further off, it is a date, as seconds since 1970; from which a client's clock may differ."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """So much may be sent in the next seconds; after them, as much as `limit`, or nobody knows."""

    unit: Unit
    left: float
    seconds: float
    limit: float | None = None


def allowances(headers: Mapping[str, str]) -> tuple[Allowance, ...]:
    """Read OpenAI's headers (x-ratelimit-remaining-requests ...) and those of the IETF's drafts.

    What is incomplete or makes no sense is left out. Names are looked up in lower case.
    """
    if not any("ratelimit" in name for name in headers):
        return ()
    return (*_of_openai(headers), *_of_early_drafts(headers), *_of_draft(headers))


def seconds(text: str | None) -> float | None:
    """Read a duration, as 6m0s, 17ms or a plain number of seconds."""
    text = (text or "").strip()
    if _NUMBER.fullmatch(text):
        found = float(text)
    elif _DURATION.fullmatch(text):
        found = sum(float(amount) * _SECONDS[unit] for amount, unit in _PART.findall(text))
    else:
        return None
    return found if found <= _LONGEST else None


def _of_openai(headers: Mapping[str, str]) -> Iterator[Allowance]:
    for unit in _UNITS:
        if left := headers.get(f"x-ratelimit-remaining-{unit}"):
            reset, limit = headers.get(f"x-ratelimit-reset-{unit}"), headers.get(f"x-ratelimit-limit-{unit}")
            yield from _allowance(unit, left, reset, limit)


def _of_early_drafts(headers: Mapping[str, str]) -> Iterator[Allowance]:
    """Up to draft 6 there were three headers, to draft 7 one with three fields."""
    for prefix in ("ratelimit-", "x-ratelimit-"):
        if left := headers.get(f"{prefix}remaining"):
            yield from _allowance("requests", left, headers.get(f"{prefix}reset"), headers.get(f"{prefix}limit"))
    fields = dict(re.findall(r"(\w+)\s*=\s*([\d.]+)", headers.get("ratelimit", "")))
    if "remaining" in fields:
        yield from _allowance("requests", fields["remaining"], fields.get("reset"), fields.get("limit"))


def _of_draft(headers: Mapping[str, str]) -> Iterator[Allowance]:
    """From draft 8: `RateLimit: "default";r=50;t=30`, and the quota in `RateLimit-Policy: "default";q=100;w=60`."""
    policies = dict(_items(headers.get("ratelimit-policy", "")))
    for name, found in _items(headers.get("ratelimit", "")):
        policy = policies.get(name, {})
        unit = policy.get("qu", "requests")
        for known in _UNITS:
            if unit == known and "r" in found:
                yield from _allowance(known, found["r"], found.get("t", policy.get("w")), policy.get("q"))


def _items(header: str) -> Iterator[tuple[str, dict[str, str]]]:
    for item in header.split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        pairs = (parameter.partition("=") for parameter in parameters)
        yield name, {key: value.strip('"') for key, _, value in pairs}


def _allowance(unit: Unit, left: str, reset: str | None, limit: str | None) -> Iterator[Allowance]:
    until, most = seconds(reset), _number(limit)
    amount = _number(left)
    if amount is not None and until is not None and (most is None or amount <= most):
        yield Allowance(unit, amount, until, most)


def _number(text: str | None) -> float | None:
    text = (text or "").strip()
    return float(text) if _NUMBER.fullmatch(text) else None
