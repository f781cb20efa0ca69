"""What an email address is, the form it is kept in, and that in which it is found."""

from collections.abc import Iterator
from typing import Final

import pytest
from email_validator import SPECIAL_USE_DOMAIN_NAMES, validate_email
from hypothesis import given
from hypothesis import strategies as st

from tigerfans.booking.email_address import EMAIL_CHARACTERS_MAX, folded, read_email
from tigerfans.errors import InvalidEmailError

UNSEEN: Final = "\u200b\u200d\u202e\u2066\u2800\u3164\ufe0f\ufeff\ufffd\xad\u034f\U000e0041"


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("a@b.de", "a@b.de"),
        ("first.last+tag@sub.example.co.uk", "first.last+tag@sub.example.co.uk"),
        ("Load-7@shop.test", "Load-7@shop.test"),
        ("steward@mail.venue.local", "steward@mail.venue.local"),
        ("o'hara@example.org", "o'hara@example.org"),
        ('"<img src=x onerror=alert(1)>"@x.io', '"<img src=x onerror=alert(1)>"@x.io'),
        ("अजय@डाटा.भारत", "अजय@डाटा.भारत"),
        ("ผู้ใช้@ตัวอย่าง.ไทย", "ผู้ใช้@ตัวอย่าง.ไทย"),
        ("grün@bücher.example.org", "grün@bücher.example.org"),
        ("gru\u0308n@bu\u0308cher.example.org", "grün@bücher.example.org"),
        ("Ada@BÜCHER.Example.org", "Ada@bücher.example.org"),
        ("ada@xn--bcher-kva.example.org", "ada@bücher.example.org"),
        ("ada@example．org", "ada@example.org"),
        (" ada@example.org\n", "ada@example.org"),
        ("\xa0ada@example.org\u3000", "ada@example.org"),
        ("\ufeffada@example.org\u200b", "ada@example.org"),
        ("\u202aada@example.org\u202c", "ada@example.org"),
    ],
)
def test_an_address_is_taken_and_kept_in_one_form(typed: str, kept: str) -> None:
    assert read_email(typed) == kept
    assert read_email(kept) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "",
        " \ufeff ",
        "fan",
        "fan@",
        "@example.org",
        "fan@example",
        "fan@example.org\0",
        "two@at@example.org",
        "fan@-.org",
        "fan@a_.org",
        "fan@example..org",
        "fan@example\u3000.org",
        "fan@exam/ple.org",
        "fan@exam[ple.org",
        "fan@exam`ple.org",
        "fan@exam\xa0ple.org",
        "a b@example.org",
        "a\xa0b@example.org",
        '"\ud800"@example.org',
        "\ud800@example.org",
        "fan@example.invalid",
        "fan@localhost",
        "Ada <ada@example.org>",
        "x" * 243 + "@example.org",
    ],
)
def test_what_is_no_address_is_refused_in_a_sentence(typed: str) -> None:
    with pytest.raises(InvalidEmailError, match="email address") as refused:
        read_email(typed)
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize("unseen", UNSEEN)
@pytest.mark.parametrize("typed", ["a{}da@example.org", "ada@exam{}ple.org", "ada{}@example.org"])
def test_what_nobody_sees_hides_in_no_address(typed: str, unseen: str) -> None:
    with pytest.raises(InvalidEmailError, match="cannot be seen"):
        read_email(typed.format(unseen))


def test_one_that_is_too_long_says_by_how_much() -> None:
    with pytest.raises(InvalidEmailError, match=rf"at most {EMAIL_CHARACTERS_MAX}.* has 300"):
        read_email("a" * 288 + "@example.org")


def tops() -> Iterator[str]:
    yield from ("de", "com", "museum")
    for name in SPECIAL_USE_DOMAIN_NAMES:
        yield name.rpartition(".")[2]


words = st.text("az09-_.+", min_size=1, max_size=12)


@given(
    st.builds("{}@{}.{}".format, words, words, st.sampled_from(sorted(set(tops()))))
    | st.from_regex(r"[a-z0-9.]{1,70}@([a-z0-9-]{1,20}\.){1,3}[a-z]{1,5}", fullmatch=True)
)
def test_what_is_plain_is_an_address_to_the_library_as_well(address: str) -> None:
    def asked() -> str | None:
        try:
            return validate_email(address, check_deliverability=False).normalized
        except ValueError:
            return None

    try:
        read: str | None = read_email(address)
    except InvalidEmailError:
        read = None
    assert read == asked()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ADA@Example.org", "ada@example.ORG"),
        ("ÜMLAUT@", "ümlaut@"),
        ("u\u0308mlaut", "Ümlaut"),
        ("ΟΔΥΣΣΕΎΣ@", "οδυσσεύς@"),
        ("STRASSE", "straße"),
        ("ЁЛКА@ПОЧТА.РФ", "ёлка@почта.рф"),
        ("ada@xn--bcher-kva.example", "ada@BÜCHER.example"),
        ("ａｄａ@example.org", "ada@example.org"),
        ("a\u200bda", "ada"),
    ],
)
def test_two_ways_to_write_an_address_are_one_to_compare(one: str, other: str) -> None:
    assert folded(one) == folded(other)


@pytest.mark.parametrize("text", ["xn--", "xn--\x7f", "xn--a-", "ada@xn--bcher"])
def test_half_of_a_domain_is_compared_as_it_is(text: str) -> None:
    assert folded(text) == text


@given(st.text(max_size=20))
def test_what_is_folded_stays_so(text: str) -> None:
    assert folded(folded(text)) == folded(text)
