"""The door, step by step: what is scanned, who gets in, what is known of it.

    read       each text says which ticket it is, by itself or by its order in PostgreSQL
    decided    the ledger lets the tickets of paid orders in, each once (`deciding`)
    written    what it decided is stored, and then told

A crash leaves at most the last step out: a scan that is told again is decided as before, and
written then. Its id is made by the device, once for each time that somebody holds up a ticket.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from tigerfans.booking.door_codes import (
    DoorCodeError,
    ForgedError,
    OtherShopError,
    SignedTicket,
    UnknownKeyError,
)
from tigerfans.booking.ends import End, Scan, Ticket, place_id
from tigerfans.booking.moments import moment_at
from tigerfans.booking.outcomes import decode_undo
from tigerfans.booking.scan_texts import NamedTicket, ShortCode, read_scan_text
from tigerfans.caching import Cached
from tigerfans.door.deciding import Presented, Verdict, decide
from tigerfans.errors import UndoRefusedError, UnknownScanError
from tigerfans.ledger.wire import Account, Operation, u128
from tigerfans.offer.catalog import ClassCode, Part
from tigerfans.shop.backends import Backends
from tigerfans.shop.ends import find_ends
from tigerfans.stores.door_scans import (
    Asked,
    DoorScan,
    DoorScans,
    EndCursor,
    EndRow,
    GateFigures,
    Known,
    ScanResult,
    gate_number,
)
from tigerfans.stores.orders import Order, OrderStatus

SCANS_MAX: Final = 500
UNDO_SECONDS_MAX: Final = 15 * 60
ENDS_MAX: Final = 5_000
# However many devices ask; of many scans, a worker counts a tenth of its time at most.
FIGURES_SECONDS: Final = 1.0
FIGURES_REST: Final = 10.0
# To check a signature takes 100 µs: whoever buys meanwhile waits for so many at most.
READ_AT_ONCE: Final = 10


class Presentation(NamedTuple):
    """A text that was held up to a device at a gate; `scanned_ms` is by the device's clock.

    `offline` says that the device has let its holder in, before anybody was asked.
    """

    scan_id: bytes
    text: str
    gate: str
    device: str
    scanned_ms: int
    offline: bool


@dataclass(slots=True)
class Case:
    """A presentation, and what it came to: `result` is a `ScanResult`, or `unknown`, `forged`,
    `wrong_shop` or `invalid`.

    `at` is when the ticket got in, or since when it is none any more, by the ledger, and `gate`
    where it got in. `end` is what the ledger has of it.
    """

    presentation: Presentation
    result: str = "unknown"
    detail: str | None = None
    order: Order | None = None
    ticket: Ticket | None = None
    at: datetime | None = None
    gate: str | None = None
    end: End | None = None

    @property
    def is_incident(self) -> bool:
        """Whether somebody was let in offline whom the ledger keeps out."""
        is_in = self.result == ScanResult.ADMITTED
        return self.presentation.offline and self.ticket is not None and not is_in

    @property
    def is_undone(self) -> bool:
        return self.end is not None and not self.end.counts

    def came_to(self, result: str, detail: str | None = None) -> None:
        self.result, self.detail = result, detail


class Inside(NamedTuple):
    """How many of a class are inside, of how many that are sold."""

    cls: ClassCode
    inside: int
    sold: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What the ledger says of the classes, and what each gate did; `places` is how many the hall
    takes, None where that is not said, and `places_left` how many more.
    """

    classes: Sequence[Inside]
    gates: Sequence[GateFigures]
    places: int | None = None
    places_left: int | None = None


class Undone(NamedTuple):
    """An admission that was undone, and when, by the ledger."""

    scan: DoorScan
    at: datetime


_Read = SignedTicket | NamedTicket | ShortCode

_NOT_READ: Final[Mapping[type[DoorCodeError], str]] = {
    OtherShopError: "wrong_shop",
    ForgedError: "forged",
    UnknownKeyError: "forged",
}
_RESULTS: Final = {
    Verdict.ADMITTED: ScanResult.ADMITTED,
    Verdict.ALREADY_INSIDE: ScanResult.ALREADY_INSIDE,
    Verdict.REFUNDED: ScanResult.REFUNDED,
    Verdict.HALL_FULL: ScanResult.HALL_FULL,
    Verdict.NOT_SOLD: ScanResult.NOT_PAID,
}
_NOT_SOLD: Final = "The ledger has sold no such ticket: see `tigerfans reconcile`."
_ORDER_LOST: Final = "The shop has signed this code and knows no such order: see its box office."
_NO_SUCH_CODE: Final = "The order has no ticket with this code."
_UNFULFILLED: Final = "This order was paid when nothing was left: it got no ticket."
_TOLD_TWICE: Final = "This scan's id was used for another ticket."


