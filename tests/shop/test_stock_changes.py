"""What an operator does to the stock, and what a buyer finds."""

import asyncio
from contextlib import suppress
from itertools import product
from typing import Any

import pytest

from tests.shop.test_opening import DiedError, Dying
from tests.shops import OpenShop, event
from tigerfans.booking.inventory import Inventory, StockState
from tigerfans.booking.stock_changes import Move, StockMoves, Wanted
from tigerfans.errors import (
    AllOnHoldError,
    InvalidRequestError,
    SaleClosedError,
    SoldOutError,
    StockMovedError,
    StockRefusedError,
)
from tigerfans.ledger.wire import Operation
from tigerfans.shop import closing
from tigerfans.shop.cancellation import CancellationRounds
from tigerfans.shop.shop import Shop
from tigerfans.shop.stock_changes import close_sale
from tigerfans.stores.audit import Audit
from tigerfans.stores.token_bucket import Rate, TokenBucket

EMAIL = "fan@example.org"
BY = "ada"
CLOSE, OPEN = Wanted(Move.CLOSE), Wanted(Move.OPEN)


def more(amount: int) -> Wanted:
    return Wanted(Move.ADD, amount)


def less(amount: int) -> Wanted:
    return Wanted(Move.WITHDRAW, amount)


@pytest.fixture
async def shop(open_shop: OpenShop) -> Shop:
    return await open_shop(tickets_a=10)  # type: ignore[no-any-return]


async def sell(shop: Shop, cls: str = "A") -> None:
    await shop.settle(event(await shop.checkout(cls, EMAIL)))


async def deeds(shop: Shop) -> list[tuple[str, str, str]]:
    """Who did what, the oldest first."""
    page = await Audit(shop.orders.database).page(None, 100)
    return [(deed.by, deed.what, deed.detail) for deed in reversed(page)]


@pytest.mark.parametrize(
    ("before", "wanted"), [([], CLOSE), ([CLOSE], OPEN), ([], less(10))], ids=str
)
async def test_a_change_that_another_press_makes_while_we_look_is_found_done(
    open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch, before: list[Wanted], wanted: Wanted
) -> None:
    ours, others = [await open_shop(tickets_a=10) for _ in range(2)]
    for each in before:
        await ours.change_stock("A", each, BY)
    asked, is_made = ours.submit, False

    async def submit(operation: Operation, records: bytes) -> bytes:
        nonlocal is_made
        # The changes are read by now, and the accounts are not.
        if operation is Operation.LOOKUP_ACCOUNTS and not is_made:
            is_made = True
            await others.change_stock("A", wanted, BY, len(before))
        answer: bytes = await asked(operation, records)
        return answer

    monkeypatch.setattr(ours, "submit", submit)
    made = await ours.change_stock("A", wanted, BY, len(before))
    assert [change.wanted for change in made.changes] == [*before, wanted]


async def test_an_operator_adds_to_the_stock_and_withdraws_what_is_not_taken(shop: Shop) -> None:
    await sell(shop)
    await shop.checkout("A", EMAIL)
    assert (await shop.change_stock("A", more(50), BY)).stock.available == 58
    left = await shop.change_stock("A", less(58), BY)
    assert left.stock == Inventory(capacity=2, held=1, sold=1, withdrawn=58)
    assert (left.number, left.stock.funded) == (2, 60)
    assert [change.wanted for change in left.changes] == [more(50), less(58)]
    assert (await shop.inventory())["A"] == left.stock
    assert await deeds(shop) == [
        (BY, "Stock added", "A +50, change 0"),
        (BY, "Stock withdrawn", "A -58, change 1"),
    ]


async def test_what_is_held_or_sold_is_not_withdrawn_and_the_sentence_says_how_many_can_be(
    shop: Shop,
) -> None:
    await sell(shop)
    await shop.checkout("A", EMAIL)
    with pytest.raises(
        StockRefusedError,
        match=r"^Of Premium 8 can be withdrawn: 1 of 10 are sold and 1 on hold.$",
    ):
        await shop.change_stock("A", less(9), BY)
    assert (await shop.class_stock("A")).number == 0
    assert await deeds(shop) == []


async def test_a_withdrawal_that_a_buyer_came_before_is_refused_by_the_ledger(
    open_shop: OpenShop,
) -> None:
    shop: Any = await open_shop(tickets_a=10)

    class BuyerFirst:
        """Sells one just before the first change is sent."""

        def __init__(self, ledger: Any) -> None:
            self._ledger, self._is_first = ledger, True

        async def submit(self, operation: Operation, records: bytes) -> bytes:
            if operation is Operation.CREATE_TRANSFERS and self._is_first:
                self._is_first = False
                await sell(shop)
            answer: bytes = await self._ledger.submit(operation, records)
            return answer

        def __getattr__(self, name: str) -> Any:
            return getattr(self._ledger, name)

    shop.ledger = BuyerFirst(shop.ledger)
    with pytest.raises(StockRefusedError, match=r"^Of Premium 9 can be withdrawn"):
        await shop.change_stock("A", less(10), BY)
    # Its number is used up; what is asked for under it next is done under the one after it.
    assert (await shop.change_stock("A", more(1), BY, 0)).number == 2
    again = await shop.change_stock("A", more(1), BY, 0)
    assert (again.number, again.stock.total) == (2, 11)


