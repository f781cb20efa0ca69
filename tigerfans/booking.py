"""A ticket's life on the ledger: ids, the transfers to send, and what the results mean. No I/O.

An order is one 128-bit number. Its transfers take the order's id with the last byte replaced by
their purpose, so a retry after any crash sends the very same ids and the ledger answers `exists`.
In TigerBeetle's little-endian bytes that last byte comes first.

A paid order is one submission of three transfers: the sale together with its goodie, linked, and
behind it the sale alone. Either the chain succeeds and the sale behind it finds the hold posted
already, or the goodies are gone, the chain fails as one, and the ticket is sold alone. Where the
hold is gone, a second submission places a late hold and does the same against that.

The tables in this module are the design's tables. A combination of statuses that stands in none
of them raises `UnexpectedResultError`: the shop never guesses about money.
"""

import os
import time
from dataclasses import dataclass
from enum import Enum, IntEnum
from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from typing import Final, NamedTuple

from tigerfans.ledger.wire import (
    ACCOUNT,
    AMOUNT_MAX,
    RESULT,
    TRANSFER,
    Account,
    AccountFlags,
    AccountStatus,
    Transfer,
    TransferFlags,
    TransferStatus,
    u128,
)
from tigerfans.offer.catalog import Catalog, ClassCode, Resource, TicketClass

ORDER_ID_RANDOM_BYTES: Final = 9
ORDER_ID_HEX_DIGITS: Final = 32

LATE_HOLD_SECONDS: Final = 300

# Transfer and account codes tell an operator who reads the ledger what he sees.
CODE_ACCOUNT: Final = 1
CODE_FUNDING: Final = 1
CODE_TICKET: Final = 10
CODE_GOODIE: Final = 20

_ONE: Final = u128(1)
_NOTHING: Final = u128(0)


class Purpose(IntEnum):
    """The last byte of a transfer's id."""

    HOLD = 0x00
    SALE_WITH_GOODIE = 0x01
    GOODIE = 0x02
    SALE = 0x03
    RELEASE = 0x04
    LATE_HOLD = 0x05
    LATE_SALE_WITH_GOODIE = 0x06
    LATE_GOODIE = 0x07
    LATE_SALE = 0x08


class UnexpectedResultError(Exception):
    """The ledger answered with statuses that no row of the booking tables knows."""


class OrderId(bytes):
    """16 little-endian bytes, the first of which, the purpose, is zero."""

    @classmethod
    def new(cls) -> "OrderId":
        """48 bits of milliseconds, 72 random bits, 8 zero bits."""
        milliseconds = time.time_ns() // 1_000_000
        return cls(b"\0" + os.urandom(ORDER_ID_RANDOM_BYTES) + milliseconds.to_bytes(6, "little"))

    @classmethod
    def from_key(cls, idempotency_key: str, secret: str) -> "OrderId":
        """The one id that belongs to an idempotency key, not to be guessed without the secret."""
        digest = blake2b(idempotency_key.encode(), digest_size=15, key=_hash_key(secret))
        return cls(b"\0" + digest.digest())

    @classmethod
    def parse(cls, text: str) -> "OrderId | None":
        """The id that `text` shows as 32 lowercase hex digits; None where it shows none."""
        if len(text) != ORDER_ID_HEX_DIGITS or not text.endswith("00") or text != text.lower():
            return None
        try:
            order_id = cls(bytes.fromhex(text)[::-1])
        except ValueError:
            return None
        return order_id if order_id.hex_digits == text else None

    @property
    def hex_digits(self) -> str:
        return self[::-1].hex()

    def transfer_id(self, purpose: Purpose) -> bytes:
        return _PURPOSE_BYTE[purpose] + self[1:]


_PURPOSE_BYTE: Final = {purpose: bytes([purpose]) for purpose in Purpose}


@lru_cache(maxsize=1)
def _hash_key(secret: str) -> bytes:
    """A key for BLAKE2b, which takes at most 64 bytes, from a secret of any length."""
    return blake2b(secret.encode()).digest()


def ticket_code(order_id: OrderId, secret: str) -> str:
    """The code on the ticket, such as `TF-7K3M-92QX-HD4W`: derived, so a replay repeats it."""
    digest = blake2b(order_id, digest_size=8, key=_hash_key(secret), person=b"ticket").digest()
    number = int.from_bytes(digest, "big")
    pairs = [_PAIRS[(number >> shift) & 1023] for shift in (50, 40, 30, 20, 10, 0)]
    return "TF-{}{}-{}{}-{}{}".format(*pairs)


# Base 32 without the letters that people misread, two letters at a time.
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = [first + second for first in _CROCKFORD for second in _CROCKFORD]


def fingerprint(cls: ClassCode, email: str) -> bytes:
    """16 bytes that stand for a checkout's body in the hold's `user_data_128`.

    The same idempotency key with another body then fails on the ledger itself.
    """
    return blake2b(f"{cls}\n{email}".encode(), digest_size=16).digest()


