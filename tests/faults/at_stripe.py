"""Stripe in a run: the provider to test against (`tests.stripe_server`), in a process of its own
that is killed and misbehaves, and the buyers at its page.

A buyer is led to `/pay/…`, and from there to the hosted page; what is pressed there, Stripe tells
the shop by its own webhooks. A relay loses, doubles and delays them, as each buyer's plan says.
Whether money was taken a buyer knows by the page, and in the end Stripe's books say it too.
"""

import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from http import HTTPStatus
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, Self, TypeVar
from urllib.parse import urlencode, urlsplit

import httpx

from tests.faults.exchange import Answer, Exchange, NoAnswerError, exchange
from tests.faults.pauses import PAUSE_SECONDS_MAX, pauses
from tests.faults.plan import Delivery, Fault, FaultKind, Intent, RunPlan
from tests.faults.provider import Ask, Books, Command, Undo
from tests.faults.purchase import Purchase
from tests.faults.relay import NOT_PASSED_ON, SWALLOWED, Relay
from tests.harness.ports import free_port
from tests.stripe_server.account import How, Outcome
from tests.stripe_server.control import Control, RefusedError
from tests.stripe_server.misbehaviour import Rule
from tests.stripe_server.process import StripeProcess
from tests.stripe_server.server import TEST_KEY
from tests.stripe_server.webhooks import Manners
from tigerfans.payments.base import EventType
from tigerfans.payments.stripe_requests import REQUEST_SECONDS_MAX

WEBHOOK_SECRET = "whsec_secret_of_the_webhooks"
# A quarter of a second until the first attempt again, and a quarter of an hour until it gives up.
PAUSE_SCALE = 1 / 240
# How many other events overtake one that is held up.
OVERTAKEN_BY = 10
# Of so many buyers, one closes the window and does not come back from the hosted page.
CLOSES_THE_WINDOW = 5
DUPLICATES = 3

# While the fault lasts, of each request it is drawn in this order.
MISBEHAVIOUR: Mapping[FaultKind, tuple[Rule, ...]] = {
    FaultKind.PROVIDER_FAILS: (
        Rule("error", times=None, probability=0.25),
        Rule("error_after", times=None, probability=0.25),
        Rule("error_kept", times=None, probability=0.25),
    ),
    # Some are slower than the shop waits.
    FaultKind.PROVIDER_SLOW: (
        Rule("slow", times=None, probability=0.4, seconds=REQUEST_SECONDS_MAX / 4),
        Rule("slow_after", times=None, probability=0.3, seconds=REQUEST_SECONDS_MAX + 1),
    ),
    FaultKind.PROVIDER_CUTS: (
        Rule("cut", times=None, probability=0.3),
        Rule("cut_after", times=None, probability=0.4),
    ),
    FaultKind.PROVIDER_LIMITS: (Rule("limited", times=None, probability=0.6),),
}

_FORM = {"content-type": "application/x-www-form-urlencoded"}
_API = {"authorization": f"Bearer {TEST_KEY}"} | _FORM

Output = TypeVar("Output")


