"""What is for sale: ticket classes, prices, capacities, goodies, and where each is on the ledger.

Every resource has a ledger number of its own, so that no transfer can mix a ticket with a goodie,
and three accounts: stock moves from `operator` to `budget` once, when the shop is funded, and from
`budget` to `sold` unit by unit.
"""

from dataclasses import dataclass
from typing import Final, Literal

CURRENCY: Final = "eur"

ClassCode = Literal["A", "B"]


@dataclass(frozen=True, slots=True)
class Resource:
    """Something that is sold by the unit, `capacity` as `setting` says.

    Account ids are 128-bit integers, fixed for ever.
    """

    ledger: int
    capacity: int
    setting: str

    @property
    def operator_account_id(self) -> int:
        return self.ledger << 8 | 1

    @property
    def budget_account_id(self) -> int:
        return self.ledger << 8 | 2

    @property
    def sold_account_id(self) -> int:
        return self.ledger << 8 | 3

    @property
    def funding_transfer_id(self) -> int:
        return self.ledger << 8 | 4


@dataclass(frozen=True, slots=True)
class TicketClass:
    """A class of tickets; the price is in cents of `CURRENCY`."""

    code: ClassCode
    name: str
    price_cents: int
    tickets: Resource


@dataclass(frozen=True, slots=True)
class Catalog:
    a: TicketClass
    b: TicketClass
    goodies: Resource

    @classmethod
    def build(cls, tickets_a: int, tickets_b: int, goodies: int) -> "Catalog":
        """The catalog for given capacities, in units."""
        return cls(
            a=TicketClass("A", "Premium", 6500, Resource(1, tickets_a, "TIGERFANS_TICKETS_A")),
            b=TicketClass("B", "Standard", 3500, Resource(2, tickets_b, "TIGERFANS_TICKETS_B")),
            goodies=Resource(3, goodies, "TIGERFANS_GOODIES"),
        )

    @property
    def classes(self) -> tuple[TicketClass, TicketClass]:
        return self.a, self.b

    @property
    def resources(self) -> tuple[Resource, Resource, Resource]:
        return self.a.tickets, self.b.tickets, self.goodies

    def by_ledger(self, ledger: int) -> TicketClass | None:
        """The ticket class on that ledger number; None for goodies and strangers."""
        return next((c for c in self.classes if c.tickets.ledger == ledger), None)