class Stock:
    """The transfers that move one resource, with all that is fixed packed beforehand."""

    def __init__(self, resource: Resource, code: int) -> None:
        self.resource = resource
        self.code = code
        self.budget_account_id = u128(resource.budget_account_id)
        self._budget = self.budget_account_id
        self._sold = u128(resource.sold_account_id)

    def hold(
        self, transfer_id: bytes, fingerprint: bytes, price_cents: int, hold_seconds: int
    ) -> bytes:
        return TRANSFER.pack(
            transfer_id,
            self._budget,
            self._sold,
            _ONE,
            _NOTHING,
            fingerprint,
            0,
            price_cents,
            hold_seconds,
            self.resource.ledger,
            self.code,
            TransferFlags.PENDING,
            0,
        )

    def take(self, transfer_id: bytes) -> bytes:
        """Moves one unit at once, without a hold."""
        return TRANSFER.pack(
            transfer_id,
            self._budget,
            self._sold,
            _ONE,
            _NOTHING,
            _NOTHING,
            0,
            0,
            0,
            self.resource.ledger,
            self.code,
            0,
            0,
        )

    def post(self, transfer_id: bytes, hold_id: bytes, flags: int = 0) -> bytes:
        """Sells what a hold holds."""
        return self._settle(transfer_id, hold_id, AMOUNT_MAX, _POST | flags)

    def void(self, transfer_id: bytes, hold_id: bytes) -> bytes:
        """Gives back what a hold holds; here it is zero that means all of it."""
        return self._settle(transfer_id, hold_id, _NOTHING, _VOID)

    def _settle(self, transfer_id: bytes, hold_id: bytes, amount: bytes, flags: int) -> bytes:
        return TRANSFER.pack(
            transfer_id,
            self._budget,
            self._sold,
            amount,
            hold_id,
            _NOTHING,
            0,
            0,
            0,
            self.resource.ledger,
            self.code,
            flags,
            0,
        )


_POST: Final = int(TransferFlags.POST_PENDING_TRANSFER)
_VOID: Final = int(TransferFlags.VOID_PENDING_TRANSFER)
_LINKED: Final = int(TransferFlags.LINKED)


class Booking:
    """Packs the submissions of every step for one catalog."""

    def __init__(self, catalog: Catalog, hold_seconds: int) -> None:
        self.catalog = catalog
        self.hold_seconds = hold_seconds
        self._tickets = {c.code: Stock(c.tickets, CODE_TICKET) for c in catalog.classes}
        self._prices = {c.code: c.price_cents for c in catalog.classes}
        self._goodies = Stock(catalog.goodies, CODE_GOODIE)
        self._stocks = [*self._tickets.values(), self._goodies]

    def hold(self, order_id: OrderId, cls: ClassCode, fingerprint: bytes) -> bytes:
        """One pending transfer, to be read with `decode_hold`."""
        price = self._prices[cls]
        # An order's id is its hold's id: the purpose HOLD is zero.
        return self._tickets[cls].hold(order_id, fingerprint, price, self.hold_seconds)

    def sale(self, order_id: OrderId, cls: ClassCode) -> bytes:
        """Three transfers, to be read with `decode_sale`."""
        return self._sale_of(
            order_id,
            cls,
            order_id,
            Purpose.SALE_WITH_GOODIE,
            Purpose.GOODIE,
            Purpose.SALE,
        )

    def late_sale(self, order_id: OrderId, cls: ClassCode) -> bytes:
        """Four transfers, to be read with `decode_late_sale`; sent only where the hold is gone.

        The late hold is posted in the same breath. Nothing in it comes from the payment's body
        or the settings, so that a replay in other circumstances still finds the same transfer.
        """
        late_hold_id = order_id.transfer_id(Purpose.LATE_HOLD)
        hold = self._tickets[cls].hold(late_hold_id, _NOTHING, self._prices[cls], LATE_HOLD_SECONDS)
        return hold + self._sale_of(
            order_id,
            cls,
            late_hold_id,
            Purpose.LATE_SALE_WITH_GOODIE,
            Purpose.LATE_GOODIE,
            Purpose.LATE_SALE,
        )

    def release(self, order_id: OrderId, cls: ClassCode) -> bytes:
        """One void of the hold, to be read with `decode_release`."""
        release_id = order_id.transfer_id(Purpose.RELEASE)
        return self._tickets[cls].void(release_id, order_id)

    def _sale_of(
        self,
        order_id: OrderId,
        cls: ClassCode,
        hold_id: bytes,
        with_goodie: Purpose,
        goodie: Purpose,
        alone: Purpose,
    ) -> bytes:
        tickets = self._tickets[cls]
        return (
            tickets.post(order_id.transfer_id(with_goodie), hold_id, _LINKED)
            + self._goodies.take(order_id.transfer_id(goodie))
            + tickets.post(order_id.transfer_id(alone), hold_id)
        )

    def accounts(self) -> bytes:
        """Three accounts for each resource; `budget` is the one that cannot be overdrawn."""
        limited = AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS
        return b"".join(
            Account(id=account_id, ledger=r.ledger, code=CODE_ACCOUNT, flags=flags).pack()
            for r in self.catalog.resources
            for account_id, flags in (
                (r.operator_account_id, 0),
                (r.budget_account_id, limited),
                (r.sold_account_id, 0),
            )
        )

    def funding(self) -> bytes:
        """One transfer for each resource, with a fixed id, so that it happens once."""
        return b"".join(
            Transfer(
                id=r.funding_transfer_id,
                debit_account_id=r.operator_account_id,
                credit_account_id=r.budget_account_id,
                amount=r.capacity,
                ledger=r.ledger,
                code=CODE_FUNDING,
            ).pack()
            for r in self.catalog.resources
        )

    def budgets(self) -> bytes:
        """The ids of the budget accounts in the order A, B, goodies: what the inventory reads."""
        return b"".join(stock.budget_account_id for stock in self._stocks)

    def hold_of(self, record: bytes) -> "Hold | None":
        """The hold in a transfer's record; None where the record is no hold of a ticket here."""
        transfer = Transfer.unpack_all(record)[0]
        ticket_class = self.catalog.by_ledger(transfer.ledger)
        if ticket_class is None or not transfer.flags & TransferFlags.PENDING:
            return None
        return Hold(
            ticket_class=ticket_class,
            fingerprint=u128(transfer.user_data_128),
            created_ns=transfer.timestamp,
            expires_ns=transfer.timestamp + transfer.timeout * 1_000_000_000,
        )


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold as the ledger knows it; times in nanoseconds since the epoch."""

    ticket_class: TicketClass
    fingerprint: bytes
    created_ns: int
    expires_ns: int


class Inventory(NamedTuple):
    """One resource's stock, in units."""

    capacity: int
    held: int
    sold: int

    @property
    def available(self) -> int:
        return self.capacity - self.held - self.sold

    @classmethod
    def unpack_all(cls, budgets: bytes) -> "list[Inventory]":
        """From records of budget accounts."""
        return [
            cls(
                capacity=int.from_bytes(credits_posted, "little"),
                held=int.from_bytes(debits_pending, "little"),
                sold=int.from_bytes(debits_posted, "little"),
            )
            for _, debits_pending, debits_posted, _, credits_posted, *_ in ACCOUNT.iter_unpack(
                budgets
            )
        ]


