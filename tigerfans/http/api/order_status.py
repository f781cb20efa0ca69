"""One order and its documents: status as JSON and as a stream, QR code, calendar entry.

All of it is one ASGI mount below /api/orders: the status is asked for in every rush, and a
Litestar route with an id in its path costs more than everything behind it.
"""

from typing import Final

from litestar.handlers import ASGIRouteHandler
from litestar.types import HTTPScope, Receive, Send

from tigerfans.booking.ids import OrderId
from tigerfans.booking.tickets import calendar_entry, qr_png, qr_svg
from tigerfans.errors import ShopError, UnknownOrderError
from tigerfans.http.api.order_stream import OrderStreams
from tigerfans.http.api.raw import raw_route, respond
from tigerfans.shop.shop import Shop
from tigerfans.stores.orders import Order

# Counted as a route of its own: a stream lasts, and would drown the times of the others.
STREAM_ROUTE: Final = "/api/orders/events"

# A ticket never changes; only who knows the order's id may keep a copy.
TICKET_HEADERS: Final = (
    (b"cache-control", b"private, max-age=86400"),
    (b"x-content-type-options", b"nosniff"),
)


class NoTicketError(ShopError):
    """There is no ticket for this order: it is not paid."""

    status = 404


class NoDocumentError(ShopError):
    """An order has no such document."""

    status = 404


def order_route(shop: Shop, streams: OrderStreams) -> ASGIRouteHandler:
    async def serve(scope: HTTPScope, receive: Receive, send: Send) -> None:
        text, _, document = scope["path"].strip("/").partition("/")
        order_id = OrderId.parse(text)
        if order_id is None:
            raise UnknownOrderError
        if document == "events":
            scope["path_template"] = STREAM_ROUTE
            await streams.serve(order_id, receive, send)
            return
        if document:
            await _serve_document(shop, order_id, document, send)
            return
        answer = await shop.order_answer(order_id)
        if answer is None:
            raise UnknownOrderError
        await respond(send, 200, answer)

    return raw_route("GET", "/api/orders", serve, is_mount=True)


async def _serve_document(shop: Shop, order_id: OrderId, document: str, send: Send) -> None:
    if document not in _DOCUMENTS:
        raise NoDocumentError
    order = await shop.order(order_id)
    if order is None:
        raise UnknownOrderError
    if order.ticket_code is None:
        raise NoTicketError
    media_type, render = _DOCUMENTS[document]
    content = render(shop, order, order.ticket_code)
    await respond(send, 200, content, media_type=media_type, headers=TICKET_HEADERS)


def _png(shop: Shop, order: Order, ticket_code: str) -> bytes:
    return qr_png(ticket_code, order.id.hex_digits)


def _svg(shop: Shop, order: Order, ticket_code: str) -> bytes:
    return qr_svg(ticket_code, order.id.hex_digits)


def _calendar(shop: Shop, order: Order, ticket_code: str) -> bytes:
    class_name = next(c.name for c in shop.catalog.classes if c.code == order.cls)
    paid_at = order.paid_at or order.created_at
    return calendar_entry(ticket_code, order.id.hex_digits, class_name, paid_at).encode()


_DOCUMENTS: Final = {
    "qr.png": (b"image/png", _png),
    "qr.svg": (b"image/svg+xml", _svg),
    "ticket.ics": (b"text/calendar; charset=utf-8", _calendar),
}
