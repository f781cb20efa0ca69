"""The whole shop, as `tigerfans up` runs it: real servers, the real sequencer, real workers."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from tests.disk import SmallDisk, disk_or_skip
from tests.harness.needs import TIGERBEETLE, needs_ordinary_user, needs_tigerbeetle
from tests.offers import OFFER
from tests.servers import run
from tests.stack.running_shop import (
    RunningShop,
    environment,
    free_addresses,
    open_shop,
    tigerfans,
    until,
)
from tigerfans.settings.folder import DataFolder
from tigerfans.settings.located import database_url as database_url_of
from tigerfans.settings.settings import DEFAULT_ADMIN_PASSWORD

DISK_BYTES = 256 << 20

ALL_NAMES = ["postgres", "redis", "sequencer", "worker-1", "worker-2", "clerk-1"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    """A shop that the tests of this module share: each leaves it ready."""
    with open_shop(tmp_path_factory.mktemp("shop"), TIGERFANS_WORKERS="2") as shop:
        yield shop


def checkout(shop: RunningShop) -> str:
    """Holds a ticket; the order's id."""
    buyer = {"cls": "A", "customer_email": "buyer@example.com"}
    response = httpx.post(f"{shop.url}/api/checkout", json=buyer, trust_env=False)
    order_id: str = response.raise_for_status().json()["order_id"]
    return order_id


def test_an_open_shop_is_ready_and_sells(shop: RunningShop) -> None:
    assert shop.is_ready()
    assert len(checkout(shop)) == 32


def test_without_a_mail_server_the_clerk_leaves_each_mail_in_the_data_folder(
    shop: RunningShop,
) -> None:
    order_id = checkout(shop)
    path = f"/mockpay/mock_{order_id}/emit"
    httpx.post(f"{shop.url}{path}", data={"t": "succeeded"}, trust_env=False)
    mail = shop.data / "mail" / f"{order_id}-tickets-0.eml"
    until(mail.exists)
    message = message_from_bytes(mail.read_bytes(), policy=policy.default)
    assert message["to"] == "buyer@example.com"
    assert mail.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("path", ["/", "/api/inventory", "/healthz"])
def test_head_says_what_get_says_and_no_more(shop: RunningShop, path: str) -> None:
    with httpx.Client(base_url=shop.url, trust_env=False) as client:
        got, head = client.get(path), client.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == got.headers["content-type"]
        assert int(head.headers["content-length"]) > 0
        # On the same connection: nothing of the body is left in it.
        assert client.get(path).status_code == 200


def test_the_head_of_an_orders_events_is_told_and_opens_no_stream(shop: RunningShop) -> None:
    with httpx.Client(base_url=shop.url, trust_env=False) as client:
        head = client.head(f"/api/orders/{checkout(shop)}/events")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == "text/event-stream"
        # A request that is over is counted; a stream would be under way for minutes.
        counted = 'route="/api/orders/events",status="200"'
        until(lambda: counted in client.get(f"{shop.metrics_url}/metrics").text)


def test_ps_shows_each_process_as_a_line_of_json(shop: RunningShop) -> None:
    rows = shop.ps()
    assert [row["name"] for row in rows] == ALL_NAMES
    assert all(row.keys() == {"name", "pid", "state", "restarts"} for row in rows)
    assert {row["state"] for row in rows} == {"running"}
    assert {row["pid"] for row in rows} < {process.pid for process in shop.family()}


@pytest.mark.parametrize("name", ALL_NAMES)
def test_a_killed_process_comes_back_and_the_shop_with_it(shop: RunningShop, name: str) -> None:
    killed = shop.pid_of(name)
    os.kill(killed, signal.SIGKILL)
    until(lambda: shop.pid_of(name) not in (None, killed))
    until(lambda: {row["state"] for row in shop.ps()} == {"running"})
    until(shop.is_ready)
    assert next(row["restarts"] for row in shop.ps() if row["name"] == name) > 0
    until(lambda: httpx.get(f"{shop.url}/api/inventory", trust_env=False).is_success)
    checkout(shop)


async def test_the_same_key_on_all_workers_at_once_is_one_order_and_one_hold(
    shop: RunningShop,
) -> None:
    before = await shop.held()
    body = {"cls": "A", "customer_email": "buyer@example.com"}
    # Without keeping connections, the kernel deals them to both workers.
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=shop.url, limits=limits, trust_env=False) as client:
        headers = {"Idempotency-Key": "one purchase"}
        asking = (client.post("/api/checkout", json=body, headers=headers) for _ in range(40))
        answers = await asyncio.gather(*asking)
        other = await client.post("/api/checkout", json=body | {"cls": "B"}, headers=headers)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert other.status_code == 409
    assert await shop.held() == before + 1


