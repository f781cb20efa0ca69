"""MockPay in a run: played by the buyers' client, so that webhooks can be lost, doubled and
overtaken by others. It signs events as MockPay does and sends each until it gets a 2xx, whatever
happens. Some buyers pay at MockPay's own page, and the shop's own MockPay tells of it by the relay.
"""

import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Self
from urllib.parse import urlencode

import asyncpg

from tests.faults.exchange import Exchange, NoAnswerError
from tests.faults.pauses import PAUSE_SECONDS_MAX, pauses
from tests.faults.plan import MOCK_SECRET, BuyerPlan, Delivery, Fault, Intent, RunPlan
from tests.faults.provider import Ask, Books, Command, Undo
from tests.faults.purchase import Purchase
from tests.faults.relay import Relay
from tests.faults.stack import POLL_SECONDS
from tigerfans.payments.base import EventType
from tigerfans.payments.mockpay import SIGNATURE_HEADER

# How many other events overtake one that is held up.
OVERTAKEN_BY = 10

_UNDELIVERED = "SELECT count(*) FROM mockpay_webhooks"
_FORM = {"content-type": "application/x-www-form-urlencoded"}
_JSON = {"content-type": "application/json"}


class MockPay:
    """Implements `Provider`; what was paid is told over a network that loses, doubles, delays."""

    secrets: Mapping[str, str] = MappingProxyType({})

    def __init__(self, plan: RunPlan, relay: Relay) -> None:
        self._plan = plan
        self.relay = relay
        self.settings = {"MOCK_WEBHOOK_URL": relay.url}
        self._delivered = 0
        self._held_up: list[tuple[int, asyncio.Event]] = []
        self._holds_up = True

    @classmethod
    @asynccontextmanager
    async def open(cls, plan: RunPlan) -> AsyncIterator[Self]:
        async with Relay.open() as relay:
            yield cls(plan, relay)

    def begin(self, exchange: Exchange, tigerfans: Command) -> None:
        self.relay.exchange = exchange

    async def pay(self, purchase: Purchase, ask: Ask) -> None:
        tell = self.tell
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
                if self._plan.has_short_holds:
                    await ask(purchase, lambda order: order["status"] == "EXPIRED")
                else:
                    await tell(purchase, EventType.CANCELED)
                await tell(purchase, EventType.SUCCEEDED)
            case _:
                pass

    async def _press_button(self, purchase: Purchase) -> None:
        """Pays at MockPay's page; MockPay then tells the shop."""
        path = f"/mockpay/mock_{purchase.order_id}/emit"
        body = urlencode({"t": "succeeded"}).encode()
        if purchase.is_never_told:
            self.relay.keep(purchase.order_id or "")
        # Also an attempt without an answer may have paid.
        purchase.sent.add(EventType.SUCCEEDED)
        for pause_s in pauses():
            purchase.doing = "pays at MockPay's page"
            try:
                answer = await self.relay.exchange("POST", path, body, _FORM)
            except NoAnswerError:
                pass
            else:
                if answer.status == 303:
                    return
                purchase.hear_trouble("a payment at MockPay's page", answer)
            await asyncio.sleep(pause_s)

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

    async def tell_after_all(self, purchase: Purchase) -> None:
        await self.tell(purchase, EventType.SUCCEEDED)

    async def until_told(self, database_url: str) -> None:
        """Until what MockPay's page has decided is delivered."""
        database = await asyncpg.connect(database_url)
        try:
            # Its pauses have grown; here it need not wait.
            await database.execute("UPDATE mockpay_webhooks SET next_attempt_at = now()")
            while await database.fetchval(_UNDELIVERED):  # noqa: ASYNC110 - another process does it
                await asyncio.sleep(POLL_SECONDS)
        finally:
            await database.close()

    async def books(self) -> Books | None:
        """It keeps none."""
        return None

    async def strike(self, fault: Fault) -> Undo:
        raise LookupError("MockPay has no process of its own")

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
                answer = await self.relay.exchange(
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
