"""Scales: the labels there can be, in their order, and how a label in a table is found on one."""

import math
from collections import Counter
from collections.abc import Callable, Sequence

from llmclf.codebook import number_text
from llmclf.errors import ScaleError, unknown
from llmclf.levels import Level

MEASURED = (Level.ORDINAL, Level.INTERVAL, Level.RATIO)
_NUMERIC = (Level.INTERVAL, Level.RATIO)


def declared_scale(labels: Sequence[str], level: Level) -> tuple[str, ...]:
    """Give the scale of these labels; numbers that are measured are spelled in one way.

    Raises:
        ScaleError: there can be no such scale.

    """
    numbers = [number_of(label) for label in labels]
    wholly_numeric = None not in numbers
    if level in _NUMERIC and not wholly_numeric:
        word = labels[numbers.index(None)]
        raise ScaleError(
            f"the {level} scale has the label {word!r}, which is no number", "Give numbers, or use the level ordinal"
        )
    if level is Level.RATIO and (negative := [number for number in numbers if number is not None and number < 0]):
        raise ScaleError(f"the ratio scale has the negative label {number_text(negative[0])}", "Use the level interval")
    scale = tuple(_spelled(label) for label in labels) if level in MEASURED and wholly_numeric else tuple(labels)
    if any(not label.strip() for label in scale):
        raise ScaleError("the scale has a blank label", "A blank is a missing rating: take it out of --scale")
    repeated = [label for label, times in Counter(scale).items() if times > 1]
    if repeated:
        raise ScaleError(f"the scale has the label {repeated[0]!r} more than once", "Give each label once in --scale")
    if len(scale) < 2:
        raise ScaleError(f"the scale has {len(scale)} label(s)", "Give two or more labels in --scale")
    if level is Level.ORDINAL and wholly_numeric and numbers not in (sorted(numbers), sorted(numbers, reverse=True)):  # type: ignore[type-var]  # none is None
        raise ScaleError(
            f"the ordinal scale {', '.join(scale)} is neither ascending nor descending",
            "Give --scale in order, lowest first",
        )
    return scale


def occurring_scale(labels: Sequence[str], level: Level) -> tuple[str, ...]:
    """Give the scale of labels that occur: ascending if all are numbers, else alphabetical.

    Where labels are measured, each has passed `check_label`.
    """
    numbers = {label: number for label in labels if (number := number_of(label)) is not None}
    if level in MEASURED:
        return tuple(number_text(number) for number in sorted(set(numbers.values())))
    if len(numbers) < len(labels):
        return tuple(sorted(labels))
    return tuple(sorted(labels, key=lambda label: (numbers[label], label)))


def check_label(label: str, level: Level) -> None:
    """Check that a label has its place where no scale is declared.

    Raises:
        ScaleError: the level asks for a number, and this is none, or on a ratio scale a negative one.

    """
    number = number_of(label)
    if number is None and level is Level.ORDINAL:
        raise ScaleError(
            f"the label {label!r} is no number, so its rank is unknown",
            "Give --scale with the labels in order, lowest first",
        )
    if number is None and level in _NUMERIC:
        raise ScaleError(
            f"the label {label!r} is no number",
            "Correct the row, or use the level ordinal and give --scale in order",
        )
    if number is not None and number < 0 and level is Level.RATIO:
        raise ScaleError(f"the label {label!r} is negative, and a ratio scale begins at 0", "Use the level interval")


def code_reader(scale: Sequence[str], level: Level) -> Callable[[str], int]:
    """Give what finds a label's position on the scale; on a measured scale of numbers, `4` and `4.0` are one label.

    It raises ScaleError for a label that is not on the scale.
    """
    code_by_label = {label: code for code, label in enumerate(scale)}
    numbers = [number for label in scale if (number := number_of(label)) is not None]
    as_numbers = level in MEASURED and len(numbers) == len(scale)

    def read(label: str) -> int:
        code = code_by_label.get(_spelled(label) if as_numbers else label)
        if code is not None:
            return code
        number = number_of(label)
        if as_numbers and number is not None and min(numbers) < number < max(numbers):
            raise ScaleError(
                f"the label {label!r} lies between the labels of the scale, {', '.join(scale)}",
                "Averages are held by no such scale: give --level interval without --scale; otherwise correct the row",
            )
        hint = "Correct the row, or declare the scale with --scale so that it holds this label"
        raise ScaleError(unknown("label", label, scale), hint)

    return read


def number_of(label: str) -> float | None:
    """Read a label as a finite number; None where it is none."""
    try:
        number = float(label)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _spelled(label: str) -> str:
    number = number_of(label)
    return label if number is None else number_text(number)
