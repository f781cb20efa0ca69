"""What a payment session costs: the time to save it, of worker and Redis, and Redis' memory.

    python -m bench.session_cost

Saves sessions in batches of 50, as a rush brings them: without limits, then each for a client of
its own, and for clients who hold 20 each. It starts a Redis of its own. Of many rounds, the median
of what they cost, since the machine has other work as well.
"""

import asyncio
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Final

import uvloop
from redis.asyncio import Redis

from bench.errors import BenchError
from tigerfans.booking.ids import OrderId
from tigerfans.settings.located import redis_url
from tigerfans.shop.hold_limits import HoldLimits
from tigerfans.stack.programs import Program
from tigerfans.stack.readiness import Asking
from tigerfans.stack.redis import program as redis_program
from tigerfans.stores.sessions import Holder, Session, Sessions

BATCH: Final = 50
ROUNDS: Final = 40
SESSIONS_OF_A_ROUND: Final = 1_000
SESSIONS_WEIGHED: Final = 50_000
HOLDS_PER_CLIENT: Final = 20
HOLD_MS: Final = 300_000

LIMITS: Final = HoldLimits("secret", per_client=HOLDS_PER_CLIENT)
KINDS: Final[dict[str, Callable[[int], Sequence[Holder]]]] = {
    "without a limit": lambda number: (),
    "a client each": lambda number: LIMITS.holders(f"client {number}", ""),
    "20 of a client": lambda number: LIMITS.holders(f"client {number // 20}", ""),
}


def a_session() -> Session:
    order_id = OrderId.new()
    now_ms = time.time_ns() // 1_000_000
    psid = f"mock_{order_id.hex_digits}"
    return Session(psid, order_id, "A", 6500, "fan@example.org", now_ms, now_ms + HOLD_MS)


class Cost:
    """One kind, with µs of this process and of Redis for a session, one figure a round."""

    def __init__(self, holders: Callable[[int], Sequence[Holder]]) -> None:
        self._holders = holders
        self.worker_us: list[float] = []
        self.redis_us: list[float] = []

    async def save(self, sessions: Sessions, count: int) -> float:
        """Saves so many for the first time; CPU seconds of this process."""
        saved = [(a_session(), number) for number in range(count)]
        started = time.process_time()
        for first in range(0, count, BATCH):
            calls = [
                sessions.save(session, self._holders(number))
                for session, number in saved[first : first + BATCH]
            ]
            if any(await asyncio.gather(*calls)):
                raise BenchError("A session was refused that is within its limit.")
        return time.process_time() - started

    async def run_round(self, sessions: Sessions, redis: Redis) -> None:
        await redis.flushall()
        await redis.config_resetstat()
        seconds = await self.save(sessions, SESSIONS_OF_A_ROUND)
        self.worker_us.append(seconds / SESSIONS_OF_A_ROUND * 1e6)
        stats = await redis.info("commandstats")
        self.redis_us.append(stats["cmdstat_evalsha"]["usec"] / SESSIONS_OF_A_ROUND)

    async def bytes_each(self, sessions: Sessions, redis: Redis) -> float:
        await redis.flushall()
        before = await redis.info("memory")
        await self.save(sessions, SESSIONS_WEIGHED)
        after = await redis.info("memory")
        return float(after["used_memory"] - before["used_memory"]) / SESSIONS_WEIGHED


async def measure(socket: Path, program: Program) -> None:
    probe = program.probe
    if probe is None:
        raise BenchError("There is no way to tell that Redis answers.")
    await Asking(probe).wait()
    url = redis_url(socket)
    sessions = Sessions.connect(url, "0123abcd")
    costs = {kind: Cost(holders) for kind, holders in KINDS.items()}
    async with Redis.from_url(url) as redis:
        # Of the first round, Redis compiles the scripts.
        await sessions.save(a_session())
        for _ in range(ROUNDS):
            for cost in costs.values():
                await cost.run_round(sessions, redis)
        for kind, cost in costs.items():
            print(
                f"{kind:16} {median(cost.worker_us):5.1f} µs of the worker,"
                f" {median(cost.redis_us):4.1f} µs of Redis,"
                f" {await cost.bytes_each(sessions, redis):4.0f} bytes"
            )
    await sessions.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder) / "redis.sock"
        program = redis_program(Path(folder), socket)
        server = subprocess.Popen([*program.argv, "--appendonly", "no"], stdout=subprocess.DEVNULL)
        try:
            uvloop.run(measure(socket, program))
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
