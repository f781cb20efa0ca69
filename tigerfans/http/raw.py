"""Handlers for hot routes: plain ASGI, with the little that JSON endpoints need around it.

Litestar's `@asgi` routes cost 21 µs a request above the server's own, its typed handlers 138 µs
and one that raises 208 µs (docs/performance.md). So the routes that a rush hits parse their own
body, and their errors become answers here instead of in Litestar's exception handling.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, cast

import orjson
from litestar.handlers import ASGIRouteHandler
from litestar.types import HTTPScope, Receive, Scope, Send

from tigerfans.errors import InvalidRequestError, TooLargeError
from tigerfans.http.errors import explain_or_log

BODY_BYTES_MAX: Final = 16 * 1024

_HEADERS: Final = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)

Answer = Callable[[HTTPScope, Receive], Awaitable[bytes]]


def json_route(method: str, path: str, answer: Answer) -> ASGIRouteHandler:
    """A route for one method, from a function that gives the JSON of a 200.

    The errors it raises become answers. Unlike Litestar's other routes, an ASGI route takes every
    method, so the wrong ones are refused here.
    """

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        scope = cast("HTTPScope", scope)  # A websocket never gets here: the server refuses them.
        if scope["method"] != method:
            detail = orjson.dumps({"detail": f"Please use {method} here."})
            await respond(send, 405, detail, {"allow": method})
            return
        try:
            body = await answer(scope, receive)
        except Exception as error:
            problem = explain_or_log(error)
            detail = orjson.dumps({"detail": problem.detail})
            await respond(send, problem.status_code, detail, problem.headers)
        else:
            await respond(send, 200, body)

    return ASGIRouteHandler(path, copy_scope=False)(handle)


async def respond(
    send: Send, status: int, body: bytes, headers: Mapping[str, str] | None = None
) -> None:
    """Sends a whole JSON answer."""
    raw = [*_HEADERS, (b"content-length", b"%d" % len(body))]
    if headers:
        raw += [(name.encode(), value.encode()) for name, value in headers.items()]
    start: Any = {"type": "http.response.start", "status": status, "headers": raw}
    end: Any = {"type": "http.response.body", "body": body, "more_body": False}
    await send(start)
    await send(end)


async def read_body(receive: Receive, bytes_max: int = BODY_BYTES_MAX) -> bytes:
    """The request's whole body; raises as soon as it is larger than `bytes_max`."""
    message = await receive()
    body: bytes = message.get("body", b"")  # type: ignore[assignment]
    while message.get("more_body"):
        if len(body) > bytes_max:
            break
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidRequestError("The request ended before its body did.")
        body += message.get("body", b"")  # type: ignore[operator]
    if len(body) > bytes_max:
        raise TooLargeError(f"The request's body is larger than {bytes_max} bytes.")
    return body


def header(scope: HTTPScope, name: bytes) -> str | None:
    """The value of the first header of that lower-case name."""
    for key, value in scope["headers"]:
        if key == name:
            return value.decode("latin-1")
    return None
