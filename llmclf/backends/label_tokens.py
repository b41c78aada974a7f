"""Labels in what a chat model writes: which one a reply names, and what each token spoke for."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from llmclf.backends.base import WrittenToken

_OPENING = re.compile(r"(\s|[\"'`*_“”\u2018\u2019«»(\[]|[-•](\s|$))+")
"""What may stand before a label: blanks, quotes, emphasis, the mark of a list."""
_END = re.compile(r"[\"'`*_“”\u2018\u2019«»)\]]*[ \t]*($|[\r\n<]|[.:;!](\s|$))")
"""What ends a label: the end, of the reply or of its line, or a stop; `<` begins a token that ends the turn."""


@dataclass(frozen=True, slots=True)
class LabelLikelihoods:
    """What a server's tables say of labels; see `Scores`."""

    log_likelihoods: dict[str, float]
    tokens: dict[str, int]
    """Up to the one that told the label apart from the others."""
    remainder: float


def named_label(labels: Sequence[str], text: str) -> str | None:
    """Give the label that a reply names: alone, or with a line or a sentence after it; None where it names none.

    Case does not count, unless two labels differ in nothing else.
    """
    if text.strip() in labels:
        return text.strip()
    said = _bare(text)
    for spelling in (str, str.casefold):
        ended = [label for label in labels if _names(spelling(said), spelling(_bare(label)))]
        longest = [label for label in ended if len(label) == max(map(len, ended))]
        if len(longest) == 1 and _bare(longest[0]):
            return longest[0]
    return None


def read_labels(labels: Sequence[str], written: Iterable[WrittenToken]) -> LabelLikelihoods:
    """Give each label the probability of the tokens that begin it and no other label, whatever follows them.

    What begins several labels is followed along the reply that was written: of what else might have followed, a server
    says nothing. Spellings that differ in case or in what stands before them are added up.
    """
    spellings = {label: _bare(label).casefold() for label in labels}
    found: dict[str, float] = defaultdict(float)
    tokens: dict[str, int] = {}
    remainder, path, reached = 0.0, "", 1.0
    for depth, token in enumerate(written, start=1):
        options = list(token.likeliest)
        if token.text not in dict(options):
            options.append((token.text, token.log_probability))
        shown = [(text, reached * math.exp(value)) for text, value in options]
        remainder += max(0.0, reached - sum(probability for _, probability in shown))
        goes_on = 0.0
        for text, probability in shown:
            claimed_by = _claims(spellings, path + text, has_ended=not text)
            if len(claimed_by) == 1:
                found[claimed_by[0]] += probability
                tokens.setdefault(claimed_by[0], depth)
            elif claimed_by and text == token.text:
                goes_on += probability
            elif claimed_by:
                remainder += probability
        path, reached = path + token.text, goes_on
        if not reached:
            break
    seen = [label for label in labels if found[label] > 0]
    return LabelLikelihoods(
        {label: math.log(found[label]) for label in seen}, {label: tokens[label] for label in seen}, remainder + reached
    )


def _claims(spellings: Mapping[str, str], text: str, *, has_ended: bool) -> list[str]:
    """Give the labels that a reply may be naming which begins so."""
    # Half a character at the end says less than a whole one, and nothing wrong.
    said = _bare(text.encode(errors="surrogateescape").decode(errors="ignore")).casefold()
    return [
        label
        for label, spelling in spellings.items()
        if (spelling.startswith(said) and not has_ended) or _names(said, spelling)
    ]


def _names(said: str, spelling: str) -> bool:
    return said.startswith(spelling) and bool(_END.match(said, len(spelling)))


def _bare(text: str) -> str:
    """Give a text without what may stand before a label."""
    opening = _OPENING.match(text)
    return text[opening.end() :] if opening else text
