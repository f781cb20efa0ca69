"""Restarts and ends under load: what buyers see of them, and what of their requests is cut off."""

import asyncio
import os
import signal
import time

import pytest

from tests.faults.injector import HALF_A_REPLY, HALF_A_REQUEST, cut
from tests.faults.loads import checking_out, under_way, until_read
from tests.faults.stack import POLL_SECONDS, FaultyShop
from tests.harness.patience import patience
from tigerfans.ipc.client import DEADLINE_SECONDS

BUYERS = 40
# A request waits for its deadline; a restart that takes longer is seen as a 503.
RESTART_SECONDS_MAX = DEADLINE_SECONDS / 2


async def pid_of(shop: FaultyShop, name: str, *, other_than: int = 0) -> int:
    """The process of that name, once it runs and serves."""
    async with patience():
        while True:
            process = shop.process(name)
            if process and process.pid not in (None, other_than) and process.state == "running":
                assert process.pid is not None
                return process.pid
            await asyncio.sleep(POLL_SECONDS)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_restart_of_the_sequencer_is_seen_by_buyers_as_latency_only(
    shop: FaultyShop, number: signal.Signals
) -> None:
    before = await pid_of(shop, "sequencer")
    async with checking_out(shop.port, BUYERS) as outcomes:
        killed = time.monotonic()
        os.kill(before, number)
        await pid_of(shop, "sequencer", other_than=before)
        is_in_time = time.monotonic() - killed < RESTART_SECONDS_MAX
        await until_read(shop)
    assert outcomes.no_answers == []
    assert {200} <= outcomes.statuses() <= ({200} if is_in_time else {200, 503})


@pytest.mark.parametrize("half", ["request", "reply"])
async def test_a_connection_cut_in_the_middle_of_a_frame_is_seen_as_latency_only(
    shop: FaultyShop, half: str
) -> None:
    worker, sequencer = await pid_of(shop, "worker-1"), await pid_of(shop, "sequencer")
    async with checking_out(shop.port, BUYERS) as outcomes:
        await until_read(shop)
        if half == "request":
            cut(worker, shop.sequencer_socket, HALF_A_REQUEST)
        else:
            cut(sequencer, shop.sequencer_socket, HALF_A_REPLY, is_server=True)
        await until_read(shop)
    assert outcomes.no_answers == []
    assert outcomes.statuses() == {200}
    assert await pid_of(shop, "worker-1") == worker
    assert await pid_of(shop, "sequencer") == sequencer


async def test_a_worker_that_is_told_to_stop_answers_what_it_accepted(shop: FaultyShop) -> None:
    worker = await pid_of(shop, "worker-1")
    assert await under_way(shop, lambda: os.kill(worker, signal.SIGTERM)) == {200}
    await pid_of(shop, "worker-1", other_than=worker)
    await shop.until_ready()
