"""The sequencer's address for people and Prometheus: `GET /metrics`, `/status` and `/history`.

Granian serves a raw ASGI callable on the sequencer's own event loop, so that an answer proves
that the loop turns. Requests are few; nothing here is on the path of a ticket.
"""

import errno
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from tigerfans.process.listening import look_up
from tigerfans.settings.settings import SettingsError

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Page = tuple[str, Callable[[], bytes]]

_VARIABLE: Final = "TIGERFANS_METRICS_ADDRESS"


def find_address(host: str, port: int) -> str:
    """The IP address for `host`, which Granian wants; raises `SettingsError` if it is taken.

    Granian binds with SO_REUSEPORT and so would share the port with another shop's sequencer.
    """
    try:
        family, address = look_up(host, port)
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        reason = "it is taken" if taken else error.strerror
        raise SettingsError(f"{_VARIABLE}={host}:{port} cannot be used: {reason}.") from error
    return address[0]


def build_server(address: str, port: int, pages: Mapping[str, Page]) -> Server:
    """An HTTP server for `pages` (content type and content by path), to be run by `serve()`."""
    return Server(
        _application(pages),
        address=address,
        port=port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
    )


def _application(pages: Mapping[str, Page]) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        page = pages.get(scope["path"])
        if page is None:
            status, content_type, body = 404, "text/plain", b"There is no such page.\n"
        elif scope["method"] != "GET":
            status, content_type, body = 405, "text/plain", b"Only GET.\n"
        else:
            content_type, build = page
            status, body = 200, build()
        headers = [
            (b"content-type", content_type.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return application
