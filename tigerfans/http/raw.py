"""Handlers for hot routes: plain ASGI, with the little that JSON endpoints need around it.

Litestar's `@asgi` routes cost 21 µs a request above the server's own, its typed handlers 138 µs
and one that raises 208 µs (docs/performance.md). So the routes that a rush hits parse their own
body, and their errors become answers here instead of in Litestar's exception handling.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, cast

import orjson
from litestar.handlers import ASGIRouteHandler
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from tigerfans.errors import InvalidRequestError, SlowRequestError, TooLargeError
from tigerfans.http.errors import Problem, explain_or_log

BODY_BYTES_MAX: Final = 16 * 1024
# A client that sends half a request costs a connection and a task, for so long and no longer.
BODY_SECONDS_MAX: Final = 10.0

JSON: Final = b"application/json"

_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)

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
        if is_mount:
            scope["path_template"] = path  # Which Litestar leaves empty, and `counting` reads.
        if scope["method"] != method:
            await _respond_problem(
                send, Problem(405, f"Please use {method} here.", {"Allow": method})
            )
            return
        try:
            await handle(scope, receive, send)
        except Exception as error:
            await _respond_problem(send, explain_or_log(error))

    return ASGIRouteHandler(path, copy_scope=False, is_mount=is_mount)(app)


async def respond(
    send: Send,
    status: int,
    body: bytes,
    *,
    media_type: bytes = JSON,
    headers: Iterable[tuple[bytes, bytes]] = _HEADERS,
) -> None:
    """Sends a whole answer."""
    length = b"%d" % len(body)
    raw = [(b"content-type", media_type), (b"content-length", length), *headers]
    start: Any = {"type": "http.response.start", "status": status, "headers": raw}
    end: Any = {"type": "http.response.body", "body": body, "more_body": False}
    await send(start)
    await send(end)


async def _respond_problem(send: Send, problem: Problem) -> None:
    more = [(name.encode(), value.encode()) for name, value in (problem.headers or {}).items()]
    body = orjson.dumps({"detail": problem.detail})
    await respond(send, problem.status_code, body, headers=[*_HEADERS, *more])


async def read_body(scope: HTTPScope, receive: Receive, bytes_max: int = BODY_BYTES_MAX) -> bytes:
    """The request's whole body; raises as soon as it is larger than `bytes_max`, or too slow."""
    length = int(header(scope, b"content-length") or -1)
    body = b""
    more = length != 0
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            # Asking the server once more, only to hear that nothing follows, cost 10 µs.
            while more and len(body) <= bytes_max and len(body) != length:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise InvalidRequestError("The request ended before its body did.")
                body += message.get("body", b"")  # type: ignore[operator]
                more = bool(message.get("more_body"))
    except TimeoutError:
        raise SlowRequestError from None
    if len(body) > bytes_max:
        raise TooLargeError(f"The request's body is larger than {bytes_max} bytes.")
    return body


def body_in_time(app: ASGIApp) -> ASGIApp:
    """Middleware for the routes whose body the framework reads: it has to come in time as well."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        deadline = asyncio.get_running_loop().time() + BODY_SECONDS_MAX

        async def receive_in_time() -> Any:
            try:
                async with asyncio.timeout_at(deadline):
                    return await receive()
            except TimeoutError:
                raise SlowRequestError from None

        await app(scope, receive_in_time, send)

    return serve


async def until_gone(receive: Receive) -> None:
    """Returns when whoever asked is gone; what they still send is passed over."""
    while (await receive())["type"] != "http.disconnect":
        pass


def header(scope: HTTPScope, name: bytes) -> str | None:
    """The value of the first header of that lower-case name."""
    for key, value in scope["headers"]:
        if key == name:
            return value.decode("latin-1")
    return None
