"""What an event is to its order, row by row; and what the operator does about those that fit none,
over a real ledger, Redis and PostgreSQL.
"""

import asyncio
from typing import Any, Final

import asyncpg
import httpx
import pytest

from tests.shops import OpenShop, event, latest
from tigerfans.booking.ids import OrderId
from tigerfans.errors import (
    InvalidRequestError,
    ProviderError,
    UnavailableError,
    UnknownOrderError,
)
from tigerfans.payments.base import EventType, PaymentEvent
from tigerfans.payments.mockpay import SIGNATURE_HEADER, MockPay
from tigerfans.payments.unmatched import (
    CLAIM_SECONDS,
    MISFIT_WORDS,
    Misfit,
    Resolution,
    UnmatchedPayment,
)
from tigerfans.shop import refund
from tigerfans.shop.checkout import Checkout
from tigerfans.shop.misfits import misfit
from tigerfans.shop.payment import UNMATCHED, Settlement
from tigerfans.shop.shop import Shop
from tigerfans.stores.database import CONNECTIONS_MAX, DEADLINE_SECONDS
from tigerfans.stores.orders import OrderStatus
from tigerfans.stores.sessions import Session
from tigerfans.telemetry.steps import Step

EMAIL = "fan@example.org"
BY = "admin"
ORDER_ID: Final = OrderId(bytes(range(16)))
SESSION: Final = Session(
    f"mock_{ORDER_ID.hex_digits}", ORDER_ID, "A", 6500, EMAIL, created_ms=0, expires_ms=1
)
FITS: Final = PaymentEvent(
    type=EventType.SUCCEEDED,
    payment_session_id=SESSION.psid,
    order_id=ORDER_ID.hex_digits,
    amount=6500,
    currency="eur",
    cls="A",
    customer_email=EMAIL,
)


def told(**changes: Any) -> PaymentEvent:
    fields = {name: getattr(FITS, name) for name in FITS.__struct_fields__}
    return PaymentEvent(**fields | changes)


@pytest.mark.parametrize("event_type", EventType)
@pytest.mark.parametrize(
    ("changes", "session", "reason"),
    [
        ({}, SESSION, None),
        # An email proves nothing, and not every provider tells a class or an email.
        ({"customer_email": "FAN@example.org"}, SESSION, None),
        ({"customer_email": None, "cls": None}, SESSION, None),
        ({"order_id": "nonsense"}, None, Misfit.NO_ORDER_ID),
        ({"order_id": ORDER_ID.hex_digits[:-1] + "1"}, None, Misfit.NO_ORDER_ID),
        ({"order_id": "\ud800"}, None, Misfit.NO_ORDER_ID),
        ({"payment_session_id": "mock_of_another"}, SESSION, Misfit.SESSION),
        ({}, None, Misfit.UNKNOWN_ORDER),
        ({"currency": "usd"}, SESSION, Misfit.CURRENCY),
        ({"currency": "EUR"}, SESSION, Misfit.CURRENCY),
        ({"cls": "B"}, SESSION, Misfit.CLASS),
        ({"cls": ""}, SESSION, Misfit.CLASS),
        ({"amount": 6499}, SESSION, Misfit.AMOUNT),
        ({"amount": -6500}, SESSION, Misfit.AMOUNT),
        ({"amount": 0}, SESSION, Misfit.AMOUNT),
        # Where it does not fit in many ways, the first one is the reason.
        ({"order_id": "", "payment_session_id": "", "amount": 1}, None, Misfit.NO_ORDER_ID),
        ({"currency": "usd", "cls": "B", "amount": 1}, SESSION, Misfit.CURRENCY),
    ],
)
def test_an_event_fits_or_has_the_first_reason_why_not(
    event_type: EventType, changes: dict[str, Any], session: Session | None, reason: Misfit | None
) -> None:
    told_event = told(type=event_type, **changes)
    session_id = SESSION.psid if OrderId.parse(told_event.order_id) else None
    assert misfit(told_event, session_id, session, "eur") is reason


