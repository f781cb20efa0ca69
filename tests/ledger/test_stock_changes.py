"""What every ledger makes of a change of stock: all rows of `booking.stock_changes`' tables."""

from dataclasses import dataclass, replace
from itertools import count
from typing import Final

import pytest

from tests.offers import OFFER
from tigerfans.booking.ids import OrderId
from tigerfans.booking.inventory import Inventory
from tigerfans.booking.stock_changes import (
    STOCK_MAX,
    Change,
    ChangeOutcome,
    Move,
    StockMoves,
    Wanted,
    decode_change,
    decode_opening,
)
from tigerfans.booking.transfers import Booking
from tigerfans.ledger.base import Ledger
from tigerfans.ledger.wire import Operation, Result, TransferStatus
from tigerfans.offer.catalog import Catalog

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOLD_SECONDS: Final = 300
S = TransferStatus
# All tests of a ledger share it, so each has a class under a number of its own.
NUMBERS: Final = count(1_000)


@dataclass
class Class:
    """A ticket class on a ledger."""

    ledger: Ledger
    booking: Booking
    moves: StockMoves

    @classmethod
    async def open(cls, ledger: Ledger, tickets: int = 10) -> "Class":
        listing = replace(OFFER.listings[0], ledger=next(NUMBERS), capacity=tickets)
        booking = Booking(Catalog.build(replace(OFFER, listings=(listing,))), HOLD_SECONDS)
        await ledger.submit(Operation.CREATE_ACCOUNTS, booking.accounts())
        await ledger.submit(Operation.CREATE_TRANSFERS, booking.funding())
        return cls(ledger, booking, StockMoves(booking.catalog.classes[0].tickets))

    async def send(self, transfers: bytes) -> bytes:
        return await self.ledger.submit(Operation.CREATE_TRANSFERS, transfers)

    async def statuses(self, transfers: bytes) -> list[int]:
        return [result.status for result in Result.unpack_all(await self.send(transfers))]

    async def stock(self) -> Inventory:
        ids = self.booking.stock_accounts()
        accounts = await self.ledger.submit(Operation.LOOKUP_ACCOUNTS, ids)
        return next(iter(Inventory.by_ledger(accounts).values()))

    async def hold(self, qty: int = 1) -> OrderId:
        order_id = OrderId.new()
        await self.send(self.booking.hold(order_id, "A", bytes(16), qty))
        return order_id

    async def changes(self) -> list[Change]:
        records = await self.ledger.submit(Operation.LOOKUP_TRANSFERS, self.moves.window(0))
        return self.moves.read(0, records)

    async def add(self, number: int, amount: int, *, is_closed: bool = False) -> ChangeOutcome:
        return decode_change(await self.send(self.moves.add(number, amount, is_closed=is_closed)))

    async def withdraw(self, number: int, amount: int, *, is_closed: bool = False) -> ChangeOutcome:
        return decode_change(
            await self.send(self.moves.withdraw(number, amount, is_closed=is_closed))
        )

    async def close(self, number: int) -> ChangeOutcome:
        outcome = decode_change(await self.send(self.moves.close(number)))
        if outcome in (ChangeOutcome.DONE, ChangeOutcome.DONE_BEFORE):
            await self.send(self.moves.park(number))
        return outcome

    async def open_again(
        self, number: int, closing: int, parked: int, attempt: int = 0
    ) -> ChangeOutcome:
        return decode_opening(await self.send(self.moves.open(number, closing, parked, attempt)))


async def test_stock_is_added_and_withdrawn_once_under_each_number(ledger: Ledger) -> None:
    cls = await Class.open(ledger)
    for outcome in (ChangeOutcome.DONE, ChangeOutcome.DONE_BEFORE):
        assert await cls.add(0, 50) is outcome
    for outcome in (ChangeOutcome.DONE, ChangeOutcome.DONE_BEFORE):
        assert await cls.withdraw(1, 20) is outcome
    assert await cls.stock() == Inventory(capacity=40, held=0, sold=0, withdrawn=20)
    assert [(c.number, c.wanted) for c in await cls.changes()] == [
        (0, Wanted(Move.ADD, 50)),
        (1, Wanted(Move.WITHDRAW, 20)),
    ]


async def test_what_is_held_or_sold_is_not_withdrawn_and_the_number_is_used_up(
    ledger: Ledger,
) -> None:
    cls = await Class.open(ledger)
    sold = await cls.hold(2)
    await cls.send(cls.booking.sale(sold, "A"))
    held = await cls.hold(3)
    assert await cls.withdraw(0, 6) is ChangeOutcome.TOO_MANY
    await cls.send(cls.booking.release(held, "A"))
    assert await cls.withdraw(0, 6) is ChangeOutcome.USED_UP
    assert await cls.add(0, 6) is ChangeOutcome.USED_UP
    assert await cls.close(0) is ChangeOutcome.USED_UP
    assert await cls.withdraw(1, 6) is ChangeOutcome.DONE
    assert await cls.stock() == Inventory(capacity=4, held=0, sold=2, withdrawn=6)
    assert [change.number for change in await cls.changes()] == [1]


