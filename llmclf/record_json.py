"""Requests and replies as JSON, for the record, and back."""

import hashlib
import json
from dataclasses import asdict, fields, replace
from functools import lru_cache
from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json

from llmclf.backends.base import (
    AnswerForm,
    Completion,
    Failure,
    Identity,
    Likelihoods,
    Reading,
    Reply,
    Request,
    Scores,
    Structured,
    Typed,
    Usage,
    WrittenToken,
)
from llmclf.errors import StoreError
from llmclf.status import Status

KEY_BYTES = 16
_COMPACT = json.JSONEncoder(separators=(",", ":")).encode
_CANONICAL = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode
_NOT_IN_BODY = frozenset({"request_id", "seconds"})
"""Of a reply, what the record keeps beside it."""


def request_key(request: Request, identity_digest: bytes) -> bytes:
    """Give the 16 bytes that tell requests apart: the model, its settings, and all that is asked but the id.

    Texts come in as digests, those of what many requests share computed once.
    """
    asked = [identity_digest, form_digest(request.form), b"%d" % request.replicate]
    for message in request.messages:
        asked += [b"%d " % len(message.parts), message.role.encode(), *map(part_digest, message.parts)]
    return hashlib.blake2b(b" ".join(asked), digest_size=KEY_BYTES).digest()


def identity_digest(identity: Identity) -> bytes:
    """Give the hash of an identity."""
    return digest(canonical_json(asdict(identity)))


@lru_cache(maxsize=1024)
def form_digest(form: AnswerForm) -> bytes:
    """Give the hash of an answer form."""
    return digest(canonical_json(form_json(form)))


def digest(text: str) -> bytes:
    """Give the hash of a text."""
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=KEY_BYTES).digest()


part_digest = lru_cache(maxsize=256)(digest)
"""The hash of a part of a message: what the next items share is still known."""


def compact_json(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Write JSON as short as it can be."""
    try:
        return to_json(value).decode()
    except PydanticSerializationError:  # half an emoji, as a server may send it: ASCII can hold it, UTF-8 cannot
        return _COMPACT(value)


def json_of(text: str) -> Any:  # noqa: ANN401 - any JSON value
    """Read what `compact_json` wrote."""
    try:
        return from_json(text)
    except ValueError:
        return json.loads(text)


def canonical_json(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Write JSON in one way only, so that equal values are equal texts."""
    return _CANONICAL(value)


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
    """Give what a reply says as JSON, without what the record keeps beside it; labels as the request orders them.

    What is as it would be by itself is left out.
    """
    body = {}
    for name, default in _DEFAULTS[type(reply)].items():
        value = getattr(reply, name)
        if value is not default and value != default:
            body[name] = [asdict(token) for token in value] if name == "written" else _plain(value)
    if isinstance(reply, Scores) and not isinstance(request.form, Structured):
        for table, values in ("log_likelihoods", reply.log_likelihoods), ("tokens", reply.tokens):
            body[table] = [values.get(label) for label in request.form.labels]
    return body


def _plain(value: Any) -> Any:  # noqa: ANN401 - a field of a reply
    return asdict(value) if isinstance(value, Usage | Reading) else value


_DEFAULTS = {
    kind: {field.name: field.default for field in fields(kind) if field.name not in _NOT_IN_BODY}
    for kind in (Scores, Completion, Failure)
}


def reply_of(request: Request, kind: str, body_json: str, seconds: float) -> Reply:
    """Read the reply to a request."""
    body = json_of(body_json)
    body["request_id"], body["seconds"] = request.id, seconds
    if "usage" in body:
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
    written = tuple(
        WrittenToken(token["text"], token["log_probability"], tuple(map(tuple, token["likeliest"])))
        for token in body.get("written", ())
    )
    return Scores(**body | {"best_by": _reading(body.get("best_by")), "written": written})


def renumbered(reply: Reply, request: Request) -> Reply:
    """Give the same reply as the answer to another, equal request."""
    return replace(reply, request_id=request.id)
