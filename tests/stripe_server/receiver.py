"""Where webhooks arrive in tests: keeps what comes, and answers as it is told."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from http import HTTPStatus

import orjson

from tests.harness.patience import patience
from tests.stripe_server.server import HOST
from tests.stripe_server.store import Thing
from tests.stripe_server.wire import Answer, CutError, HttpServer, Request

# Instead of a status: the connection is cut.
CUT = 0


@dataclass
class Receiver:
    """`to_next` are its next statuses; with none it confirms what comes."""

    port: int
    received: list[Request] = field(default_factory=list)
    to_next: deque[int] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._http = HttpServer(self._take)
        self._came = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}/payments/webhook"

    @property
    def events(self) -> list[Thing]:
        return [orjson.loads(request.body) for request in self.received]

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    async def start(self) -> None:
        await self._http.start(HOST, self.port)

    async def stop(self) -> None:
        await self._http.stop()

    async def wait_for(self, count: int) -> None:
        """Returns once so many have come in all."""
        async with patience():
            while len(self.received) < count:
                self._came.clear()
                await self._came.wait()

    async def _take(self, request: Request) -> Answer:
        self.received.append(request)
        self._came.set()
        status = self.to_next.popleft() if self.to_next else HTTPStatus.OK
        if status == CUT:
            raise CutError
        return Answer(status)
