"""What the box office reads of the door: who came in by the minute, incidents, devices, admissions
that were undone, and all scans as rows of a file.

All of it is as the scans are stored; how many are inside is the ledger's to say (`door.door`). Each
list ends at a limit that its caller names, and is read along an index of `schema`.
"""

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from tigerfans.booking.ids import OrderId
from tigerfans.errors import UnknownScanError
from tigerfans.office.order_search import PAGE_SECONDS_MAX, OrderSearch
from tigerfans.stores.audit import note
from tigerfans.stores.database import Database
from tigerfans.stores.door_scans import ScanResult

MINUTES: Final = 120
# Devices are told apart by whatever they call themselves.
DEVICES_READ_MAX: Final = 1_000

COLUMNS: Final = (
    "received_at",
    "scan_id",
    "order_id",
    "ticket",
    "cls",
    "gate",
    "device",
    "who",
    "scanned_at",
    "offline",
    "result",
    "admitted_at",
    "other_gate",
    "other_at",
    "incident",
    "seen_at",
    "seen_by",
    "undone_at",
    "undone_by",
)

_NAME_OF: Final = "coalesce((SELECT name FROM door_gates WHERE number = {0}), 'gate ' || {0})"
_LAST: Final = """
    SELECT now() AS now,
           (SELECT max(admitted_at) FROM door_scans WHERE attempt IS NOT NULL) AS last_at
"""
_MINUTES: Final = f"""
    SELECT {_NAME_OF.format("gate")} AS gate, minute, admitted
    FROM (
        SELECT gate, date_bin('1 minute', admitted_at, $1) AS minute, count(*) AS admitted
        FROM door_scans
        WHERE attempt IS NOT NULL AND undone_at IS NULL AND admitted_at >= $1
        GROUP BY 1, 2
    ) AS minutes
"""  # noqa: S608
# The scan that came first was perhaps told late, so both have the time that their device says.
_INCIDENTS: Final = f"""
    SELECT scans.scan_id, scans.order_id, scans.ticket, scans.cls, scans.result,
           {_NAME_OF.format("scans.gate")} AS gate, scans.device, scans.who, scans.scanned_at,
           scans.received_at, scans.other_at, scans.seen_at, scans.seen_by,
           {_NAME_OF.format("scans.other_gate")} AS other_gate, first.device AS other_device,
           first.who AS other_who, first.scanned_at AS other_scanned_at,
           first.offline AS other_offline, email
    FROM door_scans AS scans
        LEFT JOIN orders ON orders.id = scans.order_id
        LEFT JOIN door_scans AS first ON first.order_id = scans.order_id
            AND first.ticket = scans.ticket AND first.admitted_at = scans.other_at
"""  # noqa: S608
_UNSEEN: Final = "scans.is_incident AND scans.seen_at IS NULL"
_SEEN: Final = "scans.is_incident AND scans.seen_at IS NOT NULL"
_SEE: Final = """
    UPDATE door_scans SET seen_at = now(), seen_by = $2
    WHERE scan_id = $1 AND is_incident AND seen_at IS NULL RETURNING order_id, ticket
"""
# From one device to the next along the index, whatever number of scans each has. Of a scan that was
# written again from the ledger, nobody knows the device.
_DEVICES: Final = f"""
    WITH RECURSIVE devices AS (
        (SELECT device, gate, who, result, received_at, 1 AS number FROM door_scans
         WHERE device > ''
         ORDER BY device DESC, received_at DESC LIMIT 1)
        UNION ALL
        SELECT next.device, next.gate, next.who, next.result, next.received_at, number + 1
        FROM devices, LATERAL (
            SELECT device, gate, who, result, received_at FROM door_scans
            WHERE device < devices.device AND device > ''
            ORDER BY device DESC, received_at DESC LIMIT 1
        ) AS next
        WHERE number < {DEVICES_READ_MAX}
    )
    SELECT device, {_NAME_OF.format("gate")} AS gate, who, result, received_at
    FROM devices ORDER BY received_at DESC LIMIT $1
"""  # noqa: S608
_UNDONE: Final = f"""
    SELECT scan_id, order_id, ticket, cls, {_NAME_OF.format("gate")} AS gate, device, admitted_at,
           undone_at, undone_by
    FROM door_scans WHERE undone_at IS NOT NULL ORDER BY undone_at DESC LIMIT $1
"""  # noqa: S608
_INSIDE: Final = """
    SELECT order_id, count(*) AS inside FROM door_scans
    WHERE order_id = ANY($1::uuid[]) AND attempt IS NOT NULL AND undone_at IS NULL
    GROUP BY order_id
"""
_EXPORT: Final = f"""
    SELECT received_at, scan_id, order_id, ticket, cls,
           coalesce(gates.name, 'gate ' || gate) AS gate, device, who, scanned_at, offline, result,
           admitted_at, {_NAME_OF.format("other_gate")} AS other_gate, other_at, is_incident,
           seen_at, seen_by, undone_at, undone_by
    FROM door_scans LEFT JOIN door_gates AS gates ON number = gate
    ORDER BY received_at, scan_id
"""  # noqa: S608


