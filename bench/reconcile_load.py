"""How long `tigerfans reconcile` takes over many orders, and how much memory.

    python -m bench.reconcile_load                           a million orders, on TigerBeetle
    python -m bench.reconcile_load --orders 100000 --embedded

A shop of its own is filled first (`bench.filling`). What is measured is the operator's command, a
process of its own, from its start to its end.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench.config import Config
from bench.errors import BenchError
from bench.filling import fill
from bench.stack import Stack, clean_environment, running

ORDERS_MAX: Final = 5_000_000
MEMORY_POLL_SECONDS: Final = 0.05


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measures `tigerfans reconcile`.")
    parser.add_argument("--orders", type=int, default=1_000_000, help="how many (%(default)s)")
    parser.add_argument("--embedded", action="store_true", help="even where there is TigerBeetle")
    options = parser.parse_args(arguments)
    if not 0 < options.orders <= ORDERS_MAX:
        parser.error(f"--orders takes 1 to {ORDERS_MAX:,}.")
    config = Config("reconcile", {"TIGERFANS_WORKERS": "1"}, workers=1)
    try:
        with running(config, embedded=options.embedded) as stack:
            ledger = stack.sequencer_status()["ledger"]["kind"]
            fill(stack, options.orders)
            return measure(stack, ledger)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 2


def measure(stack: Stack, ledger: str) -> int:
    """Reconciles a running shop, and prints how long that took; the command's exit code."""
    command = [sys.executable, "-P", "-m", "tigerfans", "reconcile", "--json"]
    environment = clean_environment() | {"TIGERFANS_DATA": str(stack.data)}
    began = time.monotonic()
    peak_kib = 0
    output = stack.data / "report.json"
    with (
        output.open("wb") as file,
        subprocess.Popen(command, env=environment, stdout=file) as process,
    ):
        # What the kernel noted as the most it ever had, for as long as the process is there.
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            peak_kib = max(peak_kib, _peak_kib(process.pid))
            time.sleep(MEMORY_POLL_SECONDS)
        seconds = time.monotonic() - began
    if process.returncode not in (0, 1):
        raise BenchError(f"The reconciliation ended with exit code {process.returncode}.")
    report: dict[str, Any] = json.loads(output.read_text())
    print(
        f"{ledger}: {report['sales']:,} sales and {report['orders']:,} orders,"
        f" {'clean' if report['clean'] else 'NOT clean'}, in {seconds:.0f} s"
        f" with at most {peak_kib / 1024:.0f} MiB."
    )
    return int(process.returncode)


def _peak_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    _, _, peak = status.partition("VmHWM:")
    return int(peak.split()[0]) if peak else 0


if __name__ == "__main__":
    sys.exit(main())
