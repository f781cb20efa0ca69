"""What every ledger makes of tickets at the door: all rows of the tables, replays included."""

import os
from dataclasses import dataclass, replace
from itertools import count
from typing import Final

import pytest

from tests.offers import OFFER
from tigerfans.booking.ends import End, Scan, Ticket, end_ids, read_ends
from tigerfans.booking.ids import END_ATTEMPTS_MAX, OrderId
from tigerfans.booking.inventory import Inventory
from tigerfans.booking.outcomes import (
    AdmissionOutcome,
    RefundOutcome,
    decode_admissions,
    decode_refund,
    decode_undo,
)
from tigerfans.booking.transfers import Booking
from tigerfans.ledger.base import Ledger
from tigerfans.ledger.wire import Account, Operation, Result, Transfer, TransferStatus, u128
from tigerfans.offer.catalog import Catalog, Part

pytestmark = pytest.mark.asyncio(loop_scope="module")

S = TransferStatus
A = AdmissionOutcome
# All tests of a ledger share it, so each has a class and a hall under numbers of its own.
NUMBERS: Final = count(70_000)


def scan(scanned_ms: int = 1_000, gate: int = 1) -> Scan:
    return Scan(os.urandom(16), scanned_ms, gate)


@dataclass
class Door:
    """A ticket class on a ledger, and what is asked of it at the door."""

    ledger: Ledger
    booking: Booking

    @classmethod
    async def open(cls, ledger: Ledger, tickets: int = 10, hall: int = 0) -> "Door":
        listing = replace(OFFER.listings[0], ledger=next(NUMBERS), capacity=tickets)
        catalog = Catalog.build(replace(OFFER, listings=(listing,), people_inside=hall))
        if catalog.hall:
            catalog = replace(catalog, hall=replace(catalog.hall, ledger=next(NUMBERS)))
        door = cls(ledger, Booking(catalog, hold_seconds=300))
        await ledger.submit(Operation.CREATE_ACCOUNTS, door.booking.accounts())
        await door.send(door.booking.funding())
        return door

    def without_limit(self) -> "Door":
        """The same class, as a worker sees it that knows of no limit."""
        catalog = replace(self.booking.catalog, hall=None)
        return Door(self.ledger, Booking(catalog, hold_seconds=300))

    async def send(self, transfers: bytes) -> bytes:
        return await self.ledger.submit(Operation.CREATE_TRANSFERS, transfers)

    async def sell(self, qty: int = 1) -> OrderId:
        order_id = OrderId.new()
        hold = self.booking.hold(order_id, "A", bytes(16), qty)
        await self.send(hold + self.booking.sale(order_id, "A"))
        return order_id

    async def sold_ticket(self) -> Ticket:
        return Ticket(await self.sell(), 0)

    async def admit(self, ticket: Ticket, by: Scan, attempt: int = 0) -> AdmissionOutcome:
        sent = self.booking.admission(ticket, "A", by, attempt)
        [(outcome, _)] = decode_admissions(await self.send(sent), self.booking.admission_records)
        return outcome

    async def statuses(self, ticket: Ticket, by: Scan, attempt: int = 0) -> list[int]:
        sent = self.booking.admission(ticket, "A", by, attempt)
        return [result.status for result in Result.unpack_all(await self.send(sent))]

    async def undo(
        self, ticket: Ticket, of: Scan, attempt: int = 0, *, has_place: bool = False
    ) -> None:
        sent = self.booking.undo(ticket, "A", of, attempt, has_place=has_place)
        at_ns = decode_undo(await self.send(sent))
        end = await self.end(ticket, attempt)
        assert end is not None
        assert end.undone_ns == at_ns

    async def refund(self, ticket: Ticket, attempt: int = 0) -> RefundOutcome:
        attempts = {ticket.number: attempt}
        sent = self.booking.refund(ticket.order_id, "A", [ticket.number], attempts)
        [(outcome, _)] = decode_refund(await self.send(sent))
        return outcome

    async def end(self, ticket: Ticket, attempt: int = 0) -> End | None:
        ids = b"".join(end_ids([ticket], attempt))
        records = await self.ledger.submit(Operation.LOOKUP_TRANSFERS, ids)
        return read_ends([ticket], attempt, Transfer.unpack_all(records)).get(ticket)

    async def balance(self, part: Part, ledger: int | None = None) -> int:
        ledger = self.booking.catalog.classes[0].tickets.ledger if ledger is None else ledger
        ids = u128(ledger << 8 | part)
        [account] = Account.unpack_all(await self.ledger.submit(Operation.LOOKUP_ACCOUNTS, ids))
        return account.credits_posted - account.debits_posted

    async def stock(self) -> Inventory:
        ids = self.booking.stock_accounts()
        accounts = await self.ledger.submit(Operation.LOOKUP_ACCOUNTS, ids)
        return next(iter(Inventory.by_ledger(accounts).values()))

    async def places_taken(self) -> int:
        assert self.booking.catalog.hall
        return await self.balance(Part.SOLD, self.booking.catalog.hall.ledger)


