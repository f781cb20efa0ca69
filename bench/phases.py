"""The phases of the benchmark, as a table: what each does, and what has to be there before.

Those that use something up (a hold is sold once) get a share of what the phase that makes the same
thing could make in that time, for to sell takes longer than to hold; where they run out all the
same, the measurement ends with them.
"""

import json
import math
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from bench import prepare, wrk_run, yardstick
from bench.errors import BenchError
from bench.machine import ROOT
from bench.measurement import YARDSTICK
from bench.stack import clean_environment
from bench.wrk_run import Figures
from tigerfans.settings.settings import DEFAULT_WEBHOOK_SECRET

# What is assumed of the phase that makes them where it was not measured, a second.
RATE_UNKNOWN: Final = 4_000.0
PREPARED_MAX: Final = 200_000
PAID_ORDERS: Final = 1_000
PATIENCE_SECONDS: Final = 60.0
WARM_UP_SECONDS: Final = 1.0

Prepare = Callable[[str, str, int, Path], None]


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase; without a `script` of wrk it is driven by `bench.load_client`.

    `prepare` writes what the script reads. It makes `count` of it, or, without one, `made_share` of
    what the phase `made_by` could make in the same time.
    """

    name: str
    script: str | None = None
    prepare: Prepare | None = None
    made_by: str | None = None
    made_share: float = 1.0
    count: int | None = None
    # Each request that is ok has to have sold a ticket.
    sells: bool = False
    # Serves what is measured in place of the shop, which has nothing to do meanwhile.
    serve: Callable[[], AbstractContextManager[str]] | None = None


PHASES: Final = {
    phase.name: phase
    for phase in (
        # First, and again with each repeat: machines change their speed, and shares of it do not.
        Phase(YARDSTICK, "report", serve=yardstick.running),
        Phase("reserve", "reserve"),
        Phase("commit", "commit", prepare.holds, made_by="reserve", sells=True),
        Phase("checkout", "checkout"),
        Phase(
            "webhook", "webhook", prepare.webhooks, made_by="checkout", made_share=0.8, sells=True
        ),
        Phase("status", "status", prepare.paid_orders, count=PAID_ORDERS),
        Phase("purchase", sells=True),
    )
}


class Measured(Protocol):
    """A shop that runs, this one or another with its requests."""

    @property
    def url(self) -> str: ...

    def check(self) -> None:
        """Raises `BenchError` where it has ended."""

    def sold(self) -> int:
        """Tickets sold so far, of all classes."""


@dataclass(frozen=True, slots=True)
class Bench:
    """A running shop, how it is measured, and a folder for what is prepared."""

    stack: Measured
    folder: Path
    concurrency: int
    seconds: float

    def prepare(self, phase: Phase, rate: float | None) -> Path | None:
        """Makes what the phase needs; `rate` is how many of them could be made in a second."""
        if phase.prepare is None:
            return None
        wanted = math.ceil((rate or RATE_UNKNOWN) * self.seconds * phase.made_share)
        count = phase.count or min(PREPARED_MAX, wanted)
        path = self.folder / f"{phase.name}.txt"
        phase.prepare(self.stack.url, DEFAULT_WEBHOOK_SECRET, count, path)
        return path

    def run(self, phase: Phase, prepared: Path | None) -> Figures:
        """Measures the phase; raises `BenchError` where what was measured is not what it says."""
        sold_before = self.stack.sold() if phase.sells else 0
        if phase.script is None:
            figures = self.purchases(self.seconds)
        else:
            with phase.serve() if phase.serve else nullcontext(self.stack.url) as url:
                if phase.serve:
                    # What was just started gets warm first, as the shop did.
                    wrk_run.run(phase.script, url, self.concurrency, WARM_UP_SECONDS)
                figures = wrk_run.run(phase.script, url, self.concurrency, self.seconds, prepared)
        if phase.sells and (sold := self.stack.sold() - sold_before) < figures.ok:
            raise BenchError(f"Only {sold} tickets were sold by {figures.ok} answers of 200.")
        if figures.ok == 0:
            raise BenchError(f"None of {figures.total} requests was answered as it should be.")
        return figures

    def purchases(self, seconds: float) -> Figures:
        """Whole purchases, their webhooks sent by the load client itself."""
        report = buy(self.stack.url, self.concurrency, seconds)
        latencies = report["latencies_ms"].get("purchase", {"p50": 0.0, "p99": 0.0})
        return Figures(
            total=report["total"],
            ok=report["ok"],
            seconds=report["seconds"],
            p50_ms=latencies["p50"],
            p99_ms=latencies["p99"],
            client_cpu_seconds=report["cpu_seconds"],
        )


def buy(url: str, concurrency: int, seconds: float) -> dict[str, Any]:
    """What `bench.load_client` reports of whole purchases at a shop; raises `BenchError`."""
    options = ("--url", url, "--seconds", str(seconds), "--via", "provider")
    try:
        finished = subprocess.run(
            [
                *(sys.executable, "-m", "bench.load_client", "--json"),
                *(*options, "--concurrency", str(concurrency)),
            ],
            cwd=ROOT,
            env=clean_environment(),
            check=False,
            capture_output=True,
            text=True,
            timeout=seconds + PATIENCE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise BenchError(f"Purchases did not end {PATIENCE_SECONDS:.0f} s too late.") from None
    if finished.returncode != 0:
        last = finished.stderr.strip().rpartition("\n")[2]
        raise BenchError(f"The load client failed: {last}")
    report: dict[str, Any] = json.loads(finished.stdout)
    return report
