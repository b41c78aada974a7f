"""What a coefficient gives: an estimate with its interval, or the reason why there is none."""

from dataclasses import asdict, dataclass
from typing import Final

NO_PAIRS: Final = "no item has two ratings"
ONE_LABEL: Final = "only one label occurs"
ONE_ITEM: Final = "there is one item only"


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval.

    Where the value is defined and its interval is not, `se`, `low` and `high` are None and `method` says why.
    """

    value: float
    se: float | None
    low: float | None
    high: float | None
    n_items: int
    """Items that count: those with two or more ratings, or one where chance agreement counts them too."""
    method: str
    """How the interval was found, or why there is none."""

    def to_dict(self) -> dict[str, float | int | str | None]:
        """Give the fields by name."""
        return asdict(self)


@dataclass(frozen=True)
class Undefined:
    """A coefficient that these ratings do not define."""

    undefined: str
    """The reason."""

    def to_dict(self) -> dict[str, str]:
        """Give the reason under the key `undefined`."""
        return asdict(self)


Coefficient = Estimate | Undefined
