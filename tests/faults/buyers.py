"""The load: buyers who check out, pay or do not, and ask for their order.

How they pay, and who tells the shop of it, is the payment provider's (`provider`). Nobody here
gives up before the run does; whoever then still waits is named.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

from tests.faults.doors import Doors
from tests.faults.exchange import Answer, Exchange, NoAnswerError
from tests.faults.pace import Pace
from tests.faults.pauses import pauses
from tests.faults.plan import BuyerPlan, RunPlan
from tests.faults.prices import Prices
from tests.faults.provider import Provider
from tests.faults.purchase import EVER_CHARGED, Purchase

INVENTORY_PAUSE_SECONDS = 0.25

_JSON = {"content-type": "application/json"}


class Crowd:
    """All buyers of a run, and what each was told."""

    def __init__(
        self, plan: RunPlan, exchange: Exchange, prices: Prices, provider: Provider, pace: Pace
    ) -> None:
        self._plan = plan
        self._exchange = exchange
        self._prices = prices
        self._provider = provider
        self._pace = pace
        self._doors = Doors(exchange, Random(f"{plan.seed} doors"))
        self.purchases = [Purchase(buyer, plan.ways) for buyer in plan.buyers()]
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
            await self._provider.tell_after_all(purchase)
        await self._ask(purchase, lambda order: order["status"] in EVER_CHARGED)

    async def _buy(self, purchase: Purchase) -> None:
        times = 2 if purchase.plan.checks_out_twice and purchase.plan.idempotency_key else 1
        await asyncio.gather(*(self._check_out(purchase) for _ in range(times)))
        while purchase.wants_new_key:
            purchase.take_new_key()
            await self._check_out(purchase)
        if purchase.is_held:
            await self._provider.pay(purchase, self._ask)
            await self._ask(purchase)
            # A release that sells one ticket at a time has no doors.
            if self._plan.tickets_per_order > 1:
                await self._doors.visit(purchase)
        purchase.doing = "done"

    async def _check_out(self, purchase: Purchase) -> None:
        plan = purchase.plan
        remember = {"remember": True} if plan.intent in self._plan.ways.remembered else {}
        body = json.dumps(checkout_body(plan) | remember).encode()
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
                    purchase.hear_cookie(answer.headers.get("set-cookie", ""))
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


def checkout_body(buyer: BuyerPlan) -> dict[str, Any]:
    """What a buyer asks for; a release that sells one ticket at a time knows no other number."""
    several = {} if buyer.qty == 1 else {"qty": buyer.qty}
    return {"cls": buyer.cls, "customer_email": buyer.email} | several
