"""What has to hold of the door for any history of orders, with a crash between any two messages.

The machine of `test_refund_histories` with two doors in it: tickets are held up, scans are told
again, some by devices that were offline, admissions are undone, and owners give money back for the
same tickets meanwhile.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from tests.shop.test_histories import WORKERS, Message, _to_a_store
from tests.shop.test_refund_histories import RefundsUnderFaults
from tigerfans.booking.ends import End, Ticket, end_ids, read_ends
from tigerfans.booking.ids import END_ATTEMPTS_MAX, OrderId
from tigerfans.booking.moments import moment_at
from tigerfans.booking.outcomes import RefundOutcome
from tigerfans.door import door
from tigerfans.door.door import Case, Door, Presentation, Undone
from tigerfans.errors import InvalidRequestError, NotRefundedError
from tigerfans.ledger.wire import Account, Operation, Transfer, u128
from tigerfans.stores.door_scans import Asked, DoorScan, DoorScans, Known, gate_number
from tigerfans.stores.orders import OrderStatus

DEVICE = "phone"
GATES = ("North", "South")


class ScansByMessage:
    """PostgreSQL: a row for each scan, and the names of gates."""

    def __init__(self, machine: "DoorUnderFaults") -> None:
        self.rows: dict[bytes, DoorScan] = {}
        self.named: dict[int, str] = {}
        self._machine = machine

    def ask(self, asked: Asked) -> Message:
        return _to_a_store(lambda: self._known())

    def write(self, scans: Sequence[DoorScan]) -> Message:
        return _to_a_store(lambda: self._write(scans))

    def name_gates(self, names: Any) -> Message:
        named = {gate_number(name): name for name in names}
        return _to_a_store(lambda: self.named.update(named))

    def gates(self) -> Message:
        return _to_a_store(lambda: dict(self.named))

    def find(self, scan_id: bytes) -> Message:
        return _to_a_store(lambda: self.rows.get(scan_id))

    def undone(self, scan: DoorScan, at: datetime, by: str) -> Message:
        return _to_a_store(lambda: self._undone(scan.scan_id, at))

    def _known(self) -> Known:
        orders = self._machine.orders.rows
        codes = {code: order for order in orders.values() for code in order.ticket_codes}
        return Known(dict(orders), codes, {id_: row.ticket for id_, row in self.rows.items()})

    def _write(self, scans: Sequence[DoorScan]) -> None:
        for scan in scans:
            before = self.rows.get(scan.scan_id)
            if before is None or (before.attempt is None and before.result != scan.result):
                self.rows[scan.scan_id] = scan

    def _undone(self, scan_id: bytes, at: datetime) -> None:
        if self.rows[scan_id].undone_at is None:
            self.rows[scan_id] = replace(self.rows[scan_id], undone_at=at)


class DoorUnderFaults(RefundsUnderFaults):
    """And who stands at the doors."""

    def __init__(self) -> None:
        super().__init__()
        self.refunds.may_refuse = True
        self.scans = ScansByMessage(self)
        self.doors = {
            worker: Door(shop, cast(DoorScans, self.scans)) for worker, shop in self.shops.items()
        }
        self.presented: list[Presentation] = []
        # What each scan was answered, and which of them were undone as far as their devices know.
        self.answered: dict[bytes, list[Case]] = {}
        self.undone: set[bytes] = set()
        self.scan_ids = 0
        clock = SimpleNamespace(time_ns=self.books.clock.wall)
        self.without_waiting = patch.object(door, "time", clock)
        self.without_waiting.start()

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            self.without_waiting.stop()

    def _heal(self) -> None:
        super()._heal()
        for each in self.presented:
            self._on_scanned([each], self._to_the_end(self.doors[1].scan([each], "door")))
        on_ledger = {
            end.scan.id: (ticket, end)
            for ticket, ends in self._all_ends().items()
            for end in ends
            if end.scan
        }
        for each in self.presented:
            is_undone = each.scan_id in on_ledger and not on_ledger[each.scan_id][1].counts
            if is_undone:
                self._to_the_end(self.doors[1].undo(each.scan_id, DEVICE, "door"))
            assert is_undone or each.scan_id not in self.undone
        # All that the ledger let in is stored as it was, and nothing else.
        let_in = {id_: row for id_, row in self.scans.rows.items() if row.attempt is not None}
        assert let_in.keys() == on_ledger.keys()
        for scan_id, (ticket, end) in on_ledger.items():
            row = let_in[scan_id]
            assert (row.ticket, row.attempt) == (ticket, end.attempt)
            assert row.admitted_at == _moment(end.at_ns)
            assert row.undone_at == (end.undone_ns and _moment(end.undone_ns))
        self.a_ticket_is_inside_or_refunded_or_neither()

    def _on_refused(self, order_id: OrderId, refused: Mapping[int, RefundOutcome]) -> None:
        for number, outcome in refused.items():
            last = self._ends_of(Ticket(order_id, number))[-1]
            assert (outcome, last.scan is None, last.counts) == (RefundOutcome.INSIDE, False, True)

    # --- What happens --------------------------------------------------------------------------

    @initialize()
    def let_one_in_and_out(self) -> None:
        """So that each history has a ticket of which an attempt is used up."""
        self.settle(self.hold("A", "a@example.org", "key 2"))
        self._let_in_and_out(self._paid()[0])

    @precondition(lambda self: self._paid())
    @rule(data=st.data())
    def let_in_and_out(self, data: st.DataObject) -> None:
        self._let_in_and_out(data.draw(st.sampled_from(self._paid())))

    def _let_in_and_out(self, ticket: Ticket) -> None:
        each = self._new_presentation(ticket, "North")
        self.presented.append(each)
        cases = self._to_the_end(self.doors[1].scan([each], "door"))
        self._on_scanned([each], cases)
        if cases[0].result == "admitted" and len(self._ends_of(ticket)) < END_ATTEMPTS_MAX:
            self._to_the_end(self.doors[1].undo(each.scan_id, DEVICE, "door"))
            self.undone.add(each.scan_id)

    @precondition(lambda self: self._paid())
    @rule(data=st.data())
    def give_back_at_once(self, data: st.DataObject) -> None:
        """Who is not inside gets the money, whatever was undone before."""
        order_id, number = ticket = data.draw(st.sampled_from(self._paid()))
        try:
            self._to_the_end(self.shops[1].refund(order_id, "owner", [number]))
        except NotRefundedError:
            last = self._ends_of(ticket)[-1]
            assert last.scan is not None
            assert last.counts
        except InvalidRequestError:
            assert self.orders.rows[order_id].status is OrderStatus.REFUNDED
        else:
            assert number in self._ends(order_id, self.orders.rows[order_id].qty)

    @precondition(lambda self: self._paid())
    @rule(
        data=st.data(),
        gate=st.sampled_from(GATES),
        offline=st.booleans(),
        worker=st.integers(1, WORKERS),
    )
    def hold_up(self, data: st.DataObject, gate: str, offline: bool, worker: int) -> None:
        """Somebody holds up tickets, of which two may be the same one."""
        wanted = data.draw(st.lists(st.sampled_from(self._paid()), min_size=1, max_size=2))
        new = [self._new_presentation(ticket, gate, offline=offline) for ticket in wanted]
        self.presented += new
        self._scan(worker, new)

    @precondition(lambda self: self.presented)
    @rule(data=st.data(), worker=st.integers(1, WORKERS))
    def tell_again(self, data: st.DataObject, worker: int) -> None:
        again = st.lists(st.sampled_from(self.presented), min_size=1, max_size=3, unique=True)
        self._scan(worker, data.draw(again))

    @precondition(lambda self: self.presented)
    @rule(data=st.data(), worker=st.integers(1, WORKERS))
    def take_back(self, data: st.DataObject, worker: int) -> None:
        scan_id = data.draw(st.sampled_from(self.presented)).scan_id

        def on_answer(undone: Undone) -> None:
            assert undone.scan.scan_id == scan_id
            self.undone.add(scan_id)

        self._start(worker, self.doors[worker].undo(scan_id, DEVICE, "door"), on_answer)

    def _new_presentation(
        self, ticket: Ticket, gate: str, *, offline: bool = False
    ) -> Presentation:
        code = self.orders.rows[ticket.order_id].ticket_codes[ticket.number]
        self.scan_ids += 1
        scan_id = self.scan_ids.to_bytes(16, "big")
        return Presentation(scan_id, code, gate, DEVICE, 1_000, offline)

    def _scan(self, worker: int, presented: Sequence[Presentation]) -> None:
        self._start(
            worker,
            self.doors[worker].scan(presented, "door"),
            lambda cases: self._on_scanned(presented, cases),
        )

    def _on_scanned(self, presented: Sequence[Presentation], cases: Sequence[Case]) -> None:
        """Each answer is true of the ledger, and the same as before."""
        for each, case in zip(presented, cases, strict=True):
            assert case.ticket is not None
            before = self.answered.setdefault(each.scan_id, [])
            ends = self._ends_of(case.ticket)
            own = [end for end in ends if end.scan and end.scan.id == each.scan_id]
            match case.result:
                case "admitted":
                    assert [_moment(end.at_ns) for end in own] == [case.at]
                case "already_inside":
                    others = [end.at_ns for end in ends if end.scan and end not in own]
                    assert case.at in [_moment(at_ns) for at_ns in others]
                    assert case.is_incident == each.offline
                    assert not any(one.result == "admitted" for one in before)
                case result:
                    assert result == "refunded"
                    assert ends[-1].scan is None
                    assert case.at == _moment(ends[-1].at_ns)
            before.append(case)

    # --- What has to hold ----------------------------------------------------------------------

    @invariant()
    def a_ticket_is_inside_or_refunded_or_neither(self) -> None:
        """All attempts to end it but the last were undone; the balances say the same."""
        inside = {"A": 0, "B": 0}
        for ticket, ends in self._all_ends().items():
            assert all(not end.counts for end in ends[:-1])
            assert all(end.scan for end in ends[:-1])
            if ends and ends[-1].counts and ends[-1].scan:
                inside[self._class_of(ticket.order_id)] += 1
                assert ticket.number not in self._refunded(ticket.order_id)
        for each in self.shop.catalog.classes:
            if each.code in inside:
                ids = u128(each.tickets.inside_account_id)
                records = self.books.books.execute(Operation.LOOKUP_ACCOUNTS, ids)
                [account] = Account.unpack_all(records)
                balance = account.credits_posted - account.debits_posted
                assert balance == inside[each.code]

    # --- How -----------------------------------------------------------------------------------

    def _paid(self) -> list[Ticket]:
        return [
            Ticket(order_id, number)
            for order_id, row in sorted(self.orders.rows.items())
            if row.status in (OrderStatus.PAID, OrderStatus.REFUNDED)
            for number in range(row.qty)
        ]

    def _class_of(self, order_id: OrderId) -> str:
        return self.orders.rows[order_id].cls

    def _all_ends(self) -> dict[Ticket, list[End]]:
        return {ticket: self._ends_of(ticket) for ticket in self._paid()}

    def _ends_of(self, ticket: Ticket) -> list[End]:
        ends: list[End] = []
        for attempt in range(END_ATTEMPTS_MAX):
            ids = b"".join(end_ids([ticket], attempt))
            records = self.books.books.execute(Operation.LOOKUP_TRANSFERS, ids)
            found: Mapping[Ticket, End] = read_ends([ticket], attempt, Transfer.unpack_all(records))
            if ticket not in found:
                break
            ends.append(found[ticket])
        return ends

    def _refunded(self, order_id: OrderId) -> set[int]:
        rows = self.refunds.rows.get(order_id, {})
        return {number for number, row in rows.items() if row.taken_back_at}

    def _ends(self, order_id: OrderId, qty: int) -> set[int]:
        """Those that were refunded, by whichever attempt."""
        ends = {number: self._ends_of(Ticket(order_id, number)) for number in range(qty)}
        return {number for number, of_it in ends.items() if of_it and of_it[-1].scan is None}


def _moment(nanoseconds: int) -> datetime:
    return moment_at(nanoseconds // 1_000)


TestDoor = DoorUnderFaults.TestCase
TestDoor.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
