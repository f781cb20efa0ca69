"""What is for sale as the ledger has it: how many of each class, and under which accounts.

Settings, pages and the API follow from an `Offer`; docs/tutorial-ticket-class.md adds a class to
one. How many there are of each says the offer, unless a setting does.

Every resource has a ledger number of its own, so that no transfer can mix a ticket with a goodie,
and accounts: stock moves from `operator` to `budget` when the shop is funded and whenever its
operator adds some, from `budget` to `sold` unit by unit, and lies in `closed` while its sale is
closed. A ticket that is used at the door moves on to `inside`. Places in the hall, where the offer
says how many there are, are a resource too: `sold` are those that are taken.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from tigerfans.offer.offer import GOODIES_SETTING, ClassCode, Listing, Offer
from tigerfans.offer.windows import SaleState

__all__ = ["GOODIES_LEDGER", "Catalog", "ClassCode", "Part", "Resource", "TicketClass"]

GOODIES_LEDGER: Final = 3
# Past the numbers that classes may have.
HALL_LEDGER: Final = 65_536
HALL_SETTING: Final = "people_inside"


class Part(IntEnum):
    """Which account of a resource it is: the last byte of its id. 4 is the funding's."""

    OPERATOR = 1
    BUDGET = 2
    SOLD = 3
    INSIDE = 5
    CLOSED = 6


@dataclass(frozen=True, slots=True)
class Resource:
    """Something that is sold by the unit; `setting` is the variable that may say how many.

    Account ids are 128-bit integers, fixed for ever.
    """

    ledger: int
    capacity: int
    setting: str

    @property
    def operator_account_id(self) -> int:
        return self.ledger << 8 | Part.OPERATOR

    @property
    def budget_account_id(self) -> int:
        return self.ledger << 8 | Part.BUDGET

    @property
    def sold_account_id(self) -> int:
        return self.ledger << 8 | Part.SOLD

    @property
    def inside_account_id(self) -> int:
        return self.ledger << 8 | Part.INSIDE

    @property
    def closed_account_id(self) -> int:
        return self.ledger << 8 | Part.CLOSED

    @property
    def funding_transfer_id(self) -> int:
        return self.ledger << 8 | 4


def stock_account_ids(ledger: int) -> tuple[int, int, int]:
    """The accounts that say how many there are, of the resource with that number."""
    return ledger << 8 | Part.OPERATOR, ledger << 8 | Part.BUDGET, ledger << 8 | Part.CLOSED


@dataclass(frozen=True, slots=True)
class TicketClass:
    """A listing and the tickets there are of it.

    It is on sale from `opens` on and before `closes`, in seconds since the epoch: put into numbers
    once, for a checkout has to compare them.
    """

    listing: Listing
    tickets: Resource
    opens: float
    closes: float

    @property
    def code(self) -> ClassCode:
        return self.listing.code

    @property
    def name(self) -> str:
        return self.listing.name

    @property
    def price_cents(self) -> int:
        return self.listing.price_cents

    def sale_state(self, now: float) -> SaleState:
        """Whether it is on sale so many seconds after the epoch."""
        if now < self.opens:
            return SaleState.NOT_YET
        return SaleState.OPEN if now < self.closes else SaleState.ENDED


@dataclass(frozen=True, slots=True)
class Catalog:
    """The classes and goodies of an offer, each with how many there are.

    `hall` is for how many people there is room, None where that is not said.
    """

    offer: Offer
    classes: tuple[TicketClass, ...]
    goodies: Resource
    hall: Resource | None = None

    @classmethod
    def build(
        cls,
        offer: Offer,
        tickets: Mapping[ClassCode, int] | None = None,
        goodies: int | None = None,
    ) -> "Catalog":
        """The catalog of an offer; `tickets` and `goodies` take the place of what it says."""
        amounts = tickets or {}
        return cls(
            offer=offer,
            classes=tuple(
                TicketClass(
                    listing,
                    Resource(
                        listing.ledger,
                        amounts.get(listing.code, listing.capacity),
                        listing.setting,
                    ),
                    *listing.window.seconds,
                )
                for listing in offer.listings
            ),
            goodies=Resource(
                GOODIES_LEDGER,
                offer.goodie.count if goodies is None else goodies,
                GOODIES_SETTING,
            ),
            hall=Resource(HALL_LEDGER, offer.people_inside, HALL_SETTING)
            if offer.people_inside
            else None,
        )

    @property
    def currency(self) -> str:
        return self.offer.currency

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The tickets of each class, and the goodies last."""
        return *(c.tickets for c in self.classes), self.goodies

    @property
    def funded(self) -> tuple[Resource, ...]:
        """All that the ledger has: the resources, and behind them the hall where there is one."""
        return self.resources if self.hall is None else (*self.resources, self.hall)

    def class_name(self, code: ClassCode) -> str:
        """Such as `Premium`; the code itself where the offer has dropped the class."""
        return next((c.name for c in self.classes if c.code == code), code)

    def tickets_name(self, code: ClassCode, qty: int) -> str:
        """Such as `Premium`, or `3 × Premium`."""
        name = self.class_name(code)
        return name if qty == 1 else f"{qty} × {name}"

    def by_ledger(self, ledger: int) -> TicketClass | None:
        """The ticket class on that ledger number; None for goodies and strangers."""
        return next((c for c in self.classes if c.tickets.ledger == ledger), None)
