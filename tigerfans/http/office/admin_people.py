"""The people of the box office, and the audit of what they did: for owners alone, as plain forms.

A password is made here and shown once, on the answer to the form; nothing keeps it.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from litestar import Response, Router, get, post
from litestar.params import Parameter
from litestar.response import Redirect
from litestar.types import Guard

from tigerfans.http.office.admin_orders import ITEMS_MAX, Limit
from tigerfans.http.office.auth import OPERATOR, Asked, same_origin_guard
from tigerfans.http.office.logins import Logins
from tigerfans.http.office.navigation import office_page
from tigerfans.http.office.parameters import Form, known_parameters
from tigerfans.http.pages.rendering import Renderer
from tigerfans.office.passwords import Passwords, make_password
from tigerfans.office.permissions import Permission, read_role
from tigerfans.shop.answers import Count, Moment, OrderIdText
from tigerfans.stores.audit import Audit, Deed
from tigerfans.stores.people import NAME_CHARACTERS_MAX, People, Role, check_name

DEEDS_ON_A_PAGE: Final = 50
# PostgreSQL's bigint.
NUMBER_MAX: Final = 2**63 - 1

PATH: Final = "/admin/people"
_CHANGES: Final[dict[str, Any]] = {
    "permission": Permission.PEOPLE,
    "guards": [same_origin_guard],
    "status_code": 200,
}

Before = Annotated[
    int | None,
    Parameter(ge=1, le=NUMBER_MAX, description="The smallest `number` of the page before."),
]


class DeedItem(msgspec.Struct):
    """Something that somebody did; `order_id` is the order that it was done to, if to one."""

    number: Count
    at_iso: Moment
    by: str
    what: str
    order_id: OrderIdText | None
    detail: str

    @classmethod
    def of(cls, deed: Deed) -> "DeedItem":
        return cls(
            number=deed.number,
            at_iso=deed.at.isoformat(),
            by=deed.by,
            what=deed.what,
            order_id=None if deed.order_id is None else deed.order_id.hex_digits,
            detail=deed.detail,
        )


class AuditAnswer(msgspec.Struct):
    """What people did, the newest first."""

    items: Sequence[DeedItem]
    limit: Count


class Made(NamedTuple):
    """A password that was made, to be shown once, and whose it is."""

    name: str
    password: str


def audit_route(audit: Audit, guard: Guard) -> Router:
    """The audit as JSON."""

    @get("/api/admin/audit", permission=Permission.PEOPLE, parameters=("before", "limit"))
    async def list_deeds(limit: Limit = ITEMS_MAX, before: Before = None) -> AuditAnswer:
        """What people did, the newest first."""
        return AuditAnswer([DeedItem.of(deed) for deed in await audit.page(before, limit)], limit)

    return Router(
        "/",
        route_handlers=[list_deeds],
        guards=[guard, known_parameters],
        response_headers={"cache-control": "no-store"},
        tags=[OPERATOR],
        security=[{OPERATOR: []}],
    )


def people_router(
    *,
    people: People,
    audit: Audit,
    logins: Logins,
    passwords: Passwords,
    owner: str,
    renderer: Renderer,
    guard: Guard,
) -> Router:
    """The page and its forms; `owner` is whom the settings name."""

    async def page(
        request: Asked, before: int | None = None, made: Made | None = None
    ) -> Response[str]:
        deeds = await audit.page(before, DEEDS_ON_A_PAGE + 1)
        shown = deeds[:DEEDS_ON_A_PAGE]
        return office_page(
            renderer,
            request,
            "admin_people.html",
            people=await people.all(),
            owner=owner,
            roles=list(Role),
            name_max=NAME_CHARACTERS_MAX,
            deeds=shown,
            before=before,
            next_before=shown[-1].number if len(deeds) > len(shown) else None,
            made=made,
        )

    @get(PATH, permission=Permission.PEOPLE)
    async def people_page(request: Asked, before: Before = None) -> Response[str]:
        return await page(request, before)

    @post(f"{PATH}/add", **_CHANGES)
    async def add_person(request: Asked, data: Form) -> Response[str]:
        name, role = data.get("name", ""), read_role(data.get("role", ""))
        check_name(name)
        made = Made(name, make_password())
        await people.add(name, role, await passwords.hash(made.password), request.user.name)
        logins.forget()
        return await page(request, made=made)

    @post(f"{PATH}/password", **_CHANGES)
    async def change_password(request: Asked, data: Form) -> Response[str]:
        made = Made(data.get("name", ""), make_password())
        password_hash = await passwords.hash(made.password)
        await people.change_password(made.name, password_hash, request.user.name)
        logins.forget()
        return await page(request, made=made)

    @post(f"{PATH}/role", **_CHANGES)
    async def change_role(request: Asked, data: Form) -> Response[Any]:
        role = read_role(data.get("role", ""))
        await people.change_role(data.get("name", ""), role, request.user.name)
        logins.forget()
        return Redirect(PATH, status_code=303)

    @post(f"{PATH}/remove", **_CHANGES)
    async def remove_person(request: Asked, data: Form) -> Response[Any]:
        await people.remove(data.get("name", ""), request.user.name)
        logins.forget()
        return Redirect(PATH, status_code=303)

    return Router(
        "/",
        route_handlers=[people_page, add_person, change_password, change_role, remove_person],
        guards=[guard],
        include_in_schema=False,
    )
