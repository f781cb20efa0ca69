"""What the owner of the shop does meanwhile in the box office: gives money back.

Of orders whose buyers know that they are paid, of all their tickets or of one, and each time two
people press at once. Only of the class that has room for everybody: what comes back to the other
would make a lie of "sold out".
"""

import asyncio
from base64 import b64encode
from collections.abc import Sequence
from random import Random

from tests.faults.buyers import pauses
from tests.faults.exchange import Exchange, NoAnswerError
from tests.faults.plan import SECRETS
from tests.faults.purchase import Purchase

PRESSES = 2

_LOGIN = b64encode(f"admin:{SECRETS['ADMIN_PASSWORD']}".encode()).decode()
_HEADERS = {"authorization": f"Basic {_LOGIN}"}


class Owner:
    """Picks orders by chance, among those that there are to pick from."""

    def __init__(self, exchange: Exchange, purchases: Sequence[Purchase], chance: Random) -> None:
        self._exchange = exchange
        self._purchases = purchases
        self._chance = chance

    def pick(self) -> Purchase:
        """An order to refund; from now on its tickets may end. Raises `LookupError`."""
        there = [purchase for purchase in self._purchases if _can_be_refunded(purchase)]
        if not there:
            raise LookupError("nobody's order is paid and known to be")
        purchase = self._chance.choice(there)
        every = range(purchase.plan.qty)
        is_whole = self._chance.random() < 0.5
        purchase.refunded = set(every) if is_whole else {self._chance.choice(every)}
        return purchase

    async def refund(self, purchase: Purchase) -> None:
        """Presses until the box office says that it is done."""
        path = f"/api/admin/orders/{purchase.order_id}"
        if not purchase.is_refunded:
            [ticket] = purchase.refunded
            path += f"/tickets/{ticket}"
        await asyncio.gather(*(self._press(purchase, f"{path}/refund") for _ in range(PRESSES)))

    async def _press(self, purchase: Purchase, path: str) -> None:
        for pause_s in pauses():
            try:
                answer = await self._exchange("POST", path, headers=_HEADERS)
            except NoAnswerError:
                pass
            else:
                if answer.status == 200:
                    return
                purchase.hear_trouble("a refund", answer)
            await asyncio.sleep(pause_s)


def _can_be_refunded(purchase: Purchase) -> bool:
    is_told = purchase.doing == "done" and purchase.final_status == "PAID"
    return is_told and purchase.plan.cls == "B" and not purchase.refunded
