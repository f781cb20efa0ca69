"""Buying: what is left, and the checkout that holds a ticket."""

import time
from datetime import UTC, datetime

import msgspec
import orjson
from litestar.types import ControllerRouterHandler, HTTPScope, Receive, Send

from tigerfans.booking.inventory import StockState
from tigerfans.errors import InvalidRequestError
from tigerfans.http.api.raw import HEADERS, json_route, raw_route, respond
from tigerfans.http.client_address import ClientAddresses
from tigerfans.http.held_cookies import HeldCookies
from tigerfans.http.reading import BodyReader, header
from tigerfans.json_input import InvalidJsonError, decode
from tigerfans.offer.catalog import CURRENCY
from tigerfans.shop.shop import Shop


class CheckoutBody(msgspec.Struct):
    """The body of `POST /api/checkout`.

    With `remember` the answer brings a cookie by which the checkout's page knows the hold.
    """

    cls: str
    customer_email: str
    remember: bool = False


_checkout_body = msgspec.json.Decoder(CheckoutBody)


def buying_routes(
    shop: Shop, clients: ClientAddresses, cookies: HeldCookies
) -> list[ControllerRouterHandler]:
    bodies = BodyReader()

    async def checkout(scope: HTTPScope, receive: Receive, send: Send) -> None:
        body = _read_checkout(await bodies.read(scope, receive))
        held = await shop.checkout(
            body.cls,
            body.customer_email,
            header(scope, b"idempotency-key"),
            client=clients.of(scope),
        )
        answer = orjson.dumps(
            {
                "order_id": held.order_id,
                "redirect_url": held.redirect_url,
                "amount": held.amount_cents,
                "currency": CURRENCY,
            }
        )
        headers = HEADERS
        if body.remember:
            headers = (*HEADERS, (b"set-cookie", cookies.set_cookie(held.order_id).encode()))
        await respond(send, 200, answer, headers=headers)

    async def inventory(scope: HTTPScope, receive: Receive) -> bytes:
        stock = await shop.inventory()
        timestamp = datetime.fromtimestamp(time.time(), UTC).isoformat()
        return orjson.dumps(
            {
                cls: {
                    "capacity": tickets.capacity,
                    "sold": tickets.sold,
                    "active_holds": tickets.held,
                    "available": tickets.available,
                    "state": (state := tickets.state),
                    "going_fast": tickets.is_going_fast,
                    "sold_out": state is StockState.SOLD_OUT,
                    "timestamp": timestamp,
                }
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
    except InvalidJsonError:
        raise InvalidRequestError(
            'Please send JSON such as {"cls": "A", "customer_email": "you@example.org"}.'
        ) from None
