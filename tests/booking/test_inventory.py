"""How much there is, read from the ledger."""

import pytest

from tigerfans.booking.inventory import Inventory, StockState
from tigerfans.errors import AllOnHoldError, SoldOutError
from tigerfans.ledger.wire import (
    Account,
)


def test_the_inventory_is_read_from_one_account() -> None:
    budget = Account(id=1, credits_posted=20, debits_pending=3, debits_posted=7)
    [inventory] = Inventory.unpack_all(budget.pack())
    assert inventory == Inventory(capacity=20, held=3, sold=7)
    assert inventory.available == 10


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
    ],
)
def test_what_can_still_be_had_follows_from_the_numbers(
    stock: Inventory, state: StockState, is_going_fast: bool
) -> None:
    assert (stock.state, stock.is_going_fast) == (state, is_going_fast)


def test_a_refusal_names_the_state_as_the_inventory_does() -> None:
    assert AllOnHoldError().fields == {"state": StockState.ON_HOLD}
    assert SoldOutError().fields == {"state": StockState.SOLD_OUT}
    assert str(AllOnHoldError()) != str(SoldOutError())
