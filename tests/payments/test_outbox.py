"""MockPay's outbox: at least once, one sender at a time, growing pauses, a day long."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest

from tigerfans.payments.outbox import (
    GIVE_UP_AFTER,
    LEASE_SECONDS,
    PAUSE_SECONDS_MAX,
    PAUSE_SECONDS_MIN,
    REMEMBERED_FOR,
    Outbox,
    Webhook,
)
from tigerfans.stores.database import Database

ORDER_ID = "01" * 15 + "00"
# Pauses vary by a quarter, so that not all webhooks come back at once.
SPREAD = 0.25


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = await Database.connect(database_url)
    yield database
    await database.close()


@pytest.fixture
def outbox(database: Database) -> Outbox:
    return Outbox(database)


@pytest.fixture
async def webhook(outbox: Outbox) -> Webhook:
    """A webhook that is stored, and about to be sent by whoever stored it."""
    webhook = Webhook(uuid4(), b"body")
    await outbox.add(webhook, ORDER_ID, "payment.succeeded")
    return webhook


async def pass_time(database: Database, seconds: float) -> None:
    """As if everything in the outbox had happened so much earlier."""
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE mockpay_webhooks SET created_at = created_at - $1::interval,"
            " next_attempt_at = next_attempt_at - $1::interval",
            timedelta(seconds=seconds),
        )


async def pause_seconds(database: Database) -> float:
    """How long the one webhook there is still waits."""
    async with database.connection() as connection:
        seconds = await connection.fetchval(
            "SELECT extract(epoch FROM next_attempt_at - now()) FROM mockpay_webhooks"
        )
    return float(seconds)


@pytest.mark.usefixtures("webhook")
async def test_whoever_stores_a_webhook_sends_it_first(outbox: Outbox) -> None:
    assert await outbox.lease(10) == []


async def test_what_its_sender_left_behind_is_found_by_another(
    outbox: Outbox, database: Database, webhook: Webhook
) -> None:
    await pass_time(database, LEASE_SECONDS)
    assert await Outbox(database).lease(10) == [webhook]


async def test_a_webhook_is_leased_to_one_of_many_senders(
    outbox: Outbox, database: Database, webhook: Webhook
) -> None:
    await pass_time(database, LEASE_SECONDS)
    leases = await asyncio.gather(*(outbox.lease(10) for _ in range(4)))
    assert sorted(map(len, leases)) == [0, 0, 0, 1]
    assert await outbox.lease(10) == []


async def test_what_was_confirmed_is_gone(
    outbox: Outbox, database: Database, webhook: Webhook
) -> None:
    await outbox.delivered(webhook)
    await pass_time(database, LEASE_SECONDS)
    assert await outbox.lease(10) == []
    assert await outbox.undelivered(10) == ([], 0)


async def test_pauses_double_up_to_a_bound_and_the_operator_sees_why(
    outbox: Outbox, database: Database, webhook: Webhook
) -> None:
    for attempt in range(11):
        await outbox.failed(webhook, "status 503")
        expected = min(PAUSE_SECONDS_MIN * 2**attempt, PAUSE_SECONDS_MAX)
        assert await pause_seconds(database) == pytest.approx(expected, rel=SPREAD + 0.1, abs=0.5)
    [undelivered], total = await outbox.undelivered(10)
    assert (undelivered.order_id, undelivered.type) == (ORDER_ID, "payment.succeeded")
    assert (undelivered.attempts, undelivered.last_error, total) == (11, "status 503", 1)


# --- What was decided --------------------------------------------------------------------------


async def decide(outbox: Outbox, event_type: str, body: bytes) -> None:
    await outbox.add(Webhook(uuid4(), body), ORDER_ID, event_type)


async def test_what_was_decided_is_remembered_after_it_was_told(
    outbox: Outbox, webhook: Webhook
) -> None:
    await outbox.delivered(webhook)
    assert await outbox.remembered(ORDER_ID) == webhook.body
    assert await outbox.remembered("another") is None


async def test_the_last_decision_counts_and_money_that_was_taken_stays_so(outbox: Outbox) -> None:
    for event_type, body, remembered in (
        ("payment.failed", b"1", b"1"),
        ("payment.canceled", b"2", b"2"),
        ("payment.succeeded", b"3", b"3"),
        ("payment.failed", b"4", b"3"),
    ):
        await decide(outbox, event_type, body)
        assert await outbox.remembered(ORDER_ID) == remembered


async def test_what_is_not_stored_to_be_sent_is_not_remembered(
    outbox: Outbox, webhook: Webhook
) -> None:
    # The same id once more: the row cannot be stored.
    with pytest.raises(asyncpg.UniqueViolationError):
        await outbox.add(webhook, "another", "payment.succeeded")
    assert await outbox.remembered("another") is None


async def test_what_was_decided_long_ago_is_forgotten(
    outbox: Outbox, database: Database, webhook: Webhook
) -> None:
    async def pass_days(days: float) -> None:
        async with database.connection() as connection:
            await connection.execute(
                "UPDATE mockpay_payments SET decided_at = decided_at - $1::interval",
                timedelta(days=days),
            )

    await pass_days(REMEMBERED_FOR.days - 0.1)
    await outbox.forget()
    assert await outbox.remembered(ORDER_ID) == webhook.body
    await pass_days(0.2)
    await outbox.forget()
    assert await outbox.remembered(ORDER_ID) is None


@pytest.mark.usefixtures("webhook")
async def test_it_is_tried_for_a_day_and_listed_for_longer(
    outbox: Outbox, database: Database, webhook: Webhook
) -> None:
    await outbox.failed(webhook, "status 503")
    await pass_time(database, GIVE_UP_AFTER.total_seconds() - 60)
    assert await outbox.lease(10) == [webhook]
    await pass_time(database, 120)
    assert await outbox.lease(10) == []
    _, total = await outbox.undelivered(10)
    assert total == 1
