"""A disk that is full: what was told is kept, what failed was not done, and all of it comes back.

On a real file system of its own, where this process may mount one: under the embedded ledger alone,
and under the whole data folder of a shop. `make faults` does the second to shops that sell.
"""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from tests.disk import SmallDisk, disk_or_skip
from tests.faults import prices
from tests.faults.at_mockpay import event_body, sign
from tests.faults.exchange import ANSWER_SECONDS_MAX, Answer, NoAnswerError, exchange
from tests.faults.plan import DISK_BYTES, BuyerPlan, Delivery, Intent, RunPlan
from tests.faults.stack import POLL_SECONDS, FaultyShop
from tests.harness.needs import NO_MOUNT
from tests.offers import catalog_with
from tigerfans.booking.ids import OrderId
from tigerfans.booking.outcomes import decode_hold
from tigerfans.booking.transfers import Booking
from tigerfans.ledger.base import Ledger, LedgerError, LedgerUnavailableError
from tigerfans.ledger.embedded import open_embedded
from tigerfans.ledger.wire import Operation, Transfer
from tigerfans.payments.base import EventType

LEDGER_DISK_BYTES = 16 << 20
HOLDS_PER_BATCH = 100
BATCHES_MAX = 200
FINGERPRINT = bytes(16)

ALL_NAMES = ("postgres", "redis", "sequencer", "worker-1", "worker-2")
WAIT_SECONDS_MAX = 60.0
# The next connection may be another worker's, where one does not run.
ANSWER_SECONDS = 2.0
LOG_PIECE_BYTES = 1 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with disk_or_skip(tmp_path / "disk", LEDGER_DISK_BYTES) as disk:
        yield disk


async def found(ledger: Ledger, order_ids: list[OrderId]) -> set[int]:
    """Those of the orders whose hold is on the ledger."""
    ids = set()
    for start in range(0, len(order_ids), HOLDS_PER_BATCH):
        asked = b"".join(order_ids[start : start + HOLDS_PER_BATCH])
        records = await ledger.submit(Operation.LOOKUP_TRANSFERS, asked)
        ids |= {transfer.id for transfer in Transfer.unpack_all(records)}
    return ids


async def test_a_full_disk_loses_nothing_that_was_told_and_does_nothing_that_failed(
    small_disk: SmallDisk,
) -> None:
    booking = Booking(catalog_with({"A": 1_000_000}, goodies=0), hold_seconds=300)
    told: list[OrderId] = []
    refused: list[OrderId] = []
    ledger = await open_embedded(small_disk.folder)
    await ledger.submit(Operation.CREATE_ACCOUNTS, booking.accounts())
    await ledger.submit(Operation.CREATE_TRANSFERS, booking.funding())

    async def hold(order_ids: list[OrderId]) -> None:
        events = b"".join(booking.hold(order_id, "A", FINGERPRINT) for order_id in order_ids)
        results = await ledger.submit(Operation.CREATE_TRANSFERS, events)
        assert {decode_hold(results[i : i + 16])[0].value for i in range(0, len(results), 16)} == {
            "held"
        }

    for _ in range(BATCHES_MAX):
        batch = [OrderId.new() for _ in range(HOLDS_PER_BATCH)]
        if len(told) == 2 * HOLDS_PER_BATCH:
            small_disk.fill()
        try:
            await hold(batch)
        except LedgerError:
            refused = batch
            break
        told += batch
    assert refused, "the disk was never full"
    assert await found(ledger, told + refused) == {int.from_bytes(i, "little") for i in told}

    # There is room again: the same ids go through, and all of it outlives the process.
    small_disk.make_room()
    await hold(refused)
    await ledger.close()
    ledger = await open_embedded(small_disk.folder)
    everything = told + refused
    assert await found(ledger, everything) == {int.from_bytes(i, "little") for i in everything}
    await ledger.close()


async def test_a_ledger_that_has_no_room_to_open_is_away_and_opens_as_soon_as_it_has(
    small_disk: SmallDisk,
) -> None:
    small_disk.fill()
    with pytest.raises(LedgerUnavailableError, match="is full"):
        await open_embedded(small_disk.folder)
    small_disk.make_room()
    await (await open_embedded(small_disk.folder)).close()


@pytest.fixture
async def full_shop() -> AsyncIterator[FaultyShop]:
    """A shop that is open, on a disk that can be filled."""
    # For as long as this takes: what is held has to be there when the disk has room again.
    settings = RunPlan(seed=1).settings | {"TIGERFANS_HOLD_SECONDS": "300"}
    shop = FaultyShop(settings, DISK_BYTES)
    try:
        if shop.disk is None:
            pytest.skip(NO_MOUNT)
        await shop.start()
        yield shop
    finally:
        await asyncio.to_thread(shop.close)


