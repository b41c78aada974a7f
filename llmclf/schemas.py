"""Structured replies: the pydantic model of a question's answer, and the labels in a reply."""

import json
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from llmclf.codebook import Question
from llmclf.errors import unknown
from llmclf.status import Status


@dataclass(frozen=True, slots=True)
class Said:
    """What a reply says: the code of its label or, for a set, the codes; and the reasons as they were given."""

    label: str | tuple[str, ...]
    rationale: str = ""
    evidence: tuple[str, ...] = ()


@cache
def reply_model(question: Question) -> type[BaseModel]:
    """Build the model of a reply: `{"label": name}`, or `{"label": [names]}` for a set, after the reasons asked for."""
    return _model(question, Literal[tuple(label.name for label in question.labels)])


@cache
def reply_schema(question: Question) -> str:
    """Give the reply's JSON schema, as canonical JSON text."""
    # Keys come sorted from pydantic, all but the reply's own: a model that is held to a schema writes in its order,
    # and sorted, the label would come before its rationale.
    return json.dumps(reply_model(question).model_json_schema(), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a reply names no label: the status, and the reason in words that a model can mend it by."""

    status: Status
    reason: str


@lru_cache(maxsize=1024)  # where labels are all that is written, the same few replies come again and again
def read_reply(question: Question, text: str) -> Said | Fault:
    """Give what a reply says, or why it names no label.

    A label that the codebook does not have is `wrong_label`, never the nearest one.
    """
    model, codes = _any_label_model(question)
    try:
        reply: Any = model.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors()[0]
        place = " ".join(map(str, fault["loc"]))
        return Fault(Status.MALFORMED, f"{place}: {fault['msg']}" if place else fault["msg"])
    names = reply.label if question.kind == "set" else [reply.label]
    if wrong := [name for name in names if name not in codes]:
        return Fault(Status.WRONG_LABEL, unknown("label", wrong[0], codes))
    label = tuple(code for name, code in codes.items() if name in names) if question.kind == "set" else codes[names[0]]
    rationale = reply.rationale if question.rationale else ""
    return Said(label, rationale, tuple(reply.evidence) if question.evidence else ())


@cache
def _any_label_model(question: Question) -> tuple[type[BaseModel], dict[str, str]]:
    """Build a model that takes any text for a label, to tell a wrong one from a malformed reply; and codes by name."""
    return _model(question, str), {label.name: label.code for label in question.labels}


def _model(question: Question, label: Any) -> type[BaseModel]:  # noqa: ANN401 - a type built from the codebook
    kinds = {"evidence": list[str], "rationale": str}
    fields: dict[str, Any] = {reason: (kinds[reason], ...) for reason in question.reasons}
    # Last, so that the label follows from its reasons and not they from it.
    fields["label"] = (list[label] if question.kind == "set" else label, ...)
    return create_model("Answer", __config__=ConfigDict(extra="forbid", strict=True), **fields)
