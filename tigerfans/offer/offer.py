"""An event as its organiser describes it: the show, its ticket classes, goodies and limits.

`file` reads one from a file, `catalog` says where its classes are on the ledger.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from tigerfans.offer.money import money
from tigerfans.offer.show import Show
from tigerfans.offer.windows import Window

# The code of a listing.
ClassCode = str

GOODIES_SETTING: Final = "TIGERFANS_GOODIES"
TICKETS_SETTING: Final = "TIGERFANS_TICKETS_"
DIGEST_HEX_DIGITS: Final = 16


@dataclass(frozen=True, slots=True)
class Listing:
    """A ticket class as it is advertised.

    The price is in the smallest unit of the offer's currency, cents say. `code` and `ledger` stand
    in what was sold, so they are a class's own for ever. The price is that of today: what a buyer
    agreed to stands on the hold. The `window` has the show's end for an end, at the latest.
    """

    code: ClassCode
    name: str
    price_cents: int
    perks: tuple[str, ...]
    ledger: int
    capacity: int = 0
    window: Window = field(default_factory=Window)

    @property
    def setting(self) -> str:
        """The variable that says how many tickets there are, where it is not the file."""
        return f"{TICKETS_SETTING}{self.code}"


@dataclass(frozen=True, slots=True)
class Goodie:
    """What the first paid orders get; a `count` of 0 is none."""

    name: str = "Goodie"
    count: int = 0


@dataclass(frozen=True, slots=True)
class Logo:
    """The organiser's picture, `suffix` is `.png` or `.svg`."""

    suffix: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Offer:
    """One event. `currency` is ISO 4217 in small letters; `links` are addresses by their words.

    `people_inside` is how many the door lets in at a time; 0 is any number.

    `path` is the file that it was read from, None for the demonstration.
    """

    show: Show
    currency: str
    listings: tuple[Listing, ...]
    goodie: Goodie = Goodie()
    tickets_per_order: int = 1
    holds_per_email: int = 0
    people_inside: int = 0
    links: Mapping[str, str] = field(default_factory=dict)
    accent: str | None = None
    logo: Logo | None = None
    vat_percent: Decimal | None = None
    path: Path | None = None

    @property
    def digest(self) -> str:
        """Tells another offer of the same release from this one, wherever their files are."""
        content = msgspec.json.encode(replace(self, path=None))
        return sha256(content).hexdigest()[:DIGEST_HEX_DIGITS]

    def price(self, listing: Listing) -> str:
        """Such as `€65.00`."""
        return money(listing.price_cents, self.currency)
