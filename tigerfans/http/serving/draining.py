"""Sends clients elsewhere before a worker stops.

A connection that is kept alive would otherwise be closed under a request that is on its way. So
a worker that is to stop first answers for a while with `Connection: close`: each client that is
busy gets its answer, and comes back on a new connection, which another process accepts.
"""

from collections.abc import Awaitable
from typing import Any, Final

from litestar.types import ASGIApp, Receive, Scope, Send

# Longer than a busy client pauses between two requests.
DRAIN_SECONDS: Final = 0.5

_CLOSE: Final = (b"connection", b"close")


class Draining:
    """An ASGI application in front of another; `begin` makes it say goodbye with each answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._has_begun = False

    def begin(self) -> None:
        self._has_begun = True

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if self._has_begun:
            send = closing(send)
        return self._app(scope, receive, send)


def closing(send: Send) -> Send:
    """The same, but its client is told to come back on another connection."""

    async def send_closing(message: Any) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), _CLOSE]
        await send(message)

    return send_closing
