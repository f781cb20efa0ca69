"""The payment provider's side: the webhook by which it tells the outcome of a payment."""

import orjson
from litestar.handlers import ASGIRouteHandler
from litestar.types import HTTPScope, Receive

from tigerfans.http.api.raw import json_route
from tigerfans.http.reading import BodyReader, header
from tigerfans.payments.base import WEBHOOK_BYTES_MAX
from tigerfans.shop.shop import Shop


def webhook_route(shop: Shop) -> ASGIRouteHandler:
    signature_header = shop.provider.signature_header.encode()
    bodies = BodyReader(WEBHOOK_BYTES_MAX)

    async def webhook(scope: HTTPScope, receive: Receive) -> bytes:
        body = await bodies.read(scope, receive)
        settled = await shop.hear(body, header(scope, signature_header))
        answer = {"ok": True, "order_status": settled.order_status}
        return orjson.dumps(answer | {"idempotent": True} if settled.is_replay else answer)

    return json_route("POST", "/payments/webhook", webhook)
