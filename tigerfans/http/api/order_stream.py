"""An order as a stream: its public JSON now and on every change, as server-sent events.

A stream asks for its order again and again, because nobody would tell it otherwise: the webhook
of a payment reaches any of the workers, and a hold expires without a word. All streams of a worker
ask at the same moment, so that the auto-batcher makes one read of it: 900 streams cost 8 % of a
core that way, and 26 % where each keeps its own time.

A stream ends with a state that cannot change any more (`stores.orders.COMES_TO`), when its time is
up, when the shop cannot be asked, and when the worker stops. Whoever still wants to know asks
`GET /api/orders/{id}`, as the page does.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
from litestar.types import Receive, Send

from tigerfans.booking.ids import OrderId
from tigerfans.errors import UnavailableError, UnknownOrderError
from tigerfans.http.problems import explain_or_log
from tigerfans.http.reading import until_gone
from tigerfans.stores.orders import MAY_CHANGE

STREAMS_MAX: Final = 1_000
STREAM_SECONDS_MAX: Final = 600.0
PERIOD_SECONDS: Final = 0.5
# Of silence, after which a comment keeps proxies from closing the connection: the most impatient
# ones, in networks of phones, do so after half a minute.
HEARTBEAT_SECONDS: Final = 10.0

HEADERS: Final = (
    (b"content-type", b"text/event-stream"),
    # A proxy that compresses would collect the events first.
    (b"cache-control", b"no-store, no-transform"),
    # So does nginx with any answer, unless it is told not to; others listen to this as well.
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
)
HEARTBEAT: Final = b":\n\n"

# The order's public JSON; None where it is unknown.
Read = Callable[[OrderId], Awaitable[bytes | None]]


class OrderStreams:
    """The open streams of one worker."""

    def __init__(self, read: Read, period_seconds: float = PERIOD_SECONDS) -> None:
        self._read = read
        self._period_seconds = period_seconds
        # What each stream waits for: that its browser leaves.
        self._departures: set[asyncio.Task[None]] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"<OrderStreams: {len(self._departures)} open>"

    def close(self) -> None:
        """Ends every stream, and takes no more."""
        self._closed = True
        for departure in self._departures:
            departure.cancel()

    async def serve(self, order_id: OrderId, receive: Receive, send: Send) -> None:
        """Streams one order until its stream ends.

        Raises `UnknownOrderError`, `UnavailableError` where too many streams are open, or what
        reading raises, all of them before anything is sent.
        """
        if self._closed or len(self._departures) >= STREAMS_MAX:
            raise UnavailableError
        name = f"departure from order {order_id.hex_digits}"
        departure = asyncio.create_task(until_gone(receive), name=name)
        self._departures.add(departure)
        try:
            answer = await self._read(order_id)
            if answer is None:
                raise UnknownOrderError
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            await self._tell(order_id, answer, departure, send)
            await _send_body(send, b"", more_body=False)
        finally:
            self._departures.discard(departure)
            departure.cancel()

    async def _tell(
        self, order_id: OrderId, answer: bytes | None, departure: asyncio.Task[None], send: Send
    ) -> None:
        now = asyncio.get_running_loop().time
        ends_at = now() + STREAM_SECONDS_MAX
        told, told_at = b"", now()
        while answer is not None:
            if answer != told:
                await _send_body(send, b"data: %b\n\n" % answer)
                told, told_at = answer, now()
                if orjson.loads(answer)["status"] not in MAY_CHANGE:
                    return
            elif now() - told_at >= HEARTBEAT_SECONDS:
                await _send_body(send, HEARTBEAT)
                told_at = now()
            pause = self._period_seconds - now() % self._period_seconds
            left, _ = await asyncio.wait({departure}, timeout=pause)
            if left or now() >= ends_at:
                return
            try:
                answer = await self._read(order_id)
            except Exception as error:
                explain_or_log(error)
                return


async def _send_body(send: Send, body: bytes, *, more_body: bool = True) -> None:
    message: Any = {"type": "http.response.body", "body": body, "more_body": more_body}
    await send(message)