class Door:
    """Lets tickets in, and tells about it; raises what stores and ledger raise where they are away.

    Who asks again then, with the same scans, is answered as if it were the first time.
    """

    def __init__(self, backends: Backends, scans: DoorScans) -> None:
        self._backends = backends
        self._scans = scans
        self._figures = Cached(self._read_figures, FIGURES_SECONDS, FIGURES_REST)
        # Counted from 0 on, for a first one is an increase only to who has seen none.
        incidents = dict.fromkeys(((result, True) for result in ScanResult), 0)
        backends.counters.scans.update(incidents)

    async def close(self) -> None:
        await self._scans.close()

    # --- Scans -------------------------------------------------------------------------------

    async def scan(self, presentations: Sequence[Presentation], who: str) -> list[Case]:
        """A case for each of up to `SCANS_MAX` texts, in their order; `who` is logged in."""
        cases = [Case(each) for each in presentations]
        read = await self._read_all(cases)
        known = await self._scans.ask(_asked(read))
        for case, text in read:
            _find(case, text, known)
        first: dict[bytes, Case] = {}
        for case in cases:
            before = first.setdefault(case.presentation.scan_id, case)
            if before.ticket != case.ticket:
                case.came_to("invalid", _TOLD_TWICE)
        await self._let_in(list(first.values()))
        await self._write(list(first.values()), who)
        self._backends.counters.scans.update((case.result, case.is_incident) for case in cases)
        # A scan that is told twice in a request has one answer.
        return [
            case if case.result == "invalid" else first[case.presentation.scan_id] for case in cases
        ]

    async def _read_all(self, cases: Sequence[Case]) -> list[tuple[Case, _Read]]:
        """What the texts say, of those that say something."""
        read: list[tuple[Case, _Read]] = []
        for number, case in enumerate(cases, 1):
            try:
                said = read_scan_text(case.presentation.text, self._backends.door_keys)
            except DoorCodeError as error:
                case.came_to(_NOT_READ.get(type(error), "unknown"), str(error))
            else:
                read.append((case, said))
            if number % READ_AT_ONCE == 0:
                await asyncio.sleep(0)
        return read

    async def _let_in(self, cases: Sequence[Case]) -> None:
        """Has the ledger decide about those that nothing was said against."""
        now_ms = time.time_ns() // 1_000_000
        asked: list[Case] = []
        presented: list[Presented] = []
        for case in cases:
            if case.result == ScanResult.ADMITTED and case.ticket and case.order:
                each = case.presentation
                scan = Scan(each.scan_id, min(each.scanned_ms, now_ms), gate_number(each.gate))
                asked.append(case)
                presented.append(Presented(case.ticket, case.order.cls, scan))
        if not asked:
            return
        gates = {gate_number(case.presentation.gate): case.presentation.gate for case in asked}
        await self._scans.name_gates(gates.values())
        decisions = await decide(self._backends, presented)
        ends = [decision.end for decision in decisions]
        names = await self._names_of(ends, gates)
        for case, (verdict, end) in zip(asked, decisions, strict=True):
            case.result, case.end = _RESULTS[verdict], end
            case.at = end and moment_at(end.at_ns // 1_000)
            case.gate = names.get(end.scan.gate) if end and end.scan else None
            if verdict is Verdict.NOT_SOLD:
                case.detail = _NOT_SOLD

    async def _names_of(
        self, ends: Iterable[End | None], names: Mapping[int, str]
    ) -> Mapping[int, str]:
        """What the gates are called at which tickets got in."""
        others = {end.scan.gate for end in ends if end and end.scan} - set(names)
        if not others:
            return names
        unnamed = {number: f"gate {number}" for number in others}
        return unnamed | await self._scans.gates() | dict(names)

    async def _write(self, cases: Sequence[Case], who: str) -> None:
        rows = [row for case in cases if (row := _row(case, who)) is not None]
        if rows:
            await self._scans.write(rows)

    # --- Undo --------------------------------------------------------------------------------

    async def undo(self, scan_id: bytes, device: str, who: str) -> Undone:
        """The ticket that a scan has let in is outside again; told again, it says that it is.

        Raises `UnknownScanError`, and `UndoRefusedError` where the scan let nobody in, where
        another device did, and where that is too long ago, by the ledger and our clock.
        """
        scan = await self._scans.find(scan_id)
        if scan is None:
            raise UnknownScanError
        if scan.device != device:
            raise UndoRefusedError("Only the device that has let it in takes that back.")
        ends = (await find_ends(self._backends, [scan.ticket]))[scan.ticket]
        end = next((each for each in ends if each.scan and each.scan.id == scan_id), None)
        if end is None or end.scan is None:
            raise UndoRefusedError("This scan has let nobody in.")
        at_ns = end.undone_ns
        if at_ns is None:
            if not end.may_be_undone:
                raise UndoRefusedError("This was taken back too often: now it stays.")
            if time.time_ns() - end.at_ns > UNDO_SECONDS_MAX * 1_000_000_000:
                minutes = UNDO_SECONDS_MAX // 60
                raise UndoRefusedError(f"This was more than {minutes} minutes ago: now it stays.")
            at_ns = await self._let_out(scan, end.scan, end.attempt)
        undone = Undone(scan, moment_at(at_ns // 1_000))
        await self._scans.undone(scan, undone.at, who)
        return undone

    async def _let_out(self, row: DoorScan, scan: Scan, attempt: int) -> int:
        """Has the ledger take an admission back; when it did, in nanoseconds."""
        submit = self._backends.submit
        place = await submit(Operation.LOOKUP_TRANSFERS, place_id(row.ticket, scan.id))
        undo = self._backends.booking.undo(
            row.ticket, row.cls, scan, attempt, has_place=bool(place)
        )
        return decode_undo(await submit(Operation.CREATE_TRANSFERS, undo))

    # --- Figures -----------------------------------------------------------------------------

    async def figures(self) -> Figures:
        """How many are inside, and how each gate got on, some seconds old at most."""
        return await self._figures.get()

    async def ends(
        self, after: EndCursor | None, limit: int
    ) -> tuple[Sequence[EndRow], EndCursor, bool]:
        """Tickets that a device should not let in; see `DoorScans.ends`."""
        return await self._scans.ends(after, limit)

    async def _read_figures(self) -> Figures:
        gates = await self._scans.figures()
        catalog = self._backends.catalog
        parts = (Part.SOLD, Part.INSIDE)
        ids = [c.tickets.ledger << 8 | part for c in catalog.classes for part in parts]
        hall = catalog.hall
        if hall is not None:
            ids += [hall.operator_account_id, hall.budget_account_id]
        records = await self._backends.submit(Operation.LOOKUP_ACCOUNTS, b"".join(map(u128, ids)))
        balances = {
            account.id: account.credits_posted - account.debits_posted
            for account in Account.unpack_all(records)
        }
        classes = []
        for each in catalog.classes:
            inside = balances.get(each.tickets.inside_account_id, 0)
            sold = balances.get(each.tickets.sold_account_id, 0) + inside
            classes.append(Inside(each.code, inside, sold))
        if hall is None:
            return Figures(classes, gates)
        places = -balances.get(hall.operator_account_id, 0)
        return Figures(classes, gates, places, balances.get(hall.budget_account_id, 0))


def _asked(read: Sequence[tuple[Case, _Read]]) -> Asked:
    """What has to be known of what was read."""
    order_ids = [said.order_id for _, said in read if not isinstance(said, ShortCode)]
    codes = [code for _, said in read if isinstance(said, ShortCode) for code in said.codes]
    return Asked(order_ids, codes, [case.presentation.scan_id for case, _ in read])


def _find(case: Case, said: _Read, known: Known) -> None:
    """Which ticket it is; as if it got in, where its order says nothing against it."""
    if isinstance(said, ShortCode):
        order = next((known.codes[code] for code in said.codes if code in known.codes), None)
    else:
        order = known.orders.get(said.order_id)
    if order is None:
        return case.came_to("unknown", _ORDER_LOST if isinstance(said, SignedTicket) else None)
    case.order = order
    if not order.is_sold:
        is_unfulfilled = order.status is OrderStatus.PAID_UNFULFILLED
        return case.came_to(ScanResult.NOT_PAID, _UNFULFILLED if is_unfulfilled else None)
    if isinstance(said, SignedTicket):
        number = said.ticket
    else:
        codes = enumerate(order.ticket_codes)
        number = next((number for number, code in codes if code in said.codes), -1)
    if not 0 <= number < order.qty:
        return case.came_to("forged", _NO_SUCH_CODE)
    case.ticket = Ticket(order.id, number)
    if known.tickets.get(case.presentation.scan_id, case.ticket) != case.ticket:
        return case.came_to("invalid", _TOLD_TWICE)
    case.at = order.ticket_refunded_at(number)
    return case.came_to(ScanResult.REFUNDED if case.at else ScanResult.ADMITTED)


def _row(case: Case, who: str) -> DoorScan | None:
    """What is stored of a case; None of one that is of no ticket."""
    each, ticket, order, end = case.presentation, case.ticket, case.order, case.end
    if ticket is None or order is None or case.result not in tuple(ScanResult):
        return None
    is_in = case.result == ScanResult.ADMITTED
    now_ms = time.time_ns() // 1_000_000
    return DoorScan(
        scan_id=each.scan_id,
        ticket=ticket,
        cls=order.cls,
        gate=gate_number(each.gate),
        device=each.device,
        who=who,
        scanned_at=moment_at(min(each.scanned_ms, now_ms) * 1_000),
        offline=each.offline,
        result=ScanResult(case.result),
        attempt=end.attempt if is_in and end else None,
        admitted_at=case.at if is_in else None,
        other_gate=end.scan.gate if end and end.scan and not is_in else None,
        other_at=None if is_in else case.at,
        is_incident=case.is_incident,
    )
