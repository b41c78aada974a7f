"""What became of one question about one item."""

from enum import StrEnum


class Status(StrEnum):
    """`ok`, or why there is no label; a status is never a label."""

    OK = "ok"
    ABSTAINED = "abstained"
    TIED = "tied"
    ROUTED = "routed"
    EMPTY = "empty"
    TOO_LONG = "too_long"
    BAD_ENCODING = "bad_encoding"
    DUPLICATE_ID = "duplicate_id"
    REFUSED = "refused"
    FILTERED = "filtered"
    CUT = "cut"
    MALFORMED = "malformed"
    WRONG_LABEL = "wrong_label"
    TIMEOUT = "timeout"
    FAILED = "failed"
