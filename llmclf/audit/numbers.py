"""How the report says numbers, rounded once, here, and what they mean to a gate."""

from enum import StrEnum


class Outcome(StrEnum):
    """What a verdict means to a release gate."""

    PASS = "pass"  # noqa: S105  # no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


def shown(value: float, digits: int = 2) -> str:
    """Round to so many decimals; what rounds to zero has no sign."""
    return f"{value:z.{digits}f}"


def shown_interval(value: float, low: float | None, high: float | None, digits: int = 2) -> str:
    """Write `0.59 [0.46, 0.68]`, or the value alone where it has no interval."""
    if low is None or high is None:
        return shown(value, digits)
    return f"{shown(value, digits)} [{shown(low, digits)}, {shown(high, digits)}]"


def spoken_interval(value: float, low: float | None, high: float | None, digits: int = 2) -> str:
    """Write `0.59 (0.46 to 0.68)`, which is read aloud as it is meant."""
    if low is None or high is None:
        return shown(value, digits)
    return f"{shown(value, digits)} ({shown(low, digits)} to {shown(high, digits)})"