# --- What the results mean -----------------------------------------------------------------------

_S = TransferStatus


class HoldOutcome(Enum):
    HELD = "held"
    SOLD_OUT = "sold out"
    # The order's id, and so the idempotency key, belongs to a checkout with another body.
    CONFLICT = "conflict"


HOLD_TABLE: Final = {
    _S.CREATED: HoldOutcome.HELD,
    _S.EXISTS: HoldOutcome.HELD,
    _S.EXCEEDS_CREDITS: HoldOutcome.SOLD_OUT,
    _S.ID_ALREADY_FAILED: HoldOutcome.SOLD_OUT,
    _S.EXISTS_WITH_DIFFERENT_TIMEOUT: HoldOutcome.CONFLICT,
    _S.EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT_ID: HoldOutcome.CONFLICT,
    _S.EXISTS_WITH_DIFFERENT_USER_DATA_128: HoldOutcome.CONFLICT,
    _S.EXISTS_WITH_DIFFERENT_USER_DATA_32: HoldOutcome.CONFLICT,
}


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
    (
        _S.PENDING_TRANSFER_HAS_DIFFERENT_DEBIT_ACCOUNT_ID,
        _S.LINKED_EVENT_FAILED,
        _S.PENDING_TRANSFER_HAS_DIFFERENT_DEBIT_ACCOUNT_ID,
    ): SaleOutcome.MISMATCH,
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

_LATE_HOLD_REFUSED: Final = (_S.EXCEEDS_CREDITS, _S.ID_ALREADY_FAILED)


_GRANTED: Final = (_S.CREATED, _S.EXISTS)


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


def decode_late_sale(results: bytes) -> tuple[SaleOutcome, int]:
    """The outcome of `Booking.late_sale`, and the ledger's time of the sale in nanoseconds."""
    timestamp_ns, late_hold, _ = RESULT.unpack_from(results)
    if late_hold in _LATE_HOLD_REFUSED:
        return SaleOutcome.UNFULFILLED, timestamp_ns
    if late_hold not in _GRANTED:
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


def check_created(results: bytes, statuses: type[AccountStatus] | type[TransferStatus]) -> None:
    """Raises unless each account or transfer was created now or before."""
    for _, status, _ in RESULT.iter_unpack(results):
        if status not in (statuses.CREATED, statuses.EXISTS):
            raise UnexpectedResultError(
                f"The ledger refused the catalog with {statuses(status).name.lower()}."
            )


_SALE_RESULTS: Final = Struct("<QIIQIIQII")


def _unexpected(step: str, statuses: tuple[int, ...]) -> UnexpectedResultError:
    names = ", ".join(TransferStatus(status).name.lower() for status in statuses)
    return UnexpectedResultError(f"The ledger answered a {step} with {names}.")
