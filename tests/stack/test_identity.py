"""A shop knows its own ledger, database, Redis and secret: in real processes, on both ledgers."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from redis.asyncio import Redis

from tests.servers import run
from tests.stack.running_shop import (
    RunningShop,
    environment,
    free_addresses,
    open_shop,
    tigerfans,
)
from tests.tigerbeetle_server import DEVELOPMENT, running_tigerbeetle
from tigerfans.settings import located
from tigerfans.settings.folder import DataFolder
from tigerfans.stack import postgres

ONE_TICKET = {"TIGERFANS_TICKETS_A": "1", "TIGERFANS_TICKETS_B": "0", "TIGERFANS_GOODIES": "0"}
LOGIN = ("admin", "supasecret")
# As a unit of systemd starts it.
WORKER = ("worker", "--number", "1")
OPENERS = (WORKER, ("clerk",), ("reconcile",))

LOST = (
    "TIGERFANS_LEDGER names an empty ledger, but this shop was funded on one before: bring that"
    " back (mount its disk, or restore a backup, see docs/operations.md) and start again."
)
ANOTHERS = (
    "TIGERFANS_LEDGER names the ledger of another shop: set it, or DATABASE_URL, so that both"
    " belong to one shop."
)
OTHER_SECRET = (
    "TIGERFANS_TICKET_SECRET is not the one that this shop was opened with: set that again, for"
    " the codes of its tickets derive from it."
)


class Refused(NamedTuple):
    """How a command ended, and why: what it said but for what every start says."""

    exit_code: int
    sentences: list[str]


def refused(root: Path, *command: str, **settings: str) -> Refused:
    environ = environment(root / "data", free_addresses() | settings)
    ended = tigerfans(*command, environ=environ, cwd=root)
    usual = ("Starting; ", "Stopped.", " INFO ")
    lines = ended.stderr.splitlines()
    return Refused(ended.returncode, [x for x in lines if not any(word in x for word in usual)])


def buy(url: str) -> tuple[int, str]:
    """Buys a ticket of class A; the status of the checkout, and the order's id."""
    buyer = {"cls": "A", "customer_email": "fan@example.org"}
    with httpx.Client(base_url=url, trust_env=False) as client:
        held = client.post("/api/checkout", json=buyer)
        if not held.is_success:
            return held.status_code, ""
        order_id, page = held.json()["order_id"], held.json()["redirect_url"]
        client.post(f"{page}/emit", data={"t": "succeeded"})
        assert client.get(f"/api/orders/{order_id}").json()["status"] == "PAID"
        return held.status_code, order_id


def stores_of(shop: RunningShop) -> dict[str, str]:
    """What a process needs to find a running shop."""
    folder = DataFolder(shop.data)
    return {
        "DATABASE_URL": located.database_url(located.postgres_sockets(folder)),
        "REDIS_URL": shop.environ["REDIS_URL"],
        "TIGERFANS_SEQUENCER_SOCKET": str(folder.sockets / "sequencer.sock"),
    }


# --- A ledger that is lost -------------------------------------------------------------------


@contextmanager
def embedded(root: Path) -> Iterator[tuple[Mapping[str, str], Mapping[str, str]]]:
    yield {}, {}


@contextmanager
def two_tigerbeetles(_: Path) -> Iterator[tuple[Mapping[str, str], Mapping[str, str]]]:
    """The settings of a shop on one, and those with which it finds an empty one instead."""
    with running_tigerbeetle(DEVELOPMENT) as own, running_tigerbeetle(DEVELOPMENT) as empty:
        yield (
            {"TIGERFANS_LEDGER": f"tigerbeetle://{own.addresses}/0"},
            {"TIGERFANS_LEDGER": f"tigerbeetle://{empty.addresses}/0"},
        )


@pytest.mark.parametrize("ledgers", [embedded, two_tigerbeetles])
def test_after_a_sale_an_empty_ledger_is_refused_and_the_shop_stays_sold_out(
    tmp_path: Path, ledgers: Any
) -> None:
    folder, aside = tmp_path / "data" / "ledger", tmp_path / "aside"
    with ledgers(tmp_path) as (own, empty):
        with open_shop(tmp_path, **ONE_TICKET, **own) as shop:
            assert buy(shop.url)[0] == 200
            assert buy(shop.url)[0] == 409
            shop.stop()
        if folder.exists():
            folder.rename(aside)
        for _ in range(2):
            assert refused(tmp_path, "up", **ONE_TICKET, **empty) == (2, [LOST])
        if aside.exists():
            shutil.rmtree(folder)
            aside.rename(folder)
        with open_shop(tmp_path, **ONE_TICKET, **own) as shop:
            assert buy(shop.url)[0] == 409


def test_a_sequencer_that_comes_back_without_its_ledger_ends_the_shop(tmp_path: Path) -> None:
    with open_shop(tmp_path, **ONE_TICKET) as shop:
        assert buy(shop.url)[0] == 200
        (tmp_path / "data" / "ledger").rename(tmp_path / "aside")
        os.kill(shop.pid_of("sequencer"), signal.SIGKILL)
        assert shop.wait() == 2
    assert LOST in (tmp_path / "stderr").read_text().splitlines()


