"""The clerk's process, in a whole shop: what is under way when it is stopped or killed, and two of
them at once.

A listener of the test's own stands where MockPay sends its webhooks, so that the shop is told of no
payment, and learns of all of them by asking.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, cast

import asyncpg
import httpx
import pytest
from redis.asyncio import Redis

from tests.harness.needs import needs_linux
from tests.harness.patience import patience, until
from tests.harness.ports import HOST, free_port
from tests.stack.running_shop import RunningShop, open_shop
from tigerfans.payments.mockpay import DELIVERIES_AT_ONCE_MAX
from tigerfans.process.runtime import NICENESS
from tigerfans.settings import located
from tigerfans.settings.folder import DataFolder
from tigerfans.stores.identity import ShopId

WEBHOOK_PORT = free_port()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    """One for these tests: each leaves it with its clerk, and with nothing to deliver."""
    settings = {
        "MOCK_WEBHOOK_URL": f"http://{HOST}:{WEBHOOK_PORT}/",
        "TIGERFANS_WORKERS": "1",
        "TIGERFANS_HOLD_SECONDS": "1",
    }
    with open_shop(tmp_path_factory.mktemp("shop"), **settings) as shop:
        yield shop


class Listener:
    """Takes webhooks; each is answered with the next of `answers`, once there is one."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[bytes] = asyncio.Queue()
        self.came = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, HOST, WEBHOOK_PORT, reuse_port=True)
        try:
            yield
        finally:
            server.close()

    def answer(self, *statuses: bytes) -> None:
        for status in statuses:
            self.answers.put_nowait(status)

    async def until_came(self, count: int) -> None:
        async def have_come() -> bool:
            return self.came >= count

        await until(have_come)
        assert self.came == count

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.partition(b":")[2])
                for line in head.lower().splitlines()
                if line.startswith(b"content-length:")
            )
            await reader.readexactly(length)
            self.came += 1
            status = await self.answers.get()
            end = b"Content-Length: 0\r\nConnection: close\r\n\r\n"
            writer.write(b"HTTP/1.1 %s\r\n%s" % (status, end))
            await writer.drain()
        # Who sent it was killed.
        except (OSError, EOFError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    listener = Listener()
    async with listener.listening():
        yield listener


@pytest.fixture
async def database(shop: RunningShop) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(
        located.database_url(located.postgres_sockets(DataFolder(shop.data)))
    )
    yield connection
    await connection.close()


async def press(shop: RunningShop) -> str:
    """Pays for a ticket at MockPay's page; the order's id."""
    async with httpx.AsyncClient(base_url=shop.url, trust_env=False) as client:
        buyer = {"cls": "A", "customer_email": "fan@example.org"}
        held = (await client.post("/api/checkout", json=buyer)).raise_for_status().json()
        pressed = await client.post(f"{held['redirect_url']}/emit", data={"t": "succeeded"})
        assert pressed.status_code == 303
    order_id: str = held["order_id"]
    return order_id


async def has_learned(shop: RunningShop, order_id: str) -> bool:
    async with httpx.AsyncClient(base_url=shop.url, trust_env=False) as client:
        order = (await client.get(f"/api/orders/{order_id}")).raise_for_status().json()
    return bool(order["status"] == "PAID")


async def end_pauses(database: asyncpg.Connection) -> None:
    """Whatever webhook waits, for its next attempt or for the end of a lease, is due."""
    await database.execute("UPDATE mockpay_webhooks SET next_attempt_at = now()")


async def is_all_delivered(database: asyncpg.Connection) -> bool:
    return bool(await database.fetchval("SELECT count(*) = 0 FROM mockpay_webhooks"))


async def clerks(shop: RunningShop) -> dict[str, Any]:
    """Those that the sequencer says are there, by their names."""
    async with httpx.AsyncClient(trust_env=False) as client:
        status = (await client.get(f"{shop.metrics_url}/status")).raise_for_status().json()
    return {clerk["name"]: clerk for clerk in status["clerks"]}


@asynccontextmanager
async def another_clerk(shop: RunningShop) -> AsyncIterator[asyncio.subprocess.Process]:
    """A second one beside the stack's own, started as a unit of systemd starts it."""
    folder = DataFolder(shop.data)
    stores = {
        "DATABASE_URL": located.database_url(located.postgres_sockets(folder)),
        "REDIS_URL": located.redis_url(located.redis_socket(folder)),
        "TIGERFANS_SEQUENCER_SOCKET": str(folder.sockets / "sequencer.sock"),
    }
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "tigerfans", "clerk", "--number", "2"),
        env=shop.environ | stores,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


