"""Reconciliation with the payment provider: is all that it has charged in the orders, to the cent?

    charged at the provider = sold + refund due + refunded + unmatched

Every payment that was begun within some days is read from the provider's books, and every order
that was recorded as paid within them from PostgreSQL, in pages: a million of them fit into bounded
memory, for which of the orders were met is noted in a file. The shop goes on selling, so whatever
looks wrong is looked at once more when a webhook has had time to come: first at the orders, and
where those are no help at that payment alone, between two looks at its order. What has its payment
further back than the days go is asked for by itself.

With `repair` a payment that the shop does not know of is settled, as if the provider had told it.
"""

import asyncio
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tigerfans.booking.ids import OrderId
from tigerfans.office.provider_sums import (
    Standing,
    Totals,
    problem_of,
    standing_of,
    standing_of_order,
)
from tigerfans.office.reconcile import (
    DIFFERENCES_MAX,
    PAGE_MAX,
    SUSPECTS_MAX,
    Difference,
    Progress,
)
from tigerfans.payments.base import Books, ProviderPayment
from tigerfans.shop.shop import Shop
from tigerfans.stores.orders import ChargedPlace, Order

# What is compared where nobody says otherwise: longer than a debit takes to be decided.
DAYS: Final = 14
DAYS_MAX: Final = 3650
# How long a webhook may be on its way, and a refund from the provider to the shop.
GRACE_SECONDS: Final = 30.0
# Asked about at the same time; the provider's rate is kept to besides.
LOOKS_AT_ONCE_MAX: Final = 20


