"""What a handler of its own reads of a request: its headers, and its body within bounds.

A client that sends half a request costs a connection and a task, for so long and no longer.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from litestar import Request
from litestar.exceptions import SerializationException
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from tigerfans.errors import InvalidRequestError, SlowRequestError, TooLargeError

BODY_BYTES_MAX: Final = 16 * 1024
BODY_SECONDS_MAX: Final = 10.0
# In the scope of a request whose answer is to be without a body.
IS_HEAD: Final = "tigerfans.is_head"


class Patience:
    """Gives tasks so many seconds for what they do inside `with`; then `SlowRequestError`.

    One timer serves all of them, set for the oldest: nearly all are done long before, and the
    timers that `asyncio.timeout` makes one by one cost 12 µs of a checkout.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        # When each task's time is up, oldest first; those that are late are taken out.
        self._ends: dict[asyncio.Task[Any] | None, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        # Kept from the first of them on, for whoever makes this has no loop yet: before Python 3.12
        # to ask for it is a system call each time.
        self._loop: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> None:
        loop = self._loop = self._loop or asyncio.get_running_loop()
        end = self._ends[asyncio.current_task(loop)] = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_at(end, self._end_late, loop)

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        task = asyncio.current_task(self._loop)
        is_late = self._ends.pop(task, None) is None
        if is_late and task is not None and task.uncancel() == 0:
            raise SlowRequestError from None

    def _end_late(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for task in [task for task, end in self._ends.items() if end <= now]:
            del self._ends[task]
            if task is not None:
                task.cancel()
        oldest = next(iter(self._ends.values()), None)
        self._timer = None if oldest is None else loop.call_at(oldest, self._end_late, loop)


class BodyReader:
    """Reads whole bodies of at most `bytes_max`, in at most `BODY_SECONDS_MAX`."""

    def __init__(self, bytes_max: int = BODY_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._patience = Patience(BODY_SECONDS_MAX)

    async def read(self, scope: HTTPScope, receive: Receive) -> bytes:
        """The request's body; raises as soon as it is too large, too slow, or broken off."""
        # The server refuses a length that is no number.
        length = int(header(scope, b"content-length") or -1)
        if length > self._bytes_max:
            raise self._too_large()
        body = b""
        more = length != 0
        with self._patience:
            # Asking the server once more, only to hear that nothing follows, cost 10 µs.
            while more and len(body) <= self._bytes_max and len(body) != length:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise InvalidRequestError("The request ended before its body did.")
                body += message.get("body", b"")  # type: ignore[operator]
                more = bool(message.get("more_body"))
        if len(body) > self._bytes_max:
            raise self._too_large()
        return body

    def _too_large(self) -> TooLargeError:
        return TooLargeError(f"The request's body is larger than {self._bytes_max} bytes.")


class JsonRequest(Request[Any, Any, Any]):
    """A request whose body may be anything that was sent as JSON."""

    async def json(self) -> Any:
        """As the framework's, which takes what is no UTF-8, or too deep, for a fault of ours."""
        try:
            return await super().json()
        except (SerializationException, UnicodeDecodeError, RecursionError):
            raise InvalidRequestError("The body is not JSON.") from None


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


def is_head(scope: Scope) -> bool:
    """Whether only the headers are wanted of what a GET would get."""
    return IS_HEAD in scope


async def until_gone(receive: Receive) -> None:
    """Returns when whoever asked is gone; what they still send is passed over."""
    while (await receive())["type"] != "http.disconnect":
        pass


class RequestHeaders(msgspec.Struct, frozen=True):
    """The headers of a request, by their names in small letters; none is decoded unasked."""

    raw: Iterable[tuple[bytes, bytes]]

    def get(self, name: str, /) -> str | None:
        """The value of the first header of that name."""
        wanted = name.encode()
        for key, value in self.raw:
            if key == wanted:
                return value.decode("latin-1")
        return None


def header(scope: HTTPScope, name: bytes) -> str | None:
    """The value of the first header of that lower-case name."""
    for key, value in scope["headers"]:
        if key == name:
            return value.decode("latin-1")
    return None
