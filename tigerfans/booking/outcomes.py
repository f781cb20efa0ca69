"""What the ledger's answers to a ticket's transfers mean. No I/O.

The tables in this module are those of docs/ledger.md. A combination of statuses that stands in
none of them raises `UnexpectedResultError`: the shop never guesses about money.
"""

from collections.abc import Mapping
from enum import Enum
from struct import Struct
from typing import Final

from tigerfans.ledger.wire import RESULT, Account, AccountStatus, TransferStatus
from tigerfans.offer.catalog import Part

_S = TransferStatus


class UnexpectedResultError(Exception):
    """The ledger answered with statuses that no row of the booking tables knows."""


class HoldOutcome(Enum):
    HELD = "held"
    # This very hold was placed earlier; meanwhile it may be sold, given back or expired.
    HELD_BEFORE = "held before"
    # Fewer than were asked for, that is: the ledger holds all of them or none.
    NONE_LEFT = "none left"
    # There were too few left when this id was tried first, and the ledger never tries one again.
    REFUSED_BEFORE = "refused before"
    # The order's id, and so the idempotency key, belongs to a hold with another body, or to one
    # that was placed at another price or for another time.
    CONFLICT = "conflict"


HOLD_TABLE: Final = {
    _S.CREATED: HoldOutcome.HELD,
    _S.EXISTS: HoldOutcome.HELD_BEFORE,
    _S.EXCEEDS_CREDITS: HoldOutcome.NONE_LEFT,
    _S.ID_ALREADY_FAILED: HoldOutcome.REFUSED_BEFORE,
    _S.EXISTS_WITH_DIFFERENT_TIMEOUT: HoldOutcome.CONFLICT,
    _S.EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT_ID: HoldOutcome.CONFLICT,
    _S.EXISTS_WITH_DIFFERENT_AMOUNT: HoldOutcome.CONFLICT,
    _S.EXISTS_WITH_DIFFERENT_USER_DATA_128: HoldOutcome.CONFLICT,
    _S.EXISTS_WITH_DIFFERENT_USER_DATA_32: HoldOutcome.CONFLICT,
}


# What was asked for is on hold for whoever asked.
HOLDS: Final = frozenset((HoldOutcome.HELD, HoldOutcome.HELD_BEFORE))


class SaleOutcome(Enum):
    SOLD_WITH_GOODIE = "sold with goodie"
    SOLD = "sold"
    # Expired, voided or never placed: a late sale is next.
    HOLD_GONE = "hold gone"
    # The hold is of another class than the payment says.
    MISMATCH = "mismatch"
    # Paid, but nothing is left to sell: a refund is due.
    UNFULFILLED = "unfulfilled"


# [sale with goodie, linked to the goodie], goodie, sale alone
SALE_TABLE: Final = {
    (_S.CREATED, _S.CREATED, _S.PENDING_TRANSFER_ALREADY_POSTED): SaleOutcome.SOLD_WITH_GOODIE,
    (
        _S.EXISTS,
        _S.LINKED_EVENT_FAILED,
        _S.PENDING_TRANSFER_ALREADY_POSTED,
    ): SaleOutcome.SOLD_WITH_GOODIE,
    (_S.LINKED_EVENT_FAILED, _S.EXCEEDS_CREDITS, _S.CREATED): SaleOutcome.SOLD,
    (_S.PENDING_TRANSFER_ALREADY_POSTED, _S.LINKED_EVENT_FAILED, _S.EXISTS): SaleOutcome.SOLD,
    (
        _S.PENDING_TRANSFER_EXPIRED,
        _S.LINKED_EVENT_FAILED,
        _S.PENDING_TRANSFER_EXPIRED,
    ): SaleOutcome.HOLD_GONE,
    (
        _S.PENDING_TRANSFER_ALREADY_VOIDED,
        _S.LINKED_EVENT_FAILED,
        _S.PENDING_TRANSFER_ALREADY_VOIDED,
    ): SaleOutcome.HOLD_GONE,
    (
        _S.PENDING_TRANSFER_NOT_FOUND,
        _S.LINKED_EVENT_FAILED,
        _S.PENDING_TRANSFER_NOT_FOUND,
    ): SaleOutcome.HOLD_GONE,
    # A sale whose hold was not found is refused with its id for ever after.
    (
        _S.ID_ALREADY_FAILED,
        _S.LINKED_EVENT_FAILED,
        _S.ID_ALREADY_FAILED,
    ): SaleOutcome.HOLD_GONE,
    # It was sent alone before.
    (
        _S.PENDING_TRANSFER_NOT_FOUND,
        _S.LINKED_EVENT_FAILED,
        _S.ID_ALREADY_FAILED,
    ): SaleOutcome.HOLD_GONE,
    (
        _S.PENDING_TRANSFER_HAS_DIFFERENT_DEBIT_ACCOUNT_ID,
        _S.LINKED_EVENT_FAILED,
        _S.PENDING_TRANSFER_HAS_DIFFERENT_DEBIT_ACCOUNT_ID,
    ): SaleOutcome.MISMATCH,
}


