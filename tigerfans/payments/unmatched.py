"""Unmatched payments: money that came, and that fits no order. None of it is ever thrown away.

A genuine event that says "paid" and cannot become a ticket is stored here with its reason, once
however often and to however many workers it is told: its id derives from what it says. It waits
for the operator, who gives the money back or dismisses it, once; the audit says who it was.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final, NamedTuple

import asyncpg

from tigerfans.errors import UnavailableError, UnknownOrderError
from tigerfans.payments.base import PaymentEvent
from tigerfans.stores.audit import note
from tigerfans.stores.database import Database

ID_BYTES: Final = 16
# What is longer than an email address may be is cut: it names nothing of ours.
TOLD_CHARACTERS_MAX: Final = 254
# PostgreSQL's bigint. An amount beyond it is kept as unknown.
AMOUNT_MAX: Final = 2**63 - 1
# While the provider gives the money back, which takes `shop.refund.REFUND_SECONDS_MAX` at most, the
# payment is one worker's. A claim runs out by itself where that worker died.
CLAIM_SECONDS: Final = 30.0


class Misfit(StrEnum):
    """Why an event does not fit an order."""

    UNREADABLE = "unreadable"
    NO_ORDER_ID = "no order id"
    SESSION = "session"
    UNKNOWN_ORDER = "unknown order"
    AMOUNT = "amount"
    CURRENCY = "currency"
    CLASS = "class"
    HOLD = "hold"


# What the operator reads.
MISFIT_WORDS: Final = {
    Misfit.UNREADABLE: "The shop cannot read what the provider said.",
    Misfit.NO_ORDER_ID: "It names no order.",
    Misfit.SESSION: "It is not the order’s own payment: of another session, or a second one.",
    Misfit.UNKNOWN_ORDER: "There is no such order.",
    Misfit.AMOUNT: "It is not what the order costs.",
    Misfit.CURRENCY: "It is not in the order’s currency.",
    Misfit.CLASS: "It is for another ticket class than the order’s.",
    Misfit.HOLD: "The ticket that was held is of another class than the order’s.",
}


class Resolution(StrEnum):
    """What the operator did about an unmatched payment."""

    REFUNDED = "REFUNDED"
    DISMISSED = "DISMISSED"


@dataclass(frozen=True, slots=True)
class UnmatchedPayment:
    """A payment as the provider told it; the amount in cents, None where it told none.

    `reference` is what the provider calls it, and `body` the whole webhook where the shop could not
    read it.
    """

    id: str
    reason: Misfit
    amount_cents: int | None = None
    currency: str = ""
    order_id: str = ""
    session_id: str = ""
    email: str = ""
    reference: str | None = None
    body: bytes | None = None
    received_at: datetime | None = None
    resolution: Resolution | None = None
    resolved_at: datetime | None = None
    resolved_by: str = ""

    @property
    def can_be_refunded(self) -> bool:
        """Whether it says how much the provider would have to give back, and of what."""
        return bool(self.session_id and self.amount_cents and self.amount_cents > 0)

    @classmethod
    def of_event(cls, provider: str, event: PaymentEvent, reason: Misfit) -> "UnmatchedPayment":
        """A payment that was read and does not fit."""
        told: tuple[str, ...] = (
            event.type,
            event.payment_session_id,
            event.order_id,
            # As hex digits, for an amount of any size.
            f"{event.amount:x}",
            event.currency,
        )
        if event.reference is not None:
            told = (*told, event.reference)
        # JSON, because it keeps apart what any joining character would not.
        digest = sha256(json.dumps([provider, *told]).encode())
        return cls(
            id=_id(digest.digest()),
            reason=reason,
            amount_cents=event.amount if abs(event.amount) <= AMOUNT_MAX else None,
            currency=_plain(event.currency),
            order_id=_plain(event.order_id),
            session_id=_plain(event.payment_session_id),
            email=_plain(event.customer_email or ""),
            reference=None if event.reference is None else _plain(event.reference),
        )

    @classmethod
    def of_body(cls, provider: str, body: bytes) -> "UnmatchedPayment":
        """A webhook that is genuine and cannot be read."""
        digest = sha256(json.dumps([provider]).encode() + body)
        return cls(id=_id(digest.digest()), reason=Misfit.UNREADABLE, body=body)


def _id(digest: bytes) -> str:
    return digest[:ID_BYTES].hex()


def _plain(text: str) -> str:
    """A text that PostgreSQL and every page can take: bounded, and without what is no character."""
    printable = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
    cut = printable[: TOLD_CHARACTERS_MAX + 1]
    return cut if len(cut) <= TOLD_CHARACTERS_MAX else cut[: TOLD_CHARACTERS_MAX - 1] + "…"


_ID: Final = re.compile(rf"[0-9a-f]{{{2 * ID_BYTES}}}")
_COLUMNS: Final = """
    id, reason, amount_cents, currency, order_id, session_id, email, body, received_at, resolution,
    resolved_at, resolved_by, reference
"""
_ADD: Final = """
    INSERT INTO unmatched_payments
        (id, reason, amount_cents, currency, order_id, session_id, email, body, reference)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (id) DO NOTHING
    RETURNING id
