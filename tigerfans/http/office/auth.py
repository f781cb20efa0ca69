"""The operator's login: HTTP Basic, compared in constant time, and rarely for who only guesses.

Each route behind it names the one `permission` that it takes; whoever has logged in is the
request's `user`.
"""

import math
from base64 import b64decode
from binascii import Error as Base64Error
from functools import partial
from typing import Any, Final

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.exceptions import (
    NotAuthorizedException,
    PermissionDeniedException,
    TooManyRequestsException,
)
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard

from tigerfans.http.client_address import ClientAddresses
from tigerfans.http.office.guesses import WAIT_SECONDS_MAX, Guesses, GuessRefusedError
from tigerfans.http.office.logins import Logins
from tigerfans.http.office.passes import COOKIE, PASS_SECONDS, RENEW_SECONDS, Passes, hand_out
from tigerfans.office.permissions import Permission, Person, roles_with
from tigerfans.settings.settings import DEFAULT_PORTS

# Where the application's state has the setting of that name.
PUBLIC_URL: Final = "public_url"

# What the schema calls this login, and the routes behind it.
OPERATOR: Final = "operator"

# A request behind this login; its `user` is who asks.
Asked = Request[Person, Any, Any]

_PLEASE_LOG_IN: Final = "Please log in."
_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="TigerFans admin", charset="UTF-8"'}
_RETRY: Final = {"Retry-After": str(math.ceil(WAIT_SECONDS_MAX))}


def basic_auth_guard(
    logins: Logins, passes: Passes, guesses: Guesses, clients: ClientAddresses
) -> Guard:
    """A guard that lets in whoever may do what the route is for, as the request's `user`."""

    async def guard(
        connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
    ) -> None:
        given = _credentials(connection.headers.get("authorization", ""))
        if given is None:
            raise NotAuthorizedException(_PLEASE_LOG_IN, headers=_CHALLENGE)
        given_pass = connection.cookies.get(COOKIE)
        login, seconds_left = await logins.with_pass(given, given_pass, passes)
        if login is None:
            client = clients.of(connection.scope) or ""
            try:
                login = await guesses.compare(client, partial(logins.compare, given))
            except GuessRefusedError as error:
                detail = "Too many try to log in right now. Please try again in a moment."
                raise TooManyRequestsException(detail, headers=_RETRY) from error
        if login is None:
            raise NotAuthorizedException(_PLEASE_LOG_IN, headers=_CHALLENGE)
        if seconds_left < PASS_SECONDS - RENEW_SECONDS:
            hand_out(connection.scope, passes.issue(login.proof))
        connection.scope["user"] = login.person
        check_may(login.person, handler)

    return guard


def check_may(person: Person, handler: BaseRouteHandler) -> None:
    """Raises `PermissionDeniedException` where the route takes a permission that they lack."""
    # What names none, such as the framework's answer to OPTIONS, is an owner's alone.
    permission: Permission = handler.opt.get("permission", Permission.PEOPLE)
    if permission not in person.may:
        roles = " or ".join(roles_with(permission))
        raise PermissionDeniedException(
            f"{person.name} may not do this: it takes a login with the role {roles}."
        )


def same_origin_guard(
    connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
) -> None:
    """A guard for actions: a browser sends the login along with other sites' forms, too.

    Where a browser says itself whose page it was (Sec-Fetch-Site), that decides. One that does not
    names the page's origin, which has to be the shop's public address; only where nobody has said
    what that is, it is what the request calls this host, which a proxy may have changed.
    """
    site = connection.headers.get("sec-fetch-site")
    origin = connection.headers.get("origin")
    if site is not None:
        is_ours = site == "same-origin"
    else:
        # Who sends neither is no browser.
        is_ours = origin is None or _is_ours(origin, connection)
    if not is_ours:
        raise PermissionDeniedException(
            "This action has to come from the shop's own pages. Behind a proxy, is"
            " TIGERFANS_PUBLIC_URL the address in your browser?"
        )


def _is_ours(origin: str, connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
    public_url = connection.app.state.get(PUBLIC_URL)
    if public_url is not None:
        return bool(origin == public_url)
    scheme, _, netloc = origin.partition("://")
    default_port = f":{DEFAULT_PORTS.get(scheme, '')}"
    host = connection.headers.get("host", "")
    return netloc.removesuffix(default_port) == host.removesuffix(default_port)


def _credentials(header: str) -> bytes | None:
    """The decoded `user:password` of an Authorization header; None where it holds none."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return b64decode(encoded, validate=True)
    except (Base64Error, ValueError):
        return None
