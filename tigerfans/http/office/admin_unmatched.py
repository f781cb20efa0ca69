"""Unmatched payments for the operator, as JSON: listed, and each given back or dismissed."""

from typing import Annotated

from litestar import Router, get, post
from litestar.params import FromPath, QueryParameter
from litestar.types import Guard

from tigerfans.http.office.admin_orders import ITEMS_MAX, Limit
from tigerfans.http.office.answers import UnmatchedAnswer, UnmatchedItem
from tigerfans.http.office.auth import OPERATOR, Asked, same_origin_guard
from tigerfans.http.office.parameters import known_parameters
from tigerfans.office.permissions import Permission
from tigerfans.shop.shop import Shop

Resolved = Annotated[bool, QueryParameter(description="Those that were resolved instead.")]


def admin_unmatched_routes(shop: Shop, guard: Guard) -> Router:
    @get("/api/admin/unmatched", permission=Permission.SEE, parameters=("limit", "resolved"))
    async def list_unmatched(
        limit: Limit = ITEMS_MAX, resolved: Resolved = False
    ) -> UnmatchedAnswer:
        """The oldest payments that fit no order and wait for somebody to see to them."""
        listed = shop.unmatched.resolved if resolved else shop.unmatched.waiting
        payments, total = await listed(limit)
        return UnmatchedAnswer([UnmatchedItem.of(payment) for payment in payments], limit, total)

    @post(
        "/api/admin/unmatched/{payment_id:str}/refund",
        permission=Permission.REFUND,
        status_code=200,
        guards=[same_origin_guard],
    )
    async def refund_unmatched(request: Asked, payment_id: FromPath[str]) -> UnmatchedItem:
        """Gives the money back through the payment provider, once."""
        return UnmatchedItem.of(await shop.refund_unmatched(payment_id, request.user.name))

    @post(
        "/api/admin/unmatched/{payment_id:str}/dismiss",
        permission=Permission.REFUND,
        status_code=200,
        guards=[same_origin_guard],
    )
    async def dismiss_unmatched(request: Asked, payment_id: FromPath[str]) -> UnmatchedItem:
        """Marks the payment as seen to: nothing is given back."""
        return UnmatchedItem.of(await shop.dismiss_unmatched(payment_id, request.user.name))

    return Router(
        "/",
        route_handlers=[list_unmatched, refund_unmatched, dismiss_unmatched],
        guards=[guard, known_parameters],
        response_headers={"cache-control": "no-store"},
        tags=[OPERATOR],
        security=[{OPERATOR: []}],
    )
