"""Orders in PostgreSQL: every outcome of a payment, durable before it is confirmed.

An order has one row, keyed by its id. Recording it again changes nothing, with two exceptions. A
payment that succeeds after it failed or was canceled turns the row into a paid one, as `COMES_TO`
says; and an order that was restored from the ledger, which knows no email and no reference, gets
those that its event brings later. Rows travel by the auto-batcher, many to an INSERT.
"""

from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any, Final, NamedTuple

import asyncpg
import msgspec
from msgspec.structs import replace

from tigerfans.batching import BatchedCalls
from tigerfans.booking.email_address import folded
from tigerfans.booking.ids import ORDER_ID_HEX_DIGITS, OrderId
from tigerfans.errors import UnavailableError
from tigerfans.offer.catalog import ClassCode
from tigerfans.stores.audit import note
from tigerfans.stores.database import Database
from tigerfans.stores.mails import TRY_AGAIN, MailKind, queueing

BATCH_MAX: Final = 500
# As many as wait for the ledger at most (`ipc.client`): what is too much is refused at once.
QUEUE_MAX: Final = 2_048
# A page for the reconciliation may have to pass over many orders that were not paid.
PAGE_SECONDS_MAX: Final = 30.0


class OrderStatus(StrEnum):
    """Pending and expired are read off a hold; the others are stored."""

    PENDING = "PENDING"
    EXPIRED = "EXPIRED"
    PAID = "PAID"
    # Paid, but nothing was left to sell: a refund is due.
    PAID_UNFULFILLED = "PAID_UNFULFILLED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    # Paid, and all of its tickets were given back for their money.
    REFUNDED = "REFUNDED"


_CHARGED: Final = frozenset({OrderStatus.PAID, OrderStatus.PAID_UNFULFILLED})
CHARGED: Final = _CHARGED | {OrderStatus.REFUNDED}
SOLD: Final = frozenset({OrderStatus.PAID, OrderStatus.REFUNDED})
_UNCHARGED: Final = frozenset({OrderStatus.FAILED, OrderStatus.CANCELED})

# What each state may still come to. A provider may tell of a first try that was declined, and then
# of one that was not; and what is paid stays so until it is refunded. The store, the streams and
# the pages go by this table, and by no other.
COMES_TO: Final[Mapping[OrderStatus, frozenset[OrderStatus]]] = {
    OrderStatus.PENDING: _CHARGED | _UNCHARGED | {OrderStatus.EXPIRED},
    OrderStatus.EXPIRED: _CHARGED | _UNCHARGED,
    OrderStatus.FAILED: _CHARGED,
    OrderStatus.CANCELED: _CHARGED,
    OrderStatus.PAID: frozenset({OrderStatus.REFUNDED}),
    OrderStatus.PAID_UNFULFILLED: frozenset(),
    OrderStatus.REFUNDED: frozenset(),
}
# A payment may still change it: then its buyer waits.
MAY_CHANGE: Final = tuple(status for status, later in COMES_TO.items() if later & _CHARGED)
# Each change there is, as SQL compares it.
_CHANGES: Final = ", ".join(
    f"('{before}', '{after}')" for before, later in COMES_TO.items() for after in sorted(later)
)

# In SQL, of all that was paid, whatever became of it since.
_EACH_CHARGED: Final = ", ".join(f"'{status}'" for status in sorted(CHARGED))
IS_CHARGED: Final = f"status IN ({_EACH_CHARGED})"

