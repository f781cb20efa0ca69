"""Has a worker do once, before it listens, what its first buyers would wait for.

A worker takes another one's place in the middle of a rush. Its first page would compile its
template while everybody else of this worker waits, its first payment connect to PostgreSQL and have
a statement of it prepared.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from litestar.types import ASGIApp

from tigerfans.errors import ShopError
from tigerfans.ledger.base import LedgerError
from tigerfans.shop.shop import Shop

# Those that buyers see; the order's is that of an order nobody knows.
PAGES: Final[Sequence[str]] = ("/", "/demo/checkout", "/demo/success")
# A store that is away keeps no worker from its start.
SECONDS_MAX: Final = 3.0


async def warm_up(app: ASGIApp, shop: Shop) -> None:
    """Asks `app` for the pages that buyers see, and the stores of its shop for nothing."""
    with suppress(TimeoutError):
        async with asyncio.timeout(SECONDS_MAX):
            with suppress(ShopError, LedgerError):
                await shop.orders.warm_up()
                await shop.sessions.warm_up()
            for path in PAGES:
                await _ask(app, path)


async def _ask(app: ASGIApp, path: str) -> None:
    scope: Any = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost"), (b"accept", b"text/html")],
        "client": ("127.0.0.1", 0),
        "server": ("localhost", 80),
        "state": {},
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        """Nobody reads it."""

    await app(scope, receive, send)
