"""The short form of `make hosts`: one run, in which a host of each kind dies or is cut off.

In a process of its own, for it enters a network namespace that it does not leave.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.harness.needs import NO_TIGERBEETLE, TIGERBEETLE
from tests.hosts.namespaces import missing
from tigerfans.stack.programs import launch_command

ROOT: Final = Path(__file__).parents[2]
FAULTS: Final = ("kill-primary", "isolate-shop", "kill-postgres")
ORDERS: Final = 320
REFUSALS: Final = ("another secret", "another database", "another ledger", "another cluster")
# The run waits for its faults and for the shop to heal, and for no clock.
SECONDS_MAX: Final = 600


@pytest.fixture
def command() -> list[str]:
    """Runs it; skips where there can be no hosts."""
    if reason := missing():
        pytest.skip(reason)
    if TIGERBEETLE is None:
        pytest.skip(NO_TIGERBEETLE)
    options = ("--together", "--refusals", "--orders", str(ORDERS), "--faults", *FAULTS)
    return launch_command([sys.executable, "-m", "tests.hosts", *options])


@pytest.mark.timeout(SECONDS_MAX)
async def test_nothing_is_lost_whatever_host_dies(command: list[str]) -> None:
    running = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env=os.environ | {"TIGERBEETLE_BIN": str(TIGERBEETLE)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await running.communicate()
    finally:
        if running.returncode is None:
            running.terminate()
            await running.wait()
    table = output.decode()
    assert running.returncode == 0, f"{table}\n{errors.decode()}"
    # It was a run, and not a shop that stood empty.
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    rows = {row[0]: row for row in cells if row}
    assert set(FAULTS) <= rows.keys()
    assert set(REFUSALS) <= rows.keys()
    orders, paid = (int(rows[FAULTS[-1]][column]) for column in (5, 6))
    assert orders == ORDERS
    assert paid > 0