"""
_IS_WAITING: Final = "resolution IS NULL"
_RESOLVE: Final = f"""
    UPDATE unmatched_payments SET resolution = $2, resolved_at = now(), resolved_by = $3
    WHERE id = $1 AND {_IS_WAITING}
    RETURNING id
"""  # noqa: S608
_CLAIM: Final = f"""
    UPDATE unmatched_payments SET claimed_until = clock_timestamp() + $2 * interval '1 second'
    WHERE id = $1 AND {_IS_WAITING} AND coalesce(claimed_until < clock_timestamp(), true)
    RETURNING claimed_until
"""  # noqa: S608
_DROP_CLAIM: Final = (
    "UPDATE unmatched_payments SET claimed_until = NULL WHERE id = $1 AND claimed_until = $2"
)


class Claim(NamedTuple):
    """A payment that nobody else resolves `until` then; None for one that is resolved."""

    payment: UnmatchedPayment
    until: datetime | None


class UnmatchedPayments:
    """The stored ones; every method raises `UnavailableError` without PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, payment: UnmatchedPayment) -> bool:
        """Stores a payment durably, once; whether it is new."""
        async with self._database.connection(writes=True) as connection:
            added = await connection.fetchval(
                _ADD,
                payment.id,
                payment.reason,
                payment.amount_cents,
                payment.currency,
                payment.order_id,
                payment.session_id,
                payment.email,
                payment.body,
                payment.reference,
            )
        return added is not None

    async def waiting(self, limit: int) -> tuple[list[UnmatchedPayment], int]:
        """The oldest that nobody has resolved, and how many there are."""
        return await self._listed(_IS_WAITING, "received_at, id", limit)

    async def resolved(self, limit: int) -> tuple[list[UnmatchedPayment], int]:
        """Those that were resolved last, and how many there are."""
        return await self._listed("resolution IS NOT NULL", "resolved_at DESC, id", limit)

    async def of(self, order_id: str) -> list[UnmatchedPayment]:
        """Those that name an order, the oldest first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"SELECT {_COLUMNS} FROM unmatched_payments"  # noqa: S608
                " WHERE order_id = $1 ORDER BY received_at, id",
                order_id,
            )
        return [_read(row) for row in rows]

    async def of_many(self, order_ids: Sequence[str]) -> list[UnmatchedPayment]:
        """Those that name one of many orders."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"SELECT {_COLUMNS} FROM unmatched_payments WHERE order_id = ANY($1)",  # noqa: S608
                list(order_ids),
            )
        return [_read(row) for row in rows]

    async def claim(self, payment_id: str) -> Claim:
        """A payment for nobody else to resolve; one that is resolved comes as it is, unclaimed.

        Raises `UnknownOrderError` where there is none, and `UnavailableError` where it is
        somebody else's for now.
        """
        if not _ID.fullmatch(payment_id):
            raise _unknown()
        async with self._database.connection(writes=True) as connection:
            until = await connection.fetchval(_CLAIM, payment_id, CLAIM_SECONDS)
            payment = await _find(connection, payment_id)
        if until is None and payment.resolution is None:
            raise UnavailableError("Somebody is seeing to this payment. Please try again soon.")
        return Claim(payment, until)

    async def drop_claim(self, claim: Claim) -> None:
        """Whoever comes may resolve the payment."""
        async with self._database.connection(writes=True) as connection:
            await connection.execute(_DROP_CLAIM, claim.payment.id, claim.until)

    async def resolve(self, payment_id: str, resolution: Resolution, by: str) -> UnmatchedPayment:
        """Marks a payment that was claimed, durably, unless it is resolved; as it is then."""
        async with self._database.connection(writes=True) as connection:
            async with connection.transaction():
                if await connection.fetchval(_RESOLVE, payment_id, resolution, by):
                    what = f"Unmatched payment {str(resolution).lower()}"
                    # Without its order, whose story has the payment already.
                    await note(connection, by, what, detail=f"Payment {payment_id}")
            return await _find(connection, payment_id)

    async def _listed(
        self, condition: str, order: str, limit: int
    ) -> tuple[list[UnmatchedPayment], int]:
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"SELECT {_COLUMNS} FROM unmatched_payments"  # noqa: S608
                f" WHERE {condition} ORDER BY {order} LIMIT $1",
                limit,
            )
            total = await connection.fetchval(
                f"SELECT count(*) FROM unmatched_payments WHERE {condition}"  # noqa: S608
            )
        return [_read(row) for row in rows], total


def _unknown() -> UnknownOrderError:
    return UnknownOrderError("There is no such payment.")


async def _find(connection: asyncpg.Connection, payment_id: str) -> UnmatchedPayment:
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM unmatched_payments WHERE id = $1",  # noqa: S608
        payment_id,
    )
    if row is None:
        raise _unknown()
    return _read(row)


def _read(row: asyncpg.Record) -> UnmatchedPayment:
    reason, resolution = Misfit(row["reason"]), row["resolution"]
    payment = UnmatchedPayment(**row)
    return replace(
        payment, reason=reason, resolution=None if resolution is None else Resolution(resolution)
    )
