"""What an order's line in the log costs: one that is written alone, and one among many.

    python -m bench.log_cost

The lines go to a file, as they do in production. To be read beside the CPU that a worker spends on
a checkout, which `python -m bench` measures. The lowest of many rounds was disturbed least.
"""

import asyncio
import tempfile
import time
from typing import Final

import uvloop

from tigerfans.booking.ids import OrderId
from tigerfans.telemetry.steps import GATHER_SECONDS, Step, StepLog

ROUNDS: Final = 20
LINES: Final = 10_000
# About as many as a worker of a rush brings in the time that the log gathers.
LINES_AT_ONCE: Final = 20


async def lowest_us(log: StepLog, lines_at_once: int) -> float:
    """CPU µs of one line."""
    order_id, best = OrderId.new(), float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(LINES // lines_at_once):
            for _ in range(lines_at_once):
                log.note(Step.HELD, order_id, "A")
            log.flush()
        # Their timers find nothing to do.
        await asyncio.sleep(2 * GATHER_SECONDS)
        best = min(best, time.process_time() - started)
    return best / LINES * 1e6


async def measure() -> tuple[float, float]:
    """µs of a line alone, and of one among `LINES_AT_ONCE`."""
    with tempfile.TemporaryFile("ab") as file:

        def write(lines: bytes) -> None:
            file.write(lines)
            file.flush()

        log = StepLog("production", "worker-1", write)
        alone_us, many_us = [await lowest_us(log, lines) for lines in (1, LINES_AT_ONCE)]
    return alone_us, many_us


if __name__ == "__main__":
    alone_us, many_us = uvloop.run(measure())
    print(f"A line costs {alone_us:.1f} µs alone, and {many_us:.2f} µs among {LINES_AT_ONCE}.")
