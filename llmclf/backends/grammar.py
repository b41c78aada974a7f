"""A reply's JSON schema -> the grammar that llama.cpp holds a model to.

Of JSON schemas only what llmclf's own replies need, and no more: objects whose properties are all required, strings,
lists, and strings of a fixed set. A malformed grammar can take the process down, so nothing else is let through.
"""

import json
from collections.abc import Iterator
from typing import Any

from llmclf.errors import BackendError

_MOST_ITEMS = 5
"""In a list: a small model that may go on for ever does."""
_RULES = r"""
string ::= "\"" character* "\""
character ::= [^"\\\x00-\x1F\x7F] | "\\" (["\\/bfnrt] | "u" hex hex hex hex)
hex ::= [0-9a-fA-F]
"""


def grammar(schema: str) -> str:
    """Give the GBNF grammar of a reply that follows a JSON schema, properties in the order of `required`.

    Raises:
        BackendError: the schema says something that no grammar is written for.

    """
    return f"root ::= {_value(json.loads(schema))}\n{_RULES}"


def opening(schema: str) -> str:
    """Give the text with which every such reply begins."""
    return f"{{{json.dumps(json.loads(schema)['required'][0])}:"


def examples(schema: str) -> Iterator[str]:
    """Give replies that between them hold every text that stands fixed in such a reply."""
    return _examples(json.loads(schema))


def _examples(schema: dict[str, Any]) -> Iterator[str]:
    match schema:
        case {"enum": [*texts]}:
            yield from (json.dumps(text, ensure_ascii=False) for text in texts)
        case {"const": text}:
            yield json.dumps(text, ensure_ascii=False)
        case {"items": items}:
            for item in _examples(items):
                yield f"[{item}, {item}]"
        case {"properties": properties, "required": required}:
            values = [list(_examples(properties[name])) for name in required]
            for place in range(max(map(len, values))):
                pairs = zip(required, values, strict=True)
                yield f"{{{', '.join(f'{json.dumps(n)}: {v[min(place, len(v) - 1)]}' for n, v in pairs)}}}"
        case _:
            yield '"x"'


def _value(schema: dict[str, Any]) -> str:
    match schema:
        case {"enum": [*texts]}:
            return f"({' | '.join(_literal(json.dumps(text, ensure_ascii=False)) for text in texts)})"
        case {"const": text}:
            return _literal(json.dumps(text, ensure_ascii=False))
        case {"type": "string", **rest} if not set(rest) - _SAYS_NOTHING:
            return "string"
        case {"type": "array", "items": items, **rest} if not set(rest) - _SAYS_NOTHING:
            item = _value(items)
            return f'"[" ({item} (", " {item}){{0,{_MOST_ITEMS - 1}}})? "]"'
        case {"type": "object", "properties": properties, "required": required} if set(required) == set(properties):
            pairs = [f"{_literal(json.dumps(name) + ': ')} {_value(properties[name])}" for name in required]
            return " ".join(['"{"', ' ", " '.join(pairs), '"}"'])
    raise BackendError(f"no grammar can be written for the schema {json.dumps(schema)[:80]}")


_SAYS_NOTHING = {"title", "description"}


def _literal(text: str) -> str:
    escaped = "".join(_ESCAPES.get(character, character) for character in text)
    return f'"{escaped}"'


_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
