"""HTTP/1.1 by h11 over asyncio's streams: requests in, answers out, and connections that are cut.

What serves the shop cannot end a connection in the middle of an answer; a provider that misbehaves
has to.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

import h11

BODY_BYTES_MAX: Final = 1 << 20
CHUNK_BYTES: Final = 1 << 16
# An idle connection is the client's to close; this one has forgotten it.
IDLE_SECONDS_MAX: Final = 120.0
# For clients of this machine: to load the authorities takes longer than most tests.
NO_AUTHORITIES: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass(frozen=True)
class Request:
    """Headers by small letters; the query without its question mark."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class CutError(Exception):
    """The connection is to end here, with nothing more said."""


Handler = Callable[[Request], Awaitable[Answer]]


class HttpServer:
    """Serves `handler` on one port; `stop` waits until nothing of it is left."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> None:
        self._server = await asyncio.start_server(self._accept, host, port)

    async def stop(self) -> None:
        if self._server is None:
            return
        self._server.close()
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name="connection")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._talk(reader, writer)
        except (CutError, OSError, TimeoutError, h11.ProtocolError):
            # Whatever it was, this connection is over.
            writer.transport.abort()
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        while True:
            async with asyncio.timeout(IDLE_SECONDS_MAX):
                request = await _read(connection, reader)
            if request is None:
                return
            answer = await self._handler(request)
            writer.write(_written(connection, request, answer))
            await writer.drain()
            if connection.our_state is not h11.DONE:
                return
            connection.start_next_cycle()


async def _read(connection: h11.Connection, reader: asyncio.StreamReader) -> Request | None:
    """The next request; None where the client has hung up."""
    head: h11.Request | None = None
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(CHUNK_BYTES))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > BODY_BYTES_MAX:
                raise CutError
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            target = urlsplit(head.target.decode("ascii"))
            headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
            method = head.method.decode("ascii")
            return Request(method, unquote(target.path), target.query, headers, body)
        else:
            return None


def _written(connection: h11.Connection, request: Request, answer: Answer) -> bytes:
    headers = [*answer.headers.items(), ("content-length", str(len(answer.body)))]
    parts = [
        connection.send(h11.Response(status_code=answer.status, headers=headers)),
        b"" if request.method == "HEAD" else connection.send(h11.Data(data=answer.body)),
        connection.send(h11.EndOfMessage()),
    ]
    return b"".join(part for part in parts if part)
