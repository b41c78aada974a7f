"""Structured replies: the pydantic model of a question's answer, and the labels in a reply."""

import json
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model

from llmclf.codebook import Question
from llmclf.status import Status

_FIELD = "label"


@cache
def reply_model(question: Question) -> type[BaseModel]:
    """Build the model of a reply: `{"label": name}`, or `{"label": [names]}` for a set."""
    names = Literal[tuple(label.name for label in question.labels)]  # type: ignore[valid-type]  # built from the codebook
    kind: Any = list[names] if question.kind == "set" else names  # type: ignore[valid-type]  # the same
    return create_model("Answer", __config__=ConfigDict(extra="forbid"), **{_FIELD: (kind, ...)})


@cache
def reply_schema(question: Question) -> str:
    """Give the reply's JSON schema, as canonical JSON text."""
    return json.dumps(reply_model(question).model_json_schema(), sort_keys=True, ensure_ascii=False)


def read_reply(question: Question, text: str) -> str | tuple[str, ...] | Status:
    """Give the code or, for a set, the codes that a reply names; or why it names none.

    A label that the codebook does not have is `wrong_label`, never the nearest one.
    """
    codes = {label.name: label.code for label in question.labels}
    shape = _set_shape() if question.kind == "set" else _single_shape()
    try:
        said = getattr(shape.validate_json(text), _FIELD)
    except ValidationError:
        return Status.MALFORMED
    names = said if isinstance(said, list) else [said]
    if not all(name in codes for name in names):
        return Status.WRONG_LABEL
    if question.kind != "set":
        return codes[said]
    return tuple(code for name, code in codes.items() if name in names)


class _Single(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    label: str


class _Set(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    label: list[str]


@cache
def _single_shape() -> TypeAdapter[_Single]:
    return TypeAdapter(_Single)


@cache
def _set_shape() -> TypeAdapter[_Set]:
    return TypeAdapter(_Set)