# What the mail to the buyer of an order tells of; of one that is not charged there is none.
_MAIL_OF: Final = {
    OrderStatus.PAID: MailKind.TICKETS,
    OrderStatus.PAID_UNFULFILLED: MailKind.REFUND_DUE,
}
_MAIL_KIND: Final = " ".join(f"WHEN '{status}' THEN '{kind}'" for status, kind in _MAIL_OF.items())
_IS_TOLD: Final = ", ".join(f"'{status}'" for status in _MAIL_OF)
QUEUE_MAILS: Final = queueing(
    "{} WHERE status IN (" + _IS_TOLD + ")", f"CASE status {_MAIL_KIND} END"
)
# What is told of an order, but for the codes of its tickets behind the first: arrays of arrays have
# no rows of different lengths, so those come as one text.
_TOLD: Final = """
    id, status, cls, amount_cents, currency, email, created_at, paid_at, ticket_code, got_goodie,
    email_folded, qty, payment_reference
"""
_CODES_BETWEEN: Final = " "
# What became of an order, and the mail that tells its buyer of it: one is stored with the other.
_RECORD: Final = f"""
    WITH recorded AS (
        INSERT INTO orders ({_TOLD}, more_ticket_codes)
        SELECT {_TOLD}, string_to_array(more_codes, '{_CODES_BETWEEN}')
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int[], $5::text[], $6::text[],
                    $7::timestamptz[], $8::timestamptz[], $9::text[], $10::bool[], $11::text[],
                    $12::int2[], $13::text[], $14::text[]) AS told ({_TOLD}, more_codes)
        ON CONFLICT (id) DO UPDATE
        SET status = EXCLUDED.status, paid_at = EXCLUDED.paid_at,
            ticket_code = EXCLUDED.ticket_code, more_ticket_codes = EXCLUDED.more_ticket_codes,
            qty = EXCLUDED.qty,
            got_goodie = EXCLUDED.got_goodie, payment_reference = EXCLUDED.payment_reference,
            recorded_at = now(),
            email = CASE orders.email WHEN '' THEN EXCLUDED.email ELSE orders.email END,
            email_folded = CASE orders.email WHEN '' THEN EXCLUDED.email_folded
                                             ELSE orders.email_folded END,
            earlier_status = orders.status, earlier_at = orders.recorded_at
        WHERE (orders.status, EXCLUDED.status) IN ({_CHANGES})
        RETURNING id, email, status, earlier_status
    ), queued AS ({QUEUE_MAILS.format("recorded")}), counted AS (
        SELECT count(*) FILTER (WHERE earlier_status IS NULL) = cardinality($1) AS are_all_new,
            coalesce(array_agg(id), '{{}}') AS ids, coalesce(array_agg(email), '{{}}') AS emails
        FROM recorded
    )
    SELECT CASE WHEN NOT are_all_new THEN ids END, CASE WHEN NOT are_all_new THEN emails END
    FROM counted
"""  # noqa: S608

# What a worker of before has recorded, which queues no mails. Before there were any, nobody waits
# for one.
_MISSING: Final = """(
    SELECT id, status FROM orders
    WHERE recorded_at >= greatest($1, (SELECT mails_since FROM shop))
        AND NOT EXISTS (SELECT FROM mails WHERE order_id = orders.id)
) AS missing"""

COLUMNS: Final = """
    id, status, cls, amount_cents, currency, email, created_at, paid_at, ticket_code, got_goodie,
    refunded_at, qty, more_ticket_codes, tickets_refunded_at, payment_reference
"""
_FIND: Final = f"SELECT {COLUMNS} FROM orders WHERE id = ANY($1::uuid[])"  # noqa: S608
_PAID_PAGE: Final = f"""
    SELECT {COLUMNS} FROM orders WHERE id > $1 AND status IN ('PAID', 'REFUNDED') AND paid_at <= $2
    ORDER BY id LIMIT $3
"""  # noqa: S608
# Of what costs nothing nothing is charged. In the order of the index `orders_listed`.
_CHARGED_PAGE: Final = f"""
    SELECT {COLUMNS}, recorded_at FROM orders
    WHERE (recorded_at, id) > ($1, $2::uuid) AND recorded_at <= $3
        AND {IS_CHARGED} AND amount_cents > 0
    ORDER BY recorded_at, id LIMIT $4
"""  # noqa: S608
# An email address as `folded` gives it: outside ASCII, the column has what was folded here.
FOLDED_EMAIL: Final = """coalesce(email_folded, lower(email COLLATE "C"))"""
_REFUND_IS_DUE: Final = "status = 'PAID_UNFULFILLED' AND refunded_at IS NULL"
_REFUNDS_DUE: Final = f"""
    SELECT {COLUMNS} FROM orders WHERE {_REFUND_IS_DUE} ORDER BY recorded_at LIMIT $1
"""  # noqa: S608
_ADD_EMAIL: Final = f"""
    WITH named AS (
        UPDATE orders SET email = $2, email_folded = $3 WHERE id = $1 AND email = '' RETURNING id
    )
    {TRY_AGAIN} AND order_id IN (SELECT id FROM named)
"""  # noqa: S608
_ADD_REFERENCE: Final = """
    UPDATE orders SET payment_reference = $2 WHERE id = $1 AND payment_reference IS NULL
"""
_LOCK_EMAIL: Final = "SELECT email FROM orders WHERE id = $1 FOR UPDATE"
_CORRECT_EMAIL: Final = "UPDATE orders SET email = $2, email_folded = $3 WHERE id = $1"
_MARK_REFUNDED: Final = f"""
    WITH refunded AS (
        UPDATE orders SET refunded_at = now() WHERE id = $1 AND {_REFUND_IS_DUE} RETURNING id
    ), queued AS ({queueing("refunded", f"'{MailKind.REFUNDED}'")})
    SELECT id FROM refunded
"""  # noqa: S608