# The sale alone, sent without the other two where goodies are known to be gone.
SALE_ALONE_TABLE: Final = {
    _S.CREATED: SaleOutcome.SOLD,
    _S.EXISTS: SaleOutcome.SOLD,
    # It was sold before, while there was one; when, the sale with it tells.
    _S.PENDING_TRANSFER_ALREADY_POSTED: SaleOutcome.SOLD_WITH_GOODIE,
    _S.PENDING_TRANSFER_EXPIRED: SaleOutcome.HOLD_GONE,
    _S.PENDING_TRANSFER_ALREADY_VOIDED: SaleOutcome.HOLD_GONE,
    _S.PENDING_TRANSFER_NOT_FOUND: SaleOutcome.HOLD_GONE,
    _S.ID_ALREADY_FAILED: SaleOutcome.HOLD_GONE,
    _S.PENDING_TRANSFER_HAS_DIFFERENT_DEBIT_ACCOUNT_ID: SaleOutcome.MISMATCH,
}


class ReleaseOutcome(Enum):
    # Nothing is held any more.
    RELEASED = "released"
    SOLD = "sold"
    MISMATCH = "mismatch"


RELEASE_TABLE: Final = {
    _S.CREATED: ReleaseOutcome.RELEASED,
    _S.EXISTS: ReleaseOutcome.RELEASED,
    _S.PENDING_TRANSFER_EXPIRED: ReleaseOutcome.RELEASED,
    _S.PENDING_TRANSFER_ALREADY_VOIDED: ReleaseOutcome.RELEASED,
    _S.PENDING_TRANSFER_NOT_FOUND: ReleaseOutcome.RELEASED,
    _S.ID_ALREADY_FAILED: ReleaseOutcome.RELEASED,
    _S.PENDING_TRANSFER_ALREADY_POSTED: ReleaseOutcome.SOLD,
    _S.PENDING_TRANSFER_HAS_DIFFERENT_DEBIT_ACCOUNT_ID: ReleaseOutcome.MISMATCH,
}


class RefundOutcome(Enum):
    # The ticket is back in stock, and no ticket any more.
    GIVEN_BACK = "given back"
    # It has been used at the door: the transfer that ended it leads somewhere else. Where that was
    # undone, the next attempt decides.
    INSIDE = "inside"
    # No ticket of the class is sold at all, so this one was not.
    NOT_SOLD = "not sold"


REFUND_TABLE: Final = {
    _S.CREATED: RefundOutcome.GIVEN_BACK,
    _S.EXISTS: RefundOutcome.GIVEN_BACK,
    _S.EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT_ID: RefundOutcome.INSIDE,
    _S.EXCEEDS_CREDITS: RefundOutcome.NOT_SOLD,
    _S.ID_ALREADY_FAILED: RefundOutcome.NOT_SOLD,
}


class AdmissionOutcome(Enum):
    ADMITTED = "admitted"
    # This very scan has let it in, now or before.
    ADMITTED_BEFORE = "admitted before"
    # Another scan has ended it, as the transfer says; or this attempt was undone.
    ANOTHER_SCAN = "another scan"
    REFUNDED = "refunded"
    # No place is left for this scan; but the ticket may be inside.
    HALL_FULL = "hall full"
    # No ticket of the class is sold at all, so this one was not.
    NOT_SOLD = "not sold"


