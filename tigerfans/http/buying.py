"""The buyer's JSON API: checkout, order status, inventory, and the ticket's QR code."""

import time
from datetime import UTC, datetime
from typing import Final

import msgspec
import orjson
from litestar import Response, get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler, HTTPScope, Receive

from tigerfans.booking import OrderId
from tigerfans.catalog import CURRENCY
from tigerfans.errors import InvalidRequestError, ShopError, UnknownOrderError
from tigerfans.http.raw import header, json_route, read_body
from tigerfans.orders import Order
from tigerfans.shop import Shop
from tigerfans.ticket import qr_png, qr_svg

# A paid order's QR code never changes; only who knows the order's id may keep it.
QR_CACHE_CONTROL: Final = "private, max-age=86400"


class CheckoutBody(msgspec.Struct):
    """The body of `POST /api/checkout`."""

    cls: str
    customer_email: str


class NotPaidError(ShopError):
    """There is no ticket for this order: it is not paid."""

    status = 404


_checkout_body = msgspec.json.Decoder(CheckoutBody)


def buying_routes(shop: Shop) -> list[ControllerRouterHandler]:
    async def checkout(scope: HTTPScope, receive: Receive) -> bytes:
        body = _read_checkout(await read_body(receive))
        held = await shop.checkout(body.cls, body.customer_email, header(scope, b"idempotency-key"))
        return orjson.dumps(
            {
                "order_id": held.order_id,
                "redirect_url": held.redirect_url,
                "amount": held.amount_cents,
                "currency": CURRENCY,
            }
        )

    async def order_status(scope: HTTPScope, receive: Receive) -> bytes:
        order_id = OrderId.parse(scope["path_params"]["order_id"])
        answer = await shop.order_answer(order_id) if order_id else None
        if answer is None:
            raise UnknownOrderError
        return answer

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
                    "sold_out": tickets.available <= 0,
                    "timestamp": timestamp,
                }
                for cls, tickets in stock.items()
            }
        )

    @get("/api/orders/{order_id:str}/qr.png", media_type="image/png")
    async def order_qr_png(order_id: FromPath[str]) -> Response[bytes]:
        ticket_code, order = await _ticket(shop, order_id)
        return _image(qr_png(ticket_code, order.id.hex_digits), "image/png")

    @get("/api/orders/{order_id:str}/qr.svg", media_type="image/svg+xml")
    async def order_qr_svg(order_id: FromPath[str]) -> Response[bytes]:
        ticket_code, order = await _ticket(shop, order_id)
        return _image(qr_svg(ticket_code, order.id.hex_digits), "image/svg+xml")

    return [
        json_route("POST", "/api/checkout", checkout),
        json_route("GET", "/api/orders/{order_id:str}", order_status),
        json_route("GET", "/api/inventory", inventory),
        order_qr_png,
        order_qr_svg,
    ]


def _read_checkout(body: bytes) -> CheckoutBody:
    try:
        return _checkout_body.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise InvalidRequestError(
            'Please send JSON such as {"cls": "A", "customer_email": "you@example.org"}.'
        ) from None


async def _ticket(shop: Shop, order_id: str) -> tuple[str, Order]:
    parsed = OrderId.parse(order_id)
    order = await shop.order(parsed) if parsed else None
    if order is None:
        raise UnknownOrderError
    if order.ticket_code is None:
        raise NotPaidError
    return order.ticket_code, order


def _image(content: bytes, media_type: str) -> Response[bytes]:
    return Response(content, media_type=media_type, headers={"cache-control": QR_CACHE_CONTROL})