async def test_two_operators_who_saw_the_same_stock_do_not_both_add_to_it(shop: Shop) -> None:
    both = [shop.change_stock("A", more(50), by, 0) for by in ("ada", "bob")]
    assert {seen.stock.total for seen in await asyncio.gather(*both)} == {60}
    assert (await shop.change_stock("A", more(50), "bob", 0)).stock.total == 60
    with pytest.raises(StockMovedError, match="look again"):
        await shop.change_stock("A", more(20), "bob", 0)
    assert (await shop.change_stock("A", more(20), "bob", 1)).stock.total == 80


async def test_two_operators_at_once_with_different_changes_get_one_done(shop: Shop) -> None:
    changes = [shop.change_stock("A", more(amount), BY, 0) for amount in range(1, 21)]
    answers = await asyncio.gather(*changes, return_exceptions=True)
    done = [answer for answer in answers if not isinstance(answer, Exception)]
    assert len(done) == 1
    assert all(isinstance(answer, StockMovedError) for answer in answers if answer not in done)
    stock = await shop.class_stock("A")
    assert stock.stock.total == 10 + stock.changes[0].wanted.amount
    # The audit takes none back of what it says, and says which of it did not happen.
    told = await deeds(shop)
    added = {detail for _, what, detail in told if what == "Stock added"}
    refused = {detail for _, what, detail in told if what == "Stock not changed"}
    assert added - refused == {f"A {stock.changes[0].wanted}, change 0"}


@pytest.mark.parametrize("number", [-1, 1])
async def test_a_number_that_is_not_the_next_ones_is_refused(shop: Shop, number: int) -> None:
    with pytest.raises(InvalidRequestError, match="The next change of A has the number 0"):
        await shop.change_stock("A", more(1), BY, number)


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (more(1_000_000_000), "There can be 1,000,000,000 of Premium at most, and there are 10."),
        (OPEN, "The sale of Premium is not closed."),
    ],
)
async def test_a_change_that_makes_no_sense_is_refused(
    shop: Shop, wanted: Wanted, sentence: str
) -> None:
    with pytest.raises(StockRefusedError) as refused:
        await shop.change_stock("A", wanted, BY)
    assert str(refused.value) == sentence


async def test_nobody_buys_of_a_closed_sale_and_what_is_on_hold_is_paid_all_the_same(
    shop: Shop,
) -> None:
    held = await shop.checkout("A", EMAIL, "a key")
    closed = await shop.change_stock("A", CLOSE, BY)
    assert closed.stock == Inventory(1, held=1, sold=0, parked=9, is_closed=True)
    assert (await shop.inventory())["A"].state is StockState.CLOSED
    with pytest.raises(SaleClosedError, match=r"^The sale is closed.$"):
        await shop.checkout("A", EMAIL)
    # The other class is sold on, and who has not heard of a hold yet still does.
    await shop.checkout("B", EMAIL)
    assert await shop.checkout("A", EMAIL, "a key") == held
    await shop.settle(event(held))
    opened = await shop.change_stock("A", OPEN, BY)
    assert opened.stock == Inventory(10, held=0, sold=1)
    await shop.checkout("A", EMAIL)
    with pytest.raises(StockRefusedError, match="is not closed"):
        await shop.change_stock("A", OPEN, BY)


async def test_what_comes_back_to_a_closed_sale_is_kept_back_before_anybody_has_it(
    open_shop: OpenShop,
) -> None:
    shop, clerk = await open_shop(tickets_a=10), await open_shop(tickets_a=10)
    held = await shop.checkout("A", EMAIL)
    await shop.change_stock("A", CLOSE, BY)
    await shop.read_stock()
    await shop.release(shop.ids.new().parse(held.order_id))
    # Before a clerk comes: whoever asks finds the sale closed all the same.
    with pytest.raises(SaleClosedError):
        await shop.checkout("A", EMAIL)
    assert (await shop.class_stock("A")).stock.available == 1
    for _ in range(2):
        await asyncio.gather(closing.park(clerk), closing.park(shop))
        stock = (await shop.class_stock("A")).stock
        assert stock == Inventory(0, held=0, sold=0, parked=10, is_closed=True)
    assert (await shop.change_stock("A", OPEN, BY)).stock == Inventory(10, held=0, sold=0)


async def test_what_was_kept_back_of_an_open_sale_is_brought_back(shop: Shop) -> None:
    # As a clerk does who had read the stock before the sale was opened.
    late = StockMoves(shop.classes["A"].tickets).park_under(shop.ids.new())
    await shop.submit(Operation.CREATE_TRANSFERS, late)
    assert (await shop.class_stock("A")).stock.available == 0
    await asyncio.gather(*(closing.park(shop) for _ in range(3)))
    assert (await shop.class_stock("A")).stock == Inventory(10, held=0, sold=0)