ADMISSION_TABLE: Final = {
    _S.CREATED: AdmissionOutcome.ADMITTED,
    _S.EXISTS: AdmissionOutcome.ADMITTED_BEFORE,
    # The ledger compares the scan's id first: it is the same scan, told with another time or gate.
    _S.EXISTS_WITH_DIFFERENT_USER_DATA_64: AdmissionOutcome.ADMITTED_BEFORE,
    _S.EXISTS_WITH_DIFFERENT_USER_DATA_32: AdmissionOutcome.ADMITTED_BEFORE,
    _S.EXISTS_WITH_DIFFERENT_USER_DATA_128: AdmissionOutcome.ANOTHER_SCAN,
    _S.EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT_ID: AdmissionOutcome.REFUNDED,
    _S.EXCEEDS_CREDITS: AdmissionOutcome.NOT_SOLD,
    _S.ID_ALREADY_FAILED: AdmissionOutcome.NOT_SOLD,
}

# [a place in the hall, linked to the admission], the admission
PLACE_TABLE: Final[Mapping[tuple[int, ...], AdmissionOutcome]] = {
    (_S.CREATED, _S.CREATED): AdmissionOutcome.ADMITTED,
    # The place is this scan's, so the admission is.
    (_S.EXISTS, _S.LINKED_EVENT_FAILED): AdmissionOutcome.ADMITTED_BEFORE,
    (_S.EXCEEDS_CREDITS, _S.LINKED_EVENT_FAILED): AdmissionOutcome.HALL_FULL,
    (_S.ID_ALREADY_FAILED, _S.LINKED_EVENT_FAILED): AdmissionOutcome.HALL_FULL,
    # What is wrong is wrong with the admission; let in before is one from before there was a limit.
    **{
        (_S.LINKED_EVENT_FAILED, status): outcome
        for status, outcome in ADMISSION_TABLE.items()
        if status != _S.CREATED
    },
}

_ADMISSIONS: Final[Mapping[tuple[int, ...], AdmissionOutcome]] = {
    **{(status,): outcome for status, outcome in ADMISSION_TABLE.items()},
    **PLACE_TABLE,
}

# The undo, behind the place that becomes free where the admission took one.
UNDO_TABLE: Final = frozenset(
    {
        (_S.CREATED,),
        (_S.EXISTS,),
        (_S.CREATED, _S.CREATED),
        (_S.EXISTS, _S.LINKED_EVENT_FAILED),
    }
)

_LATE_HOLD_REFUSED: Final = (_S.EXCEEDS_CREDITS, _S.ID_ALREADY_FAILED)
_LATE_HOLD_GRANTED: Final = (
    _S.CREATED,
    _S.EXISTS,
    # An earlier version sold late at the price of the day, where now it is what was agreed.
    _S.EXISTS_WITH_DIFFERENT_USER_DATA_32,
)


def decode_hold(results: bytes) -> tuple[HoldOutcome, int]:
    """The outcome of `Booking.hold`, and the ledger's time of the hold in nanoseconds."""
    timestamp_ns, status, _ = RESULT.unpack(results)
    outcome = HOLD_TABLE.get(status)
    if outcome is None:
        raise _unexpected("hold", (status,))
    return outcome, timestamp_ns


def decode_sale(results: bytes) -> tuple[SaleOutcome, int]:
    """The outcome of `Booking.sale`, and the ledger's time of the sale in nanoseconds."""
    time_with_goodie, with_goodie, _, _, goodie, _, time_alone, alone, _ = _SALE_RESULTS.unpack(
        results
    )
    outcome = SALE_TABLE.get((with_goodie, goodie, alone))
    if outcome is None:
        raise _unexpected("sale", (with_goodie, goodie, alone))
    # `created` and `exists` carry the sale's time, on whichever of the two it was.
    return outcome, time_with_goodie if outcome is SaleOutcome.SOLD_WITH_GOODIE else time_alone


def are_goodies_gone(results: bytes) -> bool:
    """Whether `Booking.sale` found no goodie to go with the ticket."""
    _, _, _, _, goodie, _, _, _, _ = _SALE_RESULTS.unpack(results)
    return bool(goodie == _S.EXCEEDS_CREDITS)


def decode_sale_alone(results: bytes) -> tuple[SaleOutcome, int]:
    """The outcome of `Booking.sale_alone`, and the ledger's time of it in nanoseconds, which is
    that of the sale where it is `SOLD`.
    """
    timestamp_ns, status, _ = RESULT.unpack(results)
    outcome = SALE_ALONE_TABLE.get(status)
    if outcome is None:
        raise _unexpected("sale alone", (status,))
    return outcome, timestamp_ns


