"""Phone numbers in a text of plain characters, and what only looks like them."""

import re
from collections.abc import Iterator, Sequence

_BLANK = "\0"
_RUN = re.compile(r"[+(]{0,3}[0-9](?:[ ()./-]{0,4}[0-9]){6,}")
_EXIT_CODE = re.compile(r"(?<![0-9+])00(?=[1-9][0-9])")
_WITH_PLUS = re.compile(r"\+[0-9](?:[ ()./-]{0,3}[0-9]){7,14}(?![0-9])")
_NORTH_AMERICAN = re.compile(
    r"(?<![0-9])(?:1[ .-])?(?:\([0-9]{3}\) ?|[0-9]{3}([ .-]))[0-9]{3}(?(1)\1|[ .-])[0-9]{4}(?![0-9])"
)
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_PLUS_THOUSANDS = re.compile(r"\+[1-9][0-9]{0,2}([ .])[0-9]{3}(?:\1[0-9]{3})+")
_OTHER_NUMBER = re.compile(
    r"(?<![0-9+(./-])(?:"
    r"[0-9]{4}([-./])[0-9]{1,2}\1[0-9]{1,2}"  # dates and times
    r"|[0-9]{1,2}([-./])[0-9]{1,2}\2(?:[0-9]{4}|[0-9]{2})"
    r"|[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?"
    r"|[1-9][0-9]?([ .])[0-9]{3}(?:\3[0-9]{3})+"  # thousands
    rf"|(?:{_OCTET}\.){{3}}{_OCTET}"  # addresses of machines
    r"|(?:1[5-9]|20)[0-9]{2} ?- ?(?:1[5-9]|20)[0-9]{2}"  # spans of years
    r")(?![-./]?[0-9])"
)
_MONEY = r"[$¢£¤¥฿₠-₿￥%‰]|(?<![A-Za-z])(?:USD|EUR|GBP|CHF|JPY|INR|CNY|[Dd]ollars?|[Ee]uros?|[Pp]ounds?)(?![A-Za-z])"
_MONEY_BEFORE = re.compile(rf"(?:{_MONEY}) ?\Z")
_MONEY_AFTER = re.compile(rf" ?(?:{_MONEY})")
_DECIMAL = re.compile(r"[0-9]+\.[0-9]{1,2}")
_DECIMALS_BEFORE = re.compile(r"[0-9][.,]\Z")
_DECIMALS_AFTER = re.compile(r"[.,][0-9]{1,2}(?![0-9])")
_WORD_BEFORE = re.compile(r"[^\W_]*\Z")
_WORD_AFTER = re.compile(r"[^\W_]*")
_REACH = 16  # characters before a number that say what it is


def find_international(plain: str) -> Iterator[tuple[int, int]]:
    """Give where numbers with a country code, after a plus or 00, begin and end."""
    for start, end in _valid(_EXIT_CODE.sub(" +", plain), None):
        yield (start if plain[start] == "+" else start - 1), end


def find_national(plain: str, regions: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Give where what is a number in one of the regions begins and ends."""
    plain = _OTHER_NUMBER.sub(lambda match: _BLANK * len(match[0]), plain)
    for region in regions:
        for start, end in _valid(plain, region):
            if not _is_quantity(plain, start, end) and not _is_in_code(plain, start, end):
                yield start, end
                plain = plain[:start] + _BLANK * (end - start) + plain[end:]


def find_shapes(plain: str, regions: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Give where a number begins and ends that is written as phone numbers are, though nobody can have it."""
    from phonenumbers import country_code_for_region

    with_plus = [match.span() for match in _WITH_PLUS.finditer(plain) if _is_possible(match[0])]
    for start, end in with_plus:
        plain = plain[:start] + _BLANK * (end - start) + plain[end:]
    national = _NORTH_AMERICAN.finditer(plain) if any(country_code_for_region(r) == 1 for r in regions) else ()
    for start, end in (*with_plus, *(match.span() for match in national)):
        if not _is_quantity(plain, start, end):
            yield start, end


def _is_possible(written: str) -> bool:
    from phonenumbers import NumberParseException, is_possible_number, parse

    try:
        return is_possible_number(parse(written)) and not _PLUS_THOUSANDS.fullmatch(written)
    except NumberParseException:
        return False


def _valid(plain: str, region: str | None) -> Iterator[tuple[int, int]]:
    from phonenumbers import PhoneNumberMatcher

    for run in _RUN.finditer(plain):
        for match in PhoneNumberMatcher(run[0], region):
            yield run.start() + match.start, run.start() + match.end


def _is_quantity(plain: str, start: int, end: int) -> bool:
    """Say whether a number is money, a percentage, or a decimal or part of one."""
    before = plain[max(0, start - _REACH) : start]
    return bool(
        _MONEY_BEFORE.search(before)
        or _MONEY_AFTER.match(plain, end)
        or _DECIMALS_BEFORE.search(before)
        or _DECIMALS_AFTER.match(plain, end)
        or _DECIMAL.fullmatch(plain, start, end)
    )


def _is_in_code(plain: str, start: int, end: int) -> bool:
    """Say whether bare digits belong to a word that has others, as hashes and part numbers do."""
    around = _WORD_BEFORE.search(plain, max(0, start - _REACH), start), _WORD_AFTER.match(plain, end)
    return plain[start:end].isdigit() and any(word and re.search("[0-9]", word[0]) for word in around)
