"""Handlers for hot routes: plain ASGI, with the little that JSON endpoints need around it.

Litestar's `@asgi` routes cost 21 µs a request above the server's own, its typed handlers 138 µs
and one that raises 208 µs (docs/performance-notebook.md). So the routes that a rush hits parse
their own body, and their errors become answers here instead of in Litestar's exception handling.
In a worker, `shortcut` brings requests straight to them.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, cast

import orjson
from litestar.handlers import ASGIRouteHandler
from litestar.types import HTTPScope, Receive, Scope, Send

from tigerfans.http.problems import Problem, explain_or_log

# The mark of these routes among the application's: `shortcut` looks for it.
IS_RAW: Final = "is_raw"

JSON: Final = b"application/json"

# Of every answer.
HEADERS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)
# For search engines, of what is a buyer's own.
NOT_INDEXED: Final = (b"x-robots-tag", b"noindex")

Answer = Callable[[HTTPScope, Receive], Awaitable[bytes]]
Handler = Callable[[HTTPScope, Receive, Send], Awaitable[None]]


def json_route(method: str, path: str, answer: Answer) -> ASGIRouteHandler:
    """A route for one method, from a function that gives the JSON of a 200."""

    async def handle(scope: HTTPScope, receive: Receive, send: Send) -> None:
        await respond(send, 200, await answer(scope, receive))

    return raw_route(method, path, handle)


def raw_route(
    method: str, path: str, handle: Handler, *, is_mount: bool = False
) -> ASGIRouteHandler:
    """A route for one method; the errors that leave `handle` become answers.

    A mount serves all that lies below its path, and finds the rest of it in `scope["path"]`.
    Unlike Litestar's other routes, these take every method, so the wrong ones are refused here.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope = cast("HTTPScope", scope)  # A websocket never gets here: the server refuses them.
        scope["path_template"] = path  # What `counting` reads.
        if scope["method"] != method:
            await _respond_problem(
                send, Problem(405, f"Please use {method} here.", {"Allow": method})
            )
            return
        try:
            await handle(scope, receive, send)
        except Exception as error:
            await _respond_problem(send, explain_or_log(error))

    return ASGIRouteHandler(path, copy_scope=False, is_mount=is_mount, opt={IS_RAW: True})(app)


async def respond(
    send: Send,
    status: int,
    body: bytes,
    *,
    media_type: bytes = JSON,
    headers: Iterable[tuple[bytes, bytes]] = HEADERS,
) -> None:
    """Sends a whole answer."""
    length = b"%d" % len(body)
    raw = [(b"content-type", media_type), (b"content-length", length), *headers]
    start: Any = {"type": "http.response.start", "status": status, "headers": raw}
    end: Any = {"type": "http.response.body", "body": body, "more_body": False}
    await send(start)
    await send(end)


async def respond_head(
    send: Send, headers: Iterable[tuple[bytes, bytes]], *, status: int = 200
) -> None:
    """Sends an answer that has no body, and so says nothing of its length."""
    start: Any = {"type": "http.response.start", "status": status, "headers": [*headers]}
    end: Any = {"type": "http.response.body", "body": b"", "more_body": False}
    await send(start)
    await send(end)


async def _respond_problem(send: Send, problem: Problem) -> None:
    more = [(name.encode(), value.encode()) for name, value in (problem.headers or {}).items()]
    body = orjson.dumps(problem.answer)
    await respond(send, problem.status_code, body, headers=[*HEADERS, *more])