@dataclass(slots=True)
class ProviderReport:
    """What was compared, by currency, and what does not add up."""

    provider: str
    since: datetime
    until: datetime
    currencies: dict[str, Totals] = field(default_factory=lambda: defaultdict(Totals))
    # Which the buyer's bank asks for: named, and no difference.
    disputed: list[Difference] = field(default_factory=list)
    disputed_not_named: int = 0
    differences: list[Difference] = field(default_factory=list)
    differences_not_named: int = 0
    repaired: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether all that was charged is in the shop, now that what could be repaired was."""
        return not self.differences_not_named and all(each.repaired for each in self.differences)

    @property
    def has_more_to_repair(self) -> bool:
        """Whether another round would repair some of what this one had no room for."""
        return bool(self.differences_not_named and self.repaired)

    def as_dict(self) -> dict[str, Any]:
        return {
            "provider": self.provider,
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "currencies": {name: totals.as_dict() for name, totals in self.currencies.items()},
            "disputed": self.disputed,
            "disputed_not_named": self.disputed_not_named,
            "differences": self.differences,
            "differences_not_named": self.differences_not_named,
            "repaired": self.repaired,
            "clean": self.is_clean,
        }


class Met:
    """The orders whose payment the provider has; in a file that goes with the process."""

    def __init__(self) -> None:
        # Without a name it is a temporary file, of which few pages are in memory.
        self._file = sqlite3.connect("")
        self._file.execute("CREATE TABLE met (id BLOB PRIMARY KEY) WITHOUT ROWID")

    def close(self) -> None:
        self._file.close()

    def add(self, order_ids: Iterable[OrderId]) -> None:
        rows = ((order_id.hex_digits,) for order_id in order_ids)
        self._file.executemany("INSERT OR IGNORE INTO met VALUES (?)", rows)

    def has(self, order_id: OrderId) -> bool:
        found = self._file.execute("SELECT 1 FROM met WHERE id = ?", (order_id.hex_digits,))
        return found.fetchone() is not None


class ProviderReconciler:
    """Compares what the provider has charged within some `days` with the orders of `shop`."""

    def __init__(
        self,
        shop: Shop,
        books: Books,
        *,
        days: int = DAYS,
        repair: bool = False,
        grace_seconds: float = GRACE_SECONDS,
        progress: Progress = lambda _: None,
    ) -> None:
        self._shop = shop
        self._books = books
        self._repair = repair
        self._grace_seconds = grace_seconds
        self._progress = progress
        until = datetime.now(UTC)
        self._report = ProviderReport(shop.provider.name, until - timedelta(days=days), until)
        self._suspects: list[ProviderPayment] = []
        self._missing: list[Order] = []
        self._suspected_at = time.monotonic()

    async def run(self) -> ProviderReport:
        """Raises `ProviderError` where the provider does not say, and what the shop's stores do."""
        report = self._report
        with closing(Met()) as met:
            async with aclosing(self._books.payments(report.since, report.until)) as pages:
                async for payments in pages:
                    await self._check_payments(payments, met)
                    self._progress(len(payments))
            await self._check_orders(met)
        if self._suspects or self._missing:
            waited_seconds = time.monotonic() - self._suspected_at
            await asyncio.sleep(max(0.0, self._grace_seconds - waited_seconds))
        await self._look_at_payments_again()
        for start in range(0, len(self._missing), LOOKS_AT_ONCE_MAX):
            some = self._missing[start : start + LOOKS_AT_ONCE_MAX]
            await asyncio.gather(*map(self._look_for_payment, some))
        return report

    # --- From the provider to the orders -------------------------------------------------------

    async def _check_payments(self, payments: Sequence[ProviderPayment], met: Met) -> None:
        standings = await self._standings(payments)
        met.add(each.order_id for each in standings if each is not None and each.order_id)
        for payment, standing in zip(payments, standings, strict=True):
            if not self._problem(payment, standing, standing):
                self._count(payment, standing)
            elif len(self._suspects) < SUSPECTS_MAX:
                self._suspects.append(payment)
                self._suspected_at = time.monotonic()
            else:
                self._count(payment, standing)
                self._report.differences_not_named += 1

    async def _standings(self, payments: Sequence[ProviderPayment]) -> list[Standing | None]:
        """What the shop has of each."""
        named = [payment.event.order_id for payment in payments]
        ids = {name: OrderId.parse(name) for name in named}
        known = [order_id for order_id in ids.values() if order_id is not None]
        orders = dict(zip(known, await self._shop.orders.find_many(known), strict=True))
        refunds = defaultdict(list)
        for refund in await self._shop.ticket_refunds.of_many(known):
            refunds[refund.order_id].append(refund)
        unmatched = defaultdict(list)
        for each in await self._shop.unmatched.of_many(named):
            unmatched[each.order_id].append(each)
        standings = []
        for payment, name in zip(payments, named, strict=True):
            order_id = ids[name]
            order = None if order_id is None else orders[order_id]
            of_order = [] if order is None else refunds[order.id]
            standings.append(standing_of(payment, order, of_order, unmatched[name]))
        return standings

    # --- From the orders to the provider -------------------------------------------------------

    async def _check_orders(self, met: Met) -> None:
        place, until = ChargedPlace(self._report.since), self._report.until
        # Some of them are paid by now.
        suspected = {(each.event.order_id, each.event.reference) for each in self._suspects}
        while True:
            orders, place = await self._shop.orders.charged_page(place, until, PAGE_MAX)
            if not orders:
                return
            for order in orders:
                called = (order.id.hex_digits, order.payment_reference)
                if met.has(order.id) or called in suspected:
                    continue
                if len(self._missing) < SUSPECTS_MAX:
                    self._missing.append(order)
                    self._suspected_at = time.monotonic()
                else:
                    self._totals(order.currency).add(None, await self._standing(order))
                    self._report.differences_not_named += 1
            self._progress(len(orders))

    async def _standing(self, order: Order) -> Standing:
        return standing_of_order(order, await self._shop.ticket_refunds.of(order.id))

    # --- Once more -----------------------------------------------------------------------------

    async def _look_at_payments_again(self) -> None:
        for start in range(0, len(self._suspects), LOOKS_AT_ONCE_MAX):
            payments = self._suspects[start : start + LOOKS_AT_ONCE_MAX]
            standings = await self._standings(payments)
            looks = []
            for payment, standing in zip(payments, standings, strict=True):
                if self._problem(payment, standing, standing):
                    looks.append(self._look_at(payment, standing))
                else:
                    self._count(payment, standing)
            await asyncio.gather(*looks)

    async def _look_at(self, payment: ProviderPayment, before: Standing | None) -> None:
        """A payment that looks wrong, as it is now."""
        event = payment.event
        payment = await self._books.find(event.order_id, event.reference) or payment
        [standing] = await self._standings([payment])
        problem = self._problem(payment, before, standing)
        if problem:
            repaired = False
            if self._repair and standing is None:
                await self._shop.learn_of(payment.event)
                [standing] = await self._standings([payment])
                repaired = not self._problem(payment, standing, standing)
            self._differ(problem, event.order_id, repaired=repaired)
        self._count(payment, standing)

    async def _look_for_payment(self, order: Order) -> None:
        """An order whose payment was not in the list."""
        before = await self._standing(order)
        payment = await self._books.find(order.id.hex_digits, order.payment_reference)
        if payment is None:
            provider = self._report.provider
            what = f"the order is {order.status}, and {provider} has charged nothing for it"
            self._differ(what, order.id.hex_digits)
            self._totals(order.currency).add(None, before)
            return
        [standing] = await self._standings([payment])
        if problem := self._problem(payment, before, standing):
            self._differ(problem, order.id.hex_digits)
        self._count(payment, standing)

    # --- What is said of it --------------------------------------------------------------------

    def _problem(
        self, payment: ProviderPayment, before: Standing | None, after: Standing | None
    ) -> str:
        return problem_of(self._report.provider, payment, before, after)

    def _totals(self, currency: str) -> Totals:
        return self._report.currencies[currency]

    def _count(self, payment: ProviderPayment, standing: Standing | None) -> None:
        self._totals(payment.event.currency).add(payment, standing)
        if not payment.is_disputed:
            return
        if len(self._report.disputed) < DIFFERENCES_MAX:
            what = f"the buyer's bank asks for payment {payment.event.reference} back"
            self._report.disputed.append(Difference(what, payment.event.order_id))
        else:
            self._report.disputed_not_named += 1

    def _differ(self, what: str, order_id: str, *, repaired: bool = False) -> None:
        self._report.repaired += repaired
        if len(self._report.differences) >= DIFFERENCES_MAX:
            self._report.differences_not_named += not repaired
            return
        self._report.differences.append(Difference(what, order_id, repaired))
