"""Mails for the operator: those that did not arrive, one sent again, and where it goes corrected.

As JSON, and as pages whose actions are plain forms.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from litestar import Response, Router, get, post
from litestar.params import FromPath, JSONBody
from litestar.response import Redirect
from litestar.types import Guard

from tigerfans.booking.email_address import EMAIL_CHARACTERS_MAX, read_email
from tigerfans.errors import InvalidRequestError, UnknownOrderError
from tigerfans.http.office.admin_orders import ITEMS_MAX, Limit, parse_order_id
from tigerfans.http.office.answers import OrderItem
from tigerfans.http.office.auth import OPERATOR, Asked, same_origin_guard
from tigerfans.http.office.navigation import office_page
from tigerfans.http.office.parameters import Form, known_parameters
from tigerfans.http.pages.rendering import Renderer
from tigerfans.office.permissions import Permission
from tigerfans.office.story import MAIL_WORDS
from tigerfans.shop.answers import Count, Moment, OrderIdText
from tigerfans.stores.mails import MailKind, Mails, StoredMail
from tigerfans.stores.orders import Order, Orders

MAILS_ON_A_PAGE: Final = 100

PATH: Final = "/admin/mails"
_CHANGES: Final[dict[str, Any]] = {
    "permission": Permission.MAIL,
    "guards": [same_origin_guard],
    "status_code": 200,
}


class MailItem(msgspec.Struct):
    """A mail that was tried and is not sent; it was given up, or is tried again."""

    order_id: OrderIdText
    kind: MailKind
    number: Count
    created_at_iso: Moment
    next_attempt_at_iso: Moment | None
    attempts: Count
    last_error: str
    gave_up_at_iso: Moment | None

    @classmethod
    def of(cls, mail: StoredMail) -> "MailItem":
        gave_up_at = mail.gave_up_at
        return cls(
            order_id=mail.key.order_id.hex_digits,
            kind=mail.key.kind,
            number=mail.key.number,
            created_at_iso=mail.created_at.isoformat(),
            next_attempt_at_iso=None if gave_up_at else mail.next_attempt_at.isoformat(),
            attempts=mail.attempts,
            last_error=mail.last_error,
            gave_up_at_iso=gave_up_at.isoformat() if gave_up_at else None,
        )


class MailsAnswer(msgspec.Struct):
    """The mails that did not arrive, the newest first; and how many wait, of those how many have
    failed, and how many were given up, as far as they are counted.
    """

    items: Sequence[MailItem]
    limit: Count
    waiting: Count
    failing: Count
    given_up: Count


class TriedAnswer(msgspec.Struct):
    """How many mails are tried again."""

    tried: Count


class CorrectEmail(msgspec.Struct, forbid_unknown_fields=True):
    """The email that an order is to have."""

    email: Annotated[str, msgspec.Meta(max_length=EMAIL_CHARACTERS_MAX)]


def admin_mail_routes(mails: Mails, orders: Orders, guard: Guard) -> Router:
    """The JSON."""

    @get("/api/admin/mails", permission=Permission.SEE, parameters=("limit",))
    async def list_mails(limit: Limit = ITEMS_MAX) -> MailsAnswer:
        """Mails that were tried and are not sent, the newest first."""
        counts = await mails.counts()
        items = [MailItem.of(mail) for mail in await mails.undelivered(limit)]
        return MailsAnswer(items, limit, *counts)

    @post("/api/admin/mails/retry", **_CHANGES)
    async def retry_mails(request: Asked) -> TriedAnswer:
        """Tries all of them again at once, those that were given up too."""
        return TriedAnswer(await mails.try_again(request.user.name))

    @post("/api/admin/orders/{order_id:str}/mail", **_CHANGES)
    async def send_mail(request: Asked, order_id: FromPath[str]) -> OrderItem:
        """Sends an order's mails again that did not arrive, or else its tickets once more."""
        return OrderItem.of(await send_again(mails, orders, order_id, request.user.name))

    @post("/api/admin/orders/{order_id:str}/email", **_CHANGES)
    async def correct_email(
        request: Asked, order_id: FromPath[str], data: JSONBody[CorrectEmail]
    ) -> OrderItem:
        """Corrects where an order's mails go. What was sent already is not sent again by that."""
        return OrderItem.of(await corrected(orders, order_id, data.email, request.user.name))

    return Router(
        "/",
        route_handlers=[list_mails, retry_mails, send_mail, correct_email],
        guards=[guard, known_parameters],
        response_headers={"cache-control": "no-store"},
        tags=[OPERATOR],
        security=[{OPERATOR: []}],
    )


def mail_pages_router(*, mails: Mails, orders: Orders, renderer: Renderer, guard: Guard) -> Router:
    """The page of mails, and the forms of it and of an order's page."""

    @get(PATH, permission=Permission.SEE)
    async def mails_page(request: Asked) -> Response[str]:
        return office_page(
            renderer,
            request,
            "admin_mails.html",
            counts=await mails.counts(),
            mails=await mails.undelivered(MAILS_ON_A_PAGE),
            words=MAIL_WORDS,
        )

    @post(f"{PATH}/retry", **_CHANGES)
    async def retry(request: Asked) -> Response[Any]:
        await mails.try_again(request.user.name)
        return Redirect(PATH, status_code=303)

    @post("/admin/orders/{order_id:str}/mail", **_CHANGES)
    async def send_mail(request: Asked, order_id: FromPath[str]) -> Response[Any]:
        return _back_to(await send_again(mails, orders, order_id, request.user.name))

    @post("/admin/orders/{order_id:str}/email", **_CHANGES)
    async def correct_email(request: Asked, order_id: FromPath[str], data: Form) -> Response[Any]:
        email = data.get("email", "")
        return _back_to(await corrected(orders, order_id, email, request.user.name))

    return Router(
        "/",
        route_handlers=[mails_page, retry, send_mail, correct_email],
        guards=[guard],
        include_in_schema=False,
    )


async def send_again(mails: Mails, orders: Orders, order_id: str, by: str) -> Order:
    """The order; raises `InvalidRequestError` where there is nothing to send."""
    parsed = parse_order_id(order_id)
    order = await orders.find(parsed)
    if order is None:
        raise UnknownOrderError
    if not order.email:
        raise InvalidRequestError("This order has no email address: correct it first.")
    if not await mails.send_again(parsed, by):
        raise InvalidRequestError("There is no mail to send again: this order has no tickets.")
    return order


async def corrected(orders: Orders, order_id: str, email: str, by: str) -> Order:
    """The order with another email; raises `InvalidEmailError` for what is none."""
    order = await orders.correct_email(parse_order_id(order_id), read_email(email), by)
    if order is None:
        raise UnknownOrderError
    return order


def _back_to(order: Order) -> Response[Any]:
    return Redirect(f"/admin/orders/{order.id.hex_digits}", status_code=303)
