"""Scans at the door in PostgreSQL: which ticket, at which gate, by whom, and what became of it.

A row is written after the ledger has decided, and says what it decided: when the ticket got in is
the ledger's time, and what a device's clock says is kept beside it. A scan has one row by its id,
so it may be told again; a refusal may become an admission, where the one before it was undone, and
an admission is never changed but by its undo. What a crash leaves out here, a scan that is told
again or the reconciliation writes from the ledger. Texts that name no ticket of the shop have none.

Requests travel by the auto-batcher, many to a query: those that ask, and those that write.
"""

import asyncio
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg

from tigerfans.batching import BatchedCalls
from tigerfans.booking.ends import Ticket
from tigerfans.booking.ids import OrderId
from tigerfans.booking.moments import MICROSECONDS_DIGITS_MAX, microseconds_of, moment_at
from tigerfans.errors import InvalidRequestError
from tigerfans.offer.catalog import ClassCode
from tigerfans.stores.audit import note
from tigerfans.stores.database import Database
from tigerfans.stores.orders import COLUMNS as ORDER_COLUMNS
from tigerfans.stores.orders import Order, read_order

GATE_CHARACTERS_MAX: Final = 40
# Names of gates that the shop remembers.
GATES_MAX: Final = 200
# Requests of up to `door.door.SCANS_MAX` scans each.
BATCH_REQUESTS_MAX: Final = 16
QUEUE_REQUESTS_MAX: Final = 256
# A batch of such requests may have thousands of rows.
SECONDS_MAX: Final = 5.0
FIGURES_SECONDS_MAX: Final = 10.0
# A row is seen so long after the time that it carries, at the latest: what a device has read up to
# some moment it reads again from so far before that.
OVERLAP_SECONDS: Final = 60


class ScanResult(StrEnum):
    """What a scan that named a ticket came to."""

    ADMITTED = "admitted"
    ALREADY_INSIDE = "already_inside"
    REFUNDED = "refunded"
    NOT_PAID = "not_paid"
    HALL_FULL = "hall_full"


@dataclass(frozen=True, slots=True)
class DoorScan:
    """A scan of a ticket; `scanned_at` is by the device's clock, never later than it was received.

    Of an admission, `attempt` and `admitted_at` are the ledger's. Of a scan that came too late,
    `other_at` is since when the ticket has ended, and `other_gate` where; then `is_incident` says
    that its device, which was offline, has let it in all the same.
    """

    scan_id: bytes
    ticket: Ticket
    cls: ClassCode
    gate: int
    device: str
    who: str
    scanned_at: datetime
    offline: bool
    result: ScanResult
    attempt: int | None = None
    admitted_at: datetime | None = None
    other_gate: int | None = None
    other_at: datetime | None = None
    is_incident: bool = False
    undone_at: datetime | None = None
    undone_by: str = ""
    received_at: datetime | None = None


class Asked(NamedTuple):
    """What a request has to know first: orders by their ids, or by the codes of their tickets, and
    which ticket each scan was told of before.
    """

    order_ids: Sequence[OrderId]
    codes: Sequence[str]
    scan_ids: Sequence[bytes]


class Known(NamedTuple):
    """The answers; `codes` has the order of each code that there is."""

    orders: Mapping[OrderId, Order]
    codes: Mapping[str, Order]
    tickets: Mapping[bytes, Ticket]


class GateFigures(NamedTuple):
    """How many a gate has let in of a class, those that were undone not counted; how many were
    undone, how many scans let nobody in, and how many of these were let in offline.
    """

    gate: str
    cls: ClassCode
    admitted: int
    undone: int
    refused: int
    incidents: int
    last_at: datetime


class EndState(StrEnum):
    """What a ticket is, of which a device that is offline should know."""

    INSIDE = "inside"
    REFUNDED = "refunded"
    # Its admission was undone.
    VALID = "valid"


class EndRow(NamedTuple):
    """A ticket that ended, or whose end was undone; `gate` is empty where it was refunded."""

    ticket: Ticket
    state: EndState
    at: datetime
    gate: str
    changed_at: datetime


class EndCursor(NamedTuple):
    """The place behind one row of the list of ends."""

    changed_at: datetime
    order_id: OrderId
    ticket: int

    @classmethod
    def parse(cls, text: str) -> "EndCursor":
        """Raises `InvalidRequestError` unless `text` is what `str` gave."""
        parts = text.split("-")
        order_id = OrderId.parse(parts[1]) if len(parts) == 3 else None
        if (
            order_id is None
            or not all(part.isascii() and part.isdigit() for part in (parts[0], parts[2]))
            or len(parts[0]) > MICROSECONDS_DIGITS_MAX
            or len(parts[2]) > 2
        ):
            raise InvalidRequestError("There is no such page of tickets' ends.")
        return cls(moment_at(int(parts[0])), order_id, int(parts[2]))

    def __str__(self) -> str:
        return f"{microseconds_of(self.changed_at)}-{self.order_id.hex_digits}-{self.ticket}"


