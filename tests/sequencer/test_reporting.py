"""What a sequencer tells the other hosts, and hears of them, over a real Redis."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from redis.asyncio import Redis

from tests.hosts.reports import a_report
from tests.ipc.peers import Peer, until
from tests.sequencer.test_history import tell
from tigerfans import __version__
from tigerfans.hosts.report import setting_digests
from tigerfans.hosts.roster import Hosts, Roster
from tigerfans.ipc.frames import STATS, encode
from tigerfans.ipc.stats import WORKER_INFO, encode_stats
from tigerfans.sequencer import reporting
from tigerfans.sequencer.history import History
from tigerfans.sequencer.reporting import Reporting
from tigerfans.sequencer.sequencer import Sequencer
from tigerfans.settings.settings import Settings, StoreSettings
from tigerfans.stores.shop_redis import ShopRedis
from tigerfans.telemetry.counters import Counters
from tigerfans.telemetry.steps import Step

SHOP = "0123abcd"
CLUSTER = 7
NOBODY_LISTENS = "redis://127.0.0.1:1/0"


@pytest.fixture
def settings(redis_url: str) -> Settings:
    return Settings(
        stores=StoreSettings(redis_url=redis_url),
        host_name="tickets-1",
        ledger=f"tigerbeetle://127.0.0.1:3000/{CLUSTER}",
    )


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[ShopRedis]:
    """How others read and write the roster."""
    store = ShopRedis.connect(redis_url, SHOP)
    yield store
    await store.close()


@pytest.fixture
async def worker(sequencer: Sequencer, socket_path: Path) -> AsyncIterator[Peer]:
    """A worker that has said whose it is."""
    peer = await Peer.connect(socket_path, "worker-1")
    await tell(sequencer, peer, Counters(SHOP, "0a"))
    yield peer
    peer.cut()
    await until(lambda: not sequencer.connections)


class Host:
    """A sequencer's reporting, a step at a time."""

    def __init__(self, sequencer: Sequencer, settings: Settings) -> None:
        self.history = History(sequencer)
        self.reporting = Reporting(sequencer, self.history, settings)

    async def report(self) -> None:
        self.history.sample()
        await self.reporting.report()

    def page(self) -> dict[str, Any]:
        page: dict[str, Any] = orjson.loads(self.history.page())
        return page


@pytest.fixture
async def host(sequencer: Sequencer, settings: Settings) -> AsyncIterator[Host]:
    host = Host(sequencer, settings)
    yield host
    await host.reporting.close(says_goodbye=False)


async def roster_of(store: ShopRedis) -> Hosts:
    return await Roster(store).read()


async def test_it_tells_who_it_is_and_who_its_workers_are(
    host: Host, worker: Peer, store: ShopRedis, settings: Settings
) -> None:
    await host.report()
    [heard] = (await roster_of(store)).hosts
    report = heard.report
    assert (report.name, report.version) == ("tickets-1", __version__)
    assert (report.ledger, report.cluster) == ("embedded", str(CLUSTER))
    [told] = report.workers
    assert (told.name, told.version, told.offer) == ("worker-1", __version__, "0a")
    assert report.settings == setting_digests(settings)
    assert (report.sample.workers, report.has_rival) == (1, False)
    assert abs(heard.clock_ahead_ms) < 60_000


async def test_its_clerks_are_told_apart_from_its_workers(
    host: Host, worker: Peer, sequencer: Sequencer, socket_path: Path, store: ShopRedis
) -> None:
    clerk = await Peer.connect(socket_path, "clerk-1")
    clerk.send(encode(0, STATS, encode_stats(Counters().stats())))
    await until(lambda: sum(bool(each.stats) for each in sequencer.connections) == 2)
    await host.report()
    [heard] = (await roster_of(store)).hosts
    assert [each.name for each in heard.report.workers] == ["worker-1"]
    assert [each.name for each in heard.report.clerks] == ["clerk-1"]
    assert (heard.report.sample.workers, heard.report.sample.clerks) == (1, 1)
    clerk.cut()


async def test_a_worker_of_the_release_before_has_no_version_and_is_served(
    host: Host, worker: Peer, sequencer: Sequencer, socket_path: Path, store: ShopRedis
) -> None:
    without_info = [f for f in Counters().stats() if f["name"] != WORKER_INFO]
    older = await Peer.connect(socket_path, "worker-2")
    older.send(encode(0, STATS, encode_stats(without_info)))
    await until(lambda: sum(bool(each.stats) for each in sequencer.connections) == 2)
    await host.report()
    [heard] = (await roster_of(store)).hosts
    assert {w.name: w.version for w in heard.report.workers} == {
        "worker-1": __version__,
        "worker-2": "",
    }
    older.cut()


