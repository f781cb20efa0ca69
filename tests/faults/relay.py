"""What stands where MockPay sends its webhooks: it passes them on to the shop, but for those about
orders that it keeps to itself. To MockPay these are delivered, and the shop is never told.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.faults.exchange import HOST, Answer, Exchange, NoAnswerError
from tigerfans.payments.mockpay import SIGNATURE_HEADER

SWALLOWED = Answer(200, {}, b"{}")
# Nobody answered: MockPay sends it again.
NOT_PASSED_ON = Answer(503, {}, b"{}")


class Relay:
    """One address for MockPay; `exchange` is how webhooks are passed on to the shop."""

    def __init__(self) -> None:
        self.exchange: Exchange | None = None
        self.url = ""
        self._kept: set[str] = set()

    @classmethod
    @asynccontextmanager
    async def open(cls, address: str = HOST) -> "AsyncIterator[Relay]":
        relay = cls()
        server = await asyncio.start_server(relay._serve, address)
        host, port = server.sockets[0].getsockname()[:2]
        relay.url = f"http://{host}:{port}/payments/webhook"
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
            answer = await self._answer(body, headers[SIGNATURE_HEADER])
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

    async def _answer(self, body: bytes, signature: str) -> Answer:
        if json.loads(body)["order_id"] in self._kept:
            return SWALLOWED
        if self.exchange is None:
            return NOT_PASSED_ON
        headers = {"content-type": "application/json", SIGNATURE_HEADER: signature}
        try:
            return await self.exchange("POST", "/payments/webhook", body, headers)
        except NoAnswerError:
            return NOT_PASSED_ON
