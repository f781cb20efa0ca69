"""How much there is of a resource, as its account on the ledger says."""

from typing import Final, Literal, NamedTuple

from tigerfans.ledger.wire import ACCOUNT

# A class reads "going fast" below this share of its capacity.
FEW_LEFT_SHARE: Final = 0.1

StockState = Literal["available", "few", "held", "sold-out"]


class Inventory(NamedTuple):
    """One resource's stock, in units."""

    capacity: int
    held: int
    sold: int

    @property
    def available(self) -> int:
        return self.capacity - self.held - self.sold

    @property
    def state(self) -> StockState:
        """Which words the stock deserves, on a page and in a script."""
        capacity, held, sold = self
        if sold >= capacity:
            return "sold-out"
        available = capacity - held - sold
        if available <= 0:
            return "held"
        if available < capacity * FEW_LEFT_SHARE or held >= available:
            return "few"
        return "available"

    @classmethod
    def unpack_all(cls, budgets: bytes) -> "list[Inventory]":
        """From records of budget accounts."""
        return [
            cls(
                capacity=int.from_bytes(credits_posted, "little"),
                held=int.from_bytes(debits_pending, "little"),
                sold=int.from_bytes(debits_posted, "little"),
            )
            for _, debits_pending, debits_posted, _, credits_posted, *_ in ACCOUNT.iter_unpack(
                budgets
            )
        ]