def test_a_backup_is_restored_as_the_same_shop_whichever_half_of_it_is_older(
    tmp_path: Path, empty_database_url: str
) -> None:
    """As ops/backup.sh and ops/restore.sh do it."""
    first, restored = tmp_path / "first", tmp_path / "restored"
    first.mkdir()
    with open_shop(first, TIGERFANS_WORKERS="1") as shop:
        buy(shop.url)
        ledgers = [tmp_path / "before.sqlite", tmp_path / "after.sqlite"]
        assert shop.tigerfans("ledger", "backup", str(ledgers[0])).returncode == 0
        buy(shop.url)
        dump = tmp_path / "orders.dump"
        own = located.database_url(located.postgres_sockets(DataFolder(shop.data)))
        server_program("pg_dump", "--format=custom", f"--file={dump}", own)
        buy(shop.url)
        assert shop.tigerfans("ledger", "backup", str(ledgers[1])).returncode == 0
    server_program(
        "pg_restore", "--no-owner", "--exit-on-error", f"--dbname={empty_database_url}", dump
    )
    sales = []
    for ledger in ledgers:
        folder = restored / "data" / "ledger"
        folder.mkdir(parents=True)
        shutil.copyfile(ledger, folder / "ledger.sqlite")
        settings = {"DATABASE_URL": empty_database_url, "TIGERFANS_WORKERS": "1"}
        with open_shop(restored, **settings) as shop:
            report = json.loads(shop.tigerfans("reconcile", "--json").stdout)
            sales.append((report["sales"], report["orders"], report["clean"]))
        shutil.rmtree(restored)
    assert sales == [(1, 2, False), (3, 2, False)]


def server_program(name: str, *arguments: object) -> None:
    command = [str(postgres.binaries() / name), *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)


# --- Two shops, one Redis --------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_shops(
    tmp_path_factory: pytest.TempPathFactory, redis_server_url: str
) -> Iterator[tuple[RunningShop, RunningShop]]:
    settings = {"REDIS_URL": redis_server_url, "TIGERFANS_WORKERS": "1"}
    run(_flush(redis_server_url))
    with (
        open_shop(tmp_path_factory.mktemp("first"), **settings) as first,
        open_shop(tmp_path_factory.mktemp("second"), **settings) as second,
    ):
        yield first, second


async def _flush(url: str) -> None:
    async with Redis.from_url(url) as redis:
        await redis.flushall()


def test_two_shops_on_one_redis_do_not_mix(
    two_shops: tuple[RunningShop, RunningShop], redis_server_url: str
) -> None:
    waiting = []
    for shop in two_shops:
        buy(shop.url)
        held = httpx.post(
            f"{shop.url}/api/checkout",
            json={"cls": "B", "customer_email": "late@example.org"},
            trust_env=False,
        )
        waiting.append(held.json()["order_id"])
    for shop, other, order_id in zip(two_shops, two_shops[::-1], waiting, strict=True):
        listed = httpx.get(f"{shop.url}/api/pending", auth=LOGIN, trust_env=False).json()
        assert [item["order_id"] for item in listed["items"]] == [order_id]
        known, unknown = (
            httpx.get(f"{each.url}/api/orders/{order_id}", trust_env=False)
            for each in (shop, other)
        )
        assert (known.status_code, unknown.status_code) == (200, 404)

    async def keys() -> list[str]:
        async with Redis.from_url(redis_server_url, decode_responses=True) as redis:
            return [str(key) for key in await redis.keys()]

    prefixes = {key.partition(":")[0] for key in run(keys())}
    assert len(prefixes) == 2
    assert {len(prefix) for prefix in prefixes} == {8}


@pytest.mark.parametrize("command", OPENERS, ids=lambda command: command[0])
def test_another_ticket_secret_is_refused_by_whatever_opens_the_shop(
    two_shops: tuple[RunningShop, RunningShop], tmp_path: Path, command: tuple[str, ...]
) -> None:
    stores = stores_of(two_shops[0])
    secret = {"TIGERFANS_TICKET_SECRET": "another one"}
    assert refused(tmp_path, *command, **stores, **secret) == (2, [OTHER_SECRET])


@pytest.mark.parametrize("command", OPENERS, ids=lambda command: command[0])
def test_the_ledger_of_another_shop_is_refused_by_whatever_opens_the_shop(
    two_shops: tuple[RunningShop, RunningShop], tmp_path: Path, command: tuple[str, ...]
) -> None:
    first, second = map(stores_of, two_shops)
    mixed = first | {"TIGERFANS_SEQUENCER_SOCKET": second["TIGERFANS_SEQUENCER_SOCKET"]}
    assert refused(tmp_path, *command, **mixed) == (2, [ANOTHERS])


def test_a_shop_whose_database_is_lost_does_not_take_its_ledger_for_a_new_one(
    two_shops: tuple[RunningShop, RunningShop], tmp_path: Path, database_url: str
) -> None:
    """On another host, say, with a database that was just made there."""
    stores = stores_of(two_shops[0]) | {"DATABASE_URL": database_url}
    assert refused(tmp_path, *WORKER, **stores) == (2, [ANOTHERS])
