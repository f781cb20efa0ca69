"""What a scanner, a camera or a keyboard hands over, read as a ticket."""

import random
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tigerfans.booking.door_codes import (
    DoorCodeError,
    DoorKeys,
    NotACodeError,
    OtherShopError,
    SignedTicket,
)
from tigerfans.booking.ids import OrderId
from tigerfans.booking.scan_texts import (
    SCAN_CHARACTERS_MAX,
    NamedTicket,
    ShortCode,
    read_scan_text,
    signed_order,
)
from tigerfans.booking.tickets import ticket_code

ORDER = OrderId(b"\0" + bytes(range(1, 16)))
KEYS = DoorKeys("secret", "0badcafe")
SIGNED = KEYS.sign(ORDER, 2, 1)
CODE = ticket_code(ORDER, "secret", 2)
OLD = f"TIGERFANS:{ORDER.hex_digits.upper()}:{CODE}"
# A key of an English keyboard, and what a computer with a German one makes of it.
GERMAN = str.maketrans("-_:;/?'\"[]YZyz", "ß?ÖöÜ_Ää\xfc+ZYzy")
# The other way about: a German scanner at a computer with an English keyboard.
ENGLISH = str.maketrans("-:/YZyz", "/>&ZYzy")
RANDOM_TEXTS = 10_000


def typed(text: str) -> list[str]:
    """What becomes of a text on its way."""
    return [
        text,
        text.lower(),
        text.swapcase(),
        f" {text}\r\n",
        f"]Q1{text}\t",
        f"\x02{text}\x03",
        " ".join(text[at : at + 4] for at in range(0, len(text), 4)),
    ]


@pytest.mark.parametrize("layout", [{}, GERMAN, ENGLISH])
def test_a_signed_code_is_read_however_it_was_typed(layout: dict[int, str]) -> None:
    for text in typed(SIGNED):
        assert read_scan_text(text.translate(layout), KEYS) == SignedTicket(ORDER, 2, 1)
        assert signed_order(text.translate(layout)) == ORDER


@pytest.mark.parametrize("layout", [{}, GERMAN, ENGLISH])
def test_the_text_of_before_names_order_and_code(layout: dict[int, str]) -> None:
    for text in typed(OLD):
        read = read_scan_text(text.translate(layout), KEYS)
        assert isinstance(read, NamedTicket)
        assert read.order_id == ORDER
        assert CODE in read.codes


@pytest.mark.parametrize("layout", [{}, GERMAN, ENGLISH])
@pytest.mark.parametrize("code", [CODE, "TF-7K3M-92QX-HD4W", "TF-YYZZ-0123-ABCD"])
def test_a_short_code_is_read_however_it_was_typed(layout: dict[int, str], code: str) -> None:
    for text in [*typed(code), code.removeprefix("TF-"), code.replace("-", "")]:
        read = read_scan_text(text.translate(layout), KEYS)
        assert isinstance(read, ShortCode)
        assert code in read.codes
        # By hand, as it is: first.
        assert layout or read.codes[0] == code


def test_a_short_code_may_be_two_only_where_it_has_signs_that_change_places() -> None:
    assert read_scan_text("TF-7K3M-92QX-HD4W", KEYS) == ShortCode(("TF-7K3M-92QX-HD4W",))
    assert read_scan_text("TF-7K3Y-92QX-HD4Z", KEYS) == ShortCode(
        ("TF-7K3Y-92QX-HD4Z", "TF-7K3Z-92QX-HD4Y")
    )


def test_letters_that_no_short_code_has_are_read_as_those_it_has() -> None:
    assert read_scan_text("tf-oil0-oooo-1111", KEYS) == ShortCode(("TF-0110-0000-1111",))
    with pytest.raises(NotACodeError):
        read_scan_text("TF-UUUU-UUUU-UUUU", KEYS)


def test_the_order_of_a_code_is_found_whoever_signed_it() -> None:
    assert signed_order(DoorKeys("another", "0badcaff", 9).sign(ORDER, 0, 1)) == ORDER
    for text in ("", OLD, CODE, SIGNED[:-1], "x" * 10_000):
        assert signed_order(text) is None


def test_what_is_wrong_with_a_signed_code_is_said() -> None:
    other = DoorKeys("secret", "0badcaff").sign(ORDER, 2, 1)
    with pytest.raises(OtherShopError):
        read_scan_text(other.lower(), KEYS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \r\n",
        "TF",
        "TF-7K3M-92QX",
        "https://example.org/ticket/7",
        "TIGERFANS:",
        OLD[:-1],
        # Not of an order: its last byte is none.
        OLD.replace("00:TF", "01:TF"),
        SIGNED[:-1],
        SIGNED + SIGNED,
        "x" * 10_000_000,
        "ß" * SCAN_CHARACTERS_MAX,
        "\ud800",
    ],
)
def test_what_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(NotACodeError):
        read_scan_text(text, KEYS)


@given(st.text())
@settings(max_examples=300)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read = read_scan_text(text, KEYS)
    except DoorCodeError:
        return
    assert isinstance(read, ShortCode)


def test_ten_thousand_random_texts_open_nothing() -> None:
    signs = random.Random(16)
    for _ in range(RANDOM_TEXTS):
        text = "".join(signs.choices(string.printable, k=signs.randrange(SCAN_CHARACTERS_MAX)))
        try:
            read = read_scan_text(text, KEYS)
        except NotACodeError:
            continue
        assert isinstance(read, ShortCode)
