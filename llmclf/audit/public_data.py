"""Whether the items are from a well-known public data set: a model may have seen them, with their labels."""

import hashlib
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

KNOWN_TEXTS = Path(__file__).with_name("known_texts.json")
"""Written by `python -m evals.known_texts`: of each data set the hashes of about one text in 16."""
_BYTES = 5
_ONE_IN = 16
_SHORTEST = 20
"""Letters and digits of a text that is not said by chance."""
_TURN = re.compile(r"^[^:]{1,30}: ")
_FEWEST, _SHARE = 2, 0.2
"""From so many texts found, and from such a share of those that could be, they are from the data set."""


def public_data_warning(texts: Iterable[str]) -> str | None:
    """Say which public data sets texts are from, if any; by hashes of a sample, so that a few texts may pass."""
    sampled = {text_hash for text in texts for said in _utterances(text) if (text_hash := sampled_hash(said))}
    enough = max(_FEWEST, _SHARE * len(sampled))
    names = [name for name, hashes in _known().items() if len(sampled & hashes) >= enough]
    if not names:
        return None
    return f"the items are from a public data set ({', '.join(names)}): the model may have seen them in its training"


def _utterances(text: str) -> Iterator[str]:
    """Give a text, or what is said in each turn of a conversation."""
    turns = [_TURN.sub("", line) for line in text.splitlines()]
    yield from turns if len(turns) > 1 else [text]


def sampled_hash(text: str) -> bytes | None:
    """Give the hash of a text's letters and digits, of one text in 16; None for the others and for short texts."""
    letters = "".join(filter(str.isalnum, text)).casefold()
    if len(letters) < _SHORTEST:
        return None
    text_hash = hashlib.blake2b(letters.encode(errors="surrogatepass"), digest_size=_BYTES).digest()
    return text_hash if text_hash[0] % _ONE_IN == 0 else None


def written(texts_by_name: Mapping[str, Iterable[str]]) -> str:
    """Write the file of known texts."""
    hashes = {
        name: {one for text in texts for said in _utterances(text) if (one := sampled_hash(said))}
        for name, texts in texts_by_name.items()
    }
    return json.dumps({name: b64encode(b"".join(sorted(one))).decode() for name, one in hashes.items()}, indent=0)


@cache
def _known() -> dict[str, frozenset[bytes]]:
    content = json.loads(KNOWN_TEXTS.read_text(encoding="utf-8"))
    return {
        name: frozenset(packed[at : at + _BYTES] for at in range(0, len(packed), _BYTES))
        for name, packed in ((name, b64decode(text)) for name, text in content.items())
    }
