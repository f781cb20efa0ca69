"""What Stripe never told, or could not be asked for a while: a clerk learns it in the end."""

import time

import pytest

from tests.payments.test_stripe import StripeShop, quick, selling
from tests.shop.test_inquiry import end_holds, end_pauses
from tests.stripe_server.account import Outcome
from tests.stripe_server.control import Control
from tests.stripe_server.misbehaviour import Rule
from tigerfans.booking.ids import OrderId
from tigerfans.shop import inquiry
from tigerfans.shop.inquiry import (
    PAUSE_SECONDS_MAX,
    UNDER_WAY_PAUSE_SECONDS_MAX,
    UNDER_WAY_SECONDS_MAX,
    inquire,
)
from tigerfans.shop.shop import Shop

__all__ = ["quick", "selling"]

LOOK_UPS = "GET /v1/checkout/sessions/{id}"
EXPIRE = "POST /v1/checkout/sessions/{id}/expire"


async def paid(selling: StripeShop, server: Control, *, by: str = "card") -> tuple[str, str]:
    """An order that is paid, and its session; nobody tells the shop."""
    order_id = await selling.hold()
    session_id = await selling.open(order_id)
    await server.attempt(session_id, "debit" if by == "debit" else "card")
    return order_id, session_id


async def end_sessions(shop: Shop) -> None:
    """As if Redis had kept them for as long as it does."""
    redis = shop.sessions._redis
    for entry in await redis.keys(shop.sessions._entry + b"*"):
        await redis.delete(entry)


async def next_pause(selling: StripeShop, order_id: str) -> float | None:
    """After how long the clerk that asks now asks again."""
    parsed = OrderId.read(order_id)
    assert parsed is not None
    return await inquiry.learn(selling.shop, parsed, selling.provider.look_up)


async def test_a_debit_that_is_decided_days_later_and_never_told_is_learned(
    selling: StripeShop, stripe_server: Control
) -> None:
    outcomes: dict[Outcome | None, str] = {"succeeded": "PAID", "failed": "FAILED", None: "PENDING"}
    debits = [(await paid(selling, stripe_server, by="debit"), outcome) for outcome in outcomes]
    await end_holds(selling.shop)
    await inquire(selling.shop)
    await end_sessions(selling.shop)
    # Whose money is under way is not told that nobody can pay any more.
    for _ in range(3):
        await end_pauses(selling.shop)
        await inquire(selling.shop)
    assert not [name for name, _ in await stripe_server.answers() if name == EXPIRE]
    for (_, session_id), outcome in debits:
        if outcome is not None:
            await stripe_server.settle(session_id, outcome)
    await end_pauses(selling.shop)
    await inquire(selling.shop)
    statuses = [await selling.status(order_id) for (order_id, _), _ in debits]
    assert statuses == list(outcomes.values())
    # Only what is not decided.
    assert await selling.shop.sessions._redis.zcard(selling.shop.sessions._asked) == 1


async def test_money_that_is_under_way_is_asked_about_after_growing_pauses_and_for_a_month(
    selling: StripeShop,
    stripe_server: Control,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    order_id, _ = await paid(selling, stripe_server, by="debit")
    await end_sessions(selling.shop)
    hold_ends = time.time() + selling.shop.hold_seconds
    pauses: list[tuple[float, float]] = [
        (0, PAUSE_SECONDS_MAX),
        (3600, 3600),
        (3 * 24 * 3600, UNDER_WAY_PAUSE_SECONDS_MAX),
    ]
    for overdue_seconds, pause_seconds in pauses:
        now = hold_ends + overdue_seconds
        monkeypatch.setattr("tigerfans.shop.inquiry.time.time", lambda now=now: now)
        assert await next_pause(selling, order_id) == pytest.approx(pause_seconds, abs=60)
    too_late = hold_ends + UNDER_WAY_SECONDS_MAX
    monkeypatch.setattr("tigerfans.shop.inquiry.time.time", lambda: too_late)
    assert await next_pause(selling, order_id) is None
    assert "its money never came" in caplog.text


async def test_after_hours_without_stripe_all_that_was_paid_is_learned(
    selling: StripeShop, stripe_server: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id, _ = await paid(selling, stripe_server)
    unpaid_id = await selling.hold()
    unpaid_session_id = await selling.open(unpaid_id)
    await end_holds(selling.shop)
    await stripe_server.misbehave(
        Rule("error", LOOK_UPS, times=None), Rule("cut", EXPIRE, times=None)
    )
    # Longer than all pauses up to the longest one: from then on it is asked every ten minutes.
    for _ in range(15):
        await inquire(selling.shop)
        await end_pauses(selling.shop)
    await stripe_server.misbehave()
    await inquire(selling.shop)
    assert await selling.status(order_id) == "PAID"
    statuses = {each["session"]: each["status"] for each in await stripe_server.payments()}
    assert statuses[unpaid_session_id] == "expired"


async def test_holds_that_ended_while_all_was_down_are_settled_when_it_is_up_again(
    selling: StripeShop, stripe_server: Control
) -> None:
    order_id, _ = await paid(selling, stripe_server)
    debit_id, _ = await paid(selling, stripe_server, by="debit")
    unpaid_id = await selling.hold()
    await selling.open(unpaid_id)
    # Days later nothing is left in Redis but the index, and no session can be paid.
    await stripe_server.pass_time(3 * 24 * 3600)
    await end_holds(selling.shop)
    await end_sessions(selling.shop)
    await inquire(selling.shop)
    assert await selling.status(order_id) == "PAID"
    # Of the other two only the debit is asked about again.
    assert await selling.shop.sessions._redis.zrange(selling.shop.sessions._asked, 0, -1) == [
        debit_id.encode()
    ]
