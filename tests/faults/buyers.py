"""The load: buyers who check out, pay or do not, and ask for their order; and a payment provider.

The provider is played by the client, so that webhooks can be lost, doubled and overtaken by others:
it signs events as MockPay does and sends each until it gets a 2xx, whatever happens. Nobody here
gives up before the run does; whoever then still waits is named.
"""

import asyncio
import base64
import hmac
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from tests.faults.exchange import Answer, Exchange, NoAnswerError
from tests.faults.pace import Pace
from tests.faults.plan import MOCK_SECRET, BuyerPlan, Delivery, Intent, RunPlan
from tests.faults.prices import Prices
from tests.faults.purchase import CHARGED, Purchase
from tests.faults.relay import Relay
from tigerfans.payments.base import EventType
from tigerfans.payments.mockpay import SIGNATURE_HEADER

PAUSE_SECONDS_MIN = 0.05
PAUSE_SECONDS_MAX = 1.0
# How many other events overtake one that is held up.
OVERTAKEN_BY = 10
INVENTORY_PAUSE_SECONDS = 0.25

_FORM = {"content-type": "application/x-www-form-urlencoded"}
_JSON = {"content-type": "application/json"}


class Crowd:
    """All buyers of a run, and what each was told."""

    def __init__(
        self, plan: RunPlan, exchange: Exchange, prices: Prices, relay: Relay, pace: Pace
    ) -> None:
        self._plan = plan
        self._exchange = exchange
        self._prices = prices
        self._relay = relay
        self._pace = pace
        self._provider = Provider(exchange)
        self.purchases = [Purchase(buyer) for buyer in plan.buyers()]
        self.violations: list[str] = []

    async def run(self) -> None:
        """Returns when every buyer is done."""
        watching = asyncio.create_task(self._watch_inventory(), name="inventory")
        try:
            async with asyncio.TaskGroup() as buyers:
                for purchase in self.purchases:
                    await self._pace.buyer()
                    name = f"buyer {purchase.plan.number}"
                    buyers.create_task(self._buy(purchase), name=name)
                    await asyncio.sleep(1 / self._plan.rate)
                self._provider.hold_nothing_up()
        finally:
            watching.cancel()
            await asyncio.wait([watching])
        if not watching.cancelled():
            watching.result()

    async def hear_the_end(self, purchase: Purchase, *, is_forgotten: bool) -> None:
        """Waits until a payment that nobody told is known to the shop, which has to ask.

        One whose session Redis has forgotten it cannot ask about: the provider tells it after all.
        """
        await self._ask(purchase)
        if is_forgotten and purchase.final_status is None:
            purchase.is_told_after_all = True
            await self._provider.tell(purchase, EventType.SUCCEEDED)
        await self._ask(purchase, lambda order: order["status"] in CHARGED)

    async def _buy(self, purchase: Purchase) -> None:
        times = 2 if purchase.plan.checks_out_twice and purchase.plan.idempotency_key else 1
        await asyncio.gather(*(self._check_out(purchase) for _ in range(times)))
        while purchase.wants_new_key:
            purchase.take_new_key()
            await self._check_out(purchase)
        if purchase.is_held:
            await self._pay(purchase)
            await self._ask(purchase)
        purchase.doing = "done"

    async def _check_out(self, purchase: Purchase) -> None:
        plan = purchase.plan
        body = json.dumps(checkout_body(plan)).encode()
        headers = dict(_JSON)
        if purchase.key is not None:
            headers["Idempotency-Key"] = purchase.key
        hangs_up = plan.hangs_up
        for pause_s in pauses():
            purchase.doing = "checks out"
            known = purchase.order_id
            try:
                answer = await self._exchange(
                    "POST", "/api/checkout", body, headers, hangs_up=hangs_up
                )
            except NoAnswerError as error:
                purchase.unanswered_checkouts += 1
                purchase.doing = f"checks out: {error}"
            else:
                if answer.status == 200:
                    purchase.hear_held(answer.json(), self._prices.ever[plan.cls])
                    return
                if answer.status == 403:
                    purchase.hear_closed(answer.json())
                elif answer.status == 409 and answer.json().get("new_key_needed"):
                    purchase.hear_used_key(answer.json())
                    return
                elif answer.status == 409:
                    purchase.hear_refused(answer, known)
                    if purchase.gives_up:
                        return
                else:
                    # It may be held all the same: a 503 says that nobody knows.
                    purchase.unanswered_checkouts += 1
                    purchase.hear_trouble("a checkout", answer)
                purchase.doing = f"checks out: {answer}"
            hangs_up = False
            await asyncio.sleep(pause_s)

    async def _pay(self, purchase: Purchase) -> None:
        tell = self._provider.tell
        match purchase.plan.intent:
            case Intent.PAY:
                await tell(purchase, EventType.SUCCEEDED)
            case Intent.PAY_AT_MOCKPAY:
                await self._press_button(purchase)
            case Intent.FAIL:
                await tell(purchase, EventType.FAILED)
            case Intent.CANCEL:
                await tell(purchase, EventType.CANCELED)
            case Intent.FAIL_THEN_PAY:
                await tell(purchase, EventType.FAILED)
                await tell(purchase, EventType.SUCCEEDED)
            case Intent.PAY_AND_FAIL:
                await asyncio.gather(
                    tell(purchase, EventType.SUCCEEDED), tell(purchase, EventType.FAILED)
                )
            case Intent.PAY_LATE:
                # Where holds live long, a canceled payment is what takes this one away.
                if self._plan.hold_seconds > PAY_LATE_HOLD_SECONDS_MAX:
                    await tell(purchase, EventType.CANCELED)
                else:
                    await self._ask(purchase, lambda order: order["status"] == "EXPIRED")
                await tell(purchase, EventType.SUCCEEDED)
            case Intent.ABANDON:
                pass

    async def _press_button(self, purchase: Purchase) -> None:
        """Pays at MockPay's page; MockPay then tells the shop."""
        path = f"/mockpay/mock_{purchase.order_id}/emit"
        body = urlencode({"t": "succeeded"}).encode()
        if purchase.is_never_told:
            self._relay.keep(purchase.order_id or "")
        # Also an attempt without an answer may have paid.
        purchase.sent.add(EventType.SUCCEEDED)
        for pause_s in pauses():
            purchase.doing = "pays at MockPay's page"
            try:
                answer = await self._exchange("POST", path, body, _FORM)
            except NoAnswerError:
                pass
            else:
                if answer.status == 303:
                    return
                purchase.hear_trouble("a payment at MockPay's page", answer)
            await asyncio.sleep(pause_s)

    async def _ask(
        self, purchase: Purchase, until: Callable[[dict[str, Any]], bool] = lambda order: True
    ) -> None:
        """Asks for the order until it is answered, and the answer is the one waited for."""
        for pause_s in pauses():
            purchase.doing = "asks for the order"
            known = purchase.known
            try:
                answer = await self._exchange("GET", f"/api/orders/{purchase.order_id}")
            except NoAnswerError as error:
                purchase.doing = f"asks for the order: {error}"
            else:
                if answer.status == 200:
                    purchase.hear_order(answer.json(), known)
                    if until(answer.json()):
                        return
                else:
                    purchase.hear_trouble("a question for an order", answer)
                purchase.doing = f"asks for the order: {answer}"
            await asyncio.sleep(pause_s)

    async def _watch_inventory(self) -> None:
        while True:
            with suppress(NoAnswerError):
                answer = await self._exchange("GET", "/api/inventory")
                if answer.status == 200:
                    self._check_inventory(answer)
                elif answer.status != 503:
                    self.violations.append(f"the inventory was answered with {answer}")
            await asyncio.sleep(INVENTORY_PAUSE_SECONDS)

    def _check_inventory(self, answer: Answer) -> None:
        for cls, stock in answer.json().items():
            # The owner changes that of the other.
            capacity = self._plan.tickets_a if cls == "A" else stock["capacity"]
            parts = stock["available"], stock["active_holds"], stock["sold"]
            if sum(parts) != capacity or min(parts) < 0:
                self.violations.append(f"the inventory of {cls} does not add up: {stock}")


