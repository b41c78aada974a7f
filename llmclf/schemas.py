"""Structured replies: the pydantic model of a question's answer, and the labels in a reply."""

import json
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from llmclf.codebook import Question
from llmclf.status import Status


@cache
def reply_model(question: Question) -> type[BaseModel]:
    """Build the model of a reply: `{"label": name}`, or `{"label": [names]}` for a set."""
    names = Literal[tuple(label.name for label in question.labels)]  # type: ignore[valid-type]  # built from the codebook
    kind: Any = list[names] if question.kind == "set" else names  # type: ignore[valid-type]  # the same
    return create_model("Answer", __config__=ConfigDict(extra="forbid"), label=(kind, ...))


@cache
def reply_schema(question: Question) -> str:
    """Give the reply's JSON schema, as canonical JSON text."""
    return json.dumps(reply_model(question).model_json_schema(), sort_keys=True, ensure_ascii=False)


def read_reply(question: Question, text: str) -> str | tuple[str, ...] | Status:
    """Give the code or, for a set, the codes that a reply names; or why it names none.

    A label that the codebook does not have is `wrong_label`, never the nearest one.
    """
    codes = {label.name: label.code for label in question.labels}
    shape = _Set if question.kind == "set" else _Single
    try:
        said = shape.model_validate_json(text).label
    except ValidationError:
        return Status.MALFORMED
    if isinstance(said, str):
        return codes.get(said, Status.WRONG_LABEL)
    if not set(said) <= set(codes):
        return Status.WRONG_LABEL
    return tuple(code for name, code in codes.items() if name in said)


class _Single(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    label: str


class _Set(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    label: list[str]
