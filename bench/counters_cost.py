"""What counting costs a request: an application that does nothing, counted and not.

    python -m bench.counters_cost

To be read beside the CPU that a worker spends on a request, which `python -m bench` measures. The
lowest of many rounds is the one that was disturbed least.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import uvloop
from litestar.types import Message, Receive, Scope, Send

from tigerfans.http.serving.counting import counted
from tigerfans.telemetry.counters import Counters, timed

ROUNDS: Final = 20
CALLS: Final = 50_000

_START: Final[Any] = {"type": "http.response.start", "status": 200, "headers": []}
_END: Final[Any] = {"type": "http.response.body", "body": b""}


async def lowest_us(call: Callable[[], Awaitable[None]]) -> float:
    """CPU µs of one call."""
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(CALLS):
            await call()
        best = min(best, time.process_time() - started)
    return best / CALLS * 1e6


async def measure() -> tuple[float, float]:
    """What it costs to count a request, and to time one store's answer."""
    counters = Counters()
    answer = asyncio.get_running_loop().create_future()
    answer.set_result(None)

    def send(_: Message) -> Awaitable[None]:
        return answer

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(_START)
        await send(_END)

    counting = counted(app, counters)

    async def plain() -> None:
        await app({"path_template": "/"}, None, send)  # type: ignore[arg-type]

    async def with_count() -> None:
        await counting({"path_template": "/"}, None, send)  # type: ignore[arg-type]

    async def wait() -> None:
        await answer

    async def with_time() -> None:
        await timed(counters.ledger, answer)

    count_us = await lowest_us(with_count) - await lowest_us(plain)
    return count_us, await lowest_us(with_time) - await lowest_us(wait)


if __name__ == "__main__":
    count_us, time_us = uvloop.run(measure())
    print(f"To count a request costs {count_us:.2f} µs, to time a store's answer {time_us:.2f} µs.")
