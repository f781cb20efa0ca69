"""Hangs up after each answer while most of a worker's connections are taken.

A browser keeps its connection open when it has its answer, for as long as the server lets it, and
the server counts idle ones too. So a crowd that is refused would leave no connection for the next
who come: of 20,000 buyers within ten seconds the second half waited for that long, or was never
answered. While there is room, a connection is kept, for the next request is cheaper on it. Behind a
proxy, which keeps few, there always is.
"""

import os
from collections.abc import Awaitable
from typing import Final

from litestar.types import ASGIApp, Receive, Scope, Send

from tigerfans.http.serving.draining import closing

# Of the connections that a worker takes: what is left is for those who are being answered.
KEPT_SHARE: Final = 0.75
# To look costs 4 µs.
REQUESTS_PER_LOOK: Final = 32


class Crowding:
    """An ASGI application in front of another, in a worker that takes so many connections."""

    def __init__(self, app: ASGIApp, connections_max: int) -> None:
        self._app = app
        self._kept_max = KEPT_SHARE * connections_max
        self._requests = 0
        self._is_crowded = False

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        self._requests += 1
        if self._requests % REQUESTS_PER_LOOK == 0:
            self._is_crowded = self._look()
        if self._is_crowded:
            send = closing(send)
        return self._app(scope, receive, send)

    def _look(self) -> bool:
        try:
            return open_files_min() >= self._kept_max
        except OSError:
            # Not even this one may be opened: that is as crowded as it gets.
            return True


def open_files_min() -> int:
    """So many files this process has open, connections mostly, if not more: by the number that the
    next one gets, which is the lowest that is free.
    """
    number = os.open(os.devnull, os.O_RDONLY)
    os.close(number)
    return number
