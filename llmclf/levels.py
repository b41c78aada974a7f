"""Levels of measurement; a room of its own, so that the command line need not load codebooks to name them."""

from enum import StrEnum


class Level(StrEnum):
    """A level of measurement: what may be done with the difference of two labels."""

    NOMINAL = "nominal"
    ORDINAL = "ordinal"
    INTERVAL = "interval"
    RATIO = "ratio"
    SET = "set"