# Up to this, a buyer waits until the hold has expired.
PAY_LATE_HOLD_SECONDS_MAX = 10


class Provider:
    """Tells the shop what was paid, over a network that loses, doubles and delays."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._delivered = 0
        self._held_up: list[tuple[int, asyncio.Event]] = []
        self._holds_up = True

    async def tell(self, purchase: Purchase, event_type: EventType) -> None:
        """Sends one event until the shop confirms it."""
        purchase.sent.add(event_type)
        match purchase.plan.delivery:
            case Delivery.LOST:
                # The first attempt got nowhere; this one is the second.
                await asyncio.sleep(PAUSE_SECONDS_MAX)
                await self._deliver(purchase, event_type)
            case Delivery.ANSWER_LOST:
                await self._deliver(purchase, event_type, hangs_up=True)
            case Delivery.DUPLICATED:
                deliveries = [self._deliver(purchase, event_type) for _ in range(3)]
                await asyncio.gather(*deliveries)
            case Delivery.OVERTAKEN:
                await self._be_overtaken()
                await self._deliver(purchase, event_type)
            # Pays at MockPay's page, and is only told where that was of no use.
            case Delivery.PLAIN | Delivery.NEVER_TOLD:
                await self._deliver(purchase, event_type)

    def hold_nothing_up(self) -> None:
        """Nobody is left to overtake."""
        self._holds_up = False
        for _, passed in self._held_up:
            passed.set()

    async def _be_overtaken(self) -> None:
        if self._holds_up:
            passed = asyncio.Event()
            self._held_up.append((self._delivered + OVERTAKEN_BY, passed))
            await passed.wait()

    async def _deliver(
        self, purchase: Purchase, event_type: EventType, *, hangs_up: bool = False
    ) -> None:
        body = event_body(purchase.plan, purchase.order_id or "", purchase.amount or 0, event_type)
        headers = _JSON | {SIGNATURE_HEADER: sign(body)}
        for pause_s in pauses():
            purchase.doing = f"tells {event_type}"
            known = purchase.known
            try:
                answer = await self._exchange(
                    "POST", "/payments/webhook", body, headers, hangs_up=hangs_up
                )
            except NoAnswerError as error:
                purchase.doing = f"tells {event_type}: {error}"
            else:
                if answer.is_success:
                    purchase.hear_settled(event_type, answer.json(), known)
                    self._count()
                    return
                purchase.hear_trouble(f"the webhook {event_type}", answer)
                purchase.doing = f"tells {event_type}: {answer}"
            hangs_up = False
            await asyncio.sleep(pause_s)

    def _count(self) -> None:
        self._delivered += 1
        for number, passed in self._held_up:
            if number <= self._delivered:
                passed.set()


def checkout_body(buyer: BuyerPlan) -> dict[str, Any]:
    """What a buyer asks for; a release that sells one ticket at a time knows no other number."""
    several = {} if buyer.qty == 1 else {"qty": buyer.qty}
    return {"cls": buyer.cls, "customer_email": buyer.email} | several


def event_body(buyer: BuyerPlan, order_id: str, amount: int, event_type: EventType) -> bytes:
    """The event as the provider sends it, of what was agreed; the same bytes each time."""
    return json.dumps(
        {
            "type": event_type,
            "payment_session_id": f"mock_{order_id}",
            "order_id": order_id,
            "amount": amount,
            "currency": "eur",
            "created_at": 1_795_348_800,
            "idempotency_key": f"{order_id}:{event_type}",
            "cls": buyer.cls,
            "customer_email": buyer.email,
        }
    ).encode()


def sign(body: bytes) -> str:
    return base64.b64encode(hmac.digest(MOCK_SECRET.encode(), body, "sha256")).decode()


def pauses() -> Any:
    """Pauses between attempts, in seconds: growing, and without end."""
    pause_s = PAUSE_SECONDS_MIN
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, PAUSE_SECONDS_MAX)