class Minutes(NamedTuple):
    """How many each gate let in, by its name, in each of the `MINUTES` from `first` on; those that
    were let out again are not counted.
    """

    first: datetime
    gates: Mapping[str, Sequence[int]]


class OtherScan(NamedTuple):
    """The scan that let a ticket in first; `at` is by its device's clock."""

    gate: str
    device: str
    who: str
    at: datetime
    offline: bool


@dataclass(frozen=True, slots=True)
class Incident:
    """A ticket that a device let in by itself, and that the ledger kept out.

    `scanned_at` is by the device's clock, `since` by the ledger: when the ticket was let in by the
    `other` scan, or refunded. `email` is empty where the order's is not known.
    """

    scan_id: UUID
    order_id: OrderId
    ticket: int
    cls: str
    email: str
    result: ScanResult
    gate: str
    device: str
    who: str
    scanned_at: datetime
    received_at: datetime
    since: datetime | None
    other: OtherScan | None
    seen_at: datetime | None
    seen_by: str


class Device(NamedTuple):
    """A device, where its last scan was, who was logged in there, and what it came to."""

    device: str
    gate: str
    who: str
    result: ScanResult
    last_at: datetime


class Undone(NamedTuple):
    """An admission that was taken back."""

    scan_id: UUID
    order_id: OrderId
    ticket: int
    cls: str
    gate: str
    device: str
    admitted_at: datetime
    undone_at: datetime
    undone_by: str