def gate_number(name: str) -> int:
    """A gate's number on the ledger: of its name, so that it is the same after every restore."""
    digest = blake2b(name.encode(), digest_size=4, person=b"gate").digest()
    return int.from_bytes(digest, "little") or 1


_NAMED_GATE: Final = "coalesce(gates.name, 'gate ' || scans.{})"
_ORDERS_BY_ID: Final = f"SELECT {ORDER_COLUMNS} FROM orders WHERE id = ANY($1::uuid[])"  # noqa: S608
_ORDERS_BY_CODE: Final = f"""
    SELECT {ORDER_COLUMNS} FROM orders
    WHERE ticket_code COLLATE "C" = ANY($1::text[]) AND ticket_code IS NOT NULL
       OR more_ticket_codes && $1::text[] AND more_ticket_codes IS NOT NULL
"""  # noqa: S608
_TOLD_BEFORE: Final = (
    "SELECT scan_id, order_id, ticket FROM door_scans WHERE scan_id = ANY($1::uuid[])"
)
_COLUMNS: Final = """
    scan_id, order_id, ticket, cls, gate, device, who, scanned_at, offline, result, attempt,
    admitted_at, other_gate, other_at, is_incident
"""
# An admission stays one, and an incident too.
_WRITE: Final = f"""
    INSERT INTO door_scans ({_COLUMNS})
    SELECT {_COLUMNS}
    FROM unnest($1::uuid[], $2::uuid[], $3::int2[], $4::text[], $5::int8[], $6::text[], $7::text[],
                $8::timestamptz[], $9::bool[], $10::text[], $11::int2[], $12::timestamptz[],
                $13::int8[], $14::timestamptz[], $15::bool[]) AS told ({_COLUMNS})
    ON CONFLICT (scan_id) DO UPDATE
    SET result = EXCLUDED.result, attempt = EXCLUDED.attempt, admitted_at = EXCLUDED.admitted_at,
        other_gate = EXCLUDED.other_gate, other_at = EXCLUDED.other_at,
        offline = door_scans.offline OR EXCLUDED.offline,
        is_incident = door_scans.is_incident OR EXCLUDED.is_incident, changed_at = now()
    WHERE door_scans.attempt IS NULL
        AND (door_scans.result <> EXCLUDED.result
             OR EXCLUDED.is_incident AND NOT door_scans.is_incident)
        AND (door_scans.order_id, door_scans.ticket) = (EXCLUDED.order_id, EXCLUDED.ticket)
"""  # noqa: S608
_NAME_GATES: Final = """
    INSERT INTO door_gates (number, name)
    SELECT told.number, told.name FROM unnest($1::int8[], $2::text[]) AS told (number, name)
    WHERE (SELECT count(*) FROM door_gates) < $3
    ON CONFLICT DO NOTHING
"""
_FIND: Final = f"""
    SELECT {_COLUMNS}, undone_at, undone_by, received_at FROM door_scans
"""  # noqa: S608
_UNDONE: Final = """
    UPDATE door_scans SET undone_at = $2, undone_by = $3, changed_at = now()
    WHERE scan_id = $1 AND undone_at IS NULL AND attempt IS NOT NULL RETURNING order_id
"""
_FIGURES: Final = f"""
    SELECT {_NAMED_GATE.format("gate")} AS gate, cls, admitted, undone, refused, incidents, last_at
    FROM (
        SELECT gate, cls,
               count(*) FILTER (WHERE attempt IS NOT NULL AND undone_at IS NULL) AS admitted,
               count(undone_at) AS undone,
               count(*) FILTER (WHERE attempt IS NULL) AS refused,
               count(*) FILTER (WHERE is_incident) AS incidents,
               max(received_at) AS last_at
        FROM door_scans GROUP BY gate, cls
    ) AS scans LEFT JOIN door_gates AS gates ON number = gate
    ORDER BY 1, 2
"""  # noqa: S608
# Each side in the order of its index, up to a page. An admission that was undone is news only
# where the ticket did not get in again.
_ENDS: Final = f"""
    WITH admitted AS (
        SELECT order_id, ticket, gate,
               CASE WHEN undone_at IS NULL THEN 'inside' ELSE 'valid' END AS state,
               coalesce(undone_at, admitted_at) AS at, changed_at
        FROM door_scans
        WHERE attempt IS NOT NULL AND (changed_at, order_id, ticket) > ($1, $2::uuid, $3)
        ORDER BY changed_at, order_id, ticket LIMIT $4
    ), refunded AS (
        SELECT order_id, ticket, NULL::bigint AS gate, 'refunded' AS state, taken_back_at AS at,
               taken_back_at AS changed_at
        FROM ticket_refunds
        WHERE taken_back_at IS NOT NULL
            AND (taken_back_at, order_id, ticket) > ($1, $2::uuid, $3)
        ORDER BY taken_back_at, order_id, ticket LIMIT $4
    ), scans AS (SELECT * FROM admitted UNION ALL SELECT * FROM refunded)
    SELECT order_id, ticket, state, at, changed_at,
           CASE WHEN gate IS NULL THEN '' ELSE {_NAMED_GATE.format("gate")} END AS gate,
           state = 'valid' AND (
               EXISTS (SELECT FROM door_scans AS later
                       WHERE later.order_id = scans.order_id AND later.ticket = scans.ticket
                           AND later.attempt IS NOT NULL AND later.undone_at IS NULL)
               OR EXISTS (SELECT FROM ticket_refunds AS later
                          WHERE later.order_id = scans.order_id AND later.ticket = scans.ticket
                              AND later.taken_back_at IS NOT NULL)
           ) AS is_over
    FROM scans LEFT JOIN door_gates AS gates ON number = gate
    ORDER BY changed_at, order_id, ticket LIMIT $4
"""  # noqa: S608
_NO_ORDER: Final = OrderId(bytes(16))


