"""Order ids, and the ids that derive from them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tigerfans.booking.ids import CHECK_BYTES, KEY_ATTEMPTS_MAX, OrderId, OrderIds, Purpose

ORDER = OrderId(b"\0" + bytes(range(1, 16)))


def test_a_new_order_id_is_milliseconds_random_bits_and_a_zero_byte() -> None:
    first, second = OrderId.new(), OrderId.new()
    assert first != second
    assert len(first.hex_digits) == 32
    assert first.hex_digits.endswith("00")
    assert abs(int(first.hex_digits[:12], 16) - int(second.hex_digits[:12], 16)) < 60_000


def test_an_order_id_is_read_back_from_its_hex_digits() -> None:
    assert OrderId.parse(ORDER.hex_digits) == ORDER


@pytest.mark.parametrize(
    "text",
    ["", "00", "zz" * 16, "0f" * 16, "AB" * 15 + "00", " " * 30 + "00", "ab" * 16 + "00", "١" * 32],
)
def test_text_that_shows_no_order_id_is_refused(text: str) -> None:
    assert OrderId.parse(text) is None


@pytest.mark.parametrize(
    "form",
    ["{}", "{}.", "({})", " {} ", "{},", "<{}>", "\u00a0{}\u200b", "“{}”", "_{}_", "{}\r\n"],
)
def test_an_order_id_is_found_in_what_a_person_typed_copied_or_scanned(form: str) -> None:
    assert OrderId.read(form.format(ORDER.hex_digits)) == ORDER
    assert OrderId.read(form.format(ORDER.hex_digits.upper())) == ORDER


@pytest.mark.parametrize(
    "text", ["", "()", f"{ORDER.hex_digits}0", f"x{ORDER.hex_digits}", "ab" * 16, "١" * 32]
)
def test_text_in_which_there_is_no_order_id_names_none(text: str) -> None:
    assert OrderId.read(text) is None


def test_the_short_form_leaves_more_open_than_anybody_can_try() -> None:
    assert ORDER.hex_digits.startswith(ORDER.short)
    unknown = bytes.fromhex(ORDER.hex_digits.removeprefix(ORDER.short))
    assert len(unknown) - 1 == 7


@given(st.text())
def test_parsing_an_order_id_never_raises(text: str) -> None:
    OrderId.parse(text)
    OrderId.read(text)


def test_a_transfer_id_is_the_order_id_with_its_last_byte_set_to_the_purpose() -> None:
    shown = OrderId(ORDER.transfer_id(Purpose.LATE_SALE)).hex_digits
    assert shown == ORDER.hex_digits[:-2] + "08"


# --- Which a shop can have made --------------------------------------------------------------

IDS = OrderIds("secret", are_checked=True)


def made_by(ids: OrderIds) -> list[OrderId]:
    return [ids.new(), *(ids.of_key("key", attempt) for attempt in range(KEY_ATTEMPTS_MAX))]


def test_a_shop_knows_the_ids_that_it_made_and_no_others() -> None:
    made = made_by(IDS)
    assert len(set(made)) == len(made)
    assert all(IDS.may_have_made(order_id) for order_id in made)
    assert all(OrderId.parse(order_id.hex_digits) == order_id for order_id in made)
    another = OrderIds("another secret", are_checked=True)
    assert sum(IDS.may_have_made(order_id) for order_id in made_by(another)) < 2
    assert not IDS.may_have_made(OrderId(bytes(16)))


@given(st.sampled_from(range(1, 16)), st.integers(1, 255))
def test_an_id_that_differs_anywhere_was_made_by_somebody_else(position: int, change: int) -> None:
    order_id = bytearray(IDS.of_key("key", 0))
    order_id[position] ^= change
    assert not IDS.may_have_made(OrderId(order_id))


def of_key(key: str, secret: str, attempt: int = 0) -> OrderId:
    """The id as it is before it is checked."""
    return OrderIds(secret, are_checked=False).of_key(key, attempt)


def test_a_key_leads_to_the_same_order_for_ever() -> None:
    assert IDS.of_key("key", 0) == IDS.of_key("key", 0)
    assert IDS.of_key("key", 0)[1 + CHECK_BYTES :] == of_key("key", "secret")[4:]


def test_a_shop_from_before_ids_were_checked_goes_on_as_it_began() -> None:
    ids = OrderIds("secret", are_checked=False)
    assert ids.of_key("key", 0).hex_digits == "7f015c1fa60bc0fdb1e5d0bf89eb2700"
    assert ids.may_have_made(OrderId(bytes(16)))


def test_an_idempotency_key_always_gives_the_same_order_id() -> None:
    assert of_key("key", "secret") == of_key("key", "secret")
    assert of_key("key", "secret") != of_key("other", "secret")
    assert of_key("key", "secret") != of_key("key", "another secret")
    assert of_key("key", "s" * 200)[0] == 0


def test_a_keys_first_attempt_has_the_id_that_keys_had_before_there_were_attempts() -> None:
    assert of_key("key", "secret").hex_digits == "7f015c1fa60bc0fdb1e5d0bf89eb2700"


def test_each_attempt_of_a_key_is_an_order_of_its_own() -> None:
    ids = {of_key("key", "secret", n) for n in range(KEY_ATTEMPTS_MAX)}
    assert len(ids) == KEY_ATTEMPTS_MAX
    assert of_key("key", "secret") in ids
    assert all(OrderId.parse(order_id.hex_digits) == order_id for order_id in ids)
