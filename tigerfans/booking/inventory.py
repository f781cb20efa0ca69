"""How much there is of a resource, as its account on the ledger says, and what that means.

What can still be had is decided here alone; pages, scripts and the API repeat it.
"""

from enum import StrEnum
from typing import Final, NamedTuple

from tigerfans.ledger.wire import ACCOUNT

# A resource is going fast below this share of its capacity.
FEW_LEFT_SHARE: Final = 0.1


class StockState(StrEnum):
    ON_SALE = "on_sale"
    # None is left now, but what is held and not paid comes back.
    ON_HOLD = "on_hold"
    # Everything is sold, and nothing comes back.
    SOLD_OUT = "sold_out"


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
        if self.available > 0:
            return StockState.ON_SALE
        return StockState.SOLD_OUT if self.sold >= self.capacity else StockState.ON_HOLD

    @property
    def is_going_fast(self) -> bool:
        """Whether who wants one that is on sale should not wait."""
        available = self.available
        return 0 < available < self.capacity * FEW_LEFT_SHARE or 0 < available <= self.held

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