def test_reconcile_shows_a_table_and_exits_1_on_a_difference(shop: RunningShop) -> None:
    order_id = checkout(shop)
    httpx.post(f"{shop.url}/mockpay/mock_{order_id}/emit", data={"t": "succeeded"}, trust_env=False)
    clean = shop.tigerfans("reconcile")
    assert clean.returncode == 0, clean.stderr
    assert "goodies" in clean.stdout
    assert "Both sides say the same." in clean.stdout

    run(delete_orders(shop))
    missing = shop.tigerfans("reconcile", "--json")
    assert missing.returncode == 1
    report = json.loads(missing.stdout)
    assert report["clean"] is False
    # Others may have been sold in this shop before.
    assert order_id in {each["order_id"] for each in report["differences"]}


def test_a_provider_that_keeps_no_books_is_refused_in_a_sentence(shop: RunningShop) -> None:
    asked = shop.tigerfans("reconcile", "--provider")
    assert (asked.returncode, asked.stdout) == (2, "")
    assert "MockPay moves no money and keeps no books" in asked.stderr


async def delete_orders(shop: RunningShop) -> None:
    connection = await asyncpg.connect(database_url_of(DataFolder(shop.data).sockets / "pg"))
    try:
        await connection.execute("DELETE FROM orders")
    finally:
        await connection.close()


def test_stock_is_shown_and_changed_and_what_comes_back_to_a_closed_sale_is_kept_back(
    shop: RunningShop,
) -> None:
    def stock() -> dict[str, Any]:
        url = f"{shop.url}/api/admin/stock"
        answer = httpx.get(url, auth=("admin", DEFAULT_ADMIN_PASSWORD), trust_env=False)
        row: dict[str, Any] = answer.json()["items"][0]
        return row

    order_id = checkout(shop)
    before = stock()
    [added] = json.loads(shop.tigerfans("stock", "A", "+50", "--json").stdout)
    assert (added["funded"], added["number"]) == (before["funded"] + 50, before["number"] + 1)
    refused = shop.tigerfans("stock", "A", f"-{added['available'] + 1}")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert f"{added['available']:,} can be withdrawn" in refused.stderr
    table = shop.tigerfans("stock", "A", "close")
    assert "The sale of Premium is closed since" in table.stdout
    closed = stock()
    assert (closed["state"], closed["available"]) == ("closed", 0)
    httpx.post(f"{shop.url}/mockpay/mock_{order_id}/emit", data={"t": "canceled"}, trust_env=False)
    # The clerk comes within a second.
    until(lambda: stock()["parked"] == closed["parked"] + 1)
    assert shop.tigerfans("stock", "A", "open").returncode == 0
    assert stock()["available"] == closed["parked"] + 1
    assert shop.tigerfans("stock", "A", "+1", "--number", str(before["number"])).returncode == 2


def test_only_its_name_cancels_the_show(shop: RunningShop) -> None:
    refused = shop.tigerfans("cancel", "another show")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert f"please type its name: {OFFER.show.name}" in refused.stderr


def test_stock_without_a_shop_is_one_sentence(tmp_path: Path) -> None:
    looked = tigerfans("stock", environ=environment(tmp_path / "data", {}), cwd=tmp_path)
    assert (looked.returncode, looked.stderr.count("\n")) == (2, 1)
    assert "is it running?" in looked.stderr


def test_reconcile_without_a_shop_is_one_sentence(tmp_path: Path) -> None:
    looked = tigerfans("reconcile", environ=environment(tmp_path / "data", {}), cwd=tmp_path)
    assert looked.returncode == 2
    assert "is it running?" in looked.stderr
    assert looked.stderr.count("\n") == 1


def test_a_reload_gives_every_worker_and_the_clerk_a_new_process(shop: RunningShop) -> None:
    before = {row["name"]: row["pid"] for row in shop.ps()}
    assert shop.tigerfans("reload").returncode == 0
    after = {row["name"]: row["pid"] for row in shop.ps()}
    replaced = {name for name in ALL_NAMES if before[name] != after[name]}
    assert replaced == {"worker-1", "worker-2", "clerk-1"}
    assert shop.is_ready()


