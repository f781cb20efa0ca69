"""The signed code of a ticket: who may read it, and what is refused."""

import base64
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.signing import VerifyKey

from tigerfans.booking.door_codes import (
    CODE_CHARACTERS,
    PREFIX,
    RECORD_BYTES,
    SIGNATURE_BYTES,
    SIGNS,
    VERSION,
    DoorCodeError,
    DoorKeys,
    ForgedError,
    NotACodeError,
    OtherShopError,
    SignedTicket,
    UnknownKeyError,
    UnknownVersionError,
    named_order,
)
from tigerfans.booking.ids import OrderId

DOCS = Path(__file__).parents[2] / "docs"
ORDER = OrderId(b"\0" + bytes(range(1, 16)))
SHOP = "0badcafe"
KEYS = DoorKeys("secret", SHOP)
CODE = KEYS.sign(ORDER, 2, 260)
# What QR codes store in their alphanumeric mode.
QR_SIGNS = set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:")
RANDOM_TEXTS = 10_000

order_ids = st.binary(min_size=15, max_size=15).map(lambda rest: OrderId(b"\0" + rest))


@given(order_ids, st.integers(0, 63), st.integers(1, 65_535))
def test_what_is_signed_is_read_again(order_id: OrderId, ticket: int, class_number: int) -> None:
    code = KEYS.sign(order_id, ticket, class_number)
    assert len(code) == CODE_CHARACTERS == 146
    assert KEYS.read(code) == SignedTicket(order_id, ticket, class_number)
    assert named_order(code) == order_id


def test_a_code_has_signs_that_qr_codes_store_compactly_and_german_keyboards_do_not_move() -> None:
    assert set(CODE) <= QR_SIGNS
    assert len(set(SIGNS)) == 32
    assert not set(SIGNS + PREFIX) & set("YZ-:/")


def test_the_same_ticket_has_the_same_code_for_ever() -> None:
    # It is on paper: neither keys nor bytes may ever be others.
    assert DoorKeys("secret", SHOP).sign(ORDER, 2, 260) == CODE
    assert CODE == (
        "TIGER1045STJPW1U70S30B184GG1Q60L2060G1080G8NCHFGXDP2VA3AQ0UX0KTHBCKTR2CRC"
        "JERSEMH2P90TG0UMX7W7FP2QMA2N9S2FW78AQQ98FRAE76HP7W2GM3SQFM66MNFAUXQXJT01G"
    )
    public = "76f2fdd0a7df60558b846d66e1937ee6ba1c71f2ff8d65a5495f99ef8efb332e"
    assert KEYS.public[1].hex() == public


def test_whoever_has_the_public_key_checks_a_code_as_the_page_says() -> None:
    assert "behind `TIGER1`: 140 signs" in (DOCS / "door.md").read_text()
    rfc = CODE.removeprefix("TIGER1").translate(
        str.maketrans(SIGNS, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
    )
    signed = base64.b32decode(rfc + "====")
    record, signature = signed[:RECORD_BYTES], signed[RECORD_BYTES:]
    assert len(signature) == SIGNATURE_BYTES
    key, shop, order = record[0], record[1:5], record[5:20]
    assert (key, shop.hex(), order.hex() + "00") == (1, SHOP, ORDER.hex_digits)
    assert (record[20], int.from_bytes(record[21:23], "big")) == (2, 260)
    VerifyKey(KEYS.public[key]).verify(b"TIGER1" + record, signature)


def test_a_code_of_another_secret_is_forged() -> None:
    with pytest.raises(ForgedError):
        KEYS.read(DoorKeys("another secret", SHOP).sign(ORDER, 2, 260))


def test_a_code_of_another_shop_says_so() -> None:
    with pytest.raises(OtherShopError, match="another event"):
        KEYS.read(DoorKeys("secret", "0badcaff").sign(ORDER, 2, 260))


def test_two_keys_are_valid_and_none_before_or_after_them() -> None:
    keys = DoorKeys("secret", SHOP, 3)
    assert list(keys.public) == [3, 2]
    for number in (2, 3):
        assert keys.read(DoorKeys("secret", SHOP, number).sign(ORDER, 0, 1)).order_id == ORDER
    for number in (1, 4):
        with pytest.raises(UnknownKeyError, match="has a new one"):
            keys.read(DoorKeys("secret", SHOP, number).sign(ORDER, 0, 1))


def test_the_first_key_has_none_before_it() -> None:
    assert list(KEYS.public) == [1]
    assert len(KEYS.public[1]) == 32
    assert KEYS.public != DoorKeys("another secret", SHOP).public


def test_a_code_of_a_later_version_says_so() -> None:
    with pytest.raises(UnknownVersionError):
        KEYS.read(f"{PREFIX}{VERSION + 1}" + CODE[len(PREFIX) + 1 :])


def test_every_cut_of_a_code_is_refused() -> None:
    for length in range(len(CODE)):
        for cut in (CODE[:length], CODE[len(CODE) - length :]):
            with pytest.raises(NotACodeError):
                KEYS.read(cut)
    with pytest.raises(NotACodeError):
        KEYS.read(CODE + "0")


def test_every_other_sign_anywhere_is_refused() -> None:
    for place in range(len(CODE)):
        for sign in {*random.Random(place).sample(sorted(QR_SIGNS), 6), "0", "X"} - {CODE[place]}:
            with pytest.raises(DoorCodeError):
                KEYS.read(CODE[:place] + sign + CODE[place + 1 :])


def test_bits_that_are_of_no_byte_make_no_second_text() -> None:
    last = SIGNS.index(CODE[-1])
    for other in range(32):
        if other != last:
            with pytest.raises(NotACodeError if other & ~15 == last & ~15 else DoorCodeError):
                KEYS.read(CODE[:-1] + SIGNS[other])


@given(st.text())
@settings(max_examples=300)
def test_any_text_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(DoorCodeError) as error:
        KEYS.read(text)
    assert str(error.value).endswith(".")
    assert named_order(text) is None


def test_ten_thousand_random_codes_are_refused() -> None:
    signs = random.Random(16)
    head = CODE[: len(PREFIX) + 1]
    for _ in range(RANDOM_TEXTS):
        body = "".join(signs.choices(SIGNS, k=CODE_CHARACTERS - len(head)))
        with pytest.raises(DoorCodeError):
            KEYS.read(head + body)


@given(st.binary(min_size=SIGNATURE_BYTES, max_size=SIGNATURE_BYTES))
def test_a_right_record_with_another_signature_is_forged(signature: bytes) -> None:
    signed = base64.b32decode(
        CODE[6:].translate(str.maketrans(SIGNS, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")) + "===="
    )
    forged = base64.b32encode(signed[:RECORD_BYTES] + signature).decode().rstrip("=")
    written = forged.translate(str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", SIGNS))
    with pytest.raises(ForgedError):
        KEYS.read(f"TIGER1{written}")
