"""The show and its offer, so that others can build a front end of their own; the stock is apart.

Nothing of it changes while the shop runs, so it is put into words once, when the process starts.
"""

from typing import Annotated

import msgspec
from litestar.handlers import ASGIRouteHandler
from litestar.types import HTTPScope, Receive
from msgspec import Meta

from tigerfans.booking.email_address import EMAIL_CHARACTERS_MAX
from tigerfans.http.api.raw import json_route
from tigerfans.offer.offer import Listing
from tigerfans.settings.settings import Settings
from tigerfans.shop.answers import Cents, ClassText, Count, Currency, Moment
from tigerfans.shop.checkout import IDEMPOTENCY_KEY_CHARACTERS_MAX
from tigerfans.shop.shop import Shop

Limit = Annotated[int, Meta(description="0 is no limit.", extra_json_schema={"minimum": 0})]


class TicketClassAnswer(msgspec.Struct):
    """A kind of ticket, with the price of one; what is left of it says `/api/inventory`."""

    cls: ClassText
    name: str
    price: Cents
    perks: list[str]
    capacity: Annotated[
        Count, Meta(description="As the offer says it; `/api/inventory` has how many there are.")
    ]
    on_sale_from: Annotated[Moment | None, Meta(description="null is from now on.")]
    on_sale_until: Moment | None


class LimitsAnswer(msgspec.Struct):
    """What a checkout is bound to; past it, the answer says so in a sentence.

    The holds of a client and of an email are counted in tickets.
    """

    tickets_per_order: Count
    holds_per_client: Limit
    holds_per_email: Limit
    email_characters: Count
    idempotency_key_characters: Count


class PaymentAnswer(msgspec.Struct):
    """Who asks for the money, and whether any is meant."""

    provider: str
    demo: bool


class ShowAnswer(msgspec.Struct):
    """The show and what is on offer; a hold lasts for `hold_seconds`, and is paid for until then.

    The times carry the venue's own offset.
    """

    name: str
    venue: str
    starts_at: Moment
    ends_at: Moment
    time_zone: Annotated[str, Meta(description="As IANA names it.", examples=["Europe/Berlin"])]
    organiser: str
    headline: str
    description: str
    currency: Currency
    classes: list[TicketClassAnswer]
    goodies: Annotated[int, Meta(description="The first so many paid orders get one.")]
    goodie: str
    hold_seconds: Count
    limits: LimitsAnswer
    payment: PaymentAnswer
    links: Annotated[dict[str, str], Meta(description="Such as the imprint, by their words.")]


def show_route(shop: Shop, settings: Settings) -> ASGIRouteHandler:
    answer = msgspec.json.encode(show_answer(shop, settings))

    async def serve(scope: HTTPScope, receive: Receive) -> bytes:
        return answer

    return json_route("GET", "/api/show", serve)


def class_answer(listing: Listing, capacity: int) -> TicketClassAnswer:
    window = listing.window
    return TicketClassAnswer(
        cls=listing.code,
        name=listing.name,
        price=listing.price_cents,
        perks=list(listing.perks),
        capacity=capacity,
        on_sale_from=None if window.opens_at is None else window.opens_at.isoformat(),
        on_sale_until=None if window.closes_at is None else window.closes_at.isoformat(),
    )


def show_answer(shop: Shop, settings: Settings) -> ShowAnswer:
    offer = shop.catalog.offer
    show = offer.show
    return ShowAnswer(
        name=show.name,
        venue=show.venue,
        starts_at=show.starts_at.isoformat(),
        ends_at=show.ends_at.isoformat(),
        time_zone=show.time_zone,
        organiser=show.organiser,
        headline=show.headline,
        description=show.description,
        currency=offer.currency,
        classes=[
            class_answer(each.listing, each.tickets.capacity) for each in shop.catalog.classes
        ],
        goodies=shop.catalog.goodies.capacity,
        goodie=offer.goodie.name,
        hold_seconds=shop.hold_seconds,
        limits=LimitsAnswer(
            tickets_per_order=shop.tickets_per_order,
            holds_per_client=settings.limits.holds_per_client,
            holds_per_email=settings.holds_per_email,
            email_characters=EMAIL_CHARACTERS_MAX,
            idempotency_key_characters=IDEMPOTENCY_KEY_CHARACTERS_MAX,
        ),
        payment=PaymentAnswer(provider=shop.provider.name, demo=settings.demo),
        links=settings.foot_links,
    )
