"""One seed, from the first process to the last: open, sell under faults, calm down, audit, stop."""

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from random import Random

from tests.faults.at_mockpay import MockPay
from tests.faults.at_stripe import Stripe
from tests.faults.audit import Audit, audit, read_stores
from tests.faults.buyers import Crowd
from tests.faults.calm import CALM_SECONDS_MAX, calm, learn, until_mailed, until_refunded, waiting
from tests.faults.exchange import exchange
from tests.faults.injector import Injector
from tests.faults.loads import under_way
from tests.faults.mailbox import Mailbox
from tests.faults.owner import Owner
from tests.faults.pace import Pace
from tests.faults.plan import SECRETS, FaultKind, RunPlan
from tests.faults.provider import Provider
from tests.faults.stack import FaultyShop, StackError

# By what a plan calls each.
PROVIDERS: Mapping[str, Callable[[RunPlan], AbstractAsyncContextManager[Provider]]] = {
    "mockpay": MockPay.open,
    "stripe": Stripe.open,
}


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
    async with PROVIDERS[plan.provider](plan) as provider, Mailbox.open() as mailbox:
        around = {**provider.settings, **mailbox.settings}
        shop = FaultyShop(
            plan.settings | environment | around, plan.disk_bytes, plan.tickets_per_order
        )
        provider.begin(partial(exchange, shop.port), lambda *words: shop.running.tigerfans(*words))
        if shop.no_disk:
            plan = report.plan = plan.without_disk()
            print(
                f"full-disk strikes no more than the embedded ledger: {shop.no_disk}",
                file=sys.stderr,
            )
        try:
            await shop.start()
            await _sell(plan, shop, provider, mailbox, report)
            report.violations += await _stop(plan, shop, provider)
        except* StackError as group:
            report.violations += map(str, group.exceptions)
        finally:
            await asyncio.to_thread(shop.close)
    report.seconds = time.monotonic() - began
    return report


async def _stop(plan: RunPlan, shop: FaultyShop, provider: Provider) -> list[str]:
    """Ends the shop while requests are under way; what is wrong with that."""
    wrong = []
    statuses = await under_way(shop, lambda: os.kill(shop.running.pid, signal.SIGTERM))
    # Held, sold out, or too many before them in the line: each is a whole answer.
    if not statuses <= {200, 409} | ({503} if plan.ways.has_line else set()):
        wrong.append(f"requests under way were answered with {statuses} by a shop that stopped")
    if exit_code := await shop.stop():
        wrong.append(f"the shop stopped with exit code {exit_code}")
    if left := await shop.left_over():
        wrong.append(f"processes are left over: {left}")
    wrong += [
        f"{log.name} holds the value of {name}"
        for log in shop.logs()
        for name, secret in (*SECRETS.items(), *provider.secrets.items())
        if secret in log.read_text(errors="replace")
    ]
    return wrong


async def _sell(
    plan: RunPlan, shop: FaultyShop, provider: Provider, mailbox: Mailbox, report: Report
) -> None:
    pace = Pace(plan.orders, plan.fault_count)
    crowd = Crowd(plan, partial(exchange, shop.port), shop.prices, provider, pace)
    owner = Owner(partial(exchange, shop.port), crowd.purchases, Random(f"{plan.seed} owner"))
    injector = Injector(plan, shop, provider, mailbox, owner, pace)
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
            report.violations += waiting(crowd.purchases)
        else:
            await buying
    finally:
        for task in (buying, striking):
            task.cancel()
        await asyncio.wait([buying, striking])
    report.faults = injector.struck
    await calm(plan, shop, provider)
    await learn(shop, crowd)
    await owner.give_back_what_is_due()
    await until_refunded(shop)
    await until_mailed(shop)
    stores = await read_stores(plan, shop, crowd.purchases)
    stores = stores._replace(
        mails=mailbox.mails,
        tickets_added=owner.tickets_added,
        closings=owner.closings,
        books=await provider.books(),
    )
    report.audit = audit(plan, crowd.purchases, stores)
    report.audit.mailed_again = mailbox.came_again
    report.violations += crowd.violations + report.audit.violations
    report.violations += await _reconcile(shop)
    if stores.books is not None:
        report.violations += await _reconcile(shop, "--provider")
    report.violations += [*mailbox.violations, *owner.violations]
    if report.violations:
        report.violations += ["faults: " + "; ".join(injector.log), shop.tell()]


async def _reconcile(shop: FaultyShop, *how: str) -> list[str]:
    """What the shop's own command finds."""
    done = await asyncio.to_thread(shop.running.tigerfans, "reconcile", *how, "--json")
    if done.returncode == 0:
        return []
    return [f"reconcile {' '.join(how)} ended with {done.returncode}: {done.stdout or done.stderr}"]
