"""`tigerfans doctor` on a good deployment and on broken ones, with real servers."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.stack.running_shop import (
    RunningShop,
    environment,
    free_addresses,
    open_shop,
    tigerfans,
    until,
)
from tigerfans import __version__
from tigerfans.doctor.machine import read_machine
from tigerfans.doctor.sockets import read_socket
from tigerfans.settings.settings import machine_name
from tigerfans.stores.database import Database
from tigerfans.stores.identity import IdentityRow


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    with open_shop(tmp_path_factory.mktemp("good"), TIGERFANS_WORKERS="2") as shop:
        until(lambda: shop.tigerfans("ps", "--hosts").returncode == 0)
        yield shop


def examine(shop: RunningShop) -> tuple[int, dict[str, Any]]:
    examined = shop.tigerfans("doctor", "--json")
    return examined.returncode, json.loads(examined.stdout)


NAMES = ("sequencer", "worker-1", "worker-2", "clerk-1")


def subjects(report: dict[str, Any], verdict: str) -> set[str]:
    return {
        f"{finding['area']}: {finding['subject']}"
        for finding in report["findings"]
        if finding["verdict"] == verdict
    }


def test_a_good_deployment_has_nothing_bad(shop: RunningShop) -> None:
    code, report = examine(shop)
    assert subjects(report, "bad") == set()
    assert (code, report["good"]) == (0, True)
    good = subjects(report, "good")
    assert {
        "machine: packages",
        "PostgreSQL: fsync",
        "PostgreSQL: synchronous_commit",
        "PostgreSQL: schema",
        "Redis: access",
        "Redis: appendfsync",
        "ledger: socket",
        "ledger: answers",
        "identity: database",
        "identity: ticket secret",
        "identity: ledger",
        "identity: Redis",
        "hosts: selling",
        "hosts: clerks",
        "shop: ready",
        "shop: workers",
    } <= good
    # The limits are those of the processes themselves.
    assert {f"machine: open files, {name}" for name in NAMES} <= (
        good | subjects(report, "warning")
    )


def test_the_table_says_what_to_change(shop: RunningShop) -> None:
    examined = shop.tigerfans("doctor")
    assert examined.returncode == 0
    assert "→ Set TIGERFANS_ENV=production." in examined.stdout
    assert examined.stdout.rstrip().endswith("0 bad.")
    assert examined.stderr == ""


def test_the_hosts_of_a_shop_are_told_line_by_line(shop: RunningShop) -> None:
    told = shop.tigerfans("ps", "--hosts")
    assert (told.returncode, told.stderr) == (0, "")
    host = json.loads(told.stdout)
    assert (host["name"], host["state"]) == (machine_name(), "selling")
    assert (host["workers"], host["clerks"]) == (2, 1)
    assert host["versions"] == [__version__]


def test_without_its_stores_nothing_is_told_of_hosts(tmp_path: Path) -> None:
    told = tigerfans("ps", "--hosts", environ=environment(tmp_path / "data", {}), cwd=tmp_path)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr == "DATABASE_URL and REDIS_URL must name the stores of the shop.\n"


def test_a_look_changes_nothing(shop: RunningShop) -> None:
    def folders() -> set[Path]:
        return {path for path in shop.data.rglob("*") if path.is_dir()}

    before = folders()
    examine(shop)
    assert folders() == before
    assert {row["restarts"] for row in shop.ps()} == {0}


def test_a_socket_that_others_may_open_is_bad(shop: RunningShop) -> None:
    path = shop.data / "run" / "sequencer.sock"
    path.chmod(0o666)
    try:
        code, report = examine(shop)
    finally:
        path.chmod(0o600)
    assert (code, subjects(report, "bad")) == (1, {"ledger: socket"})


async def test_what_belongs_to_another_shop_is_told(
    shop: RunningShop, redis_url: str, database_url: str
) -> None:
    """Another ticket secret, another database, and a Redis that another shop uses as well."""
    async with Redis.from_url(redis_url) as redis:
        await redis.set(f"89abcdef:order:{'0' * 32}", "session")
        await redis.set("89abcdef:unpaid:of-nobody", "another program's")
    database = await Database.connect(database_url)
    await IdentityRow.claim(database, "another secret")
    await database.close()
    settings = {
        "TIGERFANS_SEQUENCER_SOCKET": str(shop.data / "run" / "sequencer.sock"),
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
    }
    environ = environment(shop.data.parent / "elsewhere", free_addresses() | settings)
    examined = tigerfans("doctor", "--json", environ=environ, cwd=shop.data.parent)
    found = {
        (finding["subject"], finding["verdict"]): finding["found"]
        for finding in json.loads(examined.stdout)["findings"]
        if finding["area"] == "identity"
    }
    assert found.keys() == {
        ("database", "good"),
        ("ticket secret", "bad"),
        ("ledger", "bad"),
        ("Redis", "warning"),
    }
    assert found["ledger", "bad"] == "TIGERFANS_LEDGER names the ledger of another shop"
    assert found["Redis", "warning"] == "another shop's keys as well: 89abcdef"


async def test_a_broken_deployment_is_told_all_that_is_bad(
    tmp_path: Path, empty_database_url: str, redis_url: str
) -> None:
    """PostgreSQL without fsync, a Redis that evicts, default secrets, and nobody at the socket."""
    path = tmp_path / "sequencer.sock"
    settings = free_addresses() | {
        "TIGERFANS_ENV": "production",
        "TIGERFANS_BENCH": "1",
        "TIGERFANS_SEQUENCER_SOCKET": str(path),
        "DATABASE_URL": empty_database_url,
        "REDIS_URL": redis_url,
    }
    environ = environment(tmp_path / "data", settings)
    async with Redis.from_url(redis_url) as redis:
        await redis.config_set("maxmemory-policy", "allkeys-lru")
        try:
            with socket.socket(socket.AF_UNIX) as nobody:
                nobody.bind(str(path))
                examined = tigerfans("doctor", "--json", environ=environ, cwd=tmp_path)
        finally:
            await redis.config_set("maxmemory-policy", "noeviction")
    assert examined.returncode == 1, examined.stderr
    report = json.loads(examined.stdout)
    assert {
        "settings: MOCK_SECRET",
        "settings: TIGERFANS_TICKET_SECRET",
        "settings: ADMIN_PASSWORD",
        "settings: TIGERFANS_BENCH",
        "settings: TIGERFANS_PAYMENT_PROVIDER",
        "PostgreSQL: fsync",
        "PostgreSQL: schema",
        "Redis: maxmemory-policy",
        "ledger: socket",
        "ledger: answers",
        "shop: ready",
        "shop: metrics",
    } <= subjects(report, "bad")
    assert "identity: database" in subjects(report, "warning")
    assert "Redis: appendonly" in subjects(report, "warning")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("name", "value", "subject"),
    [
        ("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none", "PostgreSQL: answers"),
        ("DATABASE_URL", "", "PostgreSQL: DATABASE_URL"),
        ("REDIS_URL", "redis://127.0.0.1:1", "Redis: answers"),
        ("REDIS_URL", "redis://127.0.0.1:port", "settings: environment"),
        ("TIGERFANS_PORT", "http", "settings: environment"),
        ("TIGERFANS_ENV", "staging", "settings: environment"),
    ],
)
def test_what_cannot_be_asked_is_bad_and_says_so(
    tmp_path: Path, name: str, value: str, subject: str
) -> None:
    environ = environment(tmp_path / "data", free_addresses() | {name: value})
    examined = tigerfans("doctor", "--json", environ=environ, cwd=tmp_path)
    assert (examined.returncode, examined.stderr) == (1, "")
    assert subject in subjects(json.loads(examined.stdout), "bad")


# --- Reading facts ---------------------------------------------------------------------------


def test_this_machine_tells_its_facts(tmp_path: Path) -> None:
    facts = read_machine({}, [tmp_path, tmp_path / "missing"])
    assert facts.packages == {}
    assert list(facts.open_files) == ["this shell"]
    (disk,) = facts.disks
    assert 0 < disk.free_bytes < disk.total_bytes


def test_a_sockets_mode_and_who_gets_that_far_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    assert read_socket(path) is None
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    path.chmod(0o622)
    facts = read_socket(path)
    assert facts
    assert (facts.is_socket, facts.mode) == (True, 0o622)
    tmp_path.chmod(0o700)
    closed = read_socket(path)
    assert closed
    assert not closed.is_open
