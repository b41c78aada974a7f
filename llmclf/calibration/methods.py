"""The methods of calibration by name: fitting one, and reading a saved one."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

import numpy as np

from llmclf.agreement.counts import Floats, Ints
from llmclf.agreement.ratings import MISSING, Codes
from llmclf.calibration.base import Calibration
from llmclf.calibration.isotonic import Isotonic
from llmclf.calibration.temperature import Temperature
from llmclf.calibration.vector_scaling import VectorScaling
from llmclf.errors import InputError, unknown

METHODS: Final[Mapping[str, type[Calibration]]] = {
    method.name: method for method in (Temperature, VectorScaling, Isotonic)
}
NAMES: Final = tuple(METHODS)


def fit(method: str, log_scores: Floats, labels: Codes) -> Calibration:
    """Fit a method of `NAMES` to the items that have log-scores (n, q) and a label (n,).

    Raises:
        InputError: there is no such method, the labelled items are too few for it, or the arrays do not fit each other.

    """
    kind = by_name(method)
    rows = labelled(log_scores, labels)
    y = labels[rows].astype(np.int64)
    kind.check_enough(y, log_scores.shape[1])
    return kind.fitted(log_scores[rows], y)


def from_dict(saved: Mapping[str, Any]) -> Calibration:
    """Read what `to_dict` gave.

    Raises:
        InputError: it is no calibration.

    """
    kind = by_name(str(saved.get("method", "")))
    types = {field.name: field.type for field in fields(kind)}  # type: ignore[arg-type]  # all are dataclasses
    for name, type_ in types.items():
        value = saved.get(name)
        numbers = [value] if type_ is float else value
        if not isinstance(numbers, list) or not all(isinstance(x, float) or type(x) is int for x in numbers):
            wanted = "a number" if type_ is float else "a list of numbers"
            raise InputError(f"calibration by {kind.name}: {name} is {value!r}", f"Give {wanted}, as it was fitted")
    if surplus := [name for name in saved if name not in {"method", *types}]:
        raise InputError(f"calibration by {kind.name}: {unknown('key', surplus[0], ['method', *types])}")
    return kind(**{name: saved[name] if type_ is float else tuple(saved[name]) for name, type_ in types.items()})


def by_name(method: str) -> type[Calibration]:
    """Give the method of that name.

    Raises:
        InputError: there is none.

    """
    if method not in METHODS:
        raise InputError(unknown("method of calibration", method, METHODS))
    return METHODS[method]


def labelled(log_scores: Floats, labels: Codes) -> Ints:
    """Give the positions of the items that have log-scores and a label.

    Raises:
        InputError: the arrays do not fit each other.

    """
    n, q = log_scores.shape
    if labels.shape != (n,):
        raise InputError(f"there are {len(labels)} labels of {n} items", "Give one for each item, -1 where it has none")
    if labels.max(initial=MISSING) >= q:
        raise InputError(f"a label has the position {labels.max()}, of {q} labels", f"Give positions below {q}")
    return np.flatnonzero(~np.isnan(log_scores).any(axis=1) & (labels != MISSING))