def buyer(number: int) -> BuyerPlan:
    return BuyerPlan(
        number=number,
        cls="B",
        qty=1,
        email=f"buyer-{number}@example.org",
        idempotency_key=f"key-{number}",
        intent=Intent.PAY,
        delivery=Delivery.PLAIN,
        checks_out_twice=False,
        hangs_up=False,
    )


async def check_out(
    shop: FaultyShop, number: int, seconds_max: float = ANSWER_SECONDS_MAX
) -> Answer:
    plan = buyer(number)
    body = json.dumps({"cls": plan.cls, "customer_email": plan.email}).encode()
    headers = {"content-type": "application/json", "Idempotency-Key": plan.idempotency_key or ""}
    return await exchange(
        shop.port, "POST", "/api/checkout", body, headers, seconds_max=seconds_max
    )


async def pay(shop: FaultyShop, number: int, order_id: str) -> Answer:
    plan = buyer(number)
    body = event_body(plan, order_id, prices.FIRST[plan.cls], EventType.SUCCEEDED)
    headers = {"content-type": "application/json", "x-mockpay-signature": sign(body)}
    return await exchange(shop.port, "POST", "/payments/webhook", body, headers)


async def buy(shop: FaultyShop, number: int) -> str:
    """The id of an order that is paid."""
    order_id: str = (await check_out(shop, number)).json()["order_id"]
    assert (await pay(shop, number, order_id)).json()["order_status"] == "PAID"
    return order_id


async def write_much(shop: FaultyShop) -> None:
    """Has PostgreSQL write more of its log than there is room for, which ends all of it.

    It may have files ready that take some, so all of the disk is asked of it.
    """
    with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        database = await asyncpg.connect(shop.database_url)
        for _ in range(DISK_BYTES // LOG_PIECE_BYTES):
            await database.execute(
                f"SELECT pg_logical_emit_message(false, 'test', repeat('x', {LOG_PIECE_BYTES}))"
            )


@asynccontextmanager
async def full_disk(shop: FaultyShop) -> AsyncIterator[None]:
    assert shop.disk is not None
    shop.disk.fill()
    try:
        yield
    finally:
        shop.disk.make_room()


async def until_ended(shop: FaultyShop, name: str, pid: int) -> None:
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while (process := shop.process(name)) and process.pid == pid:  # noqa: ASYNC110
            await asyncio.sleep(POLL_SECONDS)


async def until_refused(shop: FaultyShop, numbers: Iterator[int]) -> dict[int, str]:
    """Checks out until the shop says that it cannot; the orders it could place all the same.

    A file that has some room left in itself takes the next write on a full disk, too.
    """
    told: dict[int, str] = {}
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        for number in numbers:
            with suppress(NoAnswerError):
                answer = await check_out(shop, number, seconds_max=ANSWER_SECONDS)
                if answer.status != 200:
                    assert (answer.status, answer.headers.get("retry-after")) == (503, "1"), answer
                    return told
                told[number] = answer.json()["order_id"]
    raise AssertionError("it never said so")


async def test_a_shop_on_a_full_disk_answers_503_loses_nothing_and_comes_back_by_itself(
    full_shop: FaultyShop,
) -> None:
    shop = full_shop
    paid = [await buy(shop, number) for number in range(3)]
    held = (await check_out(shop, 10)).json()["order_id"]
    before = [(await shop.get(f"/api/orders/{order_id}")).body for order_id in paid]
    supervisor = shop.running.pid

    async with full_disk(shop):
        postgres = shop.pid_of("postgres")
        await write_much(shop)
        await until_ended(shop, "postgres", postgres)
        numbers = count(20)
        placed = await until_refused(shop, numbers)
        for name in ("sequencer", "redis", "worker-1"):
            os.kill(shop.pid_of(name), signal.SIGKILL)
        for _ in range(5):
            placed |= await until_refused(shop, numbers)

    await shop.until_ready()
    assert shop.running.pid == supervisor
    assert [name for name in ALL_NAMES if shop.process(name) is None] == []
    assert [(await shop.get(f"/api/orders/{order_id}")).body for order_id in paid] == before
    assert (await pay(shop, 10, held)).json()["order_status"] == "PAID"
    for number, order_id in placed.items():
        assert (await check_out(shop, number)).json()["order_id"] == order_id
    await buy(shop, 11)
    reconciled = await asyncio.to_thread(shop.running.tigerfans, "reconcile", "--json")
    assert reconciled.returncode == 0, reconciled.stdout
    assert await shop.stop() == 0