class Order(msgspec.Struct, frozen=True):
    """One order of `qty` tickets of one class; `amount_cents` is what all of them cost, in the
    smallest unit of `currency`, cents say, and `paid_at` is the ledger's time of the sale.

    A paid order has a code for each ticket: `ticket_code` is the first one's. A ticket that was
    refunded is none since it came back into the stock, by the ledger's time; `refunded_at` is when
    all of the money was given back. `tickets_refunded_at` is empty until there is one.
    `payment_reference` is what the provider calls the payment, where it told.
    """

    id: OrderId
    status: OrderStatus
    cls: ClassCode
    amount_cents: int
    email: str
    created_at: datetime
    currency: str
    paid_at: datetime | None = None
    ticket_code: str | None = None
    got_goodie: bool = False
    refunded_at: datetime | None = None
    qty: int = 1
    more_ticket_codes: tuple[str, ...] = ()
    tickets_refunded_at: tuple[datetime | None, ...] = ()
    payment_reference: str | None = None

    @property
    def price_cents(self) -> int:
        """Of one ticket, as it was agreed on."""
        return self.amount_cents // self.qty

    @property
    def ticket_codes(self) -> tuple[str, ...]:
        """Of all its tickets, by their number; empty until there are tickets."""
        return () if self.ticket_code is None else (self.ticket_code, *self.more_ticket_codes)

    @property
    def is_sold(self) -> bool:
        """Whether it got its tickets, whatever became of them since."""
        return self.status in SOLD

    @property
    def is_charged(self) -> bool:
        """Whether it was paid, whatever became of it since."""
        return self.status in CHARGED

    def ticket_refunded_at(self, ticket: int) -> datetime | None:
        """Since when a ticket is none; the first one is 0."""
        return self.tickets_refunded_at[ticket] if self.tickets_refunded_at else None

    @property
    def tickets_valid(self) -> list[int]:
        """The numbers of its tickets, without those that were refunded."""
        numbers = range(len(self.ticket_codes))
        return [number for number in numbers if self.ticket_refunded_at(number) is None]

    @property
    def may_change(self) -> bool:
        return self.status in MAY_CHANGE


class Recorded(NamedTuple):
    """What is stored now, and whether this very call stored it."""

    order: Order
    is_new: bool


class ChargedPlace(NamedTuple):
    """Where an order stands among those that were paid for; behind no id there are all."""

    recorded_at: datetime
    id: str = "0" * ORDER_ID_HEX_DIGITS


