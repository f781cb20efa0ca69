"""The order store, against a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import permutations

import asyncpg
import pytest
from msgspec.structs import replace

from tests.harness.patience import until
from tests.shops import latest
from tigerfans.booking.ids import OrderId
from tigerfans.errors import UnavailableError
from tigerfans.stores.database import Database
from tigerfans.stores.orders import (
    CHARGED,
    COMES_TO,
    MAY_CHANGE,
    Order,
    Orders,
    OrderStatus,
    Recorded,
)


@pytest.fixture
async def orders(database_url: str) -> AsyncIterator[Orders]:
    database = await Database.connect(database_url)
    orders = Orders(database)
    yield orders
    await orders.close()
    await database.close()


def failed_order() -> Order:
    return Order(
        id=OrderId.new(),
        status=OrderStatus.FAILED,
        cls="B",
        amount_cents=3500,
        currency="eur",
        email='"<img src=x onerror=alert(1)>"@x.io',
        created_at=datetime(2026, 11, 22, 12, 0, 0, 123456, UTC),
    )


def paid_order() -> Order:
    return replace(
        failed_order(),
        status=OrderStatus.PAID,
        paid_at=datetime(2026, 11, 22, 12, 1, 0, 654321, UTC),
        ticket_code="TF-0000-0000-0000",
        got_goodie=True,
    )


async def test_an_order_is_read_back_as_it_was_recorded(orders: Orders) -> None:
    order = paid_order()
    assert await orders.record(order) == Recorded(order, is_new=True)
    assert await orders.find(order.id) == order


@pytest.mark.parametrize("more_codes", [("TF-2222-2222-2222",), ("TF-2", "TF-3", "TF-4")])
async def test_an_order_of_several_tickets_is_read_back_with_all_their_codes(
    orders: Orders, more_codes: tuple[str, ...]
) -> None:
    order = replace(paid_order(), qty=len(more_codes) + 1, more_ticket_codes=more_codes)
    alone = paid_order()
    # In one batch with one of one ticket.
    recorded = await asyncio.gather(orders.record(order), orders.record(alone))
    assert [each.order for each in recorded] == [order, alone]
    assert await orders.find(order.id) == order
    assert order.ticket_codes == ("TF-0000-0000-0000", *more_codes)
    assert alone.ticket_codes == ("TF-0000-0000-0000",)


async def test_an_order_that_is_paid_after_it_failed_gets_the_codes_of_all_its_tickets(
    orders: Orders,
) -> None:
    failed = replace(failed_order(), qty=2)
    assert failed.ticket_codes == ()
    await orders.record(failed)
    paid = replace(paid_order(), id=failed.id, qty=2, more_ticket_codes=("TF-2",))
    await orders.record(paid)
    assert await orders.find(failed.id) == paid


async def test_an_order_that_the_release_before_stores_beside_this_one_has_one_ticket(
    orders: Orders,
) -> None:
    order = paid_order()
    async with orders.database.connection() as connection:
        await connection.execute(
            "INSERT INTO orders (id, status, cls, amount_cents, currency, email, created_at,"
            " paid_at, ticket_code, got_goodie, email_folded)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, NULL)",
            order.id.hex_digits,
            order.status,
            order.cls,
            order.amount_cents,
            order.currency,
            order.email,
            order.created_at,
            order.paid_at,
            order.ticket_code,
            order.got_goodie,
        )
    assert await orders.find(order.id) == order
    assert (order.qty, order.ticket_codes) == (1, (order.ticket_code,))


async def test_an_unknown_order_is_none(orders: Orders) -> None:
    assert await orders.find(OrderId.new()) is None


async def test_recording_again_changes_nothing_and_says_so(orders: Orders) -> None:
    order = paid_order()
    await orders.record(order)
    other = replace(order, ticket_code="TF-1111-1111-1111")
    assert await orders.record(other) == Recorded(order, is_new=False)
    assert await orders.find(order.id) == order


STORED = sorted(set(OrderStatus) - {OrderStatus.PENDING, OrderStatus.EXPIRED})


@pytest.mark.parametrize(("before", "after"), [*permutations(STORED, 2)])
async def test_a_row_changes_where_the_table_says_so_and_nowhere_else(
    orders: Orders, before: OrderStatus, after: OrderStatus
) -> None:
    first = replace(paid_order(), status=before)
    second = replace(first, status=after)
    last = second if after in COMES_TO[before] else first
    await orders.record(first)
    assert await orders.record(second) == Recorded(last, is_new=last is second)
    assert await orders.find(first.id) == last


def test_what_is_charged_stays_so_and_everything_else_may_still_be_paid() -> None:
    assert set(OrderStatus) - set(MAY_CHANGE) == CHARGED
    assert COMES_TO[OrderStatus.PAID] == {OrderStatus.REFUNDED}
    assert not COMES_TO[OrderStatus.REFUNDED]
    assert all(OrderStatus.PAID in COMES_TO[status] for status in MAY_CHANGE)


async def test_an_order_that_was_stored_without_an_email_gets_one_once(orders: Orders) -> None:
    order = paid_order()
    await orders.record(replace(order, email=""))
    assert await orders.record(order) == Recorded(order, is_new=False)
    await orders.record(replace(order, email="other@example.org"))
    assert await orders.find(order.id) == order


async def test_an_order_that_was_stored_without_a_reference_gets_one_once(orders: Orders) -> None:
    order = replace(paid_order(), payment_reference="pi_1")
    await orders.record(replace(order, payment_reference=None))
    assert await orders.record(order) == Recorded(order, is_new=False)
    await orders.record(replace(order, payment_reference="pi_2"))
    assert await orders.find(order.id) == order


@pytest.mark.parametrize(("failed_with", "paid_with"), [("", "a@x.io"), ("a@x.io", "")])
async def test_an_order_that_is_paid_after_it_failed_has_the_email_that_either_had(
    orders: Orders, failed_with: str, paid_with: str
) -> None:
    failed = replace(failed_order(), email=failed_with)
    paid = replace(paid_order(), id=failed.id, email=paid_with)
    await orders.record(failed)
    recorded = await orders.record(paid)
    assert recorded == Recorded(replace(paid, email="a@x.io"), is_new=True)
    assert await orders.find(failed.id) == recorded.order


async def test_a_batch_tells_of_each_order_whether_it_is_new(orders: Orders) -> None:
    failed, stored = failed_order(), paid_order()
    await orders.record(failed)
    await orders.record(stored)
    paid_after_all, new = replace(paid_order(), id=failed.id, email=""), paid_order()
    told = (new, stored, paid_after_all)
    assert await asyncio.gather(*map(orders.record, told)) == [
        Recorded(new, is_new=True),
        Recorded(stored, is_new=False),
        Recorded(replace(paid_after_all, email=failed.email), is_new=True),
    ]


async def test_two_outcomes_of_one_order_in_one_batch_leave_the_charged_one(
    orders: Orders,
) -> None:
    failed = failed_order()
    paid = replace(paid_order(), id=failed.id)
    outcomes = await asyncio.gather(
        orders.record(failed), orders.record(paid), orders.record(paid), orders.record(failed)
    )
    assert {recorded.order for recorded in outcomes} == {paid}
    assert await orders.find(failed.id) == paid


async def test_two_stores_record_the_same_orders_in_opposite_order_without_a_deadlock(
    database_url: str, orders: Orders
) -> None:
    database = await Database.connect(database_url)
    other = Orders(database)
    batch = [paid_order() for _ in range(200)]
    try:
        first = asyncio.gather(*map(orders.record, batch))
        second = asyncio.gather(*map(other.record, reversed(batch)))
        recorded = [*await first, *await second]
    finally:
        await other.close()
        await database.close()
    assert sum(r.is_new for r in recorded) == len(batch)


async def test_the_latest_orders_come_newest_first(orders: Orders) -> None:
    first, second = paid_order(), failed_order()
    await orders.record(first)
    await orders.record(second)
    assert await latest(orders, 2) == [second, first]


async def test_a_cancelled_caller_leaves_the_batch_to_the_others(orders: Orders) -> None:
    kept, dropped = paid_order(), paid_order()
    cancelled = asyncio.ensure_future(orders.record(dropped))
    waiting = asyncio.ensure_future(orders.record(kept))
    cancelled.cancel()
    assert (await waiting).order == kept
    assert await orders.find(dropped.id) == dropped


async def test_a_lost_connection_is_told_once_and_then_replaced(
    database_url: str, orders: Orders
) -> None:
    order = paid_order()
    await orders.record(order)
    operator = await asyncpg.connect(database_url)
    await operator.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    await operator.close()
    [outcome] = await asyncio.gather(orders.find(order.id), return_exceptions=True)
    assert outcome == order or isinstance(outcome, UnavailableError)
    assert await orders.find(order.id) == order


async def test_after_a_failover_no_connection_to_the_old_primary_is_used_any_more(
    database_url: str,
) -> None:
    database = await Database.connect(database_url)
    orders = Orders(database)
    operator = await asyncpg.connect(database_url)
    [name] = await operator.fetchrow("SELECT current_database()")
    order = paid_order()
    try:
        # What connects now finds what a failover leaves of the primary; who comes later finds the
        # new one.
        await operator.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        await operator.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
        with suppress(UnavailableError):
            await database.ping()
        assert await orders.find(order.id) is None
        assert await orders.refunds_due(1) == ([], 0)
        old = await connected(operator)
        assert len(old) >= 2
        with pytest.raises(UnavailableError, match="PostgreSQL"):
            await orders.record(order)
        await operator.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        assert await orders.record(order) == Recorded(order, is_new=True)
        assert await orders.find(order.id) == order
        await database.ping()
        # What was ended is still served for a moment, however busy the server is.
        await until(lambda: is_left(operator, old))
    finally:
        await operator.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        await orders.close()
        await database.close()
        await operator.close()


async def is_left(operator: asyncpg.Connection, processes: set[int]) -> bool:
    """Whether none of these processes serves us any more."""
    return processes.isdisjoint(await connected(operator))


async def connected(operator: asyncpg.Connection) -> set[int]:
    """The processes that serve us, but for the operator's own."""
    rows = await operator.fetch(
        "SELECT pid FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        " AND backend_type = 'client backend'"
    )
    return {row["pid"] for row in rows}
