"""What stands in front of the shop's hosts: it looks which of them are ready, and hands each
request to the next one that is. Where one takes no connection, the next one is asked; where one
took the request and gave no answer, only if the same request twice is the same as once.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from tests.faults.exchange import Answer, NoAnswerError, NoConnectionError, exchange
from tests.hosts.parts import SHOP_PORT
from tests.hosts.pulse import Pulse

CONNECT_SECONDS_MAX: Final = 0.5
LOOK_EVERY_SECONDS: Final = 0.5
LOOK_SECONDS_MAX: Final = 2.0


class Proxy:
    """`checkouts` and `payments` say how long buyers waited for any of either."""

    def __init__(self, addresses: Sequence[str], port: int = SHOP_PORT) -> None:
        self._addresses = list(addresses)
        self._port = port
        self._ready = set(addresses)
        self._turn = 0
        self.checkouts = Pulse()
        self.payments = Pulse()
        self.statuses: dict[int, int] = {}

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Proxy"]:
        """Looks at the hosts until the block ends."""
        looking = [
            asyncio.create_task(self._look_at(address), name=f"proxy {address}")
            for address in self._addresses
        ]
        try:
            yield self
        finally:
            for task in looking:
                task.cancel()
            await asyncio.wait(looking)

    async def exchange(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        hangs_up: bool = False,
    ) -> Answer:
        """Sends one request to whoever is ready; raises `NoAnswerError` when nobody answers."""
        pulse = self._pulse_of(path)
        if pulse is None or hangs_up:
            return await self._send(method, path, body, headers, hangs_up=hangs_up)
        pulse.ask(body)
        answer = await self._send(method, path, body, headers)
        if answer.is_success:
            pulse.serve(body)
        elif answer.status == 409:
            pulse.leave(body)
        return answer

    async def is_ready(self, address: str) -> bool:
        try:
            answer = await exchange(
                self._port,
                "GET",
                "/readyz",
                host=address,
                seconds_max=LOOK_SECONDS_MAX,
                connect_seconds_max=CONNECT_SECONDS_MAX,
            )
        except NoAnswerError:
            return False
        return answer.is_success

    async def _send(
        self,
        method: str,
        path: str,
        body: bytes,
        headers: Mapping[str, str] | None,
        *,
        hangs_up: bool = False,
    ) -> Answer:
        error: NoAnswerError = NoConnectionError("there is no host")
        for address in self._in_turn():
            try:
                answer = await exchange(
                    self._port,
                    method,
                    path,
                    body,
                    headers,
                    hangs_up=hangs_up,
                    host=address,
                    connect_seconds_max=CONNECT_SECONDS_MAX,
                )
            except NoConnectionError as refused:
                error = refused
            except NoAnswerError as cut:
                if hangs_up or not _may_be_repeated(method, path, headers):
                    raise
                error = cut
            else:
                self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
                return answer
        raise error

    def _in_turn(self) -> list[str]:
        """Each host once, those that are ready first; everybody begins with another one."""
        self._turn += 1
        start = self._turn % len(self._addresses)
        turned = self._addresses[start:] + self._addresses[:start]
        return sorted(turned, key=lambda address: address not in self._ready)

    def _pulse_of(self, path: str) -> Pulse | None:
        return {"/api/checkout": self.checkouts, "/payments/webhook": self.payments}.get(path)

    async def _look_at(self, address: str) -> None:
        while True:
            began = time.monotonic()
            if await self.is_ready(address):
                self._ready.add(address)
            else:
                self._ready.discard(address)
            await asyncio.sleep(max(0.0, began + LOOK_EVERY_SECONDS - time.monotonic()))


def _may_be_repeated(method: str, path: str, headers: Mapping[str, str] | None) -> bool:
    """A webhook is one event, however often it comes; a checkout is one with its key alone."""
    return method == "GET" or path == "/payments/webhook" or "Idempotency-Key" in (headers or {})
