"""Whether the ledger and the stored scans say the same of who got in: what `reconcile` compares at
the door. What one side has lost, a repair tells it from the other; nothing is decided anew.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from tigerfans.booking.ends import End, Scan, Ticket, is_undo, ticket_number
from tigerfans.booking.ids import FIRST_END, FIRST_UNDO, OrderId
from tigerfans.booking.moments import microseconds_of, moment_at
from tigerfans.booking.outcomes import AdmissionOutcome, decode_admissions, decode_undo
from tigerfans.ledger.wire import Operation, Transfer, u128
from tigerfans.shop.ends import find_ends
from tigerfans.shop.shop import Shop
from tigerfans.stores.door_scans import DoorScan, DoorScans, ScanResult
from tigerfans.stores.orders import Order
from tigerfans.stores.ticket_refunds import ticket_words

# Who wrote a scan that the ledger alone knew of.
RESTORED_BY: Final = "reconcile"


class Admission(NamedTuple):
    """A transfer into `inside`, or back, as an account's transfers tell it."""

    ticket: Ticket
    attempt: int
    scan_id: bytes
    is_undo: bool


class Admissions:
    """Reads admissions, and before them all of their undos, in their order.

    The id of a later attempt names no order; but each comes after an undo of the one before, whose
    order is known.
    """

    def __init__(self) -> None:
        self._later: dict[bytes, tuple[Ticket, int]] = {}

    def read(self, transfer: Transfer) -> Admission:
        id_ = u128(transfer.id)
        is_back = is_undo(transfer)
        # An undo's id is its end's, but for the last byte.
        end_id = bytes([id_[0] - (FIRST_UNDO - FIRST_END)]) + id_[1:] if is_back else id_
        first = Ticket(OrderId(b"\0" + id_[1:]), ticket_number(transfer.id)), 0
        ticket, attempt = self._later.get(end_id, first)
        if is_back:
            next_id = ticket.order_id.end_id(ticket.number, attempt + 1)
            self._later[next_id] = ticket, attempt + 1
        return Admission(ticket, attempt, u128(transfer.user_data_128), is_back)


@dataclass(frozen=True, slots=True)
class DoorProblem:
    """Ends of an order's tickets of which no scan is stored, or none that was undone; and stored
    admissions that the ledger has not, or has not undone.
    """

    not_stored: Sequence[tuple[Ticket, End]]
    not_undone: Sequence[tuple[DoorScan, End]]
    not_on_ledger: Sequence[DoorScan]

    def __bool__(self) -> bool:
        return bool(self.not_stored or self.not_undone or self.not_on_ledger)

    def __str__(self) -> str:
        told = []
        if self.not_stored:
            words = _words(ticket for ticket, _ in self.not_stored)
            told.append(f"the ledger let {words} in, and no scan of it is stored")
        if self.not_undone:
            words = _words(scan.ticket for scan, _ in self.not_undone)
            told.append(f"the ledger let {words} out again, and its scan does not say so")
        if self.not_on_ledger:
            words = _words(scan.ticket for scan in self.not_on_ledger)
            told.append(f"a stored scan let {words} in or out, and the ledger did not")
        return "; ".join(told)


