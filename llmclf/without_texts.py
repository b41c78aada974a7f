"""Requests and replies as they are recorded where texts are not to be kept: with keyed hashes in their place.

A hash without a key would tell whoever guesses a text that the guess is right; the key stays outside the record.
"""

import json
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

from llmclf.asking import Questions
from llmclf.backends.base import Completion, Failure, Message, Reply, Request, Scores, Structured
from llmclf.codebook import Codebook, Question
from llmclf.errors import InputError
from llmclf.items import Item, Turn
from llmclf.schemas import Fault, read_reply, reply_schema
from llmclf.status import Status

KEY_VARIABLE = "LLMCLF_TEXT_KEY"
_LEAST_KEY = 16
_MARK = "blake2b:"
_HASH_BYTES = 16
_QUOTE = 8
"""Letters and digits in a row that make a quote."""


def text_key(file: Path | None = None) -> bytes:
    """Give the key of the texts' hashes: from a file, or from LLMCLF_TEXT_KEY.

    Raises:
        InputError: there is none, or it is too short to be safe from guessing.

    """
    where = f"the key file {file}" if file else KEY_VARIABLE
    try:
        secret = file.read_bytes() if file else os.environ.get(KEY_VARIABLE, "").encode()
    except OSError as error:
        raise InputError(f"{where} cannot be read: {error.strerror}") from None
    if len(secret.strip()) < _LEAST_KEY:
        raise InputError(
            f"{where} holds no key of {_LEAST_KEY} characters or more",
            "Make one, and keep it apart from the job: python -c 'import secrets; print(secrets.token_hex())'",
        )
    return blake2b(secret.strip()).digest()


def keyed_hash(text: str, key: bytes) -> str:
    """Give a text's BLAKE2b under a key of up to 64 bytes, as 32 hexadecimal digits."""
    return blake2b(text.encode(errors="surrogatepass"), key=key, digest_size=_HASH_BYTES).hexdigest()


def is_without_text(request: Request) -> bool:
    """Say whether a recorded request lacks its text, and so cannot be asked again from the record."""
    return any(part.startswith(_MARK) for message in request.messages for part in message.parts)


class WithoutTexts:
    """Takes out of requests and replies all that is or may quote an item's text; equal texts stay equal.

    Args:
        codebook: what is asked.
        questions: how it is asked; the parts of its prompts that are the same for every item are kept.
        key: see `text_key`.

    """

    def __init__(self, codebook: Codebook, questions: Questions, key: bytes) -> None:
        self._key = key
        self._questions = {reply_schema(asked.question): asked.question for asked in questions.asked}
        self._static = frozenset(_parts_about_nothing(codebook, questions))

    def request(self, request: Request) -> Request:
        """Give the request with a keyed hash for each part that is not the same for every item."""
        messages = tuple(Message(message.role, tuple(map(self._part, message.parts))) for message in request.messages)
        return replace(request, messages=messages)

    def _part(self, part: str) -> str:
        return part if part in self._static else f"{_MARK}{keyed_hash(part, self._key)}"

    def reply(self, request: Request, reply: Reply) -> Reply:
        """Give the reply to a request, as it was asked, with nothing but what leads to the same label or status."""
        if isinstance(reply, Scores):
            return reply
        if isinstance(reply, Failure):
            return replace(reply, text="", detail=_without_quotes(reply.detail, self._words(request)))
        schema = request.form.schema if isinstance(request.form, Structured) else ""
        question = self._questions.get(schema)
        return replace(reply, text=_label_alone(question, reply) if question else "")

    def _words(self, request: Request) -> str:
        parts = (part for message in request.messages for part in message.parts)
        return "\n".join(part for part in parts if part not in self._static)


def _parts_about_nothing(codebook: Codebook, questions: Questions) -> Iterator[str]:
    """Give the parts of all requests about an item that says what nobody says."""
    nothing = secrets.token_hex()
    is_text = codebook.unit == "text"
    item = Item(nothing, text=nothing) if is_text else Item(nothing, turns=(Turn(nothing, nothing),))
    for asked in questions.asked:
        for messages, _ in questions.about(item, asked):
            yield from (part for message in messages for part in message.parts)


def _label_alone(question: Question, completion: Completion) -> str:
    """Write the reply anew, without reasons; a wrong label becomes an empty one, and what cannot be read nothing."""
    said = read_reply(question, completion.text)
    if isinstance(said, Fault) and said.status is not Status.WRONG_LABEL:
        return ""
    codes = () if isinstance(said, Fault) else (said.label,) if isinstance(said.label, str) else said.label
    names = [label.name for label in question.labels if label.code in codes]
    if isinstance(said, Fault):
        names = [""]
    empty = {"evidence": [], "rationale": ""}
    reasons = {reason: empty[reason] for reason in question.reasons}
    return json.dumps(reasons | {"label": names if question.kind == "set" else names[0]})


def _without_quotes(detail: str, words: str) -> str:
    """Give a detail that repeats nothing of the words, of which a server may write any part."""
    for written in (words, json.dumps(words)):
        said, asked = _letters(detail), _letters(written)
        length = min(_QUOTE, len(asked))
        if length and any(said[start : start + length] in asked for start in range(len(said) - length + 1)):
            status = re.match(r"HTTP [0-9]{3}", detail)
            return f"{status[0] if status else 'what is said'}: not kept, since it quotes the text"
    return detail


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))
