"""The booking tables, row by row: what each answer of the ledger means."""

from functools import partial

import pytest

from tigerfans.booking.outcomes import (
    ADMISSION_TABLE,
    HOLD_TABLE,
    PLACE_TABLE,
    REFUND_TABLE,
    RELEASE_TABLE,
    SALE_ALONE_TABLE,
    SALE_TABLE,
    UNDO_TABLE,
    AdmissionOutcome,
    HoldOutcome,
    RefundOutcome,
    ReleaseOutcome,
    SaleOutcome,
    UnexpectedResultError,
    are_goodies_gone,
    check_accounts,
    check_funding,
    decode_admissions,
    decode_hold,
    decode_late_sale,
    decode_refund,
    decode_release,
    decode_sale,
    decode_sale_alone,
    decode_undo,
)
from tigerfans.ledger.wire import (
    RESULT,
    Account,
    AccountStatus,
    TransferStatus,
)
from tigerfans.offer.catalog import Part

S = TransferStatus


def results(*statuses: int) -> bytes:
    """Results as a ledger gives them, with timestamps 101, 102, …"""
    return b"".join(RESULT.pack(101 + i, status, 0) for i, status in enumerate(statuses))


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
    "hold never placed, and the sale sent alone before": (
        (S.PENDING_TRANSFER_NOT_FOUND, S.LINKED_EVENT_FAILED, S.ID_ALREADY_FAILED),
        (SaleOutcome.HOLD_GONE, 103),
    ),
}


@pytest.mark.parametrize("row", SALE_ROWS)
def test_each_row_of_the_sale_table(row: str) -> None:
    statuses, expected = SALE_ROWS[row]
    assert decode_sale(results(*statuses)) == expected


def test_every_row_of_the_sale_table_is_tested() -> None:
    assert {statuses for statuses, _ in SALE_ROWS.values()} == set(SALE_TABLE)


@pytest.mark.parametrize(("status", "outcome"), SALE_ALONE_TABLE.items())
def test_each_row_of_the_table_of_sales_alone(status: S, outcome: SaleOutcome) -> None:
    assert decode_sale_alone(results(status)) == (outcome, 101)


@pytest.mark.parametrize("row", SALE_ROWS)
def test_goodies_are_gone_where_the_ledger_refused_one_and_not_where_it_was_not_asked(
    row: str,
) -> None:
    statuses, _ = SALE_ROWS[row]
    assert are_goodies_gone(results(*statuses)) is (row == "ticket, goodies gone")


@pytest.mark.parametrize("late_hold", [S.CREATED, S.EXISTS, S.EXISTS_WITH_DIFFERENT_USER_DATA_32])
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


@pytest.mark.parametrize(("status", "outcome"), REFUND_TABLE.items())
def test_each_row_of_the_refund_table(status: TransferStatus, outcome: RefundOutcome) -> None:
    assert decode_refund(results(status)) == [(outcome, 101)]


@pytest.mark.parametrize(("status", "outcome"), ADMISSION_TABLE.items())
def test_each_row_of_the_admission_table(status: TransferStatus, outcome: AdmissionOutcome) -> None:
    assert decode_admissions(results(status)) == [(outcome, 101)]


@pytest.mark.parametrize(("statuses", "outcome"), PLACE_TABLE.items())
def test_each_row_of_the_table_of_places(
    statuses: tuple[TransferStatus, ...], outcome: AdmissionOutcome
) -> None:
    assert decode_admissions(results(*statuses), 2) == [(outcome, 102)]


def test_each_scan_of_a_request_has_an_outcome_of_its_own() -> None:
    admitted, another = AdmissionOutcome.ADMITTED, AdmissionOutcome.ANOTHER_SCAN
    different = S.EXISTS_WITH_DIFFERENT_USER_DATA_128
    told = [(admitted, 101), (another, 102), (admitted, 103)]
    assert decode_admissions(results(S.CREATED, different, S.CREATED)) == told
    places = results(S.CREATED, S.CREATED, S.LINKED_EVENT_FAILED, different)
    assert decode_admissions(places, 2) == [(admitted, 102), (another, 104)]


@pytest.mark.parametrize("statuses", UNDO_TABLE)
def test_each_row_of_the_undo_table(statuses: tuple[TransferStatus, ...]) -> None:
    assert decode_undo(results(*statuses)) == 100 + len(statuses)


def test_each_ticket_of_a_refund_has_an_outcome_of_its_own() -> None:
    several = results(S.EXISTS, S.EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT_ID, S.CREATED)
    outcomes = [outcome for outcome, _ in decode_refund(several)]
    assert outcomes == [
        RefundOutcome.GIVEN_BACK,
        RefundOutcome.INSIDE,
        RefundOutcome.GIVEN_BACK,
    ]


@pytest.mark.parametrize(
    ("decode", "statuses"),
    [
        (decode_hold, (S.DEBIT_ACCOUNT_NOT_FOUND,)),
        (decode_sale, (S.CREATED, S.CREATED, S.CREATED)),
        (decode_sale_alone, (S.LINKED_EVENT_FAILED,)),
        (decode_late_sale, (S.DEBIT_ACCOUNT_NOT_FOUND, S.CREATED, S.CREATED, S.CREATED)),
        (
            decode_late_sale,
            (S.EXISTS, *SALE_ROWS["hold expired"][0]),
        ),
        (decode_release, (S.DEBIT_ACCOUNT_NOT_FOUND,)),
        (decode_refund, (S.CREATED, S.DEBIT_ACCOUNT_NOT_FOUND)),
        (decode_admissions, (S.CREDIT_ACCOUNT_NOT_FOUND,)),
        (partial(decode_admissions, records_each=2), (S.LINKED_EVENT_FAILED, S.CREATED)),
        (decode_undo, (S.EXCEEDS_CREDITS,)),
        (decode_undo, (S.LINKED_EVENT_FAILED, S.EXISTS)),
    ],
)
def test_an_answer_that_stands_in_no_table_is_an_error(decode, statuses) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UnexpectedResultError, match="The ledger answered a"):
        decode(results(*statuses))


def test_what_was_funded_before_is_fine_whatever_the_offer_says_today() -> None:
    check_funding(results(S.CREATED, S.EXISTS, S.EXISTS_WITH_DIFFERENT_AMOUNT))
    with pytest.raises(UnexpectedResultError, match="exists_with_different_ledger"):
        check_funding(results(S.EXISTS_WITH_DIFFERENT_LEDGER))


@pytest.mark.parametrize("part", Part)
def test_only_the_account_of_what_is_sold_may_be_without_a_limit_from_before(part: Part) -> None:
    account = Account(id=1 << 8 | part).pack()
    check_accounts(account, results(AccountStatus.CREATED))
    check_accounts(account, results(AccountStatus.EXISTS))
    unlimited = results(AccountStatus.EXISTS_WITH_DIFFERENT_FLAGS)
    if part is Part.SOLD:
        check_accounts(account, unlimited)
        return
    with pytest.raises(UnexpectedResultError, match="exists_with_different_flags"):
        check_accounts(account, unlimited)
