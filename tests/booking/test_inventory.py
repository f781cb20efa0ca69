"""How much there is, read from the ledger."""

from typing import Final

import pytest

from tigerfans.booking.inventory import Inventory, StockState
from tigerfans.errors import AllOnHoldError, SaleClosedError, SoldOutError
from tigerfans.ledger.wire import (
    Account,
)
from tigerfans.offer.catalog import Part

NUMBER: Final = 7


def accounts(**parts: Account) -> bytes:
    """The records of a resource's accounts, by the name of the part."""
    return b"".join(
        account._replace(id=NUMBER << 8 | Part[part.upper()], ledger=NUMBER).pack()
        for part, account in parts.items()
    )


def test_the_inventory_is_read_from_three_accounts() -> None:
    records = accounts(
        # 20 at first, 5 more later, of which 2 were withdrawn.
        operator=Account(id=0, debits_posted=25, credits_posted=2),
        # 7 were sold, one of which was given back.
        budget=Account(id=0, credits_posted=26, debits_pending=3, debits_posted=9),
        closed=Account(id=0),
    )
    stock = Inventory(capacity=23, held=3, sold=6, withdrawn=2)
    assert Inventory.by_ledger(records) == {NUMBER: stock}
    assert (stock.available, stock.total, stock.funded) == (14, 23, 25)


def test_what_is_parked_while_the_sale_is_closed_is_no_part_of_the_capacity() -> None:
    records = accounts(
        operator=Account(id=0, debits_posted=20, debits_pending=1),
        budget=Account(id=0, credits_posted=20, debits_pending=3, debits_posted=17),
        closed=Account(id=0, credits_pending=1, credits_posted=12, debits_posted=2),
    )
    stock = Inventory(capacity=10, held=3, sold=7, parked=10, is_closed=True)
    assert Inventory.by_ledger(records) == {NUMBER: stock}
    assert (stock.available, stock.total, stock.funded) == (0, 20, 20)


def test_the_accounts_of_a_release_of_before_have_no_stock_that_is_kept_back() -> None:
    records = accounts(
        operator=Account(id=0, debits_posted=20),
        budget=Account(id=0, credits_posted=20, debits_pending=3, debits_posted=7),
    )
    assert Inventory.by_ledger(records) == {NUMBER: Inventory(capacity=20, held=3, sold=7)}


def test_a_resource_that_has_no_accounts_yet_is_left_out() -> None:
    assert Inventory.by_ledger(b"") == {}


@pytest.mark.parametrize(
    ("stock", "state", "is_going_fast"),
    [
        (Inventory(500, 0, 0), StockState.ON_SALE, False),
        (Inventory(500, 0, 450), StockState.ON_SALE, False),
        (Inventory(500, 0, 451), StockState.ON_SALE, True),
        (Inventory(500, 200, 100), StockState.ON_SALE, True),
        (Inventory(500, 20, 480), StockState.ON_HOLD, False),
        (Inventory(500, 500, 0), StockState.ON_HOLD, False),
        (Inventory(500, 0, 500), StockState.SOLD_OUT, False),
        (Inventory(0, 0, 0), StockState.SOLD_OUT, False),
        (Inventory(300, 100, 200, parked=200, is_closed=True), StockState.CLOSED, False),
        # Until the clerk comes to what was given back.
        (Inventory(301, 100, 200, parked=199, is_closed=True), StockState.CLOSED, False),
    ],
)
def test_what_can_still_be_had_follows_from_the_numbers(
    stock: Inventory, state: StockState, is_going_fast: bool
) -> None:
    assert (stock.state, stock.is_going_fast) == (state, is_going_fast)


def test_a_refusal_names_the_state_as_the_inventory_does() -> None:
    assert AllOnHoldError().fields == {"state": StockState.ON_HOLD}
    assert SoldOutError().fields == {"state": StockState.SOLD_OUT}
    assert SaleClosedError().fields == {"state": StockState.CLOSED}
    assert str(AllOnHoldError()) != str(SoldOutError())
