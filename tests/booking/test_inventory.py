"""How much there is, read from the ledger."""

import pytest

from tigerfans.booking.inventory import Inventory, StockState
from tigerfans.ledger.wire import (
    Account,
)


def test_the_inventory_is_read_from_one_account() -> None:
    budget = Account(id=1, credits_posted=20, debits_pending=3, debits_posted=7)
    [inventory] = Inventory.unpack_all(budget.pack())
    assert inventory == Inventory(capacity=20, held=3, sold=7)
    assert inventory.available == 10


@pytest.mark.parametrize(
    ("stock", "state"),
    [
        (Inventory(500, 0, 0), "available"),
        (Inventory(500, 0, 450), "available"),
        (Inventory(500, 0, 451), "few"),
        (Inventory(500, 200, 100), "few"),
        (Inventory(500, 20, 480), "held"),
        (Inventory(500, 0, 500), "sold-out"),
        (Inventory(0, 0, 0), "sold-out"),
    ],
)
def test_the_words_of_a_stock_follow_from_its_numbers(stock: Inventory, state: StockState) -> None:
    assert stock.state == state
