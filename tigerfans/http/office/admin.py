"""The operator's JSON API, behind the login: figures, and what waits for somebody.

Orders are in `admin_orders`.
"""

import time
from typing import Any

from litestar import MediaType, Response, Router, get
from litestar.types import Guard

from tigerfans.http.office.admin_orders import ITEMS_MAX, Limit, order_item
from tigerfans.http.office.auth import OPERATOR
from tigerfans.http.office.parameters import known_parameters
from tigerfans.http.office.sequencer_history import SequencerHistory
from tigerfans.offer.catalog import CURRENCY
from tigerfans.payments.outbox import Outbox, Undelivered
from tigerfans.shop.shop import Shop
from tigerfans.stores.orders import OrderStatus
from tigerfans.stores.sessions import Session


def admin_routes(shop: Shop, outbox: Outbox, sequencer: SequencerHistory, guard: Guard) -> Router:
    @get("/api/pending", parameters=("limit",))
    async def list_pending(limit: Limit = ITEMS_MAX) -> dict[str, Any]:
        """The latest payment sessions that can still be paid."""
        sessions, total = await shop.sessions.pending(limit)
        now_ms = time.time_ns() // 1_000_000
        return {
            "items": [_session_item(shop, session, now_ms) for session in sessions],
            "limit": limit,
            "total": total,
        }

    @get("/api/admin/goodies")
    async def count_goodies() -> dict[str, int]:
        """How many goodies are granted, of how many."""
        stock = await shop.goodies()
        return {"used": stock.sold, "limit": stock.capacity}

    @get("/api/admin/webhooks", parameters=("limit",))
    async def list_webhooks(limit: Limit = ITEMS_MAX) -> dict[str, Any]:
        """The oldest webhooks of MockPay that nobody confirmed."""
        undelivered, total = await outbox.undelivered(limit)
        return {
            "items": [_webhook_item(webhook) for webhook in undelivered],
            "limit": limit,
            "total": total,
        }

    @get("/api/admin/refunds", parameters=("limit",))
    async def list_refunds(limit: Limit = ITEMS_MAX) -> dict[str, Any]:
        """The oldest orders that were paid and cannot be fulfilled."""
        due, total = await shop.orders.refunds_due(limit)
        return {"items": [order_item(order) for order in due], "limit": limit, "total": total}

    @get("/api/admin/history")
    async def get_history() -> Response[Any]:
        """The shop's last minutes, a list for each figure: see the sequencer's `/history`."""
        return Response(await sequencer.page(), media_type=MediaType.JSON)

    return Router(
        "/",
        route_handlers=[list_pending, count_goodies, list_webhooks, list_refunds, get_history],
        guards=[guard, known_parameters],
        response_headers={"cache-control": "no-store"},
        tags=[OPERATOR],
        security=[{OPERATOR: []}],
    )


def _session_item(shop: Shop, session: Session, now_ms: int) -> dict[str, Any]:
    return {
        "psid": session.psid,
        "redirect_url": shop.provider.redirect_url(session.psid),
        "created_at": session.created_ms / 1_000,
        "age_ms": max(0, now_ms - session.created_ms),
        "order_id": session.order_id.hex_digits,
        "cls": session.cls,
        "qty": 1,
        "email": session.email,
        "amount": session.amount_cents,
        "currency": CURRENCY,
        "status": OrderStatus.PENDING,
    }


def _webhook_item(webhook: Undelivered) -> dict[str, Any]:
    return {
        "order_id": webhook.order_id,
        "type": webhook.type,
        "created_at_iso": webhook.created_at.isoformat(),
        "next_attempt_at_iso": webhook.next_attempt_at.isoformat(),
        "attempts": webhook.attempts,
        "last_error": webhook.last_error,
    }
