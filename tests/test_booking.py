"""The booking tables, row by row: what is sent for each step, and what each answer means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tigerfans.booking import (
    HOLD_TABLE,
    RELEASE_TABLE,
    SALE_TABLE,
    Booking,
    HoldOutcome,
    Inventory,
    OrderId,
    Purpose,
    ReleaseOutcome,
    SaleOutcome,
    UnexpectedResultError,
    check_created,
    decode_hold,
    decode_late_sale,
    decode_release,
    decode_sale,
    fingerprint,
    ticket_code,
)
from tigerfans.ledger.wire import (
    RESULT,
    Account,
    AccountFlags,
    AccountStatus,
    Transfer,
    TransferFlags,
    TransferStatus,
)
from tigerfans.offer.catalog import Catalog

S = TransferStatus
CATALOG = Catalog.build({"A": 20, "B": 30}, goodies=5)
PREMIUM, STANDARD = CATALOG.classes[:2]
BOOKING = Booking(CATALOG, hold_seconds=300)
ORDER = OrderId(b"\0" + bytes(range(1, 16)))


def results(*statuses: int) -> bytes:
    """Results as a ledger gives them, with timestamps 101, 102, …"""
    return b"".join(RESULT.pack(101 + i, status, 0) for i, status in enumerate(statuses))


# --- Ids -------------------------------------------------------------------------------------


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


@given(st.text())
def test_parsing_an_order_id_never_raises(text: str) -> None:
    OrderId.parse(text)


def test_a_transfer_id_is_the_order_id_with_its_last_byte_set_to_the_purpose() -> None:
    shown = OrderId(ORDER.transfer_id(Purpose.LATE_SALE)).hex_digits
    assert shown == ORDER.hex_digits[:-2] + "08"


def test_an_idempotency_key_always_gives_the_same_order_id() -> None:
    assert OrderId.from_key("key", "secret") == OrderId.from_key("key", "secret")
    assert OrderId.from_key("key", "secret") != OrderId.from_key("other", "secret")
    assert OrderId.from_key("key", "secret") != OrderId.from_key("key", "another secret")
    assert OrderId.from_key("key", "s" * 200)[0] == 0


def test_a_ticket_code_depends_on_the_order_and_the_secret() -> None:
    code = ticket_code(ORDER, "secret")
    assert code == ticket_code(ORDER, "secret")
    assert len(code) == len("TF-0000-0000-0000")
    assert code != ticket_code(ORDER, "another secret")
    assert code != ticket_code(OrderId.new(), "secret")


# --- What is sent ----------------------------------------------------------------------------


def test_a_hold_is_one_pending_transfer_from_budget_to_sold_with_a_timeout() -> None:
    body = fingerprint("A", "fan@example.org")
    [hold] = Transfer.unpack_all(BOOKING.hold(ORDER, "A", body))
    assert hold == Transfer(
        id=int.from_bytes(ORDER, "little"),
        debit_account_id=PREMIUM.tickets.budget_account_id,
        credit_account_id=PREMIUM.tickets.sold_account_id,
        amount=1,
        user_data_128=int.from_bytes(body, "little"),
        user_data_32=6500,
        timeout=300,
        ledger=PREMIUM.tickets.ledger,
        code=hold.code,
        flags=TransferFlags.PENDING,
    )


def test_a_sale_is_a_linked_post_a_goodie_and_a_post_alone() -> None:
    with_goodie, goodie, alone = Transfer.unpack_all(BOOKING.sale(ORDER, "B"))
    hold_id = int.from_bytes(ORDER, "little")
    assert [t.id & 0xFF for t in (with_goodie, goodie, alone)] == [1, 2, 3]
    assert with_goodie.flags == TransferFlags.POST_PENDING_TRANSFER | TransferFlags.LINKED
    assert alone.flags == TransferFlags.POST_PENDING_TRANSFER
    assert with_goodie.pending_id == alone.pending_id == hold_id
    assert goodie.ledger == CATALOG.goodies.ledger
    assert (goodie.amount, goodie.flags, goodie.pending_id) == (1, 0, 0)


def test_a_late_sale_places_a_second_hold_and_sells_against_it() -> None:
    hold, with_goodie, goodie, alone = Transfer.unpack_all(BOOKING.late_sale(ORDER, "A"))
    assert [t.id & 0xFF for t in (hold, with_goodie, goodie, alone)] == [5, 6, 7, 8]
    assert hold.flags == TransferFlags.PENDING
    assert with_goodie.pending_id == alone.pending_id == hold.id


def test_a_late_sale_is_the_same_whatever_the_settings_are_at_its_replay() -> None:
    assert BOOKING.late_sale(ORDER, "A") == Booking(CATALOG, hold_seconds=7).late_sale(ORDER, "A")


def test_a_release_voids_the_hold() -> None:
    [release] = Transfer.unpack_all(BOOKING.release(ORDER, "A"))
    assert release.id & 0xFF == 4
    assert release.pending_id == int.from_bytes(ORDER, "little")
    assert release.flags == TransferFlags.VOID_PENDING_TRANSFER


def test_no_submission_ends_in_an_open_chain() -> None:
    submissions = [
        BOOKING.hold(ORDER, "A", bytes(16)),
        BOOKING.sale(ORDER, "A"),
        BOOKING.late_sale(ORDER, "A"),
        BOOKING.release(ORDER, "A"),
        BOOKING.funding(),
    ]
    for submission in submissions:
        assert not Transfer.unpack_all(submission)[-1].flags & TransferFlags.LINKED


def test_only_the_budget_accounts_are_limited_and_each_resource_has_its_own_ledger() -> None:
    accounts = Account.unpack_all(BOOKING.accounts())
    assert len({account.id for account in accounts}) == 3 * len(CATALOG.resources)
    assert len({account.ledger for account in accounts}) == len(CATALOG.resources)
    limited = {a.id for a in accounts if a.flags & AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS}
    assert limited == {resource.budget_account_id for resource in CATALOG.resources}


def test_funding_moves_each_capacity_from_operator_to_budget() -> None:
    funding = Transfer.unpack_all(BOOKING.funding())
    amounts = {transfer.ledger: transfer.amount for transfer in funding if transfer.amount}
    assert amounts == {PREMIUM.tickets.ledger: 20, STANDARD.tickets.ledger: 30, 3: 5}
    assert len({transfer.id for transfer in funding}) == len(CATALOG.resources)


# --- What the answers mean -------------------------------------------------------------------


@pytest.mark.parametrize(("status", "outcome"), HOLD_TABLE.items())
def test_each_row_of_the_hold_table(status: TransferStatus, outcome: HoldOutcome) -> None:
    assert decode_hold(results(status)) == (outcome, 101)


SALE_ROWS = {
    "ticket and goodie": (
        (S.CREATED, S.CREATED, S.PENDING_TRANSFER_ALREADY_POSTED),
        (SaleOutcome.SOLD_WITH_GOODIE, 101),
    ),
    "ticket and goodie, replayed": (
        (S.EXISTS, S.LINKED_EVENT_FAILED, S.PENDING_TRANSFER_ALREADY_POSTED),
        (SaleOutcome.SOLD_WITH_GOODIE, 101),
    ),
    "ticket, goodies gone": (
        (S.LINKED_EVENT_FAILED, S.EXCEEDS_CREDITS, S.CREATED),
        (SaleOutcome.SOLD, 103),
    ),
    "ticket, goodies gone, replayed": (
        (S.PENDING_TRANSFER_ALREADY_POSTED, S.LINKED_EVENT_FAILED, S.EXISTS),
        (SaleOutcome.SOLD, 103),
    ),
    "hold expired": (
        (S.PENDING_TRANSFER_EXPIRED, S.LINKED_EVENT_FAILED, S.PENDING_TRANSFER_EXPIRED),
        (SaleOutcome.HOLD_GONE, 103),
    ),
    "hold voided before": (
        (
            S.PENDING_TRANSFER_ALREADY_VOIDED,
            S.LINKED_EVENT_FAILED,
            S.PENDING_TRANSFER_ALREADY_VOIDED,
        ),
        (SaleOutcome.HOLD_GONE, 103),
    ),
    "hold never placed": (
        (S.PENDING_TRANSFER_NOT_FOUND, S.LINKED_EVENT_FAILED, S.PENDING_TRANSFER_NOT_FOUND),
        (SaleOutcome.HOLD_GONE, 103),
    ),
    "hold never placed, replayed": (
        (S.ID_ALREADY_FAILED, S.LINKED_EVENT_FAILED, S.ID_ALREADY_FAILED),
        (SaleOutcome.HOLD_GONE, 103),
    ),
    "hold of another class": (
        (
            S.PENDING_TRANSFER_HAS_DIFFERENT_DEBIT_ACCOUNT_ID,
            S.LINKED_EVENT_FAILED,
            S.PENDING_TRANSFER_HAS_DIFFERENT_DEBIT_ACCOUNT_ID,
        ),
        (SaleOutcome.MISMATCH, 103),
    ),
}


@pytest.mark.parametrize("row", SALE_ROWS)
def test_each_row_of_the_sale_table(row: str) -> None:
    statuses, expected = SALE_ROWS[row]
    assert decode_sale(results(*statuses)) == expected


def test_every_row_of_the_sale_table_is_tested() -> None:
    assert {statuses for statuses, _ in SALE_ROWS.values()} == set(SALE_TABLE)


@pytest.mark.parametrize("late_hold", [S.CREATED, S.EXISTS])
@pytest.mark.parametrize(
    "row",
    [
        "ticket and goodie",
        "ticket and goodie, replayed",
        "ticket, goodies gone",
        "ticket, goodies gone, replayed",
    ],
)
def test_a_late_sale_with_stock_left_reads_as_a_sale(late_hold: S, row: str) -> None:
    statuses, (outcome, timestamp_ns) = SALE_ROWS[row]
    assert decode_late_sale(results(late_hold, *statuses)) == (outcome, timestamp_ns + 1)


@pytest.mark.parametrize("late_hold", [S.EXCEEDS_CREDITS, S.ID_ALREADY_FAILED])
def test_a_late_sale_without_stock_is_unfulfilled_for_ever(late_hold: S) -> None:
    not_found = (
        S.PENDING_TRANSFER_NOT_FOUND,
        S.LINKED_EVENT_FAILED,
        S.PENDING_TRANSFER_NOT_FOUND,
    )
    outcome, _ = decode_late_sale(results(late_hold, *not_found))
    assert outcome is SaleOutcome.UNFULFILLED


@pytest.mark.parametrize(("status", "outcome"), RELEASE_TABLE.items())
def test_each_row_of_the_release_table(status: TransferStatus, outcome: ReleaseOutcome) -> None:
    assert decode_release(results(status)) is outcome


@pytest.mark.parametrize(
    ("decode", "statuses"),
    [
        (decode_hold, (S.DEBIT_ACCOUNT_NOT_FOUND,)),
        (decode_sale, (S.CREATED, S.CREATED, S.CREATED)),
        (decode_late_sale, (S.DEBIT_ACCOUNT_NOT_FOUND, S.CREATED, S.CREATED, S.CREATED)),
        (
            decode_late_sale,
            (S.EXISTS, *SALE_ROWS["hold expired"][0]),
        ),
        (decode_release, (S.DEBIT_ACCOUNT_NOT_FOUND,)),
    ],
)
def test_an_answer_that_stands_in_no_table_is_an_error(decode, statuses) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UnexpectedResultError, match="The ledger answered a"):
        decode(results(*statuses))


def test_funding_twice_is_fine_and_funding_otherwise_is_an_error() -> None:
    check_created(results(S.CREATED, S.EXISTS), TransferStatus)
    check_created(results(AccountStatus.EXISTS), AccountStatus)
    with pytest.raises(UnexpectedResultError, match="exists_with_different_amount"):
        check_created(results(S.EXISTS_WITH_DIFFERENT_AMOUNT), TransferStatus)


def test_the_inventory_is_read_from_one_account() -> None:
    budget = Account(id=1, credits_posted=20, debits_pending=3, debits_posted=7)
    [inventory] = Inventory.unpack_all(budget.pack())
    assert inventory == Inventory(capacity=20, held=3, sold=7)
    assert inventory.available == 10


def test_a_hold_is_recognised_by_its_record() -> None:
    [sent] = Transfer.unpack_all(BOOKING.hold(ORDER, "B", fingerprint("B", "fan@example.org")))
    hold = BOOKING.hold_of(sent._replace(timestamp=1_000).pack())
    assert hold is not None
    assert hold.ticket_class is STANDARD
    assert hold.fingerprint == fingerprint("B", "fan@example.org")
    assert hold.expires_ns == hold.created_ns + 300 * 1_000_000_000


def test_a_sale_or_a_goodie_is_not_taken_for_a_hold() -> None:
    for transfer in Transfer.unpack_all(BOOKING.sale(ORDER, "A")):
        assert BOOKING.hold_of(transfer.pack()) is None
