"""Two doors at which buyers hold their tickets up: the same one at both, again and again.

Only tickets of the class whose money nobody gives back: so one of the doors has to let them in. A
scan is told until it is answered, under its id, and told again afterwards; some admissions are
undone, and then the ticket gets in once more.
"""

import asyncio
import json
import time
from random import Random
from typing import Any
from uuid import UUID

from tests.faults.exchange import Answer, Exchange, NoAnswerError
from tests.faults.login import HEADERS
from tests.faults.pauses import pauses
from tests.faults.purchase import Purchase, ticket_codes_told

CLS = "A"
GATES = ("North", "South")
# Of buyers who have a ticket, so many come; of those who were let in, so many go out again.
COMES_SHARE = 0.3
LEAVES_SHARE = 0.3


class Doors:
    """Picks by chance who comes."""

    def __init__(self, exchange: Exchange, chance: Random) -> None:
        self._exchange = exchange
        self._chance = chance
        # Whoever has logged in brings a pass along, as browsers do.
        self._pass: dict[str, str] = {}
        self._login = asyncio.Lock()

    async def visit(self, purchase: Purchase) -> None:
        """Somebody comes with a ticket of a paid order, or does not."""
        if purchase.plan.cls != CLS or purchase.final_status != "PAID" or purchase.ticket is None:
            return
        if self._chance.random() >= COMES_SHARE:
            return
        codes = ticket_codes_told(purchase.ticket)
        ticket = self._chance.randrange(len(codes))
        purchase.doing = f"comes with ticket {ticket}"
        scans = [self._scan(codes[ticket], gate) for gate in GATES]
        told = await asyncio.gather(*(self._tell(purchase, scan) for scan in scans))
        if sorted(each["result"] for each in told) != ["admitted", "already_inside"]:
            purchase.accuse(f"two doors at once answered ticket {ticket} with {told}")
            return
        winner = 0 if told[0]["result"] == "admitted" else 1
        if len({(each["gate"], each["admitted_at_iso"]) for each in told}) != 1:
            purchase.accuse(f"two doors do not say the same of ticket {ticket}: {told}")
        if await asyncio.gather(*(self._tell(purchase, scan) for scan in scans)) != told:
            purchase.accuse(f"scans of ticket {ticket} that were told again were not {told}")
        let_in = scans[winner]
        if self._chance.random() < LEAVES_SHARE:
            undo = {"scan_id": let_in["scan_id"], "device": let_in["device"]}
            await asyncio.gather(*(self._ask(purchase, "undo", undo) for _ in range(2)))
            let_in = self._scan(codes[ticket], GATES[1 - winner])
            again = await self._tell(purchase, let_in)
            if again["result"] != "admitted":
                purchase.accuse(f"ticket {ticket} was let out, and then answered with {again}")
        purchase.inside[ticket] = UUID(let_in["scan_id"]).bytes

    def _scan(self, code: str, gate: str) -> dict[str, Any]:
        return {
            "scan_id": str(UUID(bytes=self._chance.randbytes(16))),
            "text": code,
            "gate": gate,
            "device": f"phone {gate}",
            "scanned_at": time.time_ns() // 1_000_000,
        }

    async def _tell(self, purchase: Purchase, scan: dict[str, Any]) -> dict[str, Any]:
        [answer] = (await self._ask(purchase, "scans", [scan])).json()
        told: dict[str, Any] = answer
        return {name: told[name] for name in ("result", "gate", "admitted_at_iso")}

    async def _ask(self, purchase: Purchase, what: str, body: Any) -> Answer:
        """Asks until it is answered with a 200."""
        for pause_s in pauses():
            try:
                answer = await self._post(f"/api/door/{what}", json.dumps(body).encode())
            except NoAnswerError:
                pass
            else:
                if answer.status == 200:
                    return answer
                # So many log in at once.
                if answer.status != 429:
                    purchase.hear_trouble(f"/api/door/{what}", answer)
            await asyncio.sleep(pause_s)
        raise AssertionError

    async def _post(self, path: str, body: bytes) -> Answer:
        if self._pass:
            return await self._exchange("POST", path, body, HEADERS | self._pass)
        async with self._login:
            answer = await self._exchange("POST", path, body, HEADERS | self._pass)
            if given := answer.headers.get("set-cookie"):
                self._pass = {"cookie": given.partition(";")[0]}
            return answer
