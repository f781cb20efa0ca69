"""A shop that answers what a test tells it to, over real HTTP: a path's prefix decides."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import orjson

ORDER = {
    "order_id": "0123456789abcdef0123456789abcdef",
    "redirect_url": "/mockpay/mock_0123456789abcdef0123456789abcdef",
    "amount": 6500,
    "currency": "eur",
}


class Request(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    status: int = 200
    body: bytes = b"{}"
    headers: str = ""


Handler = Callable[[Request], Awaitable[Answer]]


class FakeShop:
    """`routes` maps the start of a path to its handler; `requests` is what came, in order."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.routes: dict[str, Handler] = {}
        self.port = 0
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answers(self, path: str, *answers: Answer) -> None:
        """One after the other, and the last one ever after."""
        left = list(answers)

        async def answer(_: Request) -> Answer:
            return left.pop(0) if len(left) > 1 else left[0]

        self.routes[path] = answer

    def sells(self, status: str = "PAID") -> None:
        """Answers as a shop does in which every order ends with `status`."""
        back = f"location: /demo/success?order_id={ORDER['order_id']}\r\n"
        self.answers("/api/checkout", Answer(body=orjson.dumps(ORDER)))
        self.answers("/mockpay/", Answer(303, b"", back))
        self.answers("/payments/webhook", Answer())
        self.answers("/demo/success", Answer(body=b"<html>"))
        self.answers("/api/orders/", Answer(body=orjson.dumps({"status": status})))

    def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.create_task(self._serve(reader, writer), name="connection")
        self._connections.add(serving)

    async def hang_up(self) -> None:
        """Ends every connection, also one whose answer is held back; raises what went wrong."""
        for serving in self._connections:
            serving.cancel()
        for ended in await asyncio.gather(*self._connections, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await _read(reader)
                self.requests.append(request)
                handler = next(h for p, h in self.routes.items() if request.path.startswith(p))
                answer = await handler(request)
                head = f"HTTP/1.1 {answer.status} x\r\n{answer.headers}"
                writer.write(f"{head}Content-Length: {len(answer.body)}\r\n\r\n".encode())
                writer.write(answer.body)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, path, _ = head[0].split(" ")
    pairs = (line.split(": ", 1) for line in head[1:] if line)
    headers = {name.lower(): value for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, headers, body)


@asynccontextmanager
async def fake_shop() -> AsyncIterator[FakeShop]:
    shop = FakeShop()
    server = await asyncio.start_server(shop.connect, "127.0.0.1", 0)
    shop.port = server.sockets[0].getsockname()[1]
    try:
        yield shop
    finally:
        server.close()
        # From Python 3.12 on, a server has closed when its connections have.
        await shop.hang_up()
        await server.wait_closed()
