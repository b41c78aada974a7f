"""What is found and what is left alone; all values are invented, or test numbers that no card has."""

from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmclf.errors import InputError
from llmclf.personal_data import Finder

FINDER = Finder()


def found(text: str) -> list[tuple[str, str]]:
    return [(one.kind, text[one.start : one.end]) for one in FINDER.find(text)]


def wide(text: str) -> str:
    """Write ASCII as it stands among Chinese characters."""
    return "".join(chr(ord(character) + 0xFEE0) for character in text)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("Write to bob@example.org.", ["bob@example.org"]),
        ("Bob.O'Neil+x@mail.example.co.uk, thanks", ["Bob.O'Neil+x@mail.example.co.uk"]),
        ('"john doe"@example.org', ['"john doe"@example.org']),
        ("<a@b.de>;c@d.fr/e@f.it", ["a@b.de", "c@d.fr", "e@f.it"]),
        ("'bob@example.org'", ["bob@example.org"]),
        ("mailto:bob@example.org?subject=x", ["bob@example.org"]),
        ("jürgen@münchen.example", ["jürgen@münchen.example"]),
        ("bob@xn--mnchen-3ya.xn--p1ai", ["bob@xn--mnchen-3ya.xn--p1ai"]),
        (wide("bob@example.org"), [wide("bob@example.org")]),
        ("b\u200bob@exam\u00adple.org!", ["b\u200bob@exam\u00adple.org"]),
        ("a@b@example.org", ["b@example.org"]),
        ("4155552671@example.org", ["4155552671@example.org"]),
    ],
)
def test_an_email_address_is_found(text: str, values: list[str]) -> None:
    assert found(text) == [("EMAIL", value) for value in values]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("DE89370400440532013000", ["DE89370400440532013000"]),
        ("to de89 3704 0044 0532 0130 00 please", ["de89 3704 0044 0532 0130 00"]),
        ("IBAN:GB82 WEST 1234 5698 7654 32.", ["GB82 WEST 1234 5698 7654 32"]),
        ("MT84 MALT 0110 0001 2345 MTLC AST0 01S", ["MT84 MALT 0110 0001 2345 MTLC AST0 01S"]),
        ("NO93-8601-1117-947", ["NO93-8601-1117-947"]),
        ("IBANDE89370400440532013000now", ["DE89370400440532013000"]),
        (wide("DE89370400440532013000"), [wide("DE89370400440532013000")]),
        ("DE89 3704\u00a00044\u200b 0532 0130 00", ["DE89 3704\u00a00044\u200b 0532 0130 00"]),
    ],
)
def test_an_iban_is_found(text: str, values: list[str]) -> None:
    assert found(text) == [("IBAN", value) for value in values]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("4111111111111111", ["4111111111111111"]),
        ("4111 1111 1111 1111 12/27 123", ["4111 1111 1111 1111"]),
        ("5555-5555-5555-4444 3782 822463 10005", ["5555-5555-5555-4444", "3782 822463 10005"]),
        ("card378282246310005.", ["378282246310005"]),
        ("3056 930902 5904", ["3056 930902 5904"]),
        ("٤١١١١١١١١١١١١١١١", ["٤١١١١١١١١١١١١١١١"]),
        ("4111\u200b1111\u200b1111\u200b1111", ["4111\u200b1111\u200b1111\u200b1111"]),
        ("8100000000000002", ["8100000000000002"]),
    ],
)
def test_a_card_number_is_found(text: str, values: list[str]) -> None:
    assert found(text) == [("CARD", value) for value in values]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("call 212-555-0123 or (212) 555-0124", ["212-555-0123", "(212) 555-0124"]),
        ("call 555-123-4567 or +1 555 123 4567", ["555-123-4567", "+1 555 123 4567"]),
        ("4155552671", ["4155552671"]),
        ("+14155552671now", ["+14155552671"]),
        ("Tel4155552671", ["4155552671"]),
        ("at415-555-2671now", ["415-555-2671"]),
        ("020 7946 0958 / 07911 123456", ["020 7946 0958", "07911 123456"]),
        ("030 1234567, 0049 30 1234567", ["030 1234567", "0049 30 1234567"]),
        ("01 23 45 67 89 ou 06.12.34.56.78", ["01 23 45 67 89", "06.12.34.56.78"]),
        ("+34 971-20 22 22", ["+34 971-20 22 22"]),
        ("+49 (0)30 1234567", ["+49 (0)30 1234567"]),
        (wide("415-555-2671"), [wide("415-555-2671")]),
        ("415\u2011555\u20112671", ["415\u2011555\u20112671"]),
        ("+\u200b1 415\u00a0555\u200d2671", ["+\u200b1 415\u00a0555\u200d2671"]),
        ("on 2023-11-24 at 10:30 call 212-555-0123", ["212-555-0123"]),
        ("$20 to 212-555-0123", ["212-555-0123"]),
    ],
)
def test_a_phone_number_is_found(text: str, values: list[str]) -> None:
    assert found(text) == [("PHONE", value) for value in values]


