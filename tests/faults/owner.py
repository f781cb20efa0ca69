"""What the owner of the shop does meanwhile in the box office: gives money back, changes the stock,
closes a sale and opens it again.

Money goes back for orders whose buyers know that they are paid, for all of their tickets or one.
Each time two people press at once, and go on until they are told that it is done. All of it is
about the class that has room for everybody: more of the other would make a lie of "sold out".
"""

import asyncio
import json
from collections.abc import Sequence
from random import Random

from tests.faults.exchange import Answer, Exchange, NoAnswerError
from tests.faults.login import HEADERS
from tests.faults.pauses import pauses
from tests.faults.purchase import Purchase

PRESSES = 2
CLS = "B"
RESTOCKED_MAX = 20


class Owner:
    """Picks orders by chance, among those that there are to pick from."""

    def __init__(self, exchange: Exchange, purchases: Sequence[Purchase], chance: Random) -> None:
        self._exchange = exchange
        self._purchases = purchases
        self._chance = chance
        # One change of the stock at a time, each by two people.
        self._stock = asyncio.Lock()
        self.violations: list[str] = []
        self.tickets_added = 0
        self.closings = 0

    def pick(self) -> Purchase:
        """An order to refund; from now on its tickets may end. Raises `LookupError`."""
        there = [purchase for purchase in self._purchases if _can_be_refunded(purchase)]
        if not there:
            raise LookupError("nobody's order is paid and known to be")
        purchase = self._chance.choice(there)
        if purchase.final_status == "PAID_UNFULFILLED":
            purchase.is_given_back = True
            return purchase
        every = range(purchase.plan.qty)
        is_whole = self._chance.random() < 0.5
        purchase.refunded = set(every) if is_whole else {self._chance.choice(every)}
        return purchase

    async def refund(self, purchase: Purchase) -> None:
        """Presses until the box office says that it is done."""
        path = f"/api/admin/orders/{purchase.order_id}"
        if purchase.refunded and not purchase.is_refunded:
            [ticket] = purchase.refunded
            path += f"/tickets/{ticket}"
        await self._press(f"{path}/refund")

    async def give_back_what_is_due(self) -> None:
        """Every second time: the others still wait in the end."""
        due = [purchase for purchase in self._purchases if _is_due(purchase)][::2]
        for purchase in due:
            purchase.is_given_back = True
            await self.refund(purchase)

    async def restock(self) -> None:
        """Adds some tickets, or takes some away."""
        number = self._chance.randint(1, RESTOCKED_MAX) * self._chance.choice((1, -1))
        async with self._stock:
            await self._change_stock(f"{number:+}")
            self.tickets_added += number

    async def close(self, seconds: float) -> None:
        async with self._stock:
            self.closings += 1
            await self._change_stock("close")
            await asyncio.sleep(seconds)
            await self._change_stock("open")

    async def _change_stock(self, change: str) -> None:
        items = (await self._ask("GET", "/api/admin/stock")).json()["items"]
        [number] = [item["number"] for item in items if item["cls"] == CLS]
        body = json.dumps({"change": change, "number": number}).encode()
        await self._press(f"/api/admin/stock/{CLS}", body)

    async def _press(self, path: str, body: bytes = b"") -> None:
        await asyncio.gather(*(self._ask("POST", path, body) for _ in range(PRESSES)))

    async def _ask(self, method: str, path: str, body: bytes = b"") -> Answer:
        """Asks until it is answered with a 200."""
        for pause_s in pauses():
            try:
                answer = await self._exchange(method, path, body, HEADERS)
            except NoAnswerError:
                pass
            else:
                if answer.status == 200:
                    return answer
                if answer.status != 503:
                    self.violations.append(f"{method} {path} was answered with {answer}")
            await asyncio.sleep(pause_s)
        raise AssertionError


def _can_be_refunded(purchase: Purchase) -> bool:
    is_told = purchase.doing == "done" and purchase.final_status == "PAID"
    return _is_due(purchase) or (is_told and purchase.plan.cls == CLS and not purchase.refunded)


def _is_due(purchase: Purchase) -> bool:
    """Whether it was paid, and got no tickets."""
    is_told = purchase.doing == "done" and purchase.final_status == "PAID_UNFULFILLED"
    return is_told and not purchase.is_given_back
