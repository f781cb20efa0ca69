"""How fast buyers and faults come is no matter of the machine's speed."""

import asyncio
import os
import signal
from types import SimpleNamespace
from typing import Any

import pytest

from tests.faults import injector as injector_module
from tests.faults.injector import Injector
from tests.faults.mailbox import Mailbox
from tests.faults.pace import Pace
from tests.faults.plan import FaultKind, RunPlan
from tests.faults.stack import StackError

BUYERS = 30
FAULTS = 4


async def come(pace: Pace, course: list[str]) -> None:
    for _ in range(BUYERS):
        await pace.buyer()
        course.append("buyer")


async def strike(pace: Pace, course: list[str]) -> None:
    for _ in range(FAULTS):
        await pace.fault()
        course.append("fault")
        await pace.struck()


@pytest.mark.parametrize("first", ["buyers", "faults"])
async def test_each_fault_has_its_share_of_the_buyers_whoever_is_faster(first: str) -> None:
    pace, course = Pace(BUYERS, FAULTS), list[str]()
    # Whoever is first never waits for anything but the other.
    runs = [come(pace, course), strike(pace, course)]
    await asyncio.gather(*(runs if first == "buyers" else reversed(runs)))
    assert (course.count("buyer"), course.count("fault")) == (BUYERS, FAULTS)
    share = BUYERS / FAULTS
    for end, one in enumerate(course):
        came, struck = course[:end].count("buyer"), course[:end].count("fault")
        if one == "buyer":
            assert came < (struck + 1) * share
        else:
            assert came >= struck * share


async def test_buyers_come_where_there_is_no_fault_to_wait_for() -> None:
    plan = RunPlan(seed=1, ledger="tigerbeetle", kinds=(FaultKind.FULL_DISK,)).without_disk()
    assert list(plan.faults()) == []
    await come(Pace(BUYERS, plan.fault_count), [])


class SlowShop:
    """Its processes come back when they were looked for several times; then they can be killed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, looks: int) -> None:
        self.killed = 0
        self._looks = looks
        self._looked = 0
        monkeypatch.setattr(injector_module, "ATTEMPT_PAUSE_SECONDS", 0.0)
        monkeypatch.setattr(injector_module, "ATTEMPTS_MAX", 5)
        monkeypatch.setattr(injector_module, "os", SimpleNamespace(kill=self._kill))

    def remember(self) -> None:
        pass

    def pid_of(self, name: str) -> int:
        self._looked += 1
        if self._looked % self._looks:
            raise ProcessLookupError(name)
        return os.getpid()

    def _kill(self, pid: int, number: int) -> None:
        assert (pid, number) == (os.getpid(), signal.SIGKILL)
        self.killed += 1


def injector(shop: Any, **changes: Any) -> Injector:
    plan = RunPlan(seed=1, kinds=(FaultKind.KILL,), fault_seconds=1e-3, **changes)
    nobody: Any = None
    return Injector(plan, shop, nobody, Mailbox(), nobody, Pace(0, plan.fault_count))


async def test_all_faults_strike_however_long_the_shop_takes_to_heal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop = SlowShop(monkeypatch, looks=4)
    striking = injector(shop, orders=10, rate=1_000)
    await striking.run()
    assert shop.killed == striking.struck.total() == 10


async def test_a_shop_that_does_not_heal_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    striking = injector(SlowShop(monkeypatch, looks=9), orders=10, rate=1_000)
    with pytest.raises(ExceptionGroup) as raised:
        await striking.run()
    assert raised.group_contains(StackError, match="nothing to strike")