@pytest.mark.parametrize(
    "text",
    [
        "@handle, foo@bar, price@3.50, a@b.c, @@@, me @ home.com",
        "DE89370400440532013001 and XX89370400440532013000",
        "at20 people who have all been there at once and then some",
        "4111111111111112, 0.4111111111111111, order 1111111111111117",
        "2023-11-24, 24.11.2023, 11/24/2023 and 20231124",
        "1999-2004, 2010-2015 2016-2020",
        "123-45-6789 12:34:56",
        "$1,234,567.89, 1.234.567,89 €, EUR 4155552671, 4155552671 dollars, ₹4155552671, 4155552671%",
        "12 345 678 people, 7.123.456.789 stars, +5 000 000 users, +1 000 000 more",
        "pi is 3.14159265 or 3.141592653589793; 310174.0",
        "192.168.100.200",
        "1700000000 and 1700000000123",
        "123e4567-e89b-12d3-a456-426614174000 and da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "7a4155552671b9",
        "",
    ],
)
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert found(text) == []


FORMS = ["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%y", "%d-%m-%Y", "%Y/%m/%d", "%H:%M:%S", "%Y-%m-%d %H:%M"]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.datetimes(datetime(1500, 1, 1), datetime(2099, 1, 1)), st.sampled_from(FORMS)), max_size=4)
)
def test_dates_are_no_phone_numbers(dates: list[tuple[datetime, str]]) -> None:
    assert found(" and ".join(date.strftime(form) for date, form in dates)) == []


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 10**12), max_size=4),
    st.sampled_from(["${:,}", "{:,}.99 €", "EUR {}", "{} dollars", "£{:_}", "{}%", "{:,} people"]),
)
def test_prices_are_no_phone_numbers(amounts: list[int], form: str) -> None:
    assert found("; ".join(form.format(amount).replace("_", ".") for amount in amounts)) == []


@settings(max_examples=50, deadline=None)
@given(st.from_regex(r"[0-9]{14}", fullmatch=True), st.sampled_from(["4", "51", "55"]), st.sampled_from(["", " ", "-"]))
def test_of_all_last_digits_one_makes_a_card(digits: str, begin: str, between: str) -> None:
    body = (begin + digits)[:15]
    cards = []
    for last in "0123456789":
        number = body + last
        written = between.join(number[start : start + 4] for start in range(0, 16, 4))
        cards += [one for one in found(written) if one == ("CARD", written)]
    assert len(cards) == 1


@settings(max_examples=10, deadline=None)
@given(st.from_regex(r"[0-9]{18}", fullmatch=True))
def test_of_all_check_digits_one_makes_an_iban(account: str) -> None:
    ibans = [f"DE{check:02}{account}" for check in range(2, 99)]
    assert sum(found(iban) == [("IBAN", iban)] for iban in ibans) == 1


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("0123456789 +-().@abDE/\u200b\0[]_\u0661\uff0c\uff20éx"), max_size=60))
def test_what_is_found_stands_in_order_and_apart(text: str) -> None:
    end = 0
    for one in FINDER.find(text):
        assert end <= one.start < one.end <= len(text)
        end = one.end


def test_national_numbers_are_those_of_the_regions() -> None:
    spanish = "912 345 678"
    assert Finder(("ES",)).find(spanish)
    assert not Finder(("US",)).find(spanish)
    assert not Finder(()).find("212-555-0123")
    assert Finder(()).find("+1 212-555-0123")


def test_an_unknown_region_is_an_error() -> None:
    with pytest.raises(InputError, match=r"no region 'UK'\. Give its two letters, as in US or GB"):
        Finder(("UK",))