def decode_late_sale(results: bytes) -> tuple[SaleOutcome, int]:
    """The outcome of `Booking.late_sale`, and the ledger's time of the sale in nanoseconds."""
    timestamp_ns, late_hold, _ = RESULT.unpack_from(results)
    if late_hold in _LATE_HOLD_REFUSED:
        return SaleOutcome.UNFULFILLED, timestamp_ns
    if late_hold not in _LATE_HOLD_GRANTED:
        raise _unexpected("late hold", (late_hold,))
    outcome, timestamp_ns = decode_sale(results[RESULT.size :])
    if outcome not in (SaleOutcome.SOLD_WITH_GOODIE, SaleOutcome.SOLD):
        raise UnexpectedResultError(f"The ledger answered a late sale with {outcome.value!r}.")
    return outcome, timestamp_ns


def decode_release(results: bytes) -> ReleaseOutcome:
    """The outcome of `Booking.release`."""
    _, status, _ = RESULT.unpack(results)
    outcome = RELEASE_TABLE.get(status)
    if outcome is None:
        raise _unexpected("release", (status,))
    return outcome


def decode_refund(results: bytes) -> list[tuple[RefundOutcome, int]]:
    """The outcome of `Booking.refund` for each ticket, and the ledger's time of it in nanoseconds.

    That is the end of a ticket which was given back, now or before.
    """
    decoded = []
    for timestamp_ns, status, _ in RESULT.iter_unpack(results):
        outcome = REFUND_TABLE.get(status)
        if outcome is None:
            raise _unexpected("refund", (status,))
        decoded.append((outcome, timestamp_ns))
    return decoded


def decode_admissions(results: bytes, records_each: int = 1) -> list[tuple[AdmissionOutcome, int]]:
    """The outcome of each `Booking.admission`, and the ledger's time of it in nanoseconds.

    The time is that of the admission where this very request has let the ticket in.
    """
    answers = list(RESULT.iter_unpack(results))
    decoded = []
    for start in range(0, len(answers), records_each):
        statuses = tuple(status for _, status, _ in answers[start : start + records_each])
        outcome = _ADMISSIONS.get(statuses)
        if outcome is None:
            raise _unexpected("scan", statuses)
        decoded.append((outcome, answers[start + records_each - 1][0]))
    return decoded


def decode_undo(results: bytes) -> int:
    """When a `Booking.undo` was done, now or before, by the ledger's time in nanoseconds."""
    statuses = tuple(status for _, status, _ in RESULT.iter_unpack(results))
    if statuses not in UNDO_TABLE:
        raise _unexpected("scan's undo", statuses)
    # The ledger's times of what is linked follow each other: the first one's is told of a replay.
    timestamp_ns: int = RESULT.unpack_from(results)[0]
    return timestamp_ns + len(statuses) - 1


ACCOUNT_IS_THERE: Final = frozenset((AccountStatus.CREATED, AccountStatus.EXISTS))
# How many there were at first does not depend on what the offer says today.
IS_FUNDED: Final = frozenset((_S.CREATED, _S.EXISTS, _S.EXISTS_WITH_DIFFERENT_AMOUNT))


def check_accounts(accounts: bytes, results: bytes) -> None:
    """Raises unless each of `Booking.accounts` was created now or before."""
    statuses = (status for _, status, _ in RESULT.iter_unpack(results))
    for account, status in zip(Account.unpack_all(accounts), statuses, strict=True):
        # A shop of before has its `sold` accounts without a limit.
        is_of_before = (
            status == AccountStatus.EXISTS_WITH_DIFFERENT_FLAGS and account.id & 0xFF == Part.SOLD
        )
        if status not in ACCOUNT_IS_THERE and not is_of_before:
            raise _refused(AccountStatus(status).name)


def check_funding(results: bytes) -> None:
    """Raises unless each of `Booking.funding` was created now or before, of whatever amount."""
    for _, status, _ in RESULT.iter_unpack(results):
        if status not in IS_FUNDED:
            raise _refused(TransferStatus(status).name)


def _refused(status: str) -> UnexpectedResultError:
    return UnexpectedResultError(f"The ledger refused the catalog with {status.lower()}.")


_SALE_RESULTS: Final = Struct("<QIIQIIQII")


def _unexpected(step: str, statuses: tuple[int, ...]) -> UnexpectedResultError:
    names = ", ".join(TransferStatus(status).name.lower() for status in statuses)
    return UnexpectedResultError(f"The ledger answered a {step} with {names}.")