async def test_stock_of_a_closed_sale_is_added_and_withdrawn_without_being_sold(
    shop: Shop,
) -> None:
    await shop.change_stock("A", CLOSE, BY)
    assert (await shop.change_stock("A", more(5), BY)).stock.parked == 15
    with pytest.raises(StockRefusedError, match=r"^Of Premium 15 can be withdrawn"):
        await shop.change_stock("A", less(16), BY)
    assert (await shop.change_stock("A", less(15), BY)).stock.total == 0
    assert (await shop.change_stock("A", OPEN, BY)).stock.state is StockState.SOLD_OUT


async def test_closing_twice_is_told_and_closing_for_a_cancellation_is_not(shop: Shop) -> None:
    await shop.change_stock("A", CLOSE, BY, 0)
    assert (await shop.change_stock("A", CLOSE, BY, 0)).stock.is_closed
    with pytest.raises(StockRefusedError, match="is closed already"):
        await shop.change_stock("A", CLOSE, BY, 1)
    await close_sale(shop, "A", BY)
    await close_sale(shop, "B", BY)
    assert [stock.is_closed for stock in (await shop.read_stock())[:2]] == [True, True]


async def test_a_canceled_show_sells_nothing_and_is_closed_again_by_whoever_opens_it(
    shop: Shop,
) -> None:
    await shop.cancel(shop.catalog.offer.show.name, BY)
    rounds = CancellationRounds(shop, TokenBucket(Rate(per_second=1_000, burst=1_000)))
    for _ in range(2):
        await rounds.do()
        stock = await shop.read_stock()
        assert [each.is_closed for each in stock[: len(shop.classes)]] == [True, True]
        with pytest.raises(SaleClosedError):
            await shop.checkout("A", EMAIL)
        await shop.change_stock("A", OPEN, "bob")
    assert [deed[:2] for deed in await deeds(shop) if deed[1].startswith("Sale")] == [
        (BY, "Sale closed"),
        (BY, "Sale closed"),
        ("bob", "Sale opened"),
        (BY, "Sale closed"),
        ("bob", "Sale opened"),
    ]


async def test_a_closing_that_is_sent_again_after_the_opening_closes_nothing(shop: Shop) -> None:
    await shop.change_stock("A", CLOSE, BY, 0)
    await shop.change_stock("A", OPEN, BY, 1)
    again = await shop.change_stock("A", CLOSE, BY, 0)
    assert again.stock == Inventory(10, held=0, sold=0)


async def test_wherever_a_change_is_interrupted_the_same_one_sent_again_is_made_once(
    shop: Shop, open_shop: OpenShop
) -> None:
    made_so_far = {
        more(5): Inventory(15, held=0, sold=0),
        less(5): Inventory(10, held=0, sold=0, withdrawn=5),
        CLOSE: Inventory(0, held=0, sold=0, parked=10, withdrawn=5, is_closed=True),
        OPEN: Inventory(10, held=0, sold=0, withdrawn=5),
    }
    dying: Any = await open_shop(opens=False)
    number = withdrawn = 0
    for at, after in product(range(1, 7), (False, True)):
        for wanted, expected in made_so_far.items():
            dying.ledger = Dying(shop.ledger, [0], at, after=after)
            with suppress(DiedError):
                await dying.change_stock("A", wanted, BY, number)
            made = await shop.change_stock("A", wanted, BY, number)
            number += 1
            assert made.number == number
            assert made.stock == expected._replace(withdrawn=expected.withdrawn + withdrawn)
        withdrawn += 5


async def test_a_sale_that_is_closed_in_a_rush_sells_nothing_after_the_answer(
    open_shop: OpenShop,
) -> None:
    shops = [await open_shop(tickets_a=2_000) for _ in range(2)]
    operator = await open_shop(tickets_a=2_000)
    is_under_way, is_over = asyncio.Event(), asyncio.Event()
    held = [0]

    async def buy(shop: Shop) -> None:
        while not is_over.is_set():
            try:
                await shop.checkout("A", EMAIL)
            except (SaleClosedError, AllOnHoldError, SoldOutError):
                return
            held[0] += 1
            if held[0] == 100:
                is_under_way.set()

    buyers = [asyncio.create_task(buy(shop)) for shop in shops for _ in range(20)]
    await is_under_way.wait()
    closed = await operator.change_stock("A", CLOSE, BY)
    assert (closed.stock.available, closed.stock.parked > 0) == (0, True)
    is_over.set()
    await asyncio.gather(*buyers)
    after = (await operator.class_stock("A")).stock
    assert after == closed.stock
    assert after.held == held[0]


async def test_more_changes_than_are_looked_up_at_a_time_are_counted_on(shop: Shop) -> None:
    for number in range(130):
        await shop.change_stock("A", more(1), BY, number)
    stock = await shop.class_stock("A")
    assert (stock.number, stock.stock.total) == (130, 140)
