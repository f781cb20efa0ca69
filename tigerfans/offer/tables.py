"""What may stand in an offer's file: a struct for each of its tables, with the bounds of fields.

`file` reads them field by field, so that every mistake is named, and not only the first.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Final

from msgspec import Meta, Struct

CAPACITY_MAX: Final = 1_000_000_000
# Their accounts, and those of the goodies, have to fit into one request to a TigerBeetle that was
# started with --development: 253. Five each, and less for the goodies and the hall.
CLASSES_MAX: Final = 49
PERKS_MAX: Final = 20
# Of an account's number, so that a ledger has room for more than classes.
NUMBER_MAX: Final = 65_535
HOLDS_PER_EMAIL_MAX: Final = 200
# The ends of an order's tickets are transfers under ids that tell 64 of them apart.
TICKETS_PER_ORDER_MAX: Final = 64

_ONE_LINE: Final = r"^[^\s\x00-\x1f](?:[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?$"
_ADDRESS: Final = r"^https?://[^\s\x00-\x1f<>\"]+$"

Line = Annotated[str, Meta(max_length=100, pattern=_ONE_LINE)]
Text = Annotated[str, Meta(max_length=1_000)]
Address = Annotated[str, Meta(max_length=500, pattern=_ADDRESS)]


class ShowTable(Struct):
    name: Line
    venue: Line
    starts_at: datetime
    ends_at: datetime
    time_zone: str
    currency: str
    organiser: Line | None = None
    headline: Annotated[str, Meta(max_length=120, pattern=_ONE_LINE)] = ""
    description: Text = ""
    accent: Annotated[str, Meta(pattern="^#[0-9a-fA-F]{6}$")] | None = None
    logo: Line | None = None
    contact: Annotated[str, Meta(max_length=500)] | None = None
    terms: Address | None = None
    privacy: Address | None = None
    imprint: Address | None = None
    vat_percent: Decimal | None = None


class GoodieTable(Struct):
    name: Line
    count: Annotated[int, Meta(ge=0, le=CAPACITY_MAX)]


class LimitsTable(Struct):
    tickets_per_order: Annotated[int, Meta(ge=1, le=TICKETS_PER_ORDER_MAX)] = 1
    holds_per_email: Annotated[int, Meta(ge=0, le=HOLDS_PER_EMAIL_MAX)] = 0
    people_inside: Annotated[int, Meta(ge=0, le=CAPACITY_MAX)] = 0


class ClassTable(Struct):
    code: Annotated[str, Meta(pattern="^[A-Z][A-Z0-9_]{0,15}$")]
    number: Annotated[int, Meta(ge=1, le=NUMBER_MAX)]
    name: Line
    price: Decimal
    capacity: Annotated[int, Meta(ge=0, le=CAPACITY_MAX)]
    perks: Annotated[tuple[Line, ...], Meta(max_length=PERKS_MAX)] = ()
    on_sale_from: datetime | None = None
    on_sale_until: datetime | None = None
