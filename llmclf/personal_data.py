"""Where a text holds what has a form and leads to a person: e-mail addresses, IBANs, card and phone numbers."""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from llmclf.bank_numbers import find_cards, find_ibans
from llmclf.errors import InputError, MissingPackage
from llmclf.phone_numbers import find_international, find_national, find_shapes

Kind = Literal["EMAIL", "IBAN", "CARD", "PHONE"]
REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "AU", "IN", "BR", "JP")
"""Whose national phone numbers are looked for, unless it is said otherwise; those with a country code always are."""

_HIDDEN = "\u200b"
_BLANK = "\0"  # stands for what was found, and ends words and numbers alike
_DRAWN_OTHERWISE = ("<wide>", "<narrow>", "<small>", "<font>")  # in Unicode's decompositions
_AT = re.compile("[@\ufe6b\uff20]")
_LOCAL_PART = re.compile(r"""(?:"[^"\n\0\ud800-\udfff]{1,62}"|\w[\w.!#$%&'*+/=?^`{|}~-]{0,63})\Z""")
_DOMAIN = re.compile(r"@(?:\w[\w-]{0,62}\.)+(?:xn--[A-Za-z0-9-]{1,59}|[^\W\d_]{2,63})")


@dataclass(frozen=True, slots=True)
class Found:
    """A part of a text, and what it is."""

    kind: Kind
    start: int
    end: int


class Finder:
    """Finds personal data by its form, in any script and with nothing that is unseen in the way.

    Args:
        regions: countries, by their two letters, whose phone numbers are found without a country code.

    Raises:
        InputError: no such region.
        MissingPackage: the packages that know cards and phone numbers are not installed.

    """

    def __init__(self, regions: Collection[str] = REGIONS) -> None:
        try:
            import phonenumbers
            import pydantic_extra_types.payment  # noqa: F401 - missed now, and not in the middle of a job
        except ImportError as error:
            raise MissingPackage(f"{error.name} is not installed", "Run: pip install 'llmclf[redact]'") from None
        for region in regions:
            if region not in phonenumbers.SUPPORTED_REGIONS:
                raise InputError(f"there is no region {region!r}", "Give its two letters, as in US or GB")
        self._steps: tuple[tuple[Kind, Callable[[str], Iterator[tuple[int, int]]]], ...] = (
            ("EMAIL", _find_emails),
            ("IBAN", find_ibans),
            ("CARD", find_cards),
            ("PHONE", find_international),
            ("PHONE", lambda plain: find_national(plain, tuple(regions))),
            ("PHONE", lambda plain: find_shapes(plain, tuple(regions))),
        )

    def find(self, text: str) -> list[Found]:
        """Give what is found, in the order of the text; none overlap."""
        if not _may_hold_any(text):
            return []
        plain, places = _plain(text)
        found = []
        for kind, step in self._steps:
            for start, end in list(step(plain)):
                plain = plain[:start] + _BLANK * (end - start) + plain[end:]
                found.append(Found(kind, places[start], places[end - 1] + 1))
        return sorted(found, key=lambda one: one.start)


def _may_hold_any(text: str) -> bool:
    """Say whether a text has an at sign or seven digits, at the cost of a glance: most have not."""
    if _AT.search(text):
        return True
    digits = sum(map(text.count, "0123456789")) if text.isascii() else len(re.findall(r"\d", text))
    return digits >= 7


def _plain(text: str) -> tuple[str, "range | list[int]"]:
    """Give a text in the characters that are looked for, and where in the text each stands."""
    if text.isascii():
        return text, range(len(text))
    plain = text.translate(_PLAIN)
    if _HIDDEN not in plain:
        return plain, range(len(text))
    places = [place for place, character in enumerate(plain) if character != _HIDDEN]
    return plain.replace(_HIDDEN, ""), places


class _PlainCharacters(dict[int, str]):
    """Characters by what they stand for: digits of any script, wide letters, dashes, spaces, and what is unseen."""

    def __missing__(self, code: int) -> str:
        self[code] = plain = self._plain(chr(code))
        return plain

    def _plain(self, character: str) -> str:
        category = unicodedata.category(character)
        if category == "Nd":
            return str(unicodedata.decimal(character))
        if category == "Cf" or character == "\u034f" or "\ufe00" <= character <= "\ufe0f":
            return _HIDDEN
        if category == "Pd" or character == "\u2212":
            return "-"
        if category == "Zs":
            return " "
        if unicodedata.decomposition(character).startswith(_DRAWN_OTHERWISE):
            alike = unicodedata.normalize("NFKC", character)
            return alike if len(alike) == 1 else character
        return character


_PLAIN = _PlainCharacters()


def _find_emails(plain: str) -> Iterator[tuple[int, int]]:
    end = 0
    for at in re.finditer("@", plain):
        domain = _DOMAIN.match(plain, at.start())
        local = domain and _LOCAL_PART.search(plain, max(end, at.start() - 64), at.start())
        if domain and local:
            end = domain.end()
            yield local.start(), end
