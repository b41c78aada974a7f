import json
import tomllib
from typing import Any

import numpy as np
import pytest

from llmclf.calibration import NAMES, fit, from_dict
from llmclf.errors import InputError
from tests.calibration.samples import answers

X, Y = answers(0, 100, 2, 3, np.array([0.0, 1.0]))
VECTOR = {"method": "vector", "temperature": 2, "offsets": [0.5, -0.5]}


@pytest.mark.parametrize("method", NAMES)
def test_what_is_saved_as_json_or_toml_is_what_is_read(method: str) -> None:
    found = fit(method, X, Y)
    saved = found.to_dict()
    assert saved["method"] == method
    lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in saved.items())
    assert from_dict(json.loads(json.dumps(saved, allow_nan=False))) == found
    assert from_dict(tomllib.loads(lines)) == found


@pytest.mark.parametrize("method", NAMES)
def test_items_without_scores_or_label_teach_nothing(method: str) -> None:
    x = np.vstack([X, X[:40]])
    y = np.append(Y, 1 - Y[:40])
    x[100:120] = np.nan
    y[120:] = -1
    assert fit(method, x, y) == fit(method, X, Y)


def test_one_row_is_calibrated_as_among_many() -> None:
    for method in NAMES:
        found = fit(method, X, Y)
        alone = np.concatenate([found.apply(row[np.newaxis]) for row in X])
        assert (alone == found.apply(X)).all()


@pytest.mark.parametrize(
    ("saved", "line"),
    [
        ({"method": "platt"}, r"unknown method of calibration 'platt': known are 'temperature', 'vector', 'isotonic'"),
        ({}, "unknown method of calibration ''"),
        ({"method": "temperature"}, "temperature is None. Give a number, as it was fitted"),
        ({"method": "temperature", "temperature": True}, "temperature is True. Give a number"),
        ({"method": "temperature", "temperature": -1.0}, "the temperature is -1. Give a finite number above 0"),
        (VECTOR | {"offsets": 0.5}, "offsets is 0.5. Give a list of numbers, as it was fitted"),
        (VECTOR | {"offsets": [0.5, "a"]}, r"offsets is \[0.5, 'a'\]. Give a list of numbers"),
        (VECTOR | {"offset": [0.5]}, "calibration by vector: unknown key 'offset': did you mean 'offsets'"),
    ],
)
def test_what_was_not_saved_is_refused(saved: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=line):
        from_dict(saved)


def test_whole_numbers_are_numbers() -> None:
    assert from_dict(VECTOR).apply(np.zeros((1, 2)))[0, 0] == pytest.approx(1 / (1 + np.exp(-1)))


def test_arrays_fit_each_other() -> None:
    with pytest.raises(InputError, match=r"there are 99 labels of 100 items. Give one for each item"):
        fit("temperature", X, Y[1:])
    with pytest.raises(InputError, match=r"a label has the position 2, of 2 labels"):
        fit("temperature", X, Y + 1)
