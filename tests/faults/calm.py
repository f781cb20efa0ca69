"""After the last fault: until every webhook is delivered, every short hold has expired, and every
payment that nobody told is known. Where somebody still waits, it says who.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

import asyncpg
from redis.asyncio import Redis

from tests.faults.audit import Readable
from tests.faults.buyers import Crowd
from tests.faults.exchange import Answer, NoAnswerError
from tests.faults.plan import RunPlan
from tests.faults.provider import Provider
from tests.faults.purchase import Purchase
from tests.faults.stack import POLL_SECONDS, StackError
from tigerfans.stores.identity import ShopId

# From the last fault on, for every buyer to be served and every hold to expire.
CALM_SECONDS_MAX = 90.0


class Reachable(Readable, Protocol):
    """A shop that answers, whose stores can be looked into, and which says how it is."""

    @property
    def redis_url(self) -> str: ...

    async def get(self, path: str) -> Answer: ...

    def tell(self) -> str: ...


def waiting(purchases: Sequence[Purchase]) -> list[str]:
    return [
        f"buyer {purchase.plan.number} still waits: {purchase.doing}"
        for purchase in purchases
        if purchase.doing != "done"
    ]


async def calm(plan: RunPlan, shop: Reachable, provider: Provider) -> None:
    """Until the provider's webhooks are delivered and short holds have expired."""
    try:
        async with asyncio.timeout(CALM_SECONDS_MAX):
            await provider.until_told(shop.database_url)
            if plan.has_short_holds:
                while await _holds(shop):  # noqa: ASYNC110 - the ledger sets no event of ours
                    await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise StackError(f"Webhooks or holds are left.\n{shop.tell()}") from None


async def learn(shop: Reachable, crowd: Crowd) -> None:
    """Until the shop has asked about every payment that nobody told."""
    never_told = [purchase for purchase in crowd.purchases if purchase.is_never_told]
    prefix = await _key_prefix(shop)
    redis = Redis.from_url(shop.redis_url, decode_responses=True)
    try:
        async with asyncio.timeout(CALM_SECONDS_MAX):
            # They need not wait until their holds or their sessions are over.
            due = {purchase.order_id or "": time.time_ns() // 1_000_000 for purchase in never_told}
            for index in ("unpaid", "asked") if due else ():
                await redis.zadd(f"{prefix}:{index}", due, xx=True)
            async with asyncio.TaskGroup() as hearing:
                for purchase in never_told:
                    is_known = await redis.exists(f"{prefix}:order:{purchase.order_id}")
                    hearing.create_task(crowd.hear_the_end(purchase, is_forgotten=not is_known))
    except TimeoutError:
        waiting = [purchase.order_id for purchase in never_told if not purchase.final_status]
        raise StackError(f"The shop has not asked about {waiting}.\n{shop.tell()}") from None
    finally:
        await redis.aclose()


async def until_refunded(shop: Reachable) -> None:
    """Until all that was asked back is given back."""
    await _until_done(shop, "Refunds", _GIVE_BACK_NOW, _TO_GIVE_BACK)


async def until_mailed(shop: Reachable) -> None:
    """Until every mail was taken by the server, or given up since there is nobody to send it to."""
    await _until_done(shop, "Mails", _SEND_NOW, _TO_SEND)


# A clerk that was killed had a lease on some, and other pauses have grown.
_GIVE_BACK_NOW = "UPDATE ticket_refunds SET next_attempt_at = now() WHERE given_back_at IS NULL"
_TO_GIVE_BACK = "SELECT count(*) FROM ticket_refunds WHERE given_back_at IS NULL"
_SEND_NOW = """
    UPDATE mails SET next_attempt_at = now() WHERE sent_at IS NULL AND gave_up_at IS NULL
"""
_TO_SEND = "SELECT count(*) FROM mails WHERE sent_at IS NULL AND gave_up_at IS NULL"


async def _until_done(shop: Reachable, what: str, do_now: str, still_to_do: str) -> None:
    """Until the clerk has done what waits in a table, as long as there is ever less of it."""
    database = await asyncpg.connect(shop.database_url)
    try:
        await database.execute(do_now)
        left = await database.fetchval(still_to_do)
        while left:
            before = left
            async with asyncio.timeout(CALM_SECONDS_MAX):
                while left >= before:
                    await asyncio.sleep(POLL_SECONDS)
                    left = await database.fetchval(still_to_do)
    except TimeoutError:
        raise StackError(f"{what} are left.\n{shop.tell()}") from None
    finally:
        await database.close()


async def _key_prefix(shop: Reachable) -> str:
    """What the shop's keys in Redis begin with."""
    database = await asyncpg.connect(shop.database_url)
    try:
        shop_id: UUID = await database.fetchval("SELECT id FROM shop")
    finally:
        await database.close()
    return ShopId(shop_id.bytes[::-1]).key_prefix


async def _holds(shop: Reachable) -> int:
    try:
        answer = await shop.get("/api/inventory")
    except NoAnswerError:
        return 1
    return sum(stock["active_holds"] for stock in answer.json().values())
