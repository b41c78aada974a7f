"""Requests and replies as JSON, for the record, and back."""

import hashlib
import json
from dataclasses import asdict, replace
from typing import Any

from llmclf.backends.base import (
    AnswerForm,
    Completion,
    Failure,
    Identity,
    Likelihoods,
    Message,
    Reading,
    Reply,
    Request,
    Scores,
    Structured,
    Typed,
    Usage,
)
from llmclf.errors import StoreError
from llmclf.status import Status

KEY_BYTES = 16


def request_key(request: Request, identity: Identity) -> bytes:
    """Give the 16 bytes that tell requests apart: the model, its settings, and all that is asked but the id."""
    asked = [asdict(identity), messages_json(request.messages), form_json(request.form), request.replicate]
    return digest(canonical_json(asked))


def digest(text: str) -> bytes:
    """Give the hash of a text."""
    return hashlib.blake2b(text.encode(), digest_size=KEY_BYTES).digest()


def canonical_json(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Write JSON in one way only, so that equal values are equal texts."""
    # In ASCII: a server may send half an emoji, which JSON can hold and UTF-8 cannot.
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def messages_json(messages: tuple[Message, ...]) -> list[Any]:
    """Give messages as JSON, in their parts."""
    return [[message.role, message.parts] for message in messages]


def form_json(form: AnswerForm) -> dict[str, Any]:
    """Give an answer form as JSON."""
    if isinstance(form, Likelihoods):
        best_only = {"best_only": asdict(form.best_only)} if form.best_only else {}
        return {"labels": form.labels} | best_only
    if isinstance(form, Typed):
        return asdict(form)
    return {"name": form.name, "schema": form.schema}


def form_of(content: dict[str, Any]) -> AnswerForm:
    """Read an answer form."""
    if "kind" in content:
        return Typed(content["kind"], content["ask"], tuple(content["labels"]), tuple(content["definitions"]))
    if "labels" in content:
        return Likelihoods(tuple(content["labels"]), _reading(content.get("best_only")))
    return Structured(**content)


def _reading(content: dict[str, Any] | None) -> Reading | None:
    return Reading(content["mean"], tuple(content["correction"])) if content else None


def reply_json(request: Request, reply: Reply) -> dict[str, Any]:
    """Give what a reply says as JSON, without what the record keeps beside it; labels as the request orders them."""
    body = asdict(reply)
    del body["request_id"], body["seconds"]
    if isinstance(reply, Scores) and not isinstance(request.form, Structured):
        for table, values in ("log_likelihoods", reply.log_likelihoods), ("tokens", reply.tokens):
            body[table] = [values.get(label) for label in request.form.labels]
    return body


def reply_of(request: Request, kind: str, body_json: str, seconds: float) -> Reply:
    """Read the reply to a request."""
    body = json.loads(body_json) | {"request_id": request.id, "seconds": seconds}
    body["usage"] = Usage(**body["usage"])
    if kind == "completion":
        return Completion(**body)
    if kind == "failure":
        return Failure(**body | {"status": Status(body["status"])})
    if isinstance(request.form, Structured):
        raise StoreError("a record of scores answers a request that asked for none")
    for table in ("log_likelihoods", "tokens"):
        known = zip(request.form.labels, body[table], strict=True)
        body[table] = {label: value for label, value in known if value is not None}
    return Scores(**body | {"best_by": _reading(body["best_by"])})


def renumbered(reply: Reply, request: Request) -> Reply:
    """Give the same reply as the answer to another, equal request."""
    return replace(reply, request_id=request.id)