async def test_a_number_that_has_another_change_is_taken(ledger: Ledger) -> None:
    cls = await Class.open(ledger)
    assert await cls.add(0, 50) is ChangeOutcome.DONE
    assert await cls.add(0, 49) is ChangeOutcome.TAKEN
    assert await cls.withdraw(0, 50) is ChangeOutcome.TAKEN
    assert await cls.add(0, 50, is_closed=True) is ChangeOutcome.TAKEN
    assert decode_change(await cls.send(cls.moves.close(0))) is ChangeOutcome.TAKEN
    assert await cls.close(1) is ChangeOutcome.DONE
    assert await cls.add(1, 1) is ChangeOutcome.TAKEN
    assert await cls.open_again(1, 1, 60) is ChangeOutcome.TAKEN
    assert await cls.open_again(2, 1, 60) is ChangeOutcome.DONE
    assert await cls.add(2, 1) is ChangeOutcome.TAKEN
    assert await cls.close(3) is ChangeOutcome.DONE
    assert await cls.open_again(2, 3, 60) is ChangeOutcome.TAKEN
    assert [change.wanted for change in await cls.changes()] == [
        Wanted(Move.ADD, 50),
        Wanted(Move.CLOSE),
        Wanted(Move.OPEN),
        Wanted(Move.CLOSE),
    ]


@pytest.mark.parametrize("tickets", [0, 1, 6, 1_023, STOCK_MAX])
async def test_a_sale_that_is_closed_keeps_back_exactly_what_is_available(
    ledger: Ledger, tickets: int
) -> None:
    cls = await Class.open(ledger, tickets)
    held = 1 if tickets else 0
    if held:
        await cls.hold()
    assert await cls.close(0) is ChangeOutcome.DONE
    closed = Inventory(held, held=held, sold=0, parked=tickets - held, is_closed=True)
    assert await cls.stock() == closed
    assert (closed.available, closed.total) == (0, tickets)
    assert await cls.statuses(cls.booking.hold(OrderId.new(), "A", bytes(16))) == [
        S.EXCEEDS_CREDITS
    ]
    assert await cls.close(0) is ChangeOutcome.DONE_BEFORE
    assert await cls.stock() == closed
    assert await cls.open_again(1, 0, tickets - held) is ChangeOutcome.DONE
    assert await cls.open_again(1, 0, 0) is ChangeOutcome.DONE_BEFORE
    assert await cls.stock() == Inventory(tickets, held=held, sold=0)


async def test_more_than_is_kept_back_is_not_brought_back_and_opens_nothing(
    ledger: Ledger,
) -> None:
    cls = await Class.open(ledger)
    await cls.close(0)
    await cls.withdraw(1, 4, is_closed=True)
    assert await cls.open_again(2, 0, 10) is ChangeOutcome.TOO_MANY
    assert await cls.open_again(2, 0, 6) is ChangeOutcome.TOO_MANY
    assert (await cls.stock()).is_closed
    assert await cls.open_again(2, 0, 6, attempt=1) is ChangeOutcome.DONE
    assert await cls.stock() == Inventory(6, held=0, sold=0, withdrawn=4)


async def test_a_sale_is_not_opened_twice_under_two_numbers(ledger: Ledger) -> None:
    cls = await Class.open(ledger)
    await cls.close(0)
    assert await cls.open_again(1, 0, 10) is ChangeOutcome.DONE
    assert await cls.open_again(2, 0, 0) is ChangeOutcome.TAKEN
    assert await cls.stock() == Inventory(10, held=0, sold=0)


async def test_a_number_that_was_used_up_opens_nothing(ledger: Ledger) -> None:
    cls = await Class.open(ledger)
    assert await cls.withdraw(0, 11) is ChangeOutcome.TOO_MANY
    await cls.close(1)
    assert await cls.open_again(0, 1, 10) is ChangeOutcome.USED_UP
    assert (await cls.stock()).parked == 10


async def test_stock_of_a_closed_sale_changes_where_it_is_kept_back(ledger: Ledger) -> None:
    cls = await Class.open(ledger)
    await cls.close(0)
    assert await cls.add(1, 5, is_closed=True) is ChangeOutcome.DONE
    assert await cls.withdraw(2, 16, is_closed=True) is ChangeOutcome.TOO_MANY
    assert await cls.withdraw(3, 15, is_closed=True) is ChangeOutcome.DONE
    assert await cls.stock() == Inventory(0, held=0, sold=0, parked=0, withdrawn=15, is_closed=True)


async def test_what_comes_back_is_kept_back_and_brought_back_under_any_id(ledger: Ledger) -> None:
    cls = await Class.open(ledger)
    held = await cls.hold(3)
    await cls.close(0)
    await cls.send(cls.booking.release(held, "A"))
    assert (await cls.stock()).available == 3
    await cls.send(cls.moves.park_under(OrderId.new()))
    assert (await cls.stock()).parked == 10
    await cls.send(cls.moves.park_under(OrderId.new()))
    assert await cls.stock() == Inventory(0, held=0, sold=0, parked=10, is_closed=True)
    for _ in range(2):
        await cls.send(cls.moves.bring_back_under(OrderId.new()))
        stock = await cls.stock()
        assert (stock.available, stock.parked, stock.total) == (10, 0, 10)
