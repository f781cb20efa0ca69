"""One seed, from the first process to the last: open, sell under faults, calm down, audit, stop."""

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
from redis.asyncio import Redis

from tests.faults.audit import HOLD_EXPIRES_SECONDS_MAX, Audit, audit, read_stores
from tests.faults.buyers import Crowd
from tests.faults.exchange import NoAnswerError
from tests.faults.injector import Injector
from tests.faults.loads import under_way
from tests.faults.pace import Pace
from tests.faults.plan import SECRETS, FaultKind, RunPlan
from tests.faults.purchase import Purchase
from tests.faults.relay import Relay
from tests.faults.stack import POLL_SECONDS, FaultyShop, StackError
from tigerfans.stores.identity import ShopId

# From the last fault on, for every buyer to be served and every hold to expire.
CALM_SECONDS_MAX = 90.0


@dataclass
class Report:
    """One run: what struck, what was sold, what is wrong."""

    plan: RunPlan
    faults: Counter[FaultKind] = field(default_factory=Counter)
    audit: Audit = field(default_factory=Audit)
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not self.violations

    def __str__(self) -> str:
        verdict = "\n".join(f"  {sentence}" for sentence in self.violations) or "  clean"
        return f"seed {self.plan.seed} on {self.plan.ledger}:\n{verdict}\n{self.plan.command}"


async def run(plan: RunPlan, environment: dict[str, str]) -> Report:
    """Runs one seed; `environment` says which ledger. Leaves no process and no file behind."""
    began = time.monotonic()
    report = Report(plan)
    async with Relay.open() as relay:
        webhooks = {"MOCK_WEBHOOK_URL": relay.url}
        shop = FaultyShop(plan.settings | environment | webhooks, plan.disk_bytes)
        relay.shop_port = shop.port
        if shop.no_disk:
            plan = report.plan = plan.without_disk()
            print(
                f"full-disk strikes no more than the embedded ledger: {shop.no_disk}",
                file=sys.stderr,
            )
        try:
            await shop.start()
            await _sell(plan, shop, relay, report)
            report.violations += await _stop(shop)
        except* StackError as group:
            report.violations += map(str, group.exceptions)
        finally:
            await asyncio.to_thread(shop.close)
    report.seconds = time.monotonic() - began
    return report


async def _stop(shop: FaultyShop) -> list[str]:
    """Ends the shop while requests are under way; what is wrong with that."""
    wrong = []
    statuses = await under_way(shop, lambda: os.kill(shop.running.pid, signal.SIGTERM))
    # Held, or sold out: either is a whole answer.
    if not statuses <= {200, 409}:
        wrong.append(f"requests under way were answered with {statuses} by a shop that stopped")
    if exit_code := await shop.stop():
        wrong.append(f"the shop stopped with exit code {exit_code}")
    if left := await shop.left_over():
        wrong.append(f"processes are left over: {left}")
    wrong += [
        f"{log.name} holds the value of {name}"
        for log in shop.logs()
        for name, secret in SECRETS.items()
        if secret in log.read_text(errors="replace")
    ]
    return wrong


async def _sell(plan: RunPlan, shop: FaultyShop, relay: Relay, report: Report) -> None:
    pace = Pace(plan.orders, plan.fault_count)
    crowd = Crowd(plan, shop.port, shop.prices, relay, pace)
    injector = Injector(plan, shop, pace)
    buying = asyncio.create_task(crowd.run(), name="buyers")
    striking = asyncio.create_task(injector.run(), name="faults")
    try:
        # All have struck when the last buyer comes; what they left is served in the calm.
        await asyncio.wait([buying, striking], return_when=asyncio.FIRST_COMPLETED)
        if buying.done():
            await buying
        await striking
        await shop.until_ready()
        await asyncio.wait([buying], timeout=CALM_SECONDS_MAX)
        if not buying.done():
            report.violations += _waiting(crowd.purchases)
        else:
            await buying
    finally:
        for task in (buying, striking):
            task.cancel()
        await asyncio.wait([buying, striking])
    report.faults = injector.struck
    await _calm(plan, shop)
    await _learn(shop, crowd)
    report.audit = audit(plan, crowd.purchases, await read_stores(plan, shop, crowd.purchases))
    report.violations += crowd.violations + report.audit.violations + await _reconcile(shop)
    if report.violations:
        report.violations += ["faults: " + "; ".join(injector.log), shop.tell()]


def _waiting(purchases: Sequence[Purchase]) -> list[str]:
    return [
        f"buyer {purchase.plan.number} still waits: {purchase.doing}"
        for purchase in purchases
        if purchase.doing != "done"
    ]


async def _reconcile(shop: FaultyShop) -> list[str]:
    """What the shop's own command finds."""
    done = await asyncio.to_thread(shop.running.tigerfans, "reconcile", "--json")
    if done.returncode == 0:
        return []
    return [f"reconcile ended with {done.returncode}: {done.stdout or done.stderr}"]


async def _calm(plan: RunPlan, shop: FaultyShop) -> None:
    """Until MockPay's webhooks are delivered and short holds have expired."""
    database = await asyncpg.connect(shop.database_url)
    try:
        async with asyncio.timeout(CALM_SECONDS_MAX):
            # Its pauses have grown; here it need not wait.
            await database.execute("UPDATE mockpay_webhooks SET next_attempt_at = now()")
            await _until_zero(lambda: database.fetchval("SELECT count(*) FROM mockpay_webhooks"))
            if plan.hold_seconds <= HOLD_EXPIRES_SECONDS_MAX:
                await _until_zero(lambda: _holds(shop))
    except TimeoutError:
        raise StackError(f"Webhooks or holds are left.\n{shop.tell()}") from None
    finally:
        await database.close()


async def _learn(shop: FaultyShop, crowd: Crowd) -> None:
    """Until the shop has asked about every payment that nobody told."""
    never_told = [purchase for purchase in crowd.purchases if purchase.is_never_told]
    prefix = await _key_prefix(shop)
    redis = Redis.from_url(shop.redis_url, decode_responses=True)
    try:
        async with asyncio.timeout(CALM_SECONDS_MAX):
            for purchase in never_told:
                order_id = purchase.order_id or ""
                # It need not wait until its hold or its session is over.
                now_ms = time.time_ns() // 1_000_000
                for index in ("unpaid", "asked"):
                    await redis.zadd(f"{prefix}:{index}", {order_id: now_ms}, xx=True)
                is_known = await redis.exists(f"{prefix}:order:{order_id}")
                await crowd.hear_the_end(purchase, is_forgotten=not is_known)
    except TimeoutError:
        waiting = [purchase.order_id for purchase in never_told if not purchase.final_status]
        raise StackError(f"The shop has not asked about {waiting}.\n{shop.tell()}") from None
    finally:
        await redis.aclose()


async def _key_prefix(shop: FaultyShop) -> str:
    """What the shop's keys in Redis begin with."""
    database = await asyncpg.connect(shop.database_url)
    try:
        shop_id: UUID = await database.fetchval("SELECT id FROM shop")
    finally:
        await database.close()
    return ShopId(shop_id.bytes[::-1]).key_prefix


async def _until_zero(count: Callable[[], Awaitable[int]]) -> None:
    while await count():  # noqa: ASYNC110 - other processes set no event of ours
        await asyncio.sleep(POLL_SECONDS)


async def _holds(shop: FaultyShop) -> int:
    try:
        answer = await shop.get("/api/inventory")
    except NoAnswerError:
        return 1
    return sum(stock["active_holds"] for stock in answer.json().values())