class DoorScans:
    """The stored ones; every method raises `UnavailableError` without PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Those that are known to be stored.
        self._gates: set[int] = set()
        self._asks = BatchedCalls[Asked, Known](
            "door reads",
            self._ask_many,
            batch_max=BATCH_REQUESTS_MAX,
            queue_max=QUEUE_REQUESTS_MAX,
        )
        self._writes = BatchedCalls[Sequence[DoorScan], None](
            "door writes",
            self._write_many,
            batch_max=BATCH_REQUESTS_MAX,
            queue_max=QUEUE_REQUESTS_MAX,
        )

    async def close(self) -> None:
        """Waits for what is under way; the database stays open."""
        await asyncio.gather(self._asks.close(), self._writes.close())

    def ask(self, asked: Asked) -> Awaitable[Known]:
        """What is known of tickets and scans."""
        return self._asks.call(asked)

    def write(self, scans: Sequence[DoorScan]) -> Awaitable[None]:
        """Stores what the ledger decided, durably; told again, nothing changes."""
        return self._writes.call(scans)

    async def name_gates(self, names: Iterable[str]) -> None:
        """Remembers what gates are called; past so many, a gate goes by its number."""
        new = {gate_number(name): name for name in names}
        new = {number: name for number, name in new.items() if number not in self._gates}
        if new:
            async with self._database.connection(writes=True) as connection:
                await connection.execute(_NAME_GATES, list(new), list(new.values()), GATES_MAX)
            self._gates.update(new)

    async def gates(self) -> dict[int, str]:
        """The names of gates, by their numbers."""
        async with self._database.connection() as connection:
            rows = await connection.fetch("SELECT number, name FROM door_gates ORDER BY name")
        return {row["number"]: row["name"] for row in rows}

    async def find(self, scan_id: bytes) -> DoorScan | None:
        """A scan by its id."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(f"{_FIND} WHERE scan_id = $1", _uuid(scan_id))
        return None if row is None else _read(row)

    async def of(self, order_id: OrderId) -> list[DoorScan]:
        """The scans of an order's tickets, in the order in which they came."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"{_FIND} WHERE order_id = $1 ORDER BY received_at, scan_id", order_id.hex_digits
            )
        return [_read(row) for row in rows]

    async def of_many(self, order_ids: Collection[OrderId]) -> list[DoorScan]:
        """The scans of many orders' tickets."""
        ids = [order_id.hex_digits for order_id in order_ids]
        async with self._database.connection(FIGURES_SECONDS_MAX) as connection:
            rows = await connection.fetch(f"{_FIND} WHERE order_id = ANY($1::uuid[])", ids)
        return [_read(row) for row in rows]

    async def admitted_page(
        self, after: DoorScan | None, until: datetime, limit: int
    ) -> list[DoorScan]:
        """Up to `limit` admissions until then, those that were undone included, ordered by order,
        ticket and scan, from the one behind `after` on.
        """
        order_id = after.ticket.order_id if after else _NO_ORDER
        number, scan_id = (after.ticket.number, after.scan_id) if after else (-1, bytes(16))
        async with self._database.connection(FIGURES_SECONDS_MAX) as connection:
            rows = await connection.fetch(
                f"{_FIND} WHERE (order_id, ticket, scan_id) > ($1::uuid, $2, $3::uuid)"
                " AND attempt IS NOT NULL AND admitted_at <= $4"
                " ORDER BY order_id, ticket, scan_id LIMIT $5",
                order_id.hex_digits,
                number,
                _uuid(scan_id),
                until,
                limit,
            )
        return [_read(row) for row in rows]

    async def undone(self, scan: DoorScan, at: datetime, by: str) -> None:
        """An admission was undone, at the ledger's time; who did it is written down."""
        async with (
            self._database.connection(writes=True) as connection,
            connection.transaction(),
        ):
            if await connection.fetchval(_UNDONE, _uuid(scan.scan_id), at, by) is not None:
                ticket = scan.ticket
                detail = f"ticket {ticket.number + 1}, let in at {scan.admitted_at}"
                await note(connection, by, "Admission undone", ticket.order_id, detail)

    async def figures(self) -> list[GateFigures]:
        """What each gate did, by class."""
        async with self._database.connection(FIGURES_SECONDS_MAX) as connection:
            rows = await connection.fetch(_FIGURES)
        return [GateFigures(**row) for row in rows]

    async def ends(
        self, after: EndCursor | None, limit: int
    ) -> tuple[list[EndRow], EndCursor, bool]:
        """Tickets that ended, or did so no more, from a place on: where the next page begins, and
        whether there is one now. A row may come twice.
        """
        async with self._database.connection(FIGURES_SECONDS_MAX) as connection:
            now_us: int = await connection.fetchval(
                "SELECT (extract(epoch FROM now()) * 1000000)::bigint"
            )
            start = after or EndCursor(moment_at(0), _NO_ORDER, 0)
            rows = await connection.fetch(
                _ENDS, start.changed_at, start.order_id.hex_digits, start.ticket, limit
            )
        are_more = len(rows) == limit
        if are_more:
            last = rows[-1]
            cursor = EndCursor(
                last["changed_at"], OrderId.of_uuid(last["order_id"]), last["ticket"]
            )
        else:
            before = moment_at(now_us - OVERLAP_SECONDS * 1_000_000)
            cursor = EndCursor(max(before, start.changed_at), _NO_ORDER, 0)
        ends = [
            EndRow(
                Ticket(OrderId.of_uuid(row["order_id"]), row["ticket"]),
                EndState(row["state"]),
                row["at"],
                row["gate"],
                row["changed_at"],
            )
            for row in rows
            if not row["is_over"]
        ]
        return ends, cursor, are_more

    async def _ask_many(self, asked: list[Asked]) -> Sequence[Known]:
        order_ids = {order_id.hex_digits for each in asked for order_id in each.order_ids}
        codes = {code for each in asked for code in each.codes}
        scan_ids = {_uuid(scan_id) for each in asked for scan_id in each.scan_ids}
        async with self._database.connection(SECONDS_MAX) as connection:
            by_id = await connection.fetch(_ORDERS_BY_ID, order_ids) if order_ids else []
            by_code = await connection.fetch(_ORDERS_BY_CODE, codes) if codes else []
            told = await connection.fetch(_TOLD_BEFORE, scan_ids) if scan_ids else []
        known = Known(
            {order.id: order for order in map(read_order, by_id)},
            {code: order for order in map(read_order, by_code) for code in order.ticket_codes},
            {
                row["scan_id"].bytes: Ticket(OrderId.of_uuid(row["order_id"]), row["ticket"])
                for row in told
            },
        )
        return [known] * len(asked)

    async def _write_many(self, requests: list[Sequence[DoorScan]]) -> Sequence[None]:
        # One row for each scan, the last one that lets it in; and always in the same order, so that
        # two workers' batches cannot wait for each other.
        wanted: dict[bytes, DoorScan] = {}
        for scan in (scan for request in requests for scan in request):
            before = wanted.get(scan.scan_id)
            if before is None or before.attempt is None:
                wanted[scan.scan_id] = scan
        rows = [wanted[scan_id] for scan_id in sorted(wanted)]
        if rows:
            async with self._database.connection(SECONDS_MAX, writes=True) as connection:
                await connection.execute(_WRITE, *_columns(rows))
        return [None] * len(requests)


def _columns(scans: Sequence[DoorScan]) -> list[list[Any]]:
    rows = [
        (
            _uuid(scan.scan_id),
            scan.ticket.order_id.hex_digits,
            scan.ticket.number,
            scan.cls,
            scan.gate,
            scan.device,
            scan.who,
            scan.scanned_at,
            scan.offline,
            scan.result,
            scan.attempt,
            scan.admitted_at,
            scan.other_gate,
            scan.other_at,
            scan.is_incident,
        )
        for scan in scans
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def _read(row: asyncpg.Record) -> DoorScan:
    fields = dict(row)
    ticket = Ticket(OrderId.of_uuid(fields.pop("order_id")), fields.pop("ticket"))
    fields["scan_id"] = fields["scan_id"].bytes
    fields["result"] = ScanResult(fields["result"])
    return DoorScan(ticket=ticket, **fields)


def _uuid(scan_id: bytes) -> UUID:
    return UUID(bytes=scan_id)
