"""One run: a site opens, sells under faults, calms down, is audited, and stops."""

import asyncio
import io
import json
import subprocess
import tarfile
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.faults.at_mockpay import MockPay
from tests.faults.audit import Audit, audit, read_stores
from tests.faults.buyers import Crowd
from tests.faults.calm import CALM_SECONDS_MAX, calm, learn, waiting
from tests.faults.pace import Pace
from tests.faults.plan import SECRETS, RunPlan
from tests.faults.relay import Relay
from tests.faults.stack import StackError
from tests.harness.needs import ROOT
from tests.hosts.faults import LAST_RELEASE, Fault
from tests.hosts.namespaces import STREET_ADDRESS, Street
from tests.hosts.refusals import REFUSALS
from tests.hosts.site import Layout, Site
from tests.servers import PASSWORD, PASSWORD_IN_URL


@dataclass(frozen=True, slots=True)
class Struck:
    """One fault: how long checkouts and payments paused, and how many answers were a 503."""

    fault: Fault
    seconds: float
    checkouts_paused: float
    payments_paused: float
    refused: int


@dataclass
class Report:
    """One run: what struck, what was sold, what is wrong."""

    plan: RunPlan
    struck: list[Struck] = field(default_factory=list)
    audit: Audit = field(default_factory=Audit)
    # Hosts that do not belong, by their names in the table of refusals, which were tried.
    refused: list[str] = field(default_factory=list)
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not self.violations

    def __str__(self) -> str:
        return "\n".join(f"  {sentence}" for sentence in self.violations) or "  clean"


async def run(
    plan: RunPlan,
    faults: Sequence[Fault],
    street: Street,
    binary: Path,
    shop_hosts: int,
    refusals: Iterable[str] = (),
) -> Report:
    """Runs a site under `faults`, one after the other, and tries `refusals` in the end.

    Leaves no process and no file behind.
    """
    began = time.monotonic()
    if any(fault.is_upgrade for fault in faults):
        # The last release sells no more at once.
        plan = replace(plan, tickets_per_order=1)
    report = Report(plan)
    async with Relay.open(STREET_ADDRESS) as relay, _release(faults) as release:
        settings = plan.settings | {"MOCK_WEBHOOK_URL": relay.url}
        layout = Layout(binary, shop_hosts, plan.tickets_per_order, release, settings)
        try:
            async with Site.opened(street, layout) as site:
                relay.exchange = site.proxy.exchange
                await _sell(plan, faults, site, relay, report)
                for name in refusals:
                    report.violations += await REFUSALS[name](site)
                    report.refused.append(name)
                report.violations += await _stop(site)
        except* StackError as group:
            report.violations += map(str, group.exceptions)
    report.seconds = time.monotonic() - began
    return report


async def _sell(
    plan: RunPlan, faults: Sequence[Fault], site: Site, relay: Relay, report: Report
) -> None:
    # The first share of the buyers comes undisturbed.
    pace = Pace(plan.orders, len(faults) + 1)
    provider = MockPay(plan, relay)
    crowd = Crowd(plan, site.proxy.exchange, site.prices, provider, pace)
    buying = asyncio.create_task(crowd.run(), name="buyers")
    striking = asyncio.create_task(_strike(faults, site, pace, report), name="faults")
    try:
        await asyncio.wait([buying, striking], return_when=asyncio.FIRST_COMPLETED)
        if buying.done():
            await buying
        await striking
        await asyncio.wait([buying], timeout=_buying_seconds_max(plan))
        if not buying.done():
            report.violations += waiting(crowd.purchases)
        else:
            await buying
    finally:
        for task in (buying, striking):
            task.cancel()
        await asyncio.wait([buying, striking])
    await calm(plan, site, provider)
    await learn(site, crowd)
    report.audit = audit(plan, crowd.purchases, await read_stores(plan, site, crowd.purchases))
    report.violations += crowd.violations + report.audit.violations + await _reconcile(site)
    report.violations += [sentence for shop in site.shops for sentence in shop.failed]
    if report.violations:
        report.violations.append(site.tell())


def _buying_seconds_max(plan: RunPlan) -> float:
    """The last share of the buyers comes after the last fault, as slowly as a busy machine lets."""
    return CALM_SECONDS_MAX + 2 * plan.orders / plan.rate


async def _strike(faults: Sequence[Fault], site: Site, pace: Pace, report: Report) -> None:
    await pace.struck()
    proxy = site.proxy
    for fault in faults:
        await pace.fault()
        # Buyers go on coming while it lasts.
        await pace.struck()
        proxy.checkouts.take()
        proxy.payments.take()
        refused = proxy.statuses.get(503, 0)
        began = time.monotonic()
        await fault.strike(site)
        await site.until_ready()
        report.struck.append(
            Struck(
                fault,
                time.monotonic() - began,
                proxy.checkouts.take(),
                proxy.payments.take(),
                proxy.statuses.get(503, 0) - refused,
            )
        )


async def _reconcile(site: Site) -> list[str]:
    """What the shop's own command finds, on each host."""
    wrong = []
    for shop in site.shops:
        done = await shop.tigerfans("reconcile", "--json")
        if done.returncode != 0 or not json.loads(done.stdout):
            said = done.stdout or done.stderr
            wrong.append(f"reconcile on {shop.host.name} ended with {done.returncode}: {said}")
    return wrong


async def _stop(site: Site) -> list[str]:
    wrong = await site.stop_shops()
    secrets = {**SECRETS, "the stores' password": PASSWORD, "the password in URLs": PASSWORD_IN_URL}
    return wrong + [
        f"{log} holds {name}"
        for shop in site.shops
        for log in shop.logs()
        for name, secret in secrets.items()
        if secret in log.read_text(errors="replace")
    ]


@asynccontextmanager
async def _release(faults: Sequence[Fault]) -> AsyncIterator[Path | None]:
    """The source of the last release, where a fault upgrades from it."""
    if not any(fault.is_upgrade for fault in faults):
        yield None
        return
    command = ["git", "-C", str(ROOT), "archive", LAST_RELEASE]
    packed = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True)
    with tempfile.TemporaryDirectory(prefix="tigerfans-release-") as folder:
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder)