def test_the_operator_reads_a_sentence_for_every_reason() -> None:
    assert MISFIT_WORDS.keys() == set(Misfit)


# --- Kept ------------------------------------------------------------------------------------

MISFITS: Final = [
    ({"amount": 1}, Misfit.AMOUNT),
    ({"amount": 10**30}, Misfit.AMOUNT),
    ({"currency": "usd"}, Misfit.CURRENCY),
    ({"cls": "B"}, Misfit.CLASS),
    ({"payment_session_id": "mock_of_another"}, Misfit.SESSION),
    ({"order_id": "nonsense\0\ud800" + "x" * 9_000}, Misfit.NO_ORDER_ID),
]


async def waiting(shop: Shop) -> list[UnmatchedPayment]:
    payments, total = await shop.unmatched.waiting(10)
    assert total == len(payments)
    return payments


async def held(shop: Shop) -> int:
    return (await shop.read_stock())[0].held


@pytest.mark.parametrize(("changes", "reason"), MISFITS)
async def test_a_payment_that_fits_no_order_is_kept_with_its_reason_and_sells_nothing(
    shop: Shop, changes: dict[str, Any], reason: Misfit, caplog: pytest.LogCaptureFixture
) -> None:
    checkout = await shop.checkout("A", EMAIL)
    settled = await shop.settle(event(checkout, customer_email=EMAIL, **changes))
    assert settled == Settlement(UNMATCHED, is_replay=False)
    [kept] = await waiting(shop)
    assert (kept.reason, kept.email, kept.resolution) == (reason, EMAIL, None)
    assert kept.received_at is not None
    if "order_id" not in changes:
        assert kept.order_id == checkout.order_id
    assert await held(shop) == 1
    assert await latest(shop.orders) == []
    assert shop.counters.steps[Step.UNMATCHED] == 1
    assert kept.id in caplog.text
    assert EMAIL not in caplog.text
    assert "nonsense" not in caplog.text
    # What fits is not kept from its ticket by what did not.
    assert (await shop.settle(event(checkout))).order_status == "PAID"


async def test_a_payment_for_an_order_that_is_not_known_is_kept(shop: Shop) -> None:
    stranger = Checkout(OrderId.new().hex_digits, "", 6500)
    assert (await shop.settle(event(stranger))).order_status == UNMATCHED
    [kept] = await waiting(shop)
    assert (kept.reason, kept.amount_cents, kept.currency, kept.order_id, kept.session_id) == (
        Misfit.UNKNOWN_ORDER,
        6500,
        "eur",
        stranger.order_id,
        f"mock_{stranger.order_id}",
    )


async def test_a_ticket_held_in_another_class_than_the_sessions_is_not_sold_for_it(
    shop: Shop,
) -> None:
    checkout = await shop.checkout("A", EMAIL)
    order_id = OrderId.parse(checkout.order_id)
    assert order_id is not None
    entry = await shop.sessions.find(order_id)
    assert entry is not None
    # As it would be if somebody had written to Redis.
    changed = Session.unpack(entry.packed_session.replace(b'"A",6500', b'"B",3500'))
    assert changed is not None
    shop.sessions.finish(changed, b"")
    await shop.sessions._finishes.drain()
    await shop.sessions._redis.delete(*await shop.sessions._redis.keys("*order:*"))
    await shop.sessions.save(changed)
    assert (await shop.settle(event(checkout, amount=3500))).order_status == UNMATCHED
    [kept] = await waiting(shop)
    assert kept.reason is Misfit.HOLD