class DoorComparison:
    """Compares what was decided before `until_ns`."""

    def __init__(self, shop: Shop, until_ns: int) -> None:
        self.scans = DoorScans(shop.orders.database)
        self._shop = shop
        self._until_ns = until_ns
        self._until = moment_at(until_ns // 1_000)

    async def differing(self, admissions: Sequence[Admission]) -> Collection[OrderId]:
        """The orders of which the stored scans do not say the same, as it seems."""
        order_ids = {admission.ticket.order_id for admission in admissions}
        stored = {scan.scan_id: scan for scan in await self.scans.of_many(order_ids)}
        return {
            admission.ticket.order_id
            for admission in admissions
            if (scan := stored.get(admission.scan_id)) is None
            or (scan.ticket, scan.attempt) != (admission.ticket, admission.attempt)
            or (admission.is_undo and scan.undone_at is None)
        }

    async def not_on_ledger(self, scans: Sequence[DoorScan]) -> Collection[OrderId]:
        """The orders of stored admissions that the ledger has not, as it seems."""
        ends = await find_ends(self._shop, [scan.ticket for scan in scans])
        return {
            scan.ticket.order_id for scan in scans if not _is_on_ledger(scan, ends[scan.ticket])
        }

    async def problem(self, order_id: OrderId) -> DoorProblem:
        """Where both do not say the same of an order's tickets."""
        order = await self._shop.orders.find(order_id)
        scans = await self.scans.of(order_id)
        numbers = {*range(order.qty if order else 0), *(scan.ticket.number for scan in scans)}
        tickets = [Ticket(order_id, number) for number in sorted(numbers)]
        ends = await find_ends(self._shop, tickets)
        let_in = {scan.scan_id: scan for scan in scans if scan.attempt is not None}
        not_stored: list[tuple[Ticket, End]] = []
        not_undone: list[tuple[DoorScan, End]] = []
        for ticket, end in ((each, end) for each in tickets for end in ends[each]):
            if end.scan is None or end.at_ns > self._until_ns:
                continue
            scan = let_in.get(end.scan.id)
            if scan is None:
                not_stored.append((ticket, end))
            elif scan.undone_at is None and (end.undone_ns or self._until_ns) < self._until_ns:
                not_undone.append((scan, end))
        lost = [
            scan
            for scan in let_in.values()
            if self._is_before(scan.undone_at or scan.admitted_at)
            and not _is_on_ledger(scan, ends[scan.ticket])
        ]
        return DoorProblem(not_stored, not_undone, lost)

    async def repair(self, order_id: OrderId, problem: DoorProblem) -> None:
        """What one side knows, the other one is told."""
        order = await self._shop.orders.find(order_id)
        if order is None:
            return
        restored = [_restored(order, ticket, end) for ticket, end in problem.not_stored]
        if restored:
            await self.scans.write(restored)
        for scan, (_, end) in zip(restored, problem.not_stored, strict=True):
            await self._undo(scan, end)
        for scan, end in problem.not_undone:
            await self._undo(scan, end)
        for scan in sorted(problem.not_on_ledger, key=lambda scan: scan.attempt or 0):
            await self._send(order, scan)

    async def _undo(self, scan: DoorScan, end: End) -> None:
        if end.undone_ns is not None:
            await self.scans.undone(scan, moment_at(end.undone_ns // 1_000), RESTORED_BY)

    async def _send(self, order: Order, scan: DoorScan) -> None:
        """The ledger is told again what it has decided, under the same ids."""
        booking, attempt = self._shop.booking, scan.attempt or 0
        scanned_ms = microseconds_of(scan.scanned_at) // 1_000
        told = Scan(scan.scan_id, scanned_ms, scan.gate)
        sent = booking.admission(scan.ticket, order.cls, told, attempt)
        results = await self._shop.submit(Operation.CREATE_TRANSFERS, sent)
        [(outcome, _)] = decode_admissions(results, booking.admission_records)
        is_in = outcome in (AdmissionOutcome.ADMITTED, AdmissionOutcome.ADMITTED_BEFORE)
        if is_in and scan.undone_at is not None:
            has_place = booking.admission_records > 1
            undo = booking.undo(scan.ticket, order.cls, told, attempt, has_place=has_place)
            decode_undo(await self._shop.submit(Operation.CREATE_TRANSFERS, undo))

    def _is_before(self, moment: datetime | None) -> bool:
        return moment is not None and moment < self._until


def _is_on_ledger(scan: DoorScan, ends: Sequence[End]) -> bool:
    """Whether the ledger has an admission, and its undo where it was undone."""
    return any(
        end.scan is not None
        and end.scan.id == scan.scan_id
        and (end.undone_ns is not None or scan.undone_at is None)
        for end in ends
    )


def _restored(order: Order, ticket: Ticket, end: End) -> DoorScan:
    """A scan as the ledger remembers it: without its device, and who it was."""
    scan = end.scan or Scan(bytes(16), 0, 0)
    return DoorScan(
        scan_id=scan.id,
        ticket=ticket,
        cls=order.cls,
        gate=scan.gate,
        device="",
        who=RESTORED_BY,
        scanned_at=moment_at(scan.scanned_ms * 1_000),
        offline=False,
        result=ScanResult.ADMITTED,
        attempt=end.attempt,
        admitted_at=moment_at(end.at_ns // 1_000),
    )


def _words(tickets: Iterable[Ticket]) -> str:
    return ticket_words(sorted({ticket.number for ticket in tickets}))