class DoorLog:
    """Reads the door's scans; every method raises `UnavailableError` without PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rows = OrderSearch(database)

    async def minutes(self) -> Minutes:
        """The last `MINUTES`, or those up to the last admission where it was before them."""
        async with self._database.connection(PAGE_SECONDS_MAX) as connection:
            now, last_at = await connection.fetchrow(_LAST)
            span = timedelta(minutes=MINUTES)
            end = now if last_at is None or last_at > now - span else last_at
            first = end.replace(second=0, microsecond=0) - timedelta(minutes=MINUTES - 1)
            rows = await connection.fetch(_MINUTES, first)
        gates: dict[str, list[int]] = {}
        for row in rows:
            # The ledger's clock may be a little ahead of ours.
            minute = min((row["minute"] - first) // timedelta(minutes=1), MINUTES - 1)
            gates.setdefault(row["gate"], [0] * MINUTES)[minute] += row["admitted"]
        return Minutes(first, gates)

    async def incidents(self, limit: int, *, seen: bool = False) -> tuple[list[Incident], int]:
        """The oldest that nobody has seen to yet, or the latest that were; and how many."""
        condition, order = (_SEEN, "scans.seen_at DESC") if seen else (_UNSEEN, "scans.received_at")
        listed = f"{_INCIDENTS} WHERE {condition} ORDER BY {order}, scans.scan_id LIMIT $1"
        counted = f"SELECT count(*) FROM door_scans AS scans WHERE {condition}"  # noqa: S608
        async with self._database.connection(PAGE_SECONDS_MAX) as connection:
            rows = await connection.fetch(listed, limit)
            total = len(rows) if len(rows) < limit else await connection.fetchval(counted)
        return [_incident(row) for row in rows], total

    async def see(self, scan_id: UUID, by: str) -> None:
        """Somebody has seen to an incident, which the first time is written down in the audit.

        Raises `UnknownScanError` where there is no such incident.
        """
        async with (
            self._database.connection(writes=True) as connection,
            connection.transaction(),
        ):
            row = await connection.fetchrow(_SEE, scan_id, by)
            if row is not None:
                detail = f"ticket {row['ticket'] + 1}"
                await note(
                    connection, by, "Incident seen to", OrderId.of_uuid(row["order_id"]), detail
                )
                return
            known = "SELECT FROM door_scans WHERE scan_id = $1 AND is_incident"
            if await connection.fetchrow(known, scan_id) is None:
                raise UnknownScanError

    async def devices(self, limit: int) -> list[Device]:
        """Those that scanned last, the latest first."""
        async with self._database.connection(PAGE_SECONDS_MAX) as connection:
            rows = await connection.fetch(_DEVICES, limit)
        return [
            Device(
                row["device"],
                row["gate"],
                row["who"],
                ScanResult(row["result"]),
                row["received_at"],
            )
            for row in rows
        ]

    async def undone(self, limit: int) -> list[Undone]:
        """The admissions that were taken back last."""
        async with self._database.connection(PAGE_SECONDS_MAX) as connection:
            rows = await connection.fetch(_UNDONE, limit)
        return [Undone(**{**row, "order_id": OrderId.of_uuid(row["order_id"])}) for row in rows]

    async def inside(self, order_ids: Collection[OrderId]) -> dict[OrderId, int]:
        """How many tickets of each order are inside; an order of which none is, is left out."""
        if not order_ids:
            return {}
        ids = [order_id.hex_digits for order_id in order_ids]
        async with self._database.connection(PAGE_SECONDS_MAX) as connection:
            rows = await connection.fetch(_INSIDE, ids)
        return {OrderId.of_uuid(row["order_id"]): row["inside"] for row in rows}

    async def export(self) -> AsyncGenerator[list[tuple[str, ...]], None]:
        """All scans under `COLUMNS`, in the order in which they came, as `OrderSearch.rows`."""
        async with aclosing(self._rows.rows(_EXPORT, [])) as batches:
            async for rows in batches:
                yield [_cells(row) for row in rows]


def _incident(row: asyncpg.Record) -> Incident:
    has_other = row["other_scanned_at"] is not None
    return Incident(
        scan_id=row["scan_id"],
        order_id=OrderId.of_uuid(row["order_id"]),
        ticket=row["ticket"],
        cls=row["cls"],
        email=row["email"] or "",
        result=ScanResult(row["result"]),
        gate=row["gate"],
        device=row["device"],
        who=row["who"],
        scanned_at=row["scanned_at"],
        received_at=row["received_at"],
        since=row["other_at"],
        other=OtherScan(
            row["other_gate"],
            row["other_device"],
            row["other_who"],
            row["other_scanned_at"],
            row["other_offline"],
        )
        if has_other
        else None,
        seen_at=row["seen_at"],
        seen_by=row["seen_by"],
    )


def _cells(row: asyncpg.Record) -> tuple[str, ...]:
    """Times in ISO 8601; the first ticket of an order is 1."""
    return (
        _iso(row["received_at"]),
        str(row["scan_id"]),
        row["order_id"].hex,
        str(row["ticket"] + 1),
        row["cls"],
        row["gate"],
        row["device"],
        row["who"],
        _iso(row["scanned_at"]),
        _yes(row["offline"]),
        row["result"],
        _iso(row["admitted_at"]),
        row["other_gate"] or "",
        _iso(row["other_at"]),
        _yes(row["is_incident"]),
        _iso(row["seen_at"]),
        row["seen_by"],
        _iso(row["undone_at"]),
        row["undone_by"],
    )


def _iso(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""


def _yes(value: bool) -> str:
    return "yes" if value else "no"
