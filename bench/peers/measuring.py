"""Whole purchases at a shop, at several numbers of connections, one after the other."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench.errors import BenchError
from bench.peers.shops import Contender, Demand
from bench.phases import buy

WARM_UP_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement; latencies in ms, and CPU in µs for each purchase, by kind of process."""

    shop: str
    connections: int
    per_second: float
    p50_ms: float
    p99_ms: float
    checkout_p50_ms: float
    checkout_p99_ms: float
    # Purchases that did not end as they should.
    errors: int
    cpu_us: Mapping[str, float]


async def measure(
    contender: Contender,
    demand: Demand,
    concurrencies: Sequence[int],
    seconds: float,
    write: Callable[[Row], None],
) -> None:
    """Starts a shop, measures it and stops it; raises `BenchError`."""
    async with contender.start(demand) as shop:
        await asyncio.to_thread(buy, shop.url, max(concurrencies), WARM_UP_SECONDS)
        for connections in concurrencies:
            before = shop.cpu_seconds()
            report = await asyncio.to_thread(buy, shop.url, connections, seconds)
            after = shop.cpu_seconds()
            used = {name: after[name] - before[name] for name in after}
            write(_row(contender.name, connections, report, used))


def _row(name: str, connections: int, report: dict[str, Any], used: Mapping[str, float]) -> Row:
    ok, latencies = report["ok"], report["latencies_ms"]
    if not ok:
        raise BenchError(f"{name} sold nothing: {report['outcomes']}.")
    purchase, checkout = latencies["purchase"], latencies["checkout"]
    return Row(
        name,
        connections,
        ok / report["seconds"],
        purchase["p50"],
        purchase["p99"],
        checkout["p50"],
        checkout["p99"],
        report["total"] - ok,
        {kind: seconds / ok * 1e6 for kind, seconds in used.items()},
    )
