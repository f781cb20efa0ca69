"""One HTTP request over a connection of its own, and what may become of it.

Either the shop answers, or nobody knows whether it did what was asked: refused, cut off, silent
for too long. The second is `NoAnswerError`, and it says nothing about the order.

`Exchange` is the way to one shop, whoever stands on it: a port of this machine, or a proxy.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

HOST = "127.0.0.1"
# More than the shop's own deadlines for its stores together.
ANSWER_SECONDS_MAX = 8.0


class NoAnswerError(Exception):
    """The connection ended without a whole answer."""


class NoConnectionError(NoAnswerError):
    """There was none: nothing of the request has left."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; the headers' names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        return json.loads(self.body)

    def __str__(self) -> str:
        return f"{self.status} {self.body[:200].decode('utf-8', 'replace')}"


class Exchange(Protocol):
    """Sends one request to the shop; what may become of it, `exchange` says."""

    async def __call__(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        hangs_up: bool = False,
    ) -> Answer: ...


async def exchange(
    port: int,
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    hangs_up: bool = False,
    seconds_max: float = ANSWER_SECONDS_MAX,
    host: str = HOST,
    connect_seconds_max: float = ANSWER_SECONDS_MAX,
) -> Answer:
    """Sends one request and reads its answer; raises `NoAnswerError`.

    With `hangs_up` the connection is closed as soon as the request has left.
    """
    try:
        async with asyncio.timeout(connect_seconds_max):
            reader, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError) as error:
        raise NoConnectionError(repr(error)) from error
    try:
        async with asyncio.timeout(seconds_max):
            try:
                writer.write(request(method, path, body, headers) + body)
                await writer.drain()
                if hangs_up:
                    raise NoAnswerError("the client hung up")
                return await read_answer(reader)
            finally:
                writer.close()
    except (OSError, EOFError, TimeoutError) as error:
        raise NoAnswerError(repr(error)) from error


def request(method: str, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """A request's head, up to and with the empty line."""
    fields = {"Host": HOST, "Connection": "close", "Content-Length": str(len(body))}
    lines = [f"{name}: {value}" for name, value in (fields | dict(headers or {})).items()]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode()


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """Reads one answer with a length; raises `EOFError` where the connection ends before it."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status_line, *lines = head.rstrip().split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Answer(int(status_line.split()[1]), headers, body)
