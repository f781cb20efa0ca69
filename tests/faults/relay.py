"""What stands where a provider sends its webhooks: it passes them on to the shop, but for those
about orders that it keeps to itself. To the provider these are delivered, and the shop is never
told.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Self

from tests.faults.exchange import HOST, Answer, Exchange, NoAnswerError, NoConnectionError
from tigerfans.payments.mockpay import SIGNATURE_HEADER

WEBHOOK_PATH = "/payments/webhook"
# What the shop reads; a provider has one of the signatures.
PASSED_ON = ("content-type", SIGNATURE_HEADER, "stripe-signature")
SWALLOWED = Answer(200, {}, b"{}")
# Nobody answered: it is sent again.
NOT_PASSED_ON = Answer(503, {}, b"{}")


async def _nobody(*_: object, **__: object) -> Answer:
    raise NoConnectionError("there is no shop yet")


class Relay:
    """One address for a provider; `exchange` is how webhooks are passed on to the shop.

    It reads those of MockPay.
    """

    def __init__(self) -> None:
        self.exchange: Exchange = _nobody
        self.url = ""
        self._kept: set[str] = set()

    @classmethod
    @asynccontextmanager
    async def open(cls, address: str = HOST) -> AsyncIterator[Self]:
        relay = cls()
        server = await asyncio.start_server(relay._serve, address)
        host, port = server.sockets[0].getsockname()[:2]
        relay.url = f"http://{host}:{port}{WEBHOOK_PATH}"
        try:
            yield relay
        finally:
            server.close()
            await server.wait_closed()

    def keep(self, order_id: str) -> None:
        """The shop is told nothing of this order any more."""
        self._kept.add(order_id)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            pairs = (line.partition(":") for line in head.rstrip().split("\r\n")[1:])
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            body = await reader.readexactly(int(headers["content-length"]))
            answer = await self._answer(body, headers)
            length = len(answer.body)
            lines = [
                f"HTTP/1.1 {answer.status} x",
                f"Content-Length: {length}",
                "Connection: close",
            ]
            writer.write("\r\n".join([*lines, "", ""]).encode() + answer.body)
            await writer.drain()
        # The worker that sent it was killed.
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    async def _answer(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        if json.loads(body)["order_id"] in self._kept:
            return SWALLOWED
        try:
            return await self._pass_on(body, headers)
        except NoAnswerError:
            return NOT_PASSED_ON

    async def _pass_on(
        self, body: bytes, headers: Mapping[str, str], *, hangs_up: bool = False
    ) -> Answer:
        """What the shop says; raises `NoAnswerError`."""
        passed_on = {name: headers[name] for name in PASSED_ON if name in headers}
        return await self.exchange("POST", WEBHOOK_PATH, body, passed_on, hangs_up=hangs_up)
