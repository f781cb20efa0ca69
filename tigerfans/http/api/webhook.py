"""The payment provider's side: the webhook by which it tells the outcome of a payment."""

from typing import Final

import msgspec
from litestar.handlers import ASGIRouteHandler
from litestar.types import HTTPScope, Receive
from msgspec import UNSET, UnsetType

from tigerfans.http.api.raw import json_route
from tigerfans.http.reading import BodyReader, RequestHeaders
from tigerfans.payments.base import WEBHOOK_BYTES_MAX
from tigerfans.shop.shop import Shop


class WebhookAnswer(msgspec.Struct):
    """All of it is durable; `idempotent` is there, and true, where it was so before."""

    ok: bool
    order_status: str | None
    idempotent: bool | UnsetType = UNSET


_encode: Final = msgspec.json.Encoder().encode


def webhook_route(shop: Shop) -> ASGIRouteHandler:
    bodies = BodyReader(WEBHOOK_BYTES_MAX)

    async def webhook(scope: HTTPScope, receive: Receive) -> bytes:
        body = await bodies.read(scope, receive)
        settled = await shop.hear(RequestHeaders(scope["headers"]), body)
        return _encode(
            WebhookAnswer(
                ok=True,
                order_status=settled.order_status,
                idempotent=True if settled.is_replay else UNSET,
            )
        )

    return json_route("POST", "/payments/webhook", webhook)
