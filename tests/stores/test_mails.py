"""The outbox of mails: queued with the order, once, leased to one sender, tried for a day."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from tigerfans.booking.ids import OrderId
from tigerfans.stores.audit import Audit
from tigerfans.stores.database import Database
from tigerfans.stores.mails import (
    GIVE_UP_AFTER,
    LEASE_SECONDS,
    PAUSE_SECONDS_MAX,
    PAUSE_SECONDS_MIN,
    MailCounts,
    MailKey,
    MailKind,
    Mails,
)
from tigerfans.stores.orders import Order, Orders, OrderStatus

# Pauses vary by a quarter, so that not all mails come back at once.
SPREAD = 0.25


@pytest.fixture
async def orders(database_url: str) -> AsyncIterator[Orders]:
    database = await Database.connect(database_url)
    orders = Orders(database)
    yield orders
    await orders.close()
    await database.close()


@pytest.fixture
def mails(orders: Orders) -> Mails:
    return Mails(orders.database)


def an_order(status: OrderStatus = OrderStatus.PAID, email: str = "fan@example.org") -> Order:
    is_paid = status is OrderStatus.PAID
    return Order(
        id=OrderId.new(),
        status=status,
        cls="B",
        amount_cents=3500,
        currency="eur",
        email=email,
        created_at=datetime(2026, 11, 22, 12, 0, 0, 0, UTC),
        paid_at=datetime(2026, 11, 22, 12, 1, 0, 0, UTC) if is_paid else None,
        ticket_code="TF-0000-0000-0000" if is_paid else None,
    )


@pytest.fixture
async def order(orders: Orders) -> Order:
    """A paid order, whose mail is due."""
    return (await orders.record(an_order())).order


async def keys(mails: Mails) -> set[MailKey]:
    """Of all mails that are due, which are leased by that."""
    return {due.key for due in await mails.lease(100)}


async def pass_time(database: Database, seconds: float) -> None:
    """As if everything in the outbox had happened so much earlier."""
    moments = ("created_at", "next_attempt_at", "failing_since")
    changes = ", ".join(f"{name} = {name} - $1::interval" for name in moments)
    async with database.connection() as connection:
        await connection.execute(
            f"UPDATE mails SET {changes}",  # noqa: S608
            timedelta(seconds=seconds),
        )


# --- Queued with what it tells of --------------------------------------------------------------

KINDS = (MailKind.TICKETS, MailKind.REFUND_DUE)


@pytest.mark.parametrize(
    ("status", "kinds"),
    [
        (OrderStatus.PAID, [MailKind.TICKETS]),
        (OrderStatus.PAID_UNFULFILLED, [MailKind.REFUND_DUE]),
        (OrderStatus.FAILED, []),
        (OrderStatus.CANCELED, []),
    ],
)
async def test_who_is_charged_gets_a_mail_and_nobody_else(
    orders: Orders, mails: Mails, status: OrderStatus, kinds: list[MailKind]
) -> None:
    order = an_order(status)
    await orders.record(order)
    assert await keys(mails) == {MailKey(order.id, kind) for kind in kinds}


async def test_an_outcome_that_is_told_again_queues_no_second_mail(
    orders: Orders, mails: Mails, order: Order
) -> None:
    await asyncio.gather(*(orders.record(order) for _ in range(3)))
    await orders.record(replace(order, status=OrderStatus.FAILED))
    assert await keys(mails) == {MailKey(order.id, MailKind.TICKETS)}


async def test_a_payment_that_succeeds_after_it_failed_queues_its_mail(
    orders: Orders, mails: Mails
) -> None:
    failed = an_order(OrderStatus.FAILED)
    await orders.record(failed)
    await orders.record(replace(an_order(), id=failed.id))
    assert await keys(mails) == {MailKey(failed.id, MailKind.TICKETS)}


async def test_a_batch_queues_the_mail_of_each_order_in_it(orders: Orders, mails: Mails) -> None:
    several = [an_order(), an_order(OrderStatus.FAILED), an_order(OrderStatus.PAID_UNFULFILLED)]
    await asyncio.gather(*(orders.record(order) for order in several))
    assert await keys(mails) == {
        MailKey(several[0].id, MailKind.TICKETS),
        MailKey(several[2].id, MailKind.REFUND_DUE),
    }


async def test_who_gets_the_money_back_is_told_once(orders: Orders, mails: Mails) -> None:
    order = an_order(OrderStatus.PAID_UNFULFILLED)
    await orders.record(order)
    assert await orders.mark_refunded(order.id, "admin")
    assert not await orders.mark_refunded(order.id, "admin")
    assert await keys(mails) == {
        MailKey(order.id, MailKind.REFUND_DUE),
        MailKey(order.id, MailKind.REFUNDED),
    }


async def test_a_mail_without_an_address_is_tried_as_soon_as_the_order_has_one(
    orders: Orders, mails: Mails
) -> None:
    order = an_order(email="")
    await orders.record(order)
    key = MailKey(order.id, MailKind.TICKETS)
    await mails.failed(key, "the order has no email address", is_final=True)
    assert await keys(mails) == set()
    await orders.record(replace(order, email="fan@example.org"))
    assert await keys(mails) == {key}


async def test_what_a_worker_of_before_sold_gets_its_mail_and_what_it_sold_before_that_none(
    orders: Orders, mails: Mails, order: Order
) -> None:
    others = [an_order(), an_order(OrderStatus.PAID_UNFULFILLED), an_order(OrderStatus.FAILED)]
    old = an_order()
    for each in (*others, old):
        await orders.record(each)
    async with orders.database.connection() as connection:
        await connection.execute("DELETE FROM mails WHERE order_id <> $1", order.id.hex_digits)
        await connection.execute(
            "INSERT INTO shop (id, ticket_secret_digest, mails_since)"
            " VALUES (gen_random_uuid(), '', now() - interval '1 hour')"
        )
        await connection.execute(
            "UPDATE orders SET recorded_at = now() - interval '2 hours' WHERE id = $1",
            old.id.hex_digits,
        )
    now = await orders.queue_missing_mails(datetime(2020, 1, 1, tzinfo=UTC))
    due = {MailKey(each.id, kind) for each, kind in zip(others, KINDS, strict=False)}
    assert await keys(mails) == {MailKey(order.id, MailKind.TICKETS), *due}
    assert await orders.queue_missing_mails(now) >= now


# --- Leased, sent, tried again -----------------------------------------------------------------


async def test_a_mail_is_leased_to_one_of_many_senders(mails: Mails, order: Order) -> None:
    leases = await asyncio.gather(*(mails.lease(10) for _ in range(4)))
    assert sorted(len(lease) for lease in leases) == [0, 0, 0, 1]
    assert order.id in {due.key.order_id for lease in leases for due in lease}


async def test_what_a_sender_that_died_had_leased_is_found_by_another(
    mails: Mails, order: Order, orders: Orders
) -> None:
    [due] = await mails.lease(10)
    await pass_time(orders.database, LEASE_SECONDS)
    [again] = await Mails(orders.database).lease(10)
    assert again.key == due.key == MailKey(order.id, MailKind.TICKETS)


async def test_what_was_leased_and_not_tried_is_put_back(mails: Mails, order: Order) -> None:
    [due] = await mails.lease(10)
    await mails.put_back([due.key])
    assert await keys(mails) == {due.key}
    [stored] = await mails.of(order.id)
    assert stored.attempts == 0


async def test_what_was_sent_is_sent_no_more_and_its_address_is_kept(
    mails: Mails, order: Order, orders: Orders
) -> None:
    [due] = await mails.lease(10)
    await mails.sent(due.key, "fan@example.org")
    await pass_time(orders.database, LEASE_SECONDS)
    assert await keys(mails) == set()
    [stored] = await mails.of(order.id)
    assert (stored.sent_to, stored.sent_at is not None) == ("fan@example.org", True)
    assert await mails.counts() == MailCounts(0, 0, 0)


async def test_pauses_double_up_to_a_bound_and_the_operator_sees_why(
    mails: Mails, order: Order
) -> None:
    key = MailKey(order.id, MailKind.TICKETS)
    for attempt in range(10):
        await mails.failed(key, "451 busy")
        [stored] = await mails.undelivered(10)
        pause = (stored.next_attempt_at - datetime.now(UTC)).total_seconds()
        expected = min(PAUSE_SECONDS_MIN * 2**attempt, PAUSE_SECONDS_MAX)
        assert pause == pytest.approx(expected, rel=SPREAD + 0.1, abs=5)
    assert (stored.attempts, stored.last_error) == (10, "451 busy")
    assert await mails.counts() == MailCounts(1, 1, 0)


async def test_a_mail_that_fails_for_a_day_is_given_up_and_one_that_waits_for_its_turn_is_not(
    mails: Mails, order: Order, orders: Orders
) -> None:
    key = MailKey(order.id, MailKind.TICKETS)
    await pass_time(orders.database, 2 * GIVE_UP_AFTER.total_seconds())
    await mails.failed(key, "451 busy")
    await pass_time(orders.database, GIVE_UP_AFTER.total_seconds() - 60)
    await mails.failed(key, "451 busy")
    assert await mails.counts() == MailCounts(1, 1, 0)
    await pass_time(orders.database, 120)
    await mails.failed(key, "451 busy")
    assert await mails.counts() == MailCounts(0, 0, 1)
    assert await keys(mails) == set()


async def test_what_was_given_up_is_tried_anew_where_the_operator_wants_it(
    mails: Mails, order: Order
) -> None:
    key = MailKey(order.id, MailKind.TICKETS)
    await mails.failed(key, "550 no such user", is_final=True)
    assert await mails.try_again("office") == 1
    assert await keys(mails) == {key}
    assert await mails.counts() == MailCounts(1, 0, 0)


async def test_what_was_sent_is_not_tried_again(mails: Mails, order: Order) -> None:
    await mails.sent(MailKey(order.id, MailKind.TICKETS), "fan@example.org")
    assert await mails.try_again("office") == 0


# --- Sent again --------------------------------------------------------------------------------


async def test_tickets_are_sent_again_under_the_next_number(mails: Mails, order: Order) -> None:
    await mails.sent(MailKey(order.id, MailKind.TICKETS), "fan@example.org")
    for number in range(3):
        assert await mails.send_again(order.id, "office")
        key = MailKey(order.id, MailKind.AGAIN, number)
        assert await keys(mails) == {key}
        await mails.sent(key, "fan@example.org")


async def test_a_mail_that_waits_already_is_as_good_as_another_one(
    mails: Mails, order: Order
) -> None:
    assert await mails.send_again(order.id, "office")
    assert [stored.key.kind for stored in await mails.of(order.id)] == [MailKind.TICKETS]


async def test_what_is_no_ticket_is_not_sent_again(orders: Orders, mails: Mails) -> None:
    order = an_order(OrderStatus.FAILED)
    await orders.record(order)
    assert not await mails.send_again(order.id, "office")
    assert not await mails.send_again(OrderId.new(), "office")
    assert await Audit(orders.database).page(None, 10) == []


async def test_a_mail_that_was_given_up_is_sent_again_itself(mails: Mails, order: Order) -> None:
    key = MailKey(order.id, MailKind.TICKETS)
    await mails.failed(key, "550 no such user", is_final=True)
    assert await mails.send_again(order.id, "office")
    assert await keys(mails) == {key}


async def test_who_sent_what_again_is_written_down(
    mails: Mails, order: Order, orders: Orders
) -> None:
    await mails.send_again(order.id, "ada")
    await mails.failed(MailKey(order.id, MailKind.TICKETS), "550 no", is_final=True)
    await mails.try_again("bob")
    deeds = await Audit(orders.database).page(None, 10)
    assert [(deed.by, deed.what, deed.order_id, deed.detail) for deed in deeds] == [
        ("bob", "Mails tried again", None, "1 in all"),
        ("ada", "Mail sent again", order.id, ""),
    ]


async def test_an_email_that_was_wrong_is_corrected_for_the_mails_and_written_down(
    mails: Mails, order: Order, orders: Orders
) -> None:
    key = MailKey(order.id, MailKind.TICKETS)
    await mails.failed(key, "550 no such user", is_final=True)
    corrected = await orders.correct_email(order.id, "fän@example.org", "ada")
    assert corrected == replace(order, email="fän@example.org") == await orders.find(order.id)
    assert await keys(mails) == {key}
    [deed] = await Audit(orders.database).of_order(order.id)
    assert (deed.by, deed.what, deed.detail) == (
        "ada",
        "Email corrected",
        "from fan@example.org to fän@example.org",
    )
    assert await orders.correct_email(order.id, "fän@example.org", "ada") == corrected
    assert len(await Audit(orders.database).of_order(order.id)) == 1
    assert await orders.correct_email(OrderId.new(), "fan@example.org", "ada") is None
