"""One order: its status, as JSON and as a stream, and below it its documents.

All of it is one ASGI mount below /api/orders: the status is asked for in every rush, and a
Litestar route with an id in its path costs more than everything behind it.
"""

from typing import Final

from litestar.handlers import ASGIRouteHandler
from litestar.types import HTTPScope, Receive, Send

from tigerfans.booking.ids import OrderId
from tigerfans.errors import UnknownOrderError
from tigerfans.http.api.documents import Documents
from tigerfans.http.api.order_stream import HEADERS as STREAM_HEADERS
from tigerfans.http.api.order_stream import OrderStreams
from tigerfans.http.api.raw import HEADERS, NOT_INDEXED, raw_route, respond, respond_head
from tigerfans.http.reading import is_head
from tigerfans.shop.shop import Shop

# Counted as a route of its own: a stream lasts, and would drown the times of the others.
STREAM_ROUTE: Final = "/api/orders/events"

_HEADERS: Final = (*HEADERS, NOT_INDEXED)


def order_route(shop: Shop, streams: OrderStreams, documents: Documents) -> ASGIRouteHandler:
    async def serve(scope: HTTPScope, receive: Receive, send: Send) -> None:
        text, _, document = scope["path"].strip("/").partition("/")
        order_id = OrderId.read(text)
        if order_id is None:
            raise UnknownOrderError
        if document == "events":
            scope["path_template"] = STREAM_ROUTE
            if not is_head(scope):
                await streams.serve(order_id, receive, send)
                return
        elif document:
            await documents.serve(order_id, document, scope, send)
            return
        answer = await shop.order_answer(order_id)
        if answer is None:
            raise UnknownOrderError
        if document:
            await respond_head(send, STREAM_HEADERS)
        else:
            await respond(send, 200, answer, headers=_HEADERS)

    return raw_route("GET", "/api/orders", serve, is_mount=True)
