"""How much there is of a resource, as its accounts on the ledger say, and what that means.

What can still be had is decided here alone; pages, scripts and the API repeat it.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from tigerfans.ledger.wire import Account
from tigerfans.offer.catalog import Part

# A resource is going fast below this share of its capacity.
FEW_LEFT_SHARE: Final = 0.1


class StockState(StrEnum):
    ON_SALE = "on_sale"
    # None is left now, but what is held and not paid comes back.
    ON_HOLD = "on_hold"
    # Everything is sold; only a refund or the operator brings some back.
    SOLD_OUT = "sold_out"
    # The operator closed the sale: what was left, and what comes back, is kept.
    CLOSED = "closed"


# Said in place of when a class is on sale, which makes no difference then.
WHATEVER_THE_HOUR: Final = (StockState.SOLD_OUT, StockState.CLOSED)


class Inventory(NamedTuple):
    """One resource's stock, in units: `capacity` is what can be sold, was sold or is on hold.

    What is `parked` is kept back while the sale is closed, and no part of the capacity; what was
    `withdrawn` is gone.
    """

    capacity: int
    held: int
    sold: int
    parked: int = 0
    withdrawn: int = 0
    is_closed: bool = False

    @property
    def available(self) -> int:
        return self.capacity - self.held - self.sold

    @property
    def total(self) -> int:
        """All there are: what was funded and not withdrawn."""
        return self.capacity + self.parked

    @property
    def funded(self) -> int:
        """All there ever were."""
        return self.total + self.withdrawn

    @property
    def state(self) -> StockState:
        if self.is_closed:
            return StockState.CLOSED
        if self.available > 0:
            return StockState.ON_SALE
        return StockState.SOLD_OUT if self.sold >= self.capacity else StockState.ON_HOLD

    @property
    def is_going_fast(self) -> bool:
        """Whether who wants one that is on sale should not wait."""
        if self.is_closed:
            return False
        available = self.available
        return 0 < available < self.capacity * FEW_LEFT_SHARE or 0 < available <= self.held

    @classmethod
    def by_ledger(cls, accounts: bytes) -> "dict[int, Inventory]":
        """The stock of each ledger number, from the records of its `operator`, `budget` and
        `closed`, in their order; a number without accounts is left out.
        """
        parts: dict[int, dict[int, Account]] = {}
        for account in Account.unpack_all(accounts):
            parts.setdefault(account.ledger, {})[account.id & 0xFF] = account
        return {ledger: cls._of(of_one, ledger) for ledger, of_one in parts.items()}

    @classmethod
    def _of(cls, parts: Mapping[int, Account], ledger: int) -> "Inventory":
        operator, budget = parts[Part.OPERATOR], parts[Part.BUDGET]
        # A shop that a release of before has opened has none yet.
        closed = parts.get(Part.CLOSED) or Account(id=ledger << 8 | Part.CLOSED)
        parked = closed.credits_posted - closed.debits_posted
        capacity = operator.debits_posted - operator.credits_posted - parked
        available = budget.credits_posted - budget.debits_posted - budget.debits_pending
        return cls(
            capacity=capacity,
            held=budget.debits_pending,
            sold=capacity - available - budget.debits_pending,
            parked=parked,
            withdrawn=operator.credits_posted,
            is_closed=closed.credits_pending > 0,
        )
