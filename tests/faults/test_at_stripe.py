"""What Stripe's webhooks meet on their way, by each buyer's plan: lost, doubled, late, kept."""

import json
from collections import deque
from typing import Any

import pytest

from tests.faults.at_stripe import DUPLICATES, OVERTAKEN_BY, StripeRelay
from tests.faults.exchange import Answer, NoAnswerError
from tests.faults.plan import STRIPE, BuyerPlan, Delivery, Intent
from tests.faults.purchase import Purchase
from tigerfans.payments.base import EventType

ORDER_ID = "01" * 15 + "00"
PAID = Answer(200, {}, b'{"order_status": "PAID"}')
AWAY = Answer(503, {"retry-after": "1"}, b"{}")


class Shop:
    """Stands in for the shop: confirms what comes, or answers as it is told."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.to_next: deque[Answer] = deque()

    async def exchange(
        self, _method: str, _path: str, body: bytes, _headers: Any, *, hangs_up: bool
    ) -> Answer:
        self.heard.append(json.loads(body)["id"])
        if hangs_up:
            raise NoAnswerError("the client hung up")
        return self.to_next.popleft() if self.to_next else PAID


class Street:
    """One buyer, the shop, and what is between them."""

    def __init__(self, delivery: Delivery) -> None:
        self.shop = Shop()
        self.relay = StripeRelay()
        exchange: Any = self.shop.exchange
        self.relay.exchange = exchange
        buyer = BuyerPlan(0, "B", 1, "fan@example.org", "key", Intent.PAY, delivery, False, False)
        self.purchase = Purchase(buyer, STRIPE, ORDER_ID, sent={EventType.SUCCEEDED})
        self.relay.follow(self.purchase)

    async def send(
        self, event_id: str = "evt_1", kind: str = "checkout.session.completed", **session: Any
    ) -> int:
        thing = {"client_reference_id": ORDER_ID, "payment_status": "paid"} | session
        event = {"id": event_id, "type": kind, "data": {"object": thing}}
        return (await self.relay._answer(json.dumps(event).encode(), {})).status


@pytest.mark.parametrize(
    ("delivery", "statuses", "heard"),
    [
        (Delivery.PLAIN, [200], 1),
        # Sent again until somebody says that it came.
        (Delivery.LOST, [503, 200], 1),
        (Delivery.ANSWER_LOST, [503, 200], 2),
        (Delivery.DUPLICATED, [200], DUPLICATES),
    ],
)
async def test_an_event_gets_through_as_its_buyers_plan_says(
    delivery: Delivery, statuses: list[int], heard: int
) -> None:
    street = Street(delivery)
    assert [await street.send() for _ in statuses] == statuses
    assert len(street.shop.heard) == heard
    assert street.purchase.confirmed == {EventType.SUCCEEDED: "PAID"}
    assert not street.purchase.violations


async def test_an_event_is_overtaken_by_others_until_nobody_is_left_to() -> None:
    street = Street(Delivery.OVERTAKEN)
    assert await street.send() == 503
    others = Purchase(Street(Delivery.PLAIN).purchase.plan, STRIPE, "02" * 16)
    others.sent.add(EventType.SUCCEEDED)
    street.relay.follow(others)
    for number in range(OVERTAKEN_BY):
        assert await street.send(f"evt_o{number}", client_reference_id=others.order_id) == 200
    assert await street.send() == 200

    assert await street.send("evt_2") == 503
    street.relay.holds_up = False
    assert await street.send("evt_2") == 200


async def test_what_is_kept_is_confirmed_and_the_shop_never_hears_of_it() -> None:
    street = Street(Delivery.NEVER_TOLD)
    street.relay.keep(ORDER_ID)
    assert await street.send() == 200
    assert street.shop.heard == []


async def test_a_shop_that_is_away_is_told_again_and_one_that_refuses_breaks_a_promise() -> None:
    street = Street(Delivery.PLAIN)
    street.shop.to_next.extend([AWAY, Answer(500, {}, b"")])
    assert [await street.send() for _ in range(3)] == [503, 500, 200]
    [violation] = street.purchase.violations
    assert "payment.succeeded was answered with 500" in violation


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("checkout.session.completed", None),
        ("checkout.session.expired", None),
        ("checkout.session.async_payment_failed", None),
        ("checkout.session.async_payment_succeeded", EventType.SUCCEEDED),
        ("charge.succeeded", None),
    ],
)
async def test_what_moves_no_money_is_no_word_of_the_shop_where_it_says_none(
    kind: str, told: EventType | None
) -> None:
    street = Street(Delivery.PLAIN)
    street.shop.to_next.append(PAID if told else Answer(200, {}, b'{"order_status": null}'))
    assert await street.send(kind=kind, payment_status="unpaid") == 200
    assert street.purchase.confirmed.keys() == ({told} if told else set())
    assert not street.purchase.violations
