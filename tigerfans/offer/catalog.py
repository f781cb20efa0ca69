"""What is for sale: ticket classes, prices, capacities, goodies, and where each is on the ledger.

`LISTINGS` is the whole offer; settings, pages and the API follow from it, and
docs/tutorial-ticket-class.md adds a class to it. How many there are of each is a setting.

Every resource has a ledger number of its own, so that no transfer can mix a ticket with a goodie,
and three accounts: stock moves from `operator` to `budget` once, when the shop is funded, and from
`budget` to `sold` unit by unit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

CURRENCY: Final = "eur"

# The code of a listing.
ClassCode = str


@dataclass(frozen=True, slots=True)
class Listing:
    """A ticket class as it is advertised; the price is in cents of `CURRENCY`.

    `code` and `ledger` stand in what was sold, so they are a class's own for ever. The price is
    that of today: what a buyer agreed to stands on the hold.
    """

    code: ClassCode
    name: str
    price_cents: int
    perks: tuple[str, ...]
    ledger: int

    @property
    def setting(self) -> str:
        """The variable that says how many tickets there are."""
        return f"TIGERFANS_TICKETS_{self.code}"


LISTINGS: Final = (
    Listing(
        code="A",
        name="Premium",
        price_cents=6500,
        perks=(
            "The first ten rows, or the balcony",
            "Lunch, dinner and drinks",
            "The evening with the speakers",
        ),
        ledger=1,
    ),
    Listing(
        code="B",
        name="Standard",
        price_cents=3500,
        perks=(
            "Every talk of the day",
            "Coffee from nine to eleven",
            "Any seat from row eleven on",
        ),
        ledger=2,
    ),
)

GOODIES_LEDGER: Final = 3
GOODIES_SETTING: Final = "TIGERFANS_GOODIES"


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
    """A listing and the tickets there are of it."""

    listing: Listing
    tickets: Resource

    @property
    def code(self) -> ClassCode:
        return self.listing.code

    @property
    def name(self) -> str:
        return self.listing.name

    @property
    def price_cents(self) -> int:
        return self.listing.price_cents


@dataclass(frozen=True, slots=True)
class Catalog:
    classes: tuple[TicketClass, ...]
    goodies: Resource

    @classmethod
    def build(
        cls,
        tickets: Mapping[ClassCode, int],
        goodies: int,
        listings: Sequence[Listing] = LISTINGS,
    ) -> "Catalog":
        """The catalog for given capacities, in units; a class that is not named has none."""
        return cls(
            classes=tuple(
                TicketClass(
                    listing, Resource(listing.ledger, tickets.get(listing.code, 0), listing.setting)
                )
                for listing in listings
            ),
            goodies=Resource(GOODIES_LEDGER, goodies, GOODIES_SETTING),
        )

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The tickets of each class, and the goodies last."""
        return *(c.tickets for c in self.classes), self.goodies

    def class_name(self, code: ClassCode) -> str:
        """Such as `Premium`."""
        return next(c.name for c in self.classes if c.code == code)

    def by_ledger(self, ledger: int) -> TicketClass | None:
        """The ticket class on that ledger number; None for goodies and strangers."""
        return next((c for c in self.classes if c.tickets.ledger == ledger), None)
