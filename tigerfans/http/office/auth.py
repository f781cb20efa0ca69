"""The operator's login: HTTP Basic, compared in constant time, wrong guesses slowed."""

import asyncio
import hmac
from base64 import b64decode
from binascii import Error as Base64Error
from typing import Any, Final
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard

from tigerfans.settings.settings import AdminSettings

FAILED_LOGIN_SECONDS: Final = 0.5
# Guesses at the same time wait longer, up to this: many connections guess hardly faster than one.
FAILED_LOGIN_SECONDS_MAX: Final = 10.0
_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="TigerFans admin", charset="UTF-8"'}


def basic_auth_guard(admin: AdminSettings) -> Guard:
    """A guard that lets only the operator in."""
    expected = f"{admin.username}:{admin.password}".encode()
    failed = 0

    async def guard(
        connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
    ) -> None:
        nonlocal failed
        header = connection.headers.get("authorization", "")
        given = _credentials(header)
        if given is not None and hmac.compare_digest(given, expected):
            return
        if given is not None:
            failed += 1
            try:
                await asyncio.sleep(min(failed * FAILED_LOGIN_SECONDS, FAILED_LOGIN_SECONDS_MAX))
            finally:
                failed -= 1
        raise NotAuthorizedException("Please log in as the operator.", headers=_CHALLENGE)

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