async def test_the_same_payment_told_again_and_to_all_workers_at_once_is_kept_once(
    open_shop: OpenShop,
) -> None:
    workers = [await open_shop() for _ in range(3)]
    checkout = await workers[0].checkout("A", EMAIL)
    wrong = event(checkout, amount=1)
    settled = await asyncio.gather(*(worker.settle(wrong) for worker in workers * 5))
    assert sum(not s.is_replay for s in settled) == 1
    assert {s.order_status for s in settled} == {UNMATCHED}
    assert len(await waiting(workers[0])) == 1
    await workers[0].settle(event(checkout, amount=2))
    assert len(await waiting(workers[0])) == 2


async def test_a_genuine_webhook_that_cannot_be_read_is_kept_as_it_is(shop: Shop) -> None:
    assert isinstance(shop.provider, MockPay)
    body = b'{"type": "payment.refunded", "amount": \xff}'
    for is_replay in (False, True):
        settled = await shop.hear({SIGNATURE_HEADER: shop.provider.sign(body)}, body)
        assert settled == Settlement(UNMATCHED, is_replay=is_replay)
    [kept] = await waiting(shop)
    assert (kept.reason, kept.body, kept.amount_cents) == (Misfit.UNREADABLE, body, None)


@pytest.mark.parametrize("event_type", [EventType.FAILED, EventType.CANCELED])
async def test_what_fits_no_order_and_moves_no_money_is_counted_and_nothing_is_kept(
    shop: Shop, event_type: EventType, caplog: pytest.LogCaptureFixture
) -> None:
    checkout = await shop.checkout("A", EMAIL)
    assert await shop.settle(event(checkout, event_type, amount=1)) == Settlement(
        None, is_replay=False
    )
    assert await waiting(shop) == []
    assert await held(shop) == 1
    assert shop.counters.steps[Step.DISREGARDED] == 1
    assert checkout.order_id in caplog.text


async def test_nothing_is_confirmed_before_it_is_kept(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: UnmatchedPayment) -> bool:
        raise UnavailableError

    checkout = await shop.checkout("A", EMAIL)
    monkeypatch.setattr(shop.unmatched, "add", fail)
    with pytest.raises(UnavailableError):
        await shop.settle(event(checkout, amount=1))
    assert shop.counters.steps[Step.UNMATCHED] == 0


# --- Emails ----------------------------------------------------------------------------------


@pytest.mark.parametrize("redis_is_wiped", [False, True])
async def test_an_email_that_reads_otherwise_is_no_reason_against_a_payment(
    shop: Shop, redis_is_wiped: bool
) -> None:
    checkout = await shop.checkout("A", "Ada@example.org")
    if redis_is_wiped:
        await shop.sessions._redis.flushall()
    settled = await shop.settle(event(checkout, customer_email="ada@example.org"))
    assert settled == Settlement("PAID", is_replay=False)
    [order] = await latest(shop.orders)
    # The order's own stays; the event's is for an order that has none any more.
    assert order.email == ("ada@example.org" if redis_is_wiped else "Ada@example.org")


@pytest.mark.parametrize("email", ["nobody", "a\0@example.org", "\ud800@example.org", "x" * 999])
async def test_an_email_that_no_order_may_have_is_not_taken_from_an_event(
    shop: Shop, email: str
) -> None:
    checkout = await shop.checkout("A", EMAIL)
    await shop.sessions._redis.flushall()
    assert (await shop.settle(event(checkout, customer_email=email))).order_status == "PAID"
    [order] = await latest(shop.orders)
    assert (order.status, order.email) == (OrderStatus.PAID, "")


# --- Resolved --------------------------------------------------------------------------------


class Refunds:
    """Stands in for a provider's refunds, and counts them."""

    def __init__(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[str, int, str]] = []
        self.error: Exception | None = None
        self.hangs = False
        self.is_asked = asyncio.Event()
        monkeypatch.setattr(shop.provider, "refund", self.refund)

    async def refund(self, order_id: str, reference: str | None, amount: int, key: str) -> None:
        if self.error:
            raise self.error
        self.asked.append((order_id, amount, key))
        self.is_asked.set()
        if self.hangs:
            await asyncio.Event().wait()


