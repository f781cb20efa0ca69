"""How much there is, read from the ledger."""

from tigerfans.booking.inventory import Inventory
from tigerfans.ledger.wire import (
    Account,
)


def test_the_inventory_is_read_from_one_account() -> None:
    budget = Account(id=1, credits_posted=20, debits_pending=3, debits_posted=7)
    [inventory] = Inventory.unpack_all(budget.pack())
    assert inventory == Inventory(capacity=20, held=3, sold=7)
    assert inventory.available == 10