class StripeRelay(Relay):
    """Passes Stripe's webhooks on, with what the network does to those of each buyer."""

    def __init__(self) -> None:
        super().__init__()
        self._followed: dict[str, Purchase] = {}
        # The events that were disturbed as their buyer's plan says, by their ids; of those that are
        # overtaken, after how many others they get through.
        self._disturbed: dict[str, int] = {}
        self._passed = 0
        self.holds_up = True

    def follow(self, purchase: Purchase) -> None:
        """From now on its order may be told of."""
        self._followed[purchase.order_id or ""] = purchase

    async def _answer(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        event = json.loads(body)
        order_id = event["data"]["object"].get("client_reference_id")
        if order_id in self._kept:
            return SWALLOWED
        purchase, told = self._followed.get(order_id or ""), told_by(event)
        try:
            if purchase is None or told is None:
                # What the shop has no use for, it confirms all the same.
                return await self._pass_on(body, headers)
            pass_on = partial(self._tell, purchase, told, body, headers)
            return await self._disturb(purchase.plan.delivery, event["id"], pass_on)
        except NoAnswerError:
            return NOT_PASSED_ON

    async def _disturb(
        self, delivery: Delivery, event_id: str, pass_on: Callable[..., Awaitable[Answer]]
    ) -> Answer:
        """Passes an event on; the first time, as the network does."""
        is_first = event_id not in self._disturbed
        gets_through_at = self._disturbed.setdefault(event_id, self._passed + OVERTAKEN_BY)
        match delivery:
            case Delivery.LOST if is_first:
                return NOT_PASSED_ON
            case Delivery.ANSWER_LOST if is_first:
                return await pass_on(hangs_up=True)
            case Delivery.DUPLICATED if is_first:
                told = await asyncio.gather(
                    *(pass_on() for _ in range(DUPLICATES)), return_exceptions=True
                )
                answers = [answer for answer in told if isinstance(answer, Answer)]
                # What one of them did is done.
                return next((each for each in answers if each.is_success), NOT_PASSED_ON)
            case Delivery.OVERTAKEN if self.holds_up and self._passed < gets_through_at:
                return NOT_PASSED_ON
        return await pass_on()

    async def _tell(
        self,
        purchase: Purchase,
        told: EventType,
        body: bytes,
        headers: Mapping[str, str],
        *,
        hangs_up: bool = False,
    ) -> Answer:
        known = purchase.known
        answer = await self._pass_on(body, headers, hangs_up=hangs_up)
        if answer.is_success:
            purchase.hear_settled(told, answer.json(), known)
            self._passed += 1
        else:
            purchase.hear_trouble(f"the webhook {told}", answer)
        return answer


class Stripe:
    """Implements `Provider`."""

    secrets: Mapping[str, str] = {
        "STRIPE_SECRET_KEY": TEST_KEY,
        "STRIPE_WEBHOOK_SECRETS": WEBHOOK_SECRET,
    }

    def __init__(
        self, plan: RunPlan, relay: StripeRelay, process: StripeProcess, control: Control
    ) -> None:
        self._plan = plan
        self.relay = relay
        self._process = process
        self._control = control
        self._repairing: asyncio.Task[CompletedProcess[str]] | None = None
        self._page: Exchange = partial(exchange, process.port)
        self.settings = {
            "TIGERFANS_PAYMENT_PROVIDER": "stripe",
            "STRIPE_API_BASE": process.url,
            **self.secrets,
        }

    @classmethod
    @asynccontextmanager
    async def open(cls, plan: RunPlan) -> AsyncIterator[Self]:
        with tempfile.TemporaryDirectory(prefix="tigerfans-stripe-") as folder:
            async with StripeRelay.open() as relay:
                arguments = ["--webhook-url", relay.url, "--webhook-secret", WEBHOOK_SECRET]
                arguments += ["--pause-scale", str(PAUSE_SCALE)]
                process = StripeProcess(Path(folder), free_port(), arguments)
                try:
                    await process.start()
                    async with Control(process.url) as control:
                        yield cls(plan, relay, process, control)
                finally:
                    process.kill()

    def begin(self, exchange: Exchange, tigerfans: Command) -> None:
        self.relay.exchange = exchange
        self._tigerfans = tigerfans

    # Buyers

    async def pay(self, purchase: Purchase, ask: Ask) -> None:
        self.relay.follow(purchase)
        if purchase.plan.delivery is Delivery.NEVER_TOLD:
            self.relay.keep(purchase.order_id or "")
        if purchase.plan.intent is Intent.ABANDON:
            return
        page = await self._open(purchase)
        if page is not None:
            await self._pay_at(page, purchase, ask)

    async def _pay_at(self, page: str, purchase: Purchase, ask: Ask) -> None:
        match purchase.plan.intent:
            case Intent.PAY:
                await self._pay_by_card(page, purchase)
            case Intent.PAY_IN_TWO_TABS:
                await self._pay_by_card(page, purchase, tabs=2)
            case Intent.DECLINED_THEN_PAY:
                await self._press(page, purchase, "declined")
                await self._pay_by_card(page, purchase)
            case Intent.DECLINED:
                await self._press(page, purchase, "insufficient_funds")
            case Intent.DEBIT:
                await self._pay_by_debit(page, purchase, ask, EventType.SUCCEEDED, "succeeded")
            case Intent.DEBIT_FAILS:
                await self._pay_by_debit(page, purchase, ask, EventType.FAILED, "failed")
            case Intent.SESSION_ENDED:
                await self._end_session(page, purchase)
            case Intent.PAY_LATE:
                # Where holds live long, the buyer gives this one back, and pays all the same.
                if self._plan.has_short_holds:
                    await ask(purchase, _is_expired)
                else:
                    await self._give_hold_back(purchase)
                await self._pay_by_card(page, purchase)
            case _:
                raise AssertionError(purchase.plan.intent)

    async def _open(self, purchase: Purchase) -> str | None:
        """The path of the hosted page; None where there is nothing to pay any more."""
        path = self._plan.ways.page.format(order_id=purchase.order_id)
        for pause_s in pauses():
            purchase.doing = "waits for the payment to open"
            with suppress(NoAnswerError):
                answer = await self.relay.exchange("GET", path)
                if answer.status == HTTPStatus.SEE_OTHER:
                    there = answer.headers["location"]
                    return urlsplit(there).path if there.startswith(self._process.url) else None
                purchase.hear_trouble("the page that opens a payment", answer)
                purchase.doing = f"waits for the payment to open: {answer}"
            await asyncio.sleep(pause_s)
        raise AssertionError("pauses have no end")

    async def _pay_by_card(self, page: str, purchase: Purchase, tabs: int = 1) -> None:
        # Also an attempt without an answer may have paid.
        purchase.sent.add(EventType.SUCCEEDED)
        is_paid = await asyncio.gather(*(self._press(page, purchase, "card") for _ in range(tabs)))
        if any(is_paid):
            await self._come_back(purchase)
        else:
            # The session was over before.
            purchase.sent.discard(EventType.SUCCEEDED)

    async def _pay_by_debit(
        self, page: str, purchase: Purchase, ask: Ask, told: EventType, outcome: Outcome
    ) -> None:
        """What comes of it is told days later, and the hold may be gone by then."""
        if not await self._press(page, purchase, "debit"):
            return
        await self._come_back(purchase)
        if self._plan.has_short_holds:
            await ask(purchase, _is_expired)
        purchase.doing = f"waits for the bank: {outcome}"
        purchase.sent.add(told)
        session_id = page.rpartition("/")[2]
        # It says that it was decided before where an answer was lost.
        with suppress(RefusedError):
            await self._until_done(lambda: self._control.settle(session_id, outcome))

    async def _press(self, page: str, purchase: Purchase, how: How) -> bool:
        """Presses a button of the hosted page; whether the session is complete by that."""
        # The page asks for the email only where the shop did not give it.
        body = urlencode({"how": how, "email": purchase.plan.email}).encode()
        for pause_s in pauses():
            purchase.doing = f"pays at Stripe's page: {how}"
            with suppress(NoAnswerError):
                answer = await self._page("POST", page, body, _FORM)
                if answer.status == HTTPStatus.SEE_OTHER:
                    return answer.headers["location"] != page
                purchase.accuse(f"Stripe's page was answered with {answer}")
            await asyncio.sleep(pause_s)
        raise AssertionError("pauses have no end")

    async def _come_back(self, purchase: Purchase) -> None:
        """The page that a buyer comes back to asks Stripe at once; it may be looked at or not."""
        if purchase.plan.number % CLOSES_THE_WINDOW == 0:
            return
        purchase.doing = "comes back from Stripe"
        with suppress(NoAnswerError):
            path = self._plan.ways.page.format(order_id=purchase.order_id)
            answer = await self.relay.exchange("GET", f"{path}/return")
            if answer.status != HTTPStatus.SEE_OTHER:
                purchase.hear_trouble("the page after a payment", answer)

    async def _end_session(self, page: str, purchase: Purchase) -> None:
        """As somebody may in Stripe's Dashboard."""
        purchase.doing = "has its session ended"
        purchase.sent.add(EventType.CANCELED)
        path = f"/v1/checkout/sessions/{page.rpartition('/')[2]}/expire"
        for pause_s in pauses():
            with suppress(NoAnswerError):
                answer = await self._page("POST", path, b"", _API)
                # It is over, by this or before.
                if answer.status in (HTTPStatus.OK, HTTPStatus.BAD_REQUEST):
                    return
            await asyncio.sleep(pause_s)

    async def _give_hold_back(self, purchase: Purchase) -> None:
        """By the button of the checkout's page."""
        purchase.sent.add(EventType.CANCELED)
        body = urlencode({"order_id": purchase.order_id}).encode()
        headers = _FORM | {"cookie": purchase.cookie}
        for pause_s in pauses():
            purchase.doing = "gives the hold back"
            known = purchase.known
            with suppress(NoAnswerError):
                answer = await self.relay.exchange(
                    "POST", "/demo/checkout/give-back", body, headers
                )
                if answer.is_success:
                    told = {"order_status": answer.json()["status"]}
                    purchase.hear_settled(EventType.CANCELED, told, known)
                    return
                purchase.hear_trouble("a hold that was given back", answer)
            await asyncio.sleep(pause_s)

    # What the run asks

    def hold_nothing_up(self) -> None:
        self.relay.holds_up = False

    async def tell_after_all(self, purchase: Purchase) -> None:
        """By the shop's own command, which compares all that Stripe has; once for all of them."""
        if self._repairing is None:
            self._repairing = asyncio.create_task(
                asyncio.to_thread(self._tigerfans, "reconcile", "--provider", "--repair")
            )
        await self._repairing

    async def until_told(self, database_url: str) -> None:
        while await self._until_done(self._control.undelivered):
            # Its pauses have grown; here it need not wait.
            await self._until_done(self._control.hurry)
            await asyncio.sleep(PAUSE_SECONDS_MAX)

    async def books(self) -> Books | None:
        charged: Counter[str] = Counter()
        given_back: Counter[str] = Counter()
        references = {}
        for payment in await self._until_done(self._control.payments):
            order_id = payment["client_reference_id"]
            charged[order_id] += payment["charged"]
            given_back[order_id] += payment["refunded"]
            if payment["charged"]:
                references[order_id] = payment["payment_intent"]
        return Books(+charged, +given_back, references)

    async def _until_done(self, do: Callable[[], Awaitable[Output]]) -> Output:
        """What a verb of the test provider gives, once that runs."""
        for pause_s in pauses():
            with suppress(httpx.TransportError):
                return await do()
            await asyncio.sleep(pause_s)
        raise AssertionError("pauses have no end")

    # Faults

    async def strike(self, fault: Fault) -> Undo:
        try:
            match fault.kind:
                case FaultKind.PROVIDER_KILL:
                    # Raises where it is killed already.
                    _ = self._process.pid
                    self._process.kill()
                    return self._process.start
                case FaultKind.WEBHOOKS_STOP:
                    await self._control.behave(Manners(mode="held", pause_scale=PAUSE_SCALE))
                    return self._go_on
                case _:
                    await self._control.misbehave(*MISBEHAVIOUR[fault.kind])
                    return self._behave
        except (httpx.TransportError, AssertionError) as error:
            raise LookupError("Stripe is away") from error

    async def _go_on(self) -> None:
        await self._until_done(
            lambda: self._control.behave(Manners(mode="on", pause_scale=PAUSE_SCALE))
        )

    async def _behave(self) -> None:
        await self._until_done(self._control.misbehave)


def told_by(event: dict[str, Any]) -> EventType | None:
    """What a webhook tells the shop; None where that is nothing."""
    match event["type"]:
        case "checkout.session.completed":
            is_paid = event["data"]["object"]["payment_status"] == "paid"
            return EventType.SUCCEEDED if is_paid else None
        case "checkout.session.async_payment_succeeded":
            return EventType.SUCCEEDED
        case "checkout.session.async_payment_failed":
            return EventType.FAILED
        case "checkout.session.expired":
            return EventType.CANCELED
    return None


def _is_expired(order: dict[str, Any]) -> bool:
    return bool(order["status"] == "EXPIRED")
