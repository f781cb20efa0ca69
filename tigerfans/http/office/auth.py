"""The operator's login: HTTP Basic, compared in constant time, and rarely for who only guesses."""

import hmac
import math
from base64 import b64decode
from binascii import Error as Base64Error
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

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
from tigerfans.http.office.passes import COOKIE, PASS_SECONDS, RENEW_SECONDS, Passes, hand_out
from tigerfans.settings.settings import AdminSettings

# What the schema calls this login, and the routes behind it.
OPERATOR: Final = "operator"

_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="TigerFans admin", charset="UTF-8"'}
_RETRY: Final = {"Retry-After": str(math.ceil(WAIT_SECONDS_MAX))}


def basic_auth_guard(
    admin: AdminSettings, passes: Passes, guesses: Guesses, clients: ClientAddresses
) -> Guard:
    """A guard that lets only the operator in."""
    expected = f"{admin.username}:{admin.password}".encode()

    async def guard(
        connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
    ) -> None:
        given = _credentials(connection.headers.get("authorization", ""))
        if given is None:
            raise NotAuthorizedException("Please log in as the operator.", headers=_CHALLENGE)
        is_right = partial(hmac.compare_digest, given, expected)
        seconds_left = passes.seconds_left(connection.cookies.get(COOKIE))
        if not (seconds_left and is_right()):
            try:
                is_operator = await guesses.compare(clients.of(connection.scope) or "", is_right)
            except GuessRefusedError as error:
                detail = "Too many try to log in right now. Please try again in a moment."
                raise TooManyRequestsException(detail, headers=_RETRY) from error
            if not is_operator:
                raise NotAuthorizedException("Please log in as the operator.", headers=_CHALLENGE)
        if seconds_left < PASS_SECONDS - RENEW_SECONDS:
            hand_out(connection.scope, passes.issue())

    return guard


def same_origin_guard(
    connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
) -> None:
    """A guard for actions: a browser sends the login along with other sites' forms, too."""
    site = connection.headers.get("sec-fetch-site", "same-origin")
    origin = connection.headers.get("origin")
    host = connection.headers.get("host", "")
    if site != "same-origin" or (origin is not None and urlsplit(origin).netloc != host):
        raise PermissionDeniedException("This action has to come from the shop's own pages.")


def _credentials(header: str) -> bytes | None:
    """The decoded `user:password` of an Authorization header; None where it holds none."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return b64decode(encoded, validate=True)
    except (Base64Error, ValueError):
        return None
