"""The operator's login: HTTP Basic, compared in constant time, and rarely for who only guesses."""

import hmac
import math
from base64 import b64decode
from binascii import Error as Base64Error
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
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

from tigerfans.http.office.guesses import WAIT_SECONDS_MAX, Guesses, GuessRefusedError
from tigerfans.http.office.passes import COOKIE, PASS_SECONDS, RENEW_SECONDS, Passes, hand_out
from tigerfans.settings.settings import AdminSettings

_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="TigerFans admin", charset="UTF-8"'}
_RETRY: Final = {"Retry-After": str(math.ceil(WAIT_SECONDS_MAX))}
# Of an IPv6 address, what one client can choose from.
_IPV6_PREFIX: Final = 64


def basic_auth_guard(admin: AdminSettings, passes: Passes, guesses: Guesses) -> Guard:
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
                is_operator = await guesses.compare(client_of(connection), is_right)
            except GuessRefusedError as error:
                detail = "Too many try to log in right now. Please try again in a moment."
                raise TooManyRequestsException(detail, headers=_RETRY) from error
            if not is_operator:
                raise NotAuthorizedException("Please log in as the operator.", headers=_CHALLENGE)
        if seconds_left < PASS_SECONDS - RENEW_SECONDS:
            hand_out(connection.scope, passes.issue())

    return guard


def client_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """What a client is told by: its address, or the network that its address is one of.

    A proxy on this machine says whom it speaks for. Only the order of the line depends on it: who
    invents addresses comes to no more guesses.
    """
    host = connection.client.host if connection.client else ""
    address = _address(host)
    if address is None or address.is_loopback:
        *_, host = connection.headers.get("x-forwarded-for", host).split(",")
        address = _address(host)
    if isinstance(address, IPv6Address):
        return str(ip_network((address, _IPV6_PREFIX), strict=False))
    return str(address or "")


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host.strip())
    except ValueError:
        return None


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