async def until_another_comes(shop: RunningShop, pid: int) -> None:
    """Until the stack has started its clerk again."""

    async def is_there() -> bool:
        clerk = (await clerks(shop)).get("clerk-1")
        return clerk is not None and clerk["pid"] != pid

    await until(is_there)


async def test_a_clerk_that_is_told_to_stop_finishes_what_it_delivers(
    shop: RunningShop, listener: Listener, database: asyncpg.Connection
) -> None:
    listener.answer(b"503 x")
    await press(shop)
    await end_pauses(database)
    await listener.until_came(2)
    pid = (await clerks(shop))["clerk-1"]["pid"]
    os.kill(pid, signal.SIGTERM)
    listener.answer(b"200 OK")
    await until(lambda: is_all_delivered(database))
    await until_another_comes(shop, pid)
    assert listener.came == 2


async def test_what_a_killed_clerk_was_delivering_and_asking_comes_back(
    shop: RunningShop, listener: Listener, database: asyncpg.Connection
) -> None:
    async with database.transaction():
        listener.answer(b"503 x")
        order_id = await press(shop)
        # It cannot be told what was decided, and so is asking when it is killed.
        await database.execute("LOCK TABLE mockpay_payments")
        await until(lambda: is_anybody_waiting(database))
        pid = (await clerks(shop))["clerk-1"]["pid"]
        await listener.until_came(2)
        os.kill(pid, signal.SIGKILL)
    await until_another_comes(shop, pid)
    assert not await is_all_delivered(database)
    # One for the clerk that is gone, and one for its successor.
    listener.answer(b"200 OK", b"200 OK")
    await end_pauses(database)
    await until(lambda: is_all_delivered(database))
    assert listener.came == 3
    await end_leases(shop, database)
    await until(lambda: has_learned(shop, order_id))


async def is_anybody_waiting(database: asyncpg.Connection) -> bool:
    """Whether a process of the shop waits for the table that is locked."""
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = $1::text::regclass"
    return bool(await database.fetchval(query, "mockpay_payments"))


async def end_leases(shop: RunningShop, database: asyncpg.Connection) -> None:
    """Whatever a clerk has claimed to ask about may be asked about by another one."""
    shop_id = await database.fetchval("SELECT id FROM shop")
    prefix = ShopId(shop_id.bytes[::-1]).key_prefix
    url = located.redis_url(located.redis_socket(DataFolder(shop.data)))
    async with Redis.from_url(url, decode_responses=True) as redis:
        for index in (f"{prefix}:unpaid", f"{prefix}:asked"):
            members = cast(list[str], await redis.zrange(index, 0, -1))
            if members:
                now_ms = time.time_ns() // 1_000_000
                await redis.zadd(index, dict.fromkeys(members, now_ms), xx=True)


async def test_two_clerks_share_what_is_due_and_each_webhook_is_sent_once(
    shop: RunningShop, listener: Listener, database: asyncpg.Connection
) -> None:
    async with another_clerk(shop) as other:

        async def are_both_there() -> bool:
            return set(await clerks(shop)) == {"clerk-1", "clerk-2"}

        await until(are_both_there)
        count = 4 * DELIVERIES_AT_ONCE_MAX
        await database.execute(
            """
            INSERT INTO mockpay_webhooks (id, order_id, type, body, next_attempt_at)
            SELECT gen_random_uuid(), 'order', 'payment.succeeded', 'body', now()
            FROM generate_series(1, $1)
            """,
            count,
        )
        listener.answer(*[b"200 OK"] * count)
        await until(lambda: is_all_delivered(database))
        assert listener.came == count
        other.send_signal(signal.SIGTERM)
        async with patience():
            assert await other.wait() == 0
    assert set(await clerks(shop)) == {"clerk-1"}


@needs_linux
async def test_a_clerk_gives_way_to_the_workers(shop: RunningShop) -> None:
    pids = {row["name"]: row["pid"] for row in shop.ps()}
    nice = {name: os.getpriority(os.PRIO_PROCESS, pid) for name, pid in pids.items()}
    assert nice["clerk-1"] == nice["worker-1"] + NICENESS
    assert os.sched_getscheduler(pids["clerk-1"]) == os.SCHED_BATCH
