"""One run of wrk with one of the scripts in `bench/wrk/`, and what it measured."""

import json
import resource
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.errors import BenchError

SCRIPTS: Final = Path(__file__).parent / "wrk"
# Beyond the run's own time, which wrk keeps by itself.
PATIENCE_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What a load generator measured; latencies in milliseconds.

    `ok` are the requests (or purchases) that were answered as they should be.
    """

    total: int
    ok: int
    seconds: float
    p50_ms: float
    p99_ms: float
    # Of the load generator itself.
    client_cpu_seconds: float

    @property
    def throughput(self) -> float:
        """Those that are ok, a second."""
        return self.ok / self.seconds if self.seconds else 0.0


def find() -> str:
    """The program; raises `BenchError` where there is none."""
    path = shutil.which("wrk")
    if path is None:
        raise BenchError("wrk is not installed: get it from your system, as with apt install wrk.")
    return path


def run(
    script: str, url: str, connections: int, seconds: float, requests: Path | None = None
) -> Figures:
    """Runs `script` with one thread; `requests` is the file that it reads.

    wrk counts whole seconds, so `seconds` is rounded up. Raises `BenchError` where it fails.
    """
    options = ["-t1", f"-c{connections}", f"-d{-int(-seconds // 1)}s", "-s", f"{script}.lua", url]
    arguments = [] if requests is None else ["--", str(requests.absolute())]
    cpu_before = _cpu_seconds()
    process = subprocess.Popen(
        [find(), *options, *arguments],
        cwd=SCRIPTS,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        output, _ = process.communicate(timeout=seconds + PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        raise BenchError(f"wrk did not end {PATIENCE_SECONDS:.0f} s after its time.") from None
    finally:
        process.kill()
        process.wait()
    return parse(output, _cpu_seconds() - cpu_before)


def parse(output: str, client_cpu_seconds: float) -> Figures:
    """Reads what `report.lua` printed; raises `BenchError` where it is not there."""
    last = output.strip().rpartition("\n")[2]
    try:
        report = json.loads(last)
    except ValueError:
        raise BenchError(f"wrk failed: {last}") from None
    answered = report["requests"]
    return Figures(
        total=answered + report["socket_errors"],
        ok=answered - report["status_errors"],
        seconds=report["seconds"],
        p50_ms=report["p50_ms"],
        p99_ms=report["p99_ms"],
        client_cpu_seconds=client_cpu_seconds,
    )


def _cpu_seconds() -> float:
    """Of the load generators that have ended; the shop, which runs, is not among them."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime
