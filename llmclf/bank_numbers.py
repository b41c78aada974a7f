"""IBANs and payment card numbers in a text of plain characters."""

import re
from collections.abc import Iterator
from functools import cache

# By the length of the whole IBAN: SWIFT's IBAN registry, and the countries that use the form outside of it.
_COUNTRIES = {
    15: "NO",
    16: "BE",
    18: "DK FI FK FO GL NL SD",
    19: "MK SI",
    20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "AO CV GW LY MZ PT ST",
    26: "DZ IR IS TR",
    27: "BI CF CG CM DJ FR GA GQ GR IT KM MC MG MR SM TD",
    28: "AL AZ BF BJ BY CI CY DO GT HN HU LB MA ML NE NI PL SN SV TG",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}
_IBAN_LENGTHS = {country: length for length, countries in _COUNTRIES.items() for country in countries.split()}
_IBAN_START = re.compile(r"(?=([A-Za-z]{2})[0-9]{2})")

_DIGIT_GROUPS = re.compile(r"[0-9]+(?:[ .-]{1,3}[0-9]+)*")
_DIGITS = re.compile("[0-9]+")
_DECIMALS_BEFORE = re.compile(r"[0-9][.,]\Z")
_CARD_DIGITS = range(13, 20)  # Maestro might use twelve, but prices and ids do
_BANKS = "4568"  # with which banks' numbers begin (ISO/IEC 7812): others are airlines', oil companies', countries'


def find_ibans(plain: str) -> Iterator[tuple[int, int]]:
    """Give where IBANs begin and end."""
    end = 0
    for start in _IBAN_START.finditer(plain):
        length = _IBAN_LENGTHS.get(start[1].upper())
        written = length and start.start() >= end and _iban_pattern(length).match(plain, start.start())
        if written and _is_iban(written[0]):
            end = written.end()
            yield written.span()


@cache
def _iban_pattern(length: int) -> re.Pattern[str]:
    return re.compile(f"[A-Za-z]{{2}}[0-9]{{2}}(?:[ -]?[A-Za-z0-9]){{{length - 4}}}")


def _is_iban(written: str) -> bool:
    """Check the remainder that ISO 7064's MOD 97-10 asks for."""
    characters = re.sub("[ -]", "", written)
    letters = sum(map(str.isalpha, characters))
    if len(characters) < len(written) and 2 * letters > len(characters):
        return False  # words: of them, one in 97 has the remainder by chance
    number = int("".join(str(int(character, 36)) for character in characters[4:] + characters[:4]))
    return number % 97 == 1


def find_cards(plain: str) -> Iterator[tuple[int, int]]:
    """Give where payment card numbers begin and end."""
    for run in _DIGIT_GROUPS.finditer(plain):
        groups = [group.span() for group in _DIGITS.finditer(plain, *run.span())]
        first = 0
        while first < len(groups):
            ends = _card_ends(plain, groups, first)
            last = next((last for last in ends if _is_card(plain, groups[first : last + 1])), None)
            if last is not None:
                yield groups[first][0], groups[last][1]
            first = first + 1 if last is None else last + 1


def _card_ends(plain: str, groups: list[tuple[int, int]], first: int) -> Iterator[int]:
    """Give where a card number could end that begins with a group of digits, the longest first."""
    start = groups[first][0]
    sizes = [end - start for start, end in groups[first : first + 5]]
    if sizes[0] in _CARD_DIGITS and not _DECIMALS_BEFORE.search(plain[max(0, start - 2) : start]):
        yield first
    elif sizes[0] == 4:  # as they are embossed: 4-4-4-4, 4-6-5, 4-6-4
        for count in range(len(sizes), 2, -1):
            if max(sizes[:count]) <= 6 and min(sizes[: count - 1]) >= 4 and sum(sizes[:count]) in _CARD_DIGITS:
                yield first + count - 1


def _is_card(plain: str, groups: list[tuple[int, int]]) -> bool:
    """Check the digit of Luhn's formula, and the issuer's lengths; an unknown bank's have 16 digits."""
    from pydantic_core import PydanticCustomError
    from pydantic_extra_types.payment import PaymentCardBrand, PaymentCardNumber

    digits = "".join(plain[start:end] for start, end in groups)
    try:
        brand = PaymentCardNumber(digits).brand
    except PydanticCustomError:
        return False
    return brand is not PaymentCardBrand.other or (len(digits) == 16 and digits[0] in _BANKS)
