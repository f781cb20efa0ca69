"""How much there is of a resource, as its account on the ledger says."""

from typing import NamedTuple

from tigerfans.ledger.wire import ACCOUNT


class Inventory(NamedTuple):
    """One resource's stock, in units."""

    capacity: int
    held: int
    sold: int

    @property
    def available(self) -> int:
        return self.capacity - self.held - self.sold

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