async def test_a_ticket_gets_in_once_and_the_same_scan_gets_the_same_answer(
    ledger: Ledger,
) -> None:
    door = await Door.open(ledger)
    ticket, first = await door.sold_ticket(), scan()
    assert await door.statuses(ticket, first) == [S.CREATED]
    for _ in range(2):
        assert await door.statuses(ticket, first) == [S.EXISTS]
        assert await door.statuses(ticket, scan()) == [S.EXISTS_WITH_DIFFERENT_USER_DATA_128]
    assert await door.balance(Part.INSIDE) == 1
    end = await door.end(ticket)
    assert end is not None
    assert (end.scan, end.counts) == (first, True)


async def test_the_same_scan_told_with_another_time_or_gate_is_the_same_scan(
    ledger: Ledger,
) -> None:
    door = await Door.open(ledger)
    ticket, first = await door.sold_ticket(), scan()
    assert await door.admit(ticket, first) is A.ADMITTED
    later, elsewhere = first._replace(scanned_ms=2_000), first._replace(gate=2)
    assert await door.statuses(ticket, later) == [S.EXISTS_WITH_DIFFERENT_USER_DATA_64]
    assert await door.statuses(ticket, elsewhere) == [S.EXISTS_WITH_DIFFERENT_USER_DATA_32]
    for changed in (later, elsewhere):
        assert await door.admit(ticket, changed) is A.ADMITTED_BEFORE
    # By whichever scan that differs in all of it, it is another one.
    assert await door.admit(ticket, scan(3_000, gate=3)) is A.ANOTHER_SCAN


async def test_of_two_scans_in_one_submission_the_first_one_wins(ledger: Ledger) -> None:
    door = await Door.open(ledger)
    ticket = await door.sold_ticket()
    both = b"".join(door.booking.admission(ticket, "A", scan()) for _ in range(2))
    outcomes = [outcome for outcome, _ in decode_admissions(await door.send(both))]
    assert outcomes == [A.ADMITTED, A.ANOTHER_SCAN]


async def test_what_was_refunded_is_never_let_in_and_what_is_inside_not_refunded(
    ledger: Ledger,
) -> None:
    door = await Door.open(ledger)
    inside, refunded = await door.sold_ticket(), await door.sold_ticket()
    assert await door.admit(inside, scan()) is A.ADMITTED
    assert await door.refund(refunded) is RefundOutcome.GIVEN_BACK
    for _ in range(2):
        assert await door.statuses(refunded, scan()) == [S.EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT_ID]
        assert await door.refund(inside) is RefundOutcome.INSIDE
        assert await door.refund(refunded) is RefundOutcome.GIVEN_BACK
    assert await door.admit(refunded, scan()) is A.REFUNDED


async def test_each_ticket_of_an_order_gets_in_for_itself(ledger: Ledger) -> None:
    door = await Door.open(ledger)
    order_id = await door.sell(qty=3)
    for number in range(3):
        assert await door.admit(Ticket(order_id, number), scan()) is A.ADMITTED
    assert await door.balance(Part.SOLD) == 0
    assert await door.balance(Part.INSIDE) == 3