class Orders:
    """The order store; every method raises `UnavailableError` where PostgreSQL gives no answer."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._recording = database.hold_connection(writes=True)
        self._finding = database.hold_connection()
        self._records = BatchedCalls[Order, Recorded](
            "order writes", self._record_many, batch_max=BATCH_MAX, queue_max=QUEUE_MAX
        )
        self._finds = BatchedCalls[OrderId, Order | None](
            "order reads", self._find_waiting, batch_max=BATCH_MAX, queue_max=QUEUE_MAX
        )

    async def close(self) -> None:
        """Waits for what is under way; the database stays open."""
        await self._records.close()
        await self._finds.close()
        self._recording.close()
        self._finding.close()

    async def warm_up(self) -> None:
        """Connects, and has the statements of a purchase prepared, by asking for none."""
        await self._finding.fetch(_FIND, [])
        await self._recording.fetch(_RECORD, *_columns([]))

    def record(self, order: Order) -> Awaitable[Recorded]:
        """Stores an outcome durably, once."""
        return self._records.call(order)

    def find(self, order_id: OrderId) -> Awaitable[Order | None]:
        return self._finds.call(order_id)

    async def refunds_due(self, limit: int) -> tuple[list[Order], int]:
        """The oldest orders that were paid and cannot be fulfilled, and how many there are."""
        async with self.database.connection() as connection:
            rows = await connection.fetch(_REFUNDS_DUE, limit)
            total = await connection.fetchval(f"SELECT count(*) FROM orders WHERE {_REFUND_IS_DUE}")  # noqa: S608
        return [read_order(row) for row in rows], total

    async def mark_refunded(self, order_id: OrderId, by: str) -> bool:
        """The money went back; whether it was due until now, for otherwise nothing happens."""
        async with self.database.connection(writes=True) as connection, connection.transaction():
            marked = await connection.fetchval(_MARK_REFUNDED, order_id.hex_digits)
            if marked is not None:
                await note(connection, by, "Refund", order_id)
        return marked is not None

    async def find_many(self, order_ids: Sequence[OrderId]) -> Sequence[Order | None]:
        """Many orders at once, in the order asked."""
        async with self.database.connection() as connection:
            return _in_order(order_ids, await connection.fetch(_FIND, _hex_digits(order_ids)))

    async def paid_page(
        self, after: OrderId | None, until: datetime, limit: int
    ) -> Sequence[Order]:
        """Up to `limit` orders that got their tickets until then, those that were refunded since
        included, ordered by id, from the one behind `after` on.
        """
        start = after.hex_digits if after else "0" * ORDER_ID_HEX_DIGITS
        async with self.database.connection(PAGE_SECONDS_MAX) as connection:
            rows = await connection.fetch(_PAID_PAGE, start, until, limit)
        return [read_order(row) for row in rows]

    async def charged_page(
        self, after: "ChargedPlace", until: datetime, limit: int
    ) -> tuple[Sequence[Order], "ChargedPlace"]:
        """Up to `limit` orders that were paid for, whatever became of them since, and recorded
        until then, in that order, from the one behind `after` on; and which is the last of them.
        """
        async with self.database.connection(PAGE_SECONDS_MAX) as connection:
            rows = await connection.fetch(_CHARGED_PAGE, *after, until, limit)
        if rows:
            after = ChargedPlace(rows[-1]["recorded_at"], rows[-1]["id"].hex)
        return [read_order(row) for row in rows], after

    async def charged_since(self, since: datetime) -> int:
        """How many orders that were paid for were recorded since then."""
        async with self.database.connection(PAGE_SECONDS_MAX) as connection:
            count: int = await connection.fetchval(
                f"SELECT count(*) FROM orders WHERE recorded_at >= $1 AND {IS_CHARGED}",  # noqa: S608
                since,
            )
        return count

    async def correct_email(self, order_id: OrderId, email: str, by: str) -> Order | None:
        """Gives an order another email; the order then, None where there is none. Who did it is
        written down, and mails that did not arrive are sent to the new one.
        """
        id_ = order_id.hex_digits
        async with (
            self.database.connection(writes=True) as connection,
            connection.transaction(),
        ):
            before = await connection.fetchval(_LOCK_EMAIL, id_)
            if before is not None and before != email:
                await connection.execute(_CORRECT_EMAIL, id_, email, _email_folded(email))
                await connection.execute(f"{TRY_AGAIN} AND order_id = $1", id_)
                detail = f"from {before or 'none'} to {email}"
                await note(connection, by, "Email corrected", order_id, detail)
            [order] = _in_order([order_id], await connection.fetch(_FIND, [id_]))
        return order

    async def queue_missing_mails(self, since: datetime) -> datetime:
        """Queues the mails of orders that a worker of before has recorded since then, by its own
        clock; what time it is now, by that.
        """
        async with self.database.connection(PAGE_SECONDS_MAX, writes=True) as connection:
            now: datetime = await connection.fetchval("SELECT now()")
            await connection.execute(QUEUE_MAILS.format(_MISSING), since)
        return now

    async def ping(self) -> None:
        await self.database.ping()

    async def _find_waiting(self, order_ids: list[OrderId]) -> Sequence[Order | None]:
        return _in_order(order_ids, await self._finding.fetch(_FIND, _hex_digits(order_ids)))

    async def _record_many(self, orders: list[Order]) -> Sequence[Recorded]:
        # One row for each order even where a batch holds two outcomes of it, and always in the
        # same order, so that two workers' batches cannot wait for each other.
        wanted: dict[OrderId, Order] = {}
        for order in orders:
            first = wanted.setdefault(order.id, order)
            if order.status in COMES_TO[first.status]:
                wanted[order.id] = order
        rows = sorted(wanted.values(), key=attrgetter("id"))
        [(ids, emails)] = await self._recording.fetch(_RECORD, *_columns(rows))
        if ids is None:
            # All of them are new, as nearly always, and stored as they were told.
            return [Recorded(wanted[order.id], wanted[order.id] is order) for order in orders]
        written = dict(zip(map(OrderId.of_uuid, ids), emails, strict=True))
        stored = {id_: _with_email(wanted[id_], email) for id_, email in written.items()}
        before = [order_id for order_id in wanted if order_id not in written]
        if before:
            rows_before = await self._recording.fetch(_FIND, _hex_digits(before))
            for order_id, found in zip(before, _in_order(before, rows_before), strict=True):
                if found is None:
                    raise UnavailableError(f"Order {order_id.hex_digits} vanished while recorded.")
                email = wanted[order_id].email
                if email and not found.email:
                    await self._recording.fetch(
                        _ADD_EMAIL, order_id.hex_digits, email, _email_folded(email)
                    )
                    found = _with_email(found, email)
                reference = wanted[order_id].payment_reference
                if reference and not found.payment_reference:
                    await self._recording.fetch(_ADD_REFERENCE, order_id.hex_digits, reference)
                    found = replace(found, payment_reference=reference)
                stored[order_id] = found
        return [
            Recorded(stored[order.id], order.id in written and wanted[order.id] is order)
            for order in orders
        ]


def _with_email(order: Order, email: str) -> Order:
    return order if order.email == email else replace(order, email=email)


def _hex_digits(order_ids: Sequence[OrderId]) -> list[str]:
    return [order_id.hex_digits for order_id in order_ids]


def _in_order(order_ids: Sequence[OrderId], rows: Sequence[asyncpg.Record]) -> list[Order | None]:
    """The orders of the rows, in the order asked; None for those that are not there."""
    found = {order.id: order for order in map(read_order, rows)}
    return [found.get(order_id) for order_id in order_ids]


def read_order(row: asyncpg.Record) -> Order:
    """The order in a row that has `COLUMNS`."""
    return Order(
        id=OrderId.of_uuid(row["id"]),
        status=OrderStatus(row["status"]),
        cls=row["cls"],
        amount_cents=row["amount_cents"],
        currency=row["currency"],
        email=row["email"],
        created_at=row["created_at"],
        paid_at=row["paid_at"],
        ticket_code=row["ticket_code"],
        got_goodie=row["got_goodie"],
        refunded_at=row["refunded_at"],
        qty=row["qty"],
        more_ticket_codes=tuple(row["more_ticket_codes"] or ()),
        tickets_refunded_at=tuple(row["tickets_refunded_at"] or ()),
        payment_reference=row["payment_reference"],
    )


def _columns(orders: list[Order]) -> tuple[list[Any] | None, ...]:
    """The parameters of `_RECORD`: one list for each column."""
    return (
        [o.id.hex_digits for o in orders],
        [o.status for o in orders],
        [o.cls for o in orders],
        [o.amount_cents for o in orders],
        [o.currency for o in orders],
        [o.email for o in orders],
        [o.created_at for o in orders],
        [o.paid_at for o in orders],
        [o.ticket_code for o in orders],
        [o.got_goodie for o in orders],
        _unless_empty([_email_folded(o.email) for o in orders]),
        [o.qty for o in orders],
        _unless_empty([o.payment_reference for o in orders]),
        # Without any, the column is NULL, and its index has nothing of the order.
        _unless_empty([_CODES_BETWEEN.join(o.more_ticket_codes) or None for o in orders]),
    )


def _unless_empty(column: list[str | None]) -> list[str | None] | None:
    # A list that is not there is as many NULLs, and costs nothing; each value of one costs asyncpg
    # two looks at whether it is a list itself.
    return column if any(column) else None


def _email_folded(email: str) -> str | None:
    """What the column `email_folded` has: only what PostgreSQL cannot fold as we do."""
    return None if email.isascii() else folded(email)