@pytest.mark.parametrize("shop", ["", "0123ABCD", "*", "0123abcd:order:1"])
async def test_as_long_as_no_worker_says_whose_it_is_it_tells_nothing(
    host: Host, sequencer: Sequencer, socket_path: Path, redis_url: str, shop: str
) -> None:
    await host.report()
    peer = await Peer.connect(socket_path, "worker-1")
    await tell(sequencer, peer, Counters(shop))
    await host.report()
    async with Redis.from_url(redis_url) as redis:
        assert await redis.dbsize() == 0
    peer.cut()
    await until(lambda: not sequencer.connections)


async def test_its_history_is_the_whole_shops(
    host: Host, worker: Peer, sequencer: Sequencer, store: ShopRedis
) -> None:
    await host.report()
    assert host.page()["workers"] == [1]
    await Roster(store).write(a_report("tickets-2"))
    await host.report()
    await host.report()
    page = host.page()
    assert page["workers"] == [1, 1, 3]
    assert page["held_per_second"] == [0, 0, 30]
    assert (page["batch_transfers"][-1], page["ledger_milliseconds"][-1]) == (3, 2)


async def test_what_it_tells_is_its_own_and_not_the_shops(
    host: Host, worker: Peer, store: ShopRedis
) -> None:
    await Roster(store).write(a_report("tickets-2"))
    for _ in range(3):
        await host.report()
    own, _ = (await roster_of(store)).hosts
    assert (own.name, own.report.sample.workers) == ("tickets-1", 1)
    assert own.report.sample.held_per_second == 0


async def test_another_host_of_its_name_is_told_once_in_the_log_and_to_everybody(
    host: Host, worker: Peer, store: ShopRedis, caplog: pytest.LogCaptureFixture
) -> None:
    roster, rival = Roster(store), a_report("tickets-1", instance="another")
    # Who ran here before is no rival.
    await roster.write(rival)
    await host.report()
    await host.report()
    assert not caplog.records
    for _ in range(3):
        await roster.write(rival)
        await host.report()
    [own] = (await roster_of(store)).hosts
    assert own.report.has_rival
    [record] = caplog.records
    assert record.getMessage().startswith("Two hosts call themselves tickets-1: set TIGERFANS_HOST")


async def test_a_trouble_is_logged_once_until_it_is_over(
    host: Host, worker: Peer, store: ShopRedis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tigerfans.sequencer.reporting")
    await host.report()
    [own] = (await roster_of(store)).hosts
    other = a_report("tickets-2", version="0.0.1", workers=(), settings=own.report.settings)
    for _ in range(3):
        await Roster(store).write(
            msgspec.structs.replace(other, clock_ms=time.time_ns() // 1_000_000)
        )
        await host.report()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "Different versions run" in caplog.text
    await Roster(store).leave(other)
    await host.report()
    assert caplog.records[-1].getMessage() == "Over: versions."


async def test_without_redis_it_is_one_line_and_the_figures_are_its_own(
    sequencer: Sequencer, worker: Peer, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    host = Host(sequencer, replace(settings, stores=StoreSettings(redis_url=NOBODY_LISTENS)))
    for _ in range(3):
        await host.report()
    assert host.page()["workers"] == [1, 1, 1]
    [record] = caplog.records
    assert record.getMessage().startswith("Redis is away")
    await host.reporting.close(says_goodbye=True)


async def test_a_mistake_in_it_is_told_once_and_ends_nothing(
    sequencer: Sequencer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(reporting, "REPORT_SECONDS", 0.0)
    host = Host(sequencer, settings)
    attempts = 0

    async def report() -> None:
        nonlocal attempts
        attempts += 1
        raise ValueError("a mistake")

    monkeypatch.setattr(host.reporting, "report", report)
    running = asyncio.create_task(host.reporting.run(), name="reporting")
    await until(lambda: attempts > 2)
    assert not running.done()
    running.cancel()
    assert caplog.text.count("are not told of this one") == 1


async def test_when_redis_goes_the_other_hosts_count_no_more(
    host: Host, worker: Peer, store: ShopRedis, redis_url: str
) -> None:
    await Roster(store).write(a_report("tickets-2"))
    await host.report()
    async with Redis.from_url(redis_url) as redis:
        # Whatever Redis refuses is no reason to stop selling.
        await redis.set(f"{SHOP}:hosts", "of another type")
    await host.report()
    await host.report()
    assert host.page()["workers"] == [1, 3, 1]


async def test_who_stops_on_purpose_is_not_looked_for(
    host: Host, worker: Peer, store: ShopRedis
) -> None:
    await host.report()
    await host.reporting.close(says_goodbye=True)
    assert not (await roster_of(store)).hosts


async def test_orders_held_here_are_in_the_report(
    host: Host, sequencer: Sequencer, worker: Peer, store: ShopRedis
) -> None:
    counters = Counters(SHOP)
    host.history.sample()
    counters.steps[Step.HELD] += 5
    await tell(sequencer, worker, counters)
    await host.report()
    [own] = (await roster_of(store)).hosts
    assert own.report.sample.held_per_second > 0
