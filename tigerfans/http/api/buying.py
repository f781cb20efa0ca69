"""Buying: what is left, and the checkout that holds a ticket."""

import time
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec
from litestar.types import ControllerRouterHandler, HTTPScope, Receive, Send

from tigerfans.booking.email_address import EMAIL_CHARACTERS_MAX
from tigerfans.booking.inventory import WHATEVER_THE_HOUR, Inventory
from tigerfans.errors import InvalidQtyError, InvalidRequestError
from tigerfans.http.api.raw import HEADERS, json_route, raw_route, respond
from tigerfans.http.client_address import ClientAddresses
from tigerfans.http.held_cookies import HeldCookies
from tigerfans.http.reading import BodyReader, header
from tigerfans.json_input import InvalidJsonError, decode
from tigerfans.offer.catalog import TicketClass
from tigerfans.offer.tables import TICKETS_PER_ORDER_MAX
from tigerfans.offer.windows import SaleState
from tigerfans.shop.answers import Cents, ClassText, Count, Currency, Moment, OrderIdText
from tigerfans.shop.shop import Shop

# Described only: the shop refuses a longer one in a sentence of its own.
Email = Annotated[str, msgspec.Meta(extra_json_schema={"maxLength": EMAIL_CHARACTERS_MAX})]


# Described only, too: how many there may be is the shop's to say, in `/api/show`.
Qty = Annotated[
    int, msgspec.Meta(extra_json_schema={"minimum": 1, "maximum": TICKETS_PER_ORDER_MAX})
]


class CheckoutBody(msgspec.Struct):
    """Which tickets to hold, how many of them, and for whom.

    With `remember` the answer brings a cookie by which the checkout's page knows the hold.
    """

    cls: ClassText
    customer_email: Email
    remember: bool = False
    qty: Qty = 1


class HoldAnswer(msgspec.Struct):
    """What was asked for is held for this order until it is paid for at `redirect_url`, or the hold
    ends; `amount` is what all of it costs.
    """

    order_id: OrderIdText
    redirect_url: str
    amount: Cents
    currency: Currency


# A state of the stock, or why none of it is on sale.
SaleWords = Literal["on_sale", "on_hold", "sold_out", "closed", "not_yet", "ended"]


class StockAnswer(msgspec.Struct):
    """What is left of a ticket class; `available` may be below 0 while the ledger is behind.

    What is kept back while the sale is closed is no part of the capacity.
    """

    capacity: Count
    sold: Count
    active_holds: Count
    available: int
    state: SaleWords
    going_fast: bool
    sold_out: bool
    timestamp: Moment


def sale_words(ticket_class: TicketClass, tickets: Inventory, now: float) -> SaleWords:
    """What there is to say of a class: what is sold out or closed is, whatever the hour."""
    is_open = ticket_class.opens <= now < ticket_class.closes
    if is_open or tickets.state in WHATEVER_THE_HOUR:
        return tickets.state.value
    return "not_yet" if ticket_class.sale_state(now) is SaleState.NOT_YET else "ended"


_checkout_body = msgspec.json.Decoder(CheckoutBody)
_encode: Final = msgspec.json.Encoder().encode


def buying_routes(
    shop: Shop, clients: ClientAddresses, cookies: HeldCookies
) -> list[ControllerRouterHandler]:
    bodies = BodyReader()
    classes, currency = shop.classes, shop.catalog.currency

    async def checkout(scope: HTTPScope, receive: Receive, send: Send) -> None:
        body = _read_checkout(await bodies.read(scope, receive))
        held = await shop.checkout(
            body.cls,
            body.customer_email,
            header(scope, b"idempotency-key"),
            qty=body.qty,
            client=clients.of(scope),
        )
        answer = _encode(
            HoldAnswer(
                order_id=held.order_id,
                redirect_url=held.redirect_url,
                amount=held.amount_cents,
                currency=currency,
            )
        )
        headers = HEADERS
        if body.remember:
            headers = (*HEADERS, (b"set-cookie", cookies.set_cookie(held.order_id).encode()))
        await respond(send, 200, answer, headers=headers)

    async def inventory(scope: HTTPScope, receive: Receive) -> bytes:
        stock = await shop.inventory()
        now = time.time()
        timestamp = datetime.fromtimestamp(now, UTC).isoformat()
        return _encode(
            {
                cls: StockAnswer(
                    capacity=tickets.capacity,
                    sold=tickets.sold,
                    active_holds=tickets.held,
                    available=tickets.available,
                    state=(state := sale_words(classes[cls], tickets, now)),
                    going_fast=tickets.is_going_fast,
                    sold_out=state == "sold_out",
                    timestamp=timestamp,
                )
                for cls, tickets in stock.items()
            }
        )

    return [
        raw_route("POST", "/api/checkout", checkout),
        json_route("GET", "/api/inventory", inventory),
    ]


def _read_checkout(body: bytes) -> CheckoutBody:
    try:
        return decode(_checkout_body, body)
    except InvalidJsonError as error:
        refusal = str(error)
        if _names(refusal, "qty"):
            raise InvalidQtyError("Please choose how many tickets by a whole number.") from None
        named = (words for name, words in _MISSING.items() if _names(refusal, name))
        raise InvalidRequestError(next(named, _NO_JSON)) from None


def _names(refusal: str, field: str) -> bool:
    """Whether it is this field that is missing, or of another type."""
    return refusal.endswith((f" - at `$.{field}`", f"required field `{field}`"))


_NO_JSON: Final = 'Please send JSON such as {"cls": "A", "customer_email": "you@example.org"}.'
# What a buyer is told where a field is no text, or is not there at all.
_MISSING: Final = {
    "cls": "Please choose a ticket class.",
    "customer_email": "Please give an email address for the ticket.",
}
