"""The headers that no answer goes without, an error least of all: a cache that keeps a 404 keeps it
long after the page is there.

Handlers say what they know; what they leave out is added as the answer leaves. The hot routes
(`api.raw`) write all of theirs themselves.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from litestar.types import Message, Scope

from tigerfans.http.api.raw import IS_RAW
from tigerfans.http.pages.rendering import PAGE_HEADERS

_Headers = tuple[tuple[bytes, bytes], ...]


def _raw(headers: Mapping[str, str]) -> _Headers:
    return tuple((name.lower().encode(), value.encode()) for name, value in headers.items())


_OF_ALL: Final = _raw(
    {name: PAGE_HEADERS[name] for name in ("Cache-Control", "X-Content-Type-Options")}
)
# One may be opened in a browser as well as a page.
_OF_ERRORS: Final = _raw(PAGE_HEADERS)


async def add_missing_headers(message: Message, scope: Scope) -> None:
    """Adds what an answer was not given, as the application's `before_send`."""
    if message["type"] != "http.response.start" or _is_raw(scope):
        return
    headers = list(message["headers"])
    given = {name.lower() for name, _ in headers}
    wanted = _OF_ERRORS if message["status"] >= HTTPStatus.BAD_REQUEST else _OF_ALL
    message["headers"] = headers + [header for header in wanted if header[0] not in given]


def _is_raw(scope: Scope) -> bool:
    handler = scope.get("route_handler")
    return handler is not None and IS_RAW in handler.opt
