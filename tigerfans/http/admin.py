"""The operator's JSON API, behind the login."""

import time
from typing import Annotated, Any, Final

from litestar import Router, get, post
from litestar.params import FromPath, Parameter
from litestar.types import Guard

from tigerfans.booking import OrderId
from tigerfans.catalog import CURRENCY
from tigerfans.errors import UnknownOrderError
from tigerfans.http.auth import same_origin_guard
from tigerfans.orders import Order, OrderStatus
from tigerfans.payments.outbox import Outbox, Undelivered
from tigerfans.sessions import Session
from tigerfans.shop import Shop

ITEMS_MAX: Final = 200

Limit = Annotated[int, Parameter(ge=1, le=ITEMS_MAX, description="How many items at most.")]


def admin_routes(shop: Shop, outbox: Outbox, guard: Guard) -> Router:
    @get("/api/pending")
    async def pending(limit: Limit = ITEMS_MAX) -> dict[str, Any]:
        """The latest payment sessions that wait for their payment."""
        sessions, total = await shop.sessions.pending(limit)
        now_ms = time.time_ns() // 1_000_000
        return {
            "items": [_session_item(session, now_ms) for session in sessions],
            "limit": limit,
            "total": total,
        }

    @get("/api/admin/orders")
    async def orders(limit: Limit = ITEMS_MAX) -> dict[str, Any]:
        """The orders recorded last."""
        latest = await shop.orders.latest(limit)
        return {"items": [_order_item(order) for order in latest], "limit": limit}

    @get("/api/admin/goodies")
    async def goodies() -> dict[str, int]:
        """How many goodies are granted, of how many."""
        stock = await shop.goodies()
        return {"used": stock.sold, "limit": stock.capacity}

    @get("/api/admin/webhooks")
    async def webhooks(limit: Limit = ITEMS_MAX) -> dict[str, Any]:
        """The oldest webhooks of MockPay that nobody confirmed."""
        undelivered, total = await outbox.undelivered(limit)
        return {
            "items": [_webhook_item(webhook) for webhook in undelivered],
            "limit": limit,
            "total": total,
        }

    @get("/api/admin/refunds")
    async def refunds(limit: Limit = ITEMS_MAX) -> dict[str, Any]:
        """The oldest orders that were paid and cannot be fulfilled."""
        due, total = await shop.orders.refunds_due(limit)
        return {"items": [_order_item(order) for order in due], "limit": limit, "total": total}

    @post("/api/admin/orders/{order_id:str}/refund", status_code=200, guards=[same_origin_guard])
    async def refund(order_id: FromPath[str]) -> dict[str, Any]:
        """Gives the money of an unfulfilled order back."""
        parsed = OrderId.parse(order_id)
        if parsed is None:
            raise UnknownOrderError
        return _order_item(await shop.refund(parsed))

    return Router(
        "/",
        route_handlers=[pending, orders, goodies, webhooks, refunds, refund],
        guards=[guard],
        response_headers={"cache-control": "no-store"},
    )


def _session_item(session: Session, now_ms: int) -> dict[str, Any]:
    is_expired = session.expires_ms <= now_ms
    return {
        "psid": session.psid,
        "created_at": session.created_ms / 1_000,
        "age_ms": max(0, now_ms - session.created_ms),
        "order_id": session.order_id.hex_digits,
        "cls": session.cls,
        "qty": 1,
        "email": session.email,
        "amount": session.amount_cents,
        "currency": CURRENCY,
        "status": OrderStatus.EXPIRED if is_expired else OrderStatus.PENDING,
    }


def _order_item(order: Order) -> dict[str, Any]:
    return {
        "id": order.id.hex_digits,
        "status": order.status,
        "cls": order.cls,
        "qty": 1,
        "amount": order.amount_cents,
        "currency": order.currency,
        "paid_at_iso": order.paid_at and order.paid_at.isoformat(),
        "got_goodie": order.got_goodie,
        "ticket_code": order.ticket_code,
        "email": order.email,
        "refunded_at_iso": order.refunded_at and order.refunded_at.isoformat(),
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