async def test_what_was_not_sold_is_not_let_in_for_ever(ledger: Ledger) -> None:
    door = await Door.open(ledger)
    order_id = OrderId.new()
    assert await door.statuses(Ticket(order_id, 0), scan()) == [S.EXCEEDS_CREDITS]
    await door.send(door.booking.hold(order_id, "A", bytes(16)) + door.booking.sale(order_id, "A"))
    assert await door.statuses(Ticket(order_id, 0), scan()) == [S.ID_ALREADY_FAILED]
    assert await door.admit(Ticket(order_id, 0), scan()) is A.NOT_SOLD


async def test_an_admission_that_was_undone_lets_the_next_attempt_in_once(ledger: Ledger) -> None:
    door = await Door.open(ledger)
    ticket, first, second = await door.sold_ticket(), scan(), scan()
    assert await door.admit(ticket, first) is A.ADMITTED
    for _ in range(2):
        await door.undo(ticket, first)
        assert await door.balance(Part.INSIDE) == 0
        assert await door.balance(Part.SOLD) == 1
    assert await door.statuses(ticket, second) == [S.EXISTS_WITH_DIFFERENT_USER_DATA_128]
    assert await door.statuses(ticket, second, attempt=1) == [S.CREATED]
    assert await door.statuses(ticket, second, attempt=1) == [S.EXISTS]
    assert await door.admit(ticket, first, attempt=1) is A.ANOTHER_SCAN
    ends = [await door.end(ticket, attempt) for attempt in range(3)]
    assert [end and (end.scan, end.counts) for end in ends] == [
        (first, False),
        (second, True),
        None,
    ]


async def test_a_ticket_whose_admission_was_undone_is_refunded_or_let_in_and_never_both(
    ledger: Ledger,
) -> None:
    door = await Door.open(ledger)
    given_back, let_in = await door.sold_ticket(), await door.sold_ticket()
    for ticket in (given_back, let_in):
        first = scan()
        assert await door.admit(ticket, first) is A.ADMITTED
        await door.undo(ticket, first)
    assert await door.refund(given_back) is RefundOutcome.INSIDE
    assert await door.refund(given_back, attempt=1) is RefundOutcome.GIVEN_BACK
    assert await door.admit(given_back, scan(), attempt=1) is A.REFUNDED
    assert await door.admit(let_in, scan(), attempt=1) is A.ADMITTED
    assert await door.refund(let_in, attempt=1) is RefundOutcome.INSIDE
    assert await door.refund(given_back, attempt=1) is RefundOutcome.GIVEN_BACK


async def test_the_last_attempt_there_is_stays(ledger: Ledger) -> None:
    door = await Door.open(ledger)
    ticket = await door.sold_ticket()
    for attempt in range(END_ATTEMPTS_MAX):
        by = scan()
        assert await door.admit(ticket, by, attempt) is A.ADMITTED
        end = await door.end(ticket, attempt)
        assert end is not None
        assert end.may_be_undone == (attempt < END_ATTEMPTS_MAX - 1)
        if end.may_be_undone:
            await door.undo(ticket, by, attempt)
    assert await door.balance(Part.INSIDE) == 1


async def test_the_stock_takes_a_ticket_that_is_inside_for_sold(ledger: Ledger) -> None:
    door = await Door.open(ledger, tickets=3)
    tickets = [await door.sold_ticket() for _ in range(3)]
    sold_out = await door.stock()
    assert sold_out == Inventory(capacity=3, held=0, sold=3)
    scans = [scan() for _ in tickets]
    for ticket, by in zip(tickets, scans, strict=True):
        await door.admit(ticket, by)
        assert await door.stock() == sold_out
    await door.undo(tickets[0], scans[0])
    assert await door.stock() == sold_out
    await door.refund(tickets[0], attempt=1)
    assert await door.stock() == Inventory(capacity=3, held=0, sold=2)