# What a client of a provider raises is its own affair.
PROVIDER_ERRORS: Final = [
    OSError("no route"),
    TimeoutError(),
    httpx.ConnectError("no route"),
    KeyError("refund"),
]


@pytest.fixture
def refunds(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Refunds:
    return Refunds(shop, monkeypatch)


async def one_unmatched(shop: Shop, **changes: Any) -> UnmatchedPayment:
    checkout = await shop.checkout("A", EMAIL)
    await shop.settle(event(checkout, **{"amount": 1} | changes))
    [payment] = await waiting(shop)
    return payment


async def test_an_unmatched_payment_is_given_back_once_and_a_second_press_says_that_it_was(
    shop: Shop, refunds: Refunds
) -> None:
    payment = await one_unmatched(shop)
    pressing = (shop.refund_unmatched(payment.id, BY) for _ in range(4))
    pressed = await asyncio.gather(*pressing, return_exceptions=True)
    refunded = await shop.refund_unmatched(payment.id, BY)
    assert refunds.asked == [(payment.order_id, 1, payment.id)]
    # Those that came meanwhile are to try again.
    assert refunded in pressed
    assert all(isinstance(p, UnavailableError) for p in pressed if p != refunded)
    assert (refunded.resolution, refunded.resolved_by) == (Resolution.REFUNDED, BY)
    assert refunded.resolved_at is not None
    assert await waiting(shop) == []
    assert await shop.unmatched.resolved(10) == ([refunded], 1)
    with pytest.raises(InvalidRequestError, match="refunded before"):
        await shop.dismiss_unmatched(payment.id, BY)


async def test_each_refund_of_one_payment_session_has_a_key_of_its_own(
    open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await open_shop(tickets_a=1)
    refunds = Refunds(shop, monkeypatch)
    checkout = await shop.checkout("A", EMAIL)
    order_id = OrderId.parse(checkout.order_id)
    assert order_id is not None
    await shop.settle(event(checkout, EventType.CANCELED))
    await shop.checkout("A", EMAIL)
    for amount in (1, 2, checkout.amount_cents):
        await shop.settle(event(checkout, amount=amount))
    for payment in await waiting(shop):
        await shop.refund_unmatched(payment.id, BY)
    await shop.refund(order_id, "admin")
    assert {(order, amount) for order, amount, _ in refunds.asked} == {
        (checkout.order_id, amount) for amount in (1, 2, checkout.amount_cents)
    }
    assert len({key for _, _, key in refunds.asked}) == 3
    assert refunds.asked[-1][2] == checkout.order_id


async def test_an_unmatched_payment_is_dismissed_once_and_then_not_given_back(
    shop: Shop, refunds: Refunds
) -> None:
    payment = await one_unmatched(shop)
    first = await shop.dismiss_unmatched(payment.id, BY)
    assert (first.resolution, first.resolved_by) == (Resolution.DISMISSED, BY)
    assert await shop.dismiss_unmatched(payment.id, "other") == first
    with pytest.raises(InvalidRequestError, match="dismissed before"):
        await shop.refund_unmatched(payment.id, BY)
    assert refunds.asked == []


async def test_what_is_told_again_after_it_was_resolved_stays_so(
    shop: Shop, refunds: Refunds
) -> None:
    payment = await one_unmatched(shop)
    await shop.refund_unmatched(payment.id, BY)
    again = event(Checkout(payment.order_id, "", 1))
    assert await shop.settle(again) == Settlement(UNMATCHED, is_replay=True)
    assert await waiting(shop) == []


@pytest.mark.parametrize("error", PROVIDER_ERRORS)
async def test_a_provider_that_fails_leaves_the_payment_waiting(
    shop: Shop, refunds: Refunds, error: Exception
) -> None:
    payment = await one_unmatched(shop)
    refunds.error = error
    with pytest.raises(ProviderError, match="payment provider"):
        await shop.refund_unmatched(payment.id, BY)
    assert await waiting(shop) == [payment]
    refunds.error = None
    await shop.refund_unmatched(payment.id, BY)
    assert len(refunds.asked) == 1


@pytest.mark.parametrize("changes", [{"amount": -5}, {"amount": 10**30}])
async def test_what_names_nothing_to_give_back_can_only_be_dismissed(
    shop: Shop, refunds: Refunds, changes: dict[str, Any]
) -> None:
    payment = await one_unmatched(shop, **changes)
    with pytest.raises(InvalidRequestError, match="how much"):
        await shop.refund_unmatched(payment.id, BY)
    await shop.dismiss_unmatched(payment.id, BY)
    assert refunds.asked == []


async def test_what_has_paid_its_order_after_all_is_not_given_back_besides(
    shop: Shop, refunds: Refunds
) -> None:
    checkout = await shop.checkout("A", EMAIL)
    await shop.settle(event(checkout, cls="B"))
    await shop.settle(event(checkout, cls="A"))
    [payment] = await waiting(shop)
    with pytest.raises(InvalidRequestError, match="what the order was paid with"):
        await shop.refund_unmatched(payment.id, BY)
    assert refunds.asked == []


async def test_a_payment_nobody_knows_cannot_be_resolved(shop: Shop) -> None:
    for resolve in (shop.refund_unmatched, shop.dismiss_unmatched):
        with pytest.raises(UnknownOrderError, match="no such payment"):
            await resolve("0" * 32, BY)


async def test_a_worker_that_dies_while_it_resolves_leaves_the_payment_waiting(
    shop: Shop, refunds: Refunds, database_url: str
) -> None:
    payment = await one_unmatched(shop)
    asking = asyncio.create_task(shop.refund_unmatched(payment.id, BY))
    refunds.hangs = True
    await refunds.is_asked.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    refunds.hangs = False
    assert await waiting(shop) == [payment]
    for resolve in (shop.refund_unmatched, shop.dismiss_unmatched):
        with pytest.raises(UnavailableError, match="seeing to this payment"):
            await resolve(payment.id, BY)
    operator = await asyncpg.connect(database_url)
    await operator.execute("UPDATE unmatched_payments SET claimed_until = now()")
    await operator.close()
    await shop.refund_unmatched(payment.id, BY)
    assert refunds.asked == 2 * [(payment.order_id, 1, payment.id)]
    assert await waiting(shop) == []


async def test_refunds_that_hang_keep_nobody_from_the_orders(shop: Shop, refunds: Refunds) -> None:
    checkout = await shop.checkout("A", EMAIL)
    for amount in range(1, CONNECTIONS_MAX + 1):
        await shop.settle(event(checkout, amount=amount))
    refunds.hangs = True
    payments = await waiting(shop)
    asking = [asyncio.create_task(shop.refund_unmatched(p.id, BY)) for p in payments]
    while len(refunds.asked) < len(payments):
        refunds.is_asked.clear()
        await refunds.is_asked.wait()
    await shop.settle(event(checkout, amount=9))
    assert len(await waiting(shop)) == len(payments) + 1
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)


async def test_a_provider_that_hangs_is_given_up_and_asked_again_by_the_next_press(
    shop: Shop, refunds: Refunds, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = await one_unmatched(shop)
    refunds.hangs = True
    monkeypatch.setattr(refund, "REFUND_SECONDS_MAX", 0.01)
    with pytest.raises(ProviderError):
        await shop.refund_unmatched(payment.id, BY)
    assert await waiting(shop) == [payment]
    refunds.hangs = False
    await shop.refund_unmatched(payment.id, BY)
    assert len(refunds.asked) == 2


def test_a_claim_outlives_the_question_to_the_provider() -> None:
    assert refund.REFUND_SECONDS_MAX + 2 * DEADLINE_SECONDS < CLAIM_SECONDS
