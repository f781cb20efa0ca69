"""What a whole shop says of stores that stand still for a while."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.harness.needs import TIGERBEETLE, needs_tigerbeetle
from tests.stack.running_shop import RunningShop, family, open_shop, until
from tigerfans.settings.folder import DataFolder

PROCESSES = ("worker-1", "worker-2", "clerk-1")
# By the names of the programs, as logs and as metrics call them.
STORES = {"redis": ("Redis", "redis"), "postgres": ("PostgreSQL", "postgresql")}


def test_an_outage_is_one_line_each_way_in_each_process_and_a_metric(tmp_path: Path) -> None:
    with open_shop(tmp_path, TIGERFANS_WORKERS="2") as shop:
        programs = [each.pid for program in STORES for each in family(shop.pid_of(program))]
        signal_all(programs, signal.SIGSTOP)
        try:
            # Nobody buys: they find out by themselves.
            until(lambda: has_said(shop, 1) and is_up(shop, 0))
        finally:
            signal_all(programs, signal.SIGCONT)
        until(lambda: has_said(shop, 2) and is_up(shop, 1))
        for name, _ in STORES.values():
            for process in PROCESSES:
                gone, back = said(shop, process, name)
                assert f"{name} is away: " in gone
                assert f"{name} answers again." in back


@needs_tigerbeetle
def test_an_outage_of_tigerbeetle_is_one_line_each_way_in_the_sequencer(tmp_path: Path) -> None:
    with open_shop(tmp_path, TIGERBEETLE_BIN=str(TIGERBEETLE)) as shop:
        pid = shop.pid_of("tigerbeetle")
        os.kill(pid, signal.SIGSTOP)
        try:
            until(lambda: bool(said(shop, "sequencer", "The ledger")) and up(shop, "ledger") == [0])
        finally:
            os.kill(pid, signal.SIGCONT)
        until(lambda: up(shop, "ledger") == [1])
        gone, back = said(shop, "sequencer", "The ledger")
        assert "did not answer within 3 s" in gone
        assert "The ledger answers again." in back


def has_said(shop: RunningShop, lines: int) -> bool:
    """Whether each process has told so many lines of each store."""
    names = [name for name, _ in STORES.values()]
    return all(len(said(shop, process, name)) >= lines for process in PROCESSES for name in names)


def is_up(shop: RunningShop, value: int) -> bool:
    """Whether the metrics of each process say that of each store."""
    return all(up(shop, key) == [value] * len(PROCESSES) for _, key in STORES.values())


def signal_all(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, number)


def said(shop: RunningShop, process: str, name: str) -> list[str]:
    """What a process's log says of a store."""
    log = DataFolder(shop.data).log(process).read_text()
    return [line for line in log.splitlines() if f"{name} is away" in line or f"{name} ans" in line]


def up(shop: RunningShop, key: str) -> list[float]:
    """What the metrics say of a store."""
    metrics = httpx.get(f"{shop.metrics_url}/metrics", trust_env=False).text
    return [
        sample.value
        for each in text_string_to_metric_families(metrics)
        for sample in each.samples
        if sample.name == "tigerfans_store_up" and sample.labels["store"] == key
    ]
