"""What an order's line in the log costs: one that is alone in its tick, and one among many.

    python -m bench.log_cost

The lines go to a file, as they do in production. To be read beside the CPU that a worker spends on
a checkout, which `python -m bench` measures. The lowest of many rounds was disturbed least.
"""

import asyncio
import tempfile
import time
from typing import Final

import uvloop

from tigerfans.booking import OrderId
from tigerfans.steps import Step, StepLog

ROUNDS: Final = 20
LINES: Final = 10_000
# About as many as a worker brings to an end in one tick of a rush.
LINES_OF_A_TICK: Final = 20


async def lowest_us(log: StepLog | None, lines_of_a_tick: int) -> float:
    """CPU µs of one line; without a log, of its share in the tick alone."""
    order_id, best = OrderId.new(), float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(LINES // lines_of_a_tick):
            for _ in range(lines_of_a_tick):
                if log:
                    log.note(Step.HELD, order_id, "A")
            await asyncio.sleep(0)
        best = min(best, time.process_time() - started)
    return best / LINES * 1e6


async def measure() -> tuple[float, float]:
    """µs of a line alone, and of one among `LINES_OF_A_TICK`."""
    with tempfile.TemporaryFile("ab") as file:

        def write(lines: bytes) -> None:
            file.write(lines)
            file.flush()

        log = StepLog("production", "worker-1", write)
        alone_us, many_us = [
            await lowest_us(log, lines) - await lowest_us(None, lines)
            for lines in (1, LINES_OF_A_TICK)
        ]
    return alone_us, many_us


if __name__ == "__main__":
    alone_us, many_us = uvloop.run(measure())
    print(
        f"A line costs {alone_us:.1f} µs alone in its tick,"
        f" and {many_us:.2f} µs among {LINES_OF_A_TICK}."
    )
