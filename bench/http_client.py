"""An HTTP/1.1 client for load: one request at a time over one connection that stays open.

The client shares its cores with the shop it measures, so what it costs is missing there. This one
costs 25 µs a request on uvloop, a general one 400 µs: it reads a status, a length and a body, and
knows nothing else of HTTP. `ResponseReader` is the codec, without I/O.
"""

import asyncio
import re
from typing import Final, NamedTuple, Self, cast
from urllib.parse import urlsplit

from bench.errors import BenchError

RESPONSE_BYTES_MAX: Final = 4 * 1024 * 1024
CONNECT_SECONDS_MAX: Final = 5.0

_STATUS: Final = re.compile(rb"HTTP/1\.1 (\d{3})[ \r]")
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_SAYS_GOODBYE: Final = re.compile(rb"\r\nconnection: *close\r\n", re.IGNORECASE)


class HttpError(Exception):
    """The connection is of no use any more; the message says why."""


class Response(NamedTuple):
    """An answer; `head` is its status line and headers, each line with its end."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of the first header of that name."""
        found = re.search(rb"\r\n" + name.encode() + rb": *(.*?)\r\n", self.head, re.IGNORECASE)
        return found[1].decode("latin-1") if found else None


class ResponseReader:
    """Puts the bytes of one answer after the other together."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Response | None:
        """The answer, once it is whole; raises `HttpError` for anything but one answer."""
        buffer = self._buffer = self._buffer + data
        if len(buffer) > RESPONSE_BYTES_MAX:
            raise HttpError(f"the answer is larger than {RESPONSE_BYTES_MAX} bytes")
        head_end = buffer.find(b"\r\n\r\n") + 4
        if head_end < 4:
            return None
        status = _STATUS.match(buffer)
        length = _LENGTH.search(buffer, 0, head_end)
        if status is None or length is None:
            raise HttpError(f"not an answer with a length: {buffer[:40]!r}")
        end = head_end + int(length[1])
        if len(buffer) < end:
            return None
        if len(buffer) > end:
            raise HttpError("more was sent than was asked for")
        self._buffer = b""
        return Response(int(status[1]), buffer[:head_end], buffer[head_end:])


class Address(NamedTuple):
    """Where a shop listens."""

    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> Self:
        """From `http://host:port`; raises `BenchError` for anything else."""
        parts = urlsplit(url)
        try:
            port = parts.port or 80
        except ValueError:
            port = 0
        if parts.scheme != "http" or not parts.hostname or not port or parts.path.strip("/"):
            raise BenchError(f"A shop's URL is like http://127.0.0.1:8000, not {url}.")
        return cls(parts.hostname, port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class Connection(asyncio.Protocol):
    """One connection; `open` makes it. After an `HttpError` it is closed."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = ResponseReader()
        self._answer: asyncio.Future[Response] | None = None
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, address: Address) -> Self:
        """Raises `OSError` where nobody listens."""
        async with asyncio.timeout(CONNECT_SECONDS_MAX):
            _, connection = await asyncio.get_running_loop().create_connection(cls, *address)
        return connection

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    async def request(self, request: bytes) -> Response:
        """The answer to one whole request; raises `HttpError`."""
        if self._transport is None:
            raise HttpError("the connection is closed")
        answer: asyncio.Future[Response] = self._loop.create_future()
        self._answer = answer
        self._transport.write(request)
        try:
            return await answer
        except asyncio.CancelledError:
            # Its answer may still come; nobody else must take it for theirs.
            self.close()
            raise

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            response = self._reader.feed(data)
        except HttpError as error:
            self._fail(error)
            return
        if response is None:
            return
        if _SAYS_GOODBYE.search(response.head):
            # A worker that is about to stop closes it once this has arrived.
            self.close()
        if self._answer is None:
            self._fail(HttpError("an answer came that nobody asked for"))
        elif not self._answer.done():
            self._answer.set_result(response)
            self._answer = None

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(HttpError(f"the connection was closed: {error or 'by the shop'}"))

    def _fail(self, error: HttpError) -> None:
        self.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        self._answer = None