def test_a_second_shop_in_the_same_folder_is_refused(shop: RunningShop, tmp_path: Path) -> None:
    refused = tigerfans("up", environ=environment(shop.data, free_addresses()), cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.startswith("TIGERFANS_DATA=")
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize("variable", ["TIGERFANS_PORT", "TIGERFANS_METRICS_ADDRESS"])
def test_a_taken_port_is_refused(tmp_path: Path, variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        value = str(port) if variable == "TIGERFANS_PORT" else f"127.0.0.1:{port}"
        environ = environment(tmp_path / "data", free_addresses() | {variable: value})
        refused = tigerfans("up", environ=environ, cwd=tmp_path)
    assert refused.returncode == 2
    assert (
        refused.stderr
        == f"{variable}: port {port} is taken by another program; choose another one.\n"
    )


def test_what_is_configured_is_not_started(
    tmp_path: Path, empty_database_url: str, redis_url: str
) -> None:
    with open_shop(tmp_path, DATABASE_URL=empty_database_url, REDIS_URL=redis_url) as shop:
        names = ["sequencer", "worker-1", "worker-2", "clerk-1"]
        assert [row["name"] for row in shop.ps()] == names
        checkout(shop)


def test_a_stop_leaves_no_process_and_the_next_start_finds_all_data(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        order_id = checkout(shop)
        family = shop.family()
        assert shop.stop() == 0
    assert not [process for process in family if process.is_running]
    gone = shop.tigerfans("ps")
    assert (gone.returncode, gone.stdout) == (1, "")

    with open_shop(tmp_path) as shop:
        assert run(shop.held()) == 1
        order = httpx.get(f"{shop.url}/api/orders/{order_id}", trust_env=False).json()
        assert order["status"] == "PENDING"
        family = shop.family()
        shop.kill()
        until(lambda: not [process for process in family if process.is_running])

    with open_shop(tmp_path) as shop:
        assert run(shop.held()) == 1


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """The data folder's own."""
    with disk_or_skip(tmp_path / "data", DISK_BYTES) as disk:
        yield disk


def refusal(root: Path) -> str:
    """What is said to whoever wants to start the shop of `root`."""
    refused = tigerfans("up", environ=environment(root / "data", free_addresses()), cwd=root)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.count("\n") == 1
    return refused.stderr


def test_a_start_on_a_full_disk_is_refused_and_with_room_it_is_the_same_shop(
    disk: SmallDisk, tmp_path: Path
) -> None:
    disk.fill()
    assert "TIGERFANS_DATA cannot be used: [Errno 28] No space left" in refusal(tmp_path)
    disk.make_room()
    with open_shop(tmp_path) as shop:
        order_id = checkout(shop)
        assert shop.stop() == 0
    disk.fill()
    assert "has no room: 0 MiB are free there" in refusal(tmp_path)
    disk.make_room()
    with open_shop(tmp_path) as shop:
        order = httpx.get(f"{shop.url}/api/orders/{order_id}", trust_env=False).json()
        assert order["status"] == "PENDING"
        assert shop.stop() == 0
    disk.make_read_only()
    assert "TIGERFANS_DATA cannot be used: [Errno 30] Read-only file system" in refusal(tmp_path)


def test_a_new_shop_on_a_disk_that_is_read_only_is_refused(disk: SmallDisk, tmp_path: Path) -> None:
    disk.make_read_only()
    assert "TIGERFANS_DATA cannot be used: [Errno 30] Read-only file system" in refusal(tmp_path)


@needs_ordinary_user
def test_a_new_shop_in_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o500)
    assert "TIGERFANS_DATA cannot be used: [Errno 13] Permission denied" in refusal(tmp_path)


def test_what_a_crash_left_is_cleaned_by_the_next_start(tmp_path: Path) -> None:
    """Half a state, sockets nobody listens on, locks and process ids that are someone else's."""
    with open_shop(tmp_path) as shop:
        order_id = checkout(shop)
        family = shop.family()
        folder = DataFolder(shop.data)
        written = folder.state.read_bytes()
        shop.kill()
        until(lambda: not [process for process in family if process.is_running])
    folder.state.write_bytes(written[: len(written) // 2])
    left = [
        folder.state.with_name("state.json.new"),
        folder.ledger_choice.with_name("ledger.txt.new"),
        folder.notify_socket("worker-9"),
        folder.redis / "temp-rewriteaof-bg-4711.aof",
        folder.embedded_ledger / "ledger-backup.sqlite.new",
    ]
    for path in left:
        path.write_bytes(written[:10])
    for log in folder.logs.iterdir():
        log.write_bytes(log.read_bytes() + b"half a li")
    with open_shop(tmp_path) as shop:
        assert [path.exists() for path in left] == [False] * len(left)
        assert {row["state"] for row in shop.ps()} == {"running"}
        order = httpx.get(f"{shop.url}/api/orders/{order_id}", trust_env=False).json()
        assert order["status"] == "PENDING"
        assert shop.stop() == 0
    assert list(folder.run.glob("*.notify")) == []
    assert not folder.state.exists()


@needs_tigerbeetle
def test_a_shop_sells_on_tigerbeetle_where_it_is_found(tmp_path: Path) -> None:
    with open_shop(tmp_path, TIGERBEETLE_BIN=str(TIGERBEETLE)) as shop:
        assert "tigerbeetle" in [row["name"] for row in shop.ps()]
        checkout(shop)
        assert shop.stop() == 0
    refused = tigerfans("up", environ=environment(shop.data, free_addresses()), cwd=tmp_path)
    assert refused.returncode == 2
    assert "are on the ledger tigerbeetle:" in refused.stderr