# A hall with a limit: [a place, linked to the admission], the admission.


async def test_nobody_gets_in_once_the_hall_is_full_until_somebody_is_let_out(
    ledger: Ledger,
) -> None:
    door = await Door.open(ledger, hall=1)
    first, second = await door.sold_ticket(), await door.sold_ticket()
    inside, refused = scan(), scan()
    assert await door.statuses(first, inside) == [S.CREATED, S.CREATED]
    assert await door.statuses(first, inside) == [S.EXISTS, S.LINKED_EVENT_FAILED]
    full = [S.EXCEEDS_CREDITS, S.LINKED_EVENT_FAILED]
    assert await door.statuses(second, refused) == full
    await door.undo(first, inside, has_place=True)
    assert await door.places_taken() == 0
    # The scan that was refused stays so, and the next one is another.
    assert await door.statuses(second, refused) == [S.ID_ALREADY_FAILED, S.LINKED_EVENT_FAILED]
    assert await door.admit(second, refused) is A.HALL_FULL
    assert await door.admit(second, scan()) is A.ADMITTED
    assert await door.places_taken() == 1


async def test_a_place_is_taken_with_the_admission_or_not_at_all(ledger: Ledger) -> None:
    door = await Door.open(ledger, hall=5)
    inside, refunded = await door.sold_ticket(), await door.sold_ticket()
    await door.admit(inside, scan())
    await door.refund(refunded)
    for ticket, status in (
        (inside, S.EXISTS_WITH_DIFFERENT_USER_DATA_128),
        (refunded, S.EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT_ID),
    ):
        other = scan()
        for _ in range(2):
            assert await door.statuses(ticket, other) == [S.LINKED_EVENT_FAILED, status]
    assert await door.places_taken() == 1


async def test_a_place_is_given_back_once_and_the_next_attempt_takes_its_own(
    ledger: Ledger,
) -> None:
    door = await Door.open(ledger, hall=5)
    ticket, first, second = await door.sold_ticket(), scan(), scan()
    await door.admit(ticket, first)
    for _ in range(2):
        await door.undo(ticket, first, has_place=True)
        assert await door.places_taken() == 0
    assert await door.statuses(ticket, second) == [
        S.LINKED_EVENT_FAILED,
        S.EXISTS_WITH_DIFFERENT_USER_DATA_128,
    ]
    assert await door.admit(ticket, second, attempt=1) is A.ADMITTED
    assert await door.places_taken() == 1


async def test_what_was_not_sold_takes_no_place(ledger: Ledger) -> None:
    door = await Door.open(ledger, hall=5)
    ticket = Ticket(OrderId.new(), 0)
    refused = [S.LINKED_EVENT_FAILED, S.EXCEEDS_CREDITS]
    assert await door.statuses(ticket, scan()) == refused
    assert await door.statuses(ticket, scan()) == [S.LINKED_EVENT_FAILED, S.ID_ALREADY_FAILED]
    assert await door.places_taken() == 0


async def test_workers_that_know_of_the_limit_and_such_that_do_not_let_a_ticket_in_once(
    ledger: Ledger,
) -> None:
    limited = await Door.open(ledger, hall=5)
    unlimited = limited.without_limit()
    before, after = await limited.sold_ticket(), await limited.sold_ticket()
    first, second = scan(), scan()
    assert await unlimited.admit(before, first) is A.ADMITTED
    assert await limited.statuses(before, first) == [S.LINKED_EVENT_FAILED, S.EXISTS]
    assert await limited.admit(before, first._replace(gate=2)) is A.ADMITTED_BEFORE
    assert await limited.admit(before, scan()) is A.ANOTHER_SCAN
    assert await limited.admit(after, second) is A.ADMITTED
    assert await unlimited.admit(after, second) is A.ADMITTED_BEFORE
    assert await limited.places_taken() == 1
    # Whoever took no place gives none back.
    await limited.undo(before, first)
    await limited.undo(after, second, has_place=True)
    assert await limited.places_taken() == 0
