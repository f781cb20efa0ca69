"""`tigerfans reconcile`: opens a shop to look, and shows what `reconcile` finds, or what
`provider_reconcile` does with `--provider`.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Column, Table

from tigerfans.assembly import look_at_shop
from tigerfans.errors import ProviderError, ShopError
from tigerfans.ledger.base import LEDGER_AWAY
from tigerfans.offer.money import money
from tigerfans.office.provider_reconcile import (
    DAYS,
    DAYS_MAX,
    ProviderReconciler,
    ProviderReport,
)
from tigerfans.office.reconcile import Reconciler, Report
from tigerfans.process.runtime import give_way
from tigerfans.settings.folder import DataFolder
from tigerfans.settings.located import located
from tigerfans.settings.settings import Settings, SettingsError
from tigerfans.shop.shop import Shop

EXIT_CLEAN: Final = 0
EXIT_DIFFERENCES: Final = 1

Found = TypeVar("Found", Report, ProviderReport)


def run(settings: Settings, *, as_json: bool, repair: bool) -> int:
    """Prints the report; 0 where both sides say the same and no payment waits, 1 where not.

    Raises `SettingsError` where the shop's stores cannot be reached.
    """
    # The shop sells meanwhile.
    give_way()
    report = _run(_reconcile(_located(settings), repair=repair))
    return _tell(report, partial(show, report), as_json=as_json)


def run_provider(settings: Settings, *, as_json: bool, repair: bool, days: int | None) -> int:
    """As `run`, for all that the provider has charged within so many `days`.

    Raises `SettingsError` also where the provider keeps no books, or does not answer.
    """
    days = DAYS if days is None else days
    if not 1 <= days <= DAYS_MAX:
        raise SettingsError(f"--days must be a number from 1 to {DAYS_MAX}.")
    give_way()
    report = _run(_reconcile_provider(_located(settings), days, repair=repair))
    return _tell(report, partial(show_provider, report), as_json=as_json)


def _located(settings: Settings) -> Settings:
    """With the stores of the shop that runs here, where the settings name none."""
    if settings.stores.database_url is None or settings.stores.redis_url is None:
        return located(settings, DataFolder(settings.data))
    return settings


def _run(reconciling: Coroutine[Any, Any, Found]) -> Found:
    try:
        return asyncio.run(reconciling)
    except ProviderError as error:
        raise SettingsError(
            "The payment provider does not say what it has charged. Please try again later."
        ) from error
    except (ShopError, *LEDGER_AWAY, OSError) as error:
        raise SettingsError(f"The shop cannot be looked at, is it running? {error}") from error


def _tell(report: Report | ProviderReport, show: Callable[[], None], *, as_json: bool) -> int:
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(report.as_dict(), option=orjson.OPT_INDENT_2) + b"\n")
    else:
        show()
    return EXIT_CLEAN if report.is_clean else EXIT_DIFFERENCES


async def _reconcile(settings: Settings, *, repair: bool) -> Report:
    async with AsyncExitStack() as stack:
        shop = (await look_at_shop(stack, settings, "reconcile")).shop
        progress = stack.enter_context(_progress())
        while True:
            task = progress.add_task("comparing", total=await _records_about(shop))
            report = await Reconciler(
                shop, repair=repair, progress=partial(progress.advance, task)
            ).run()
            if not report.has_more_to_repair:
                return report
            # A restored backup may lack more orders than one round looks at.
            progress.console.print(f"{report.repaired:,} orders were repaired; looking again.")


async def _reconcile_provider(settings: Settings, days: int, *, repair: bool) -> ProviderReport:
    async with AsyncExitStack() as stack:
        shop = (await look_at_shop(stack, settings, "reconcile")).shop
        books = shop.provider.books
        if books is None:
            raise SettingsError(
                f"{shop.provider.name} moves no money and keeps no books: there is nothing to"
                " compare with the orders."
            )
        progress = stack.enter_context(_progress())
        while True:
            # Each order is read from both sides.
            since = datetime.now(UTC) - timedelta(days=days)
            total = 2 * await shop.orders.charged_since(since)
            task = progress.add_task(f"comparing with {shop.provider.name}", total=total)
            report = await ProviderReconciler(
                shop, books, days=days, repair=repair, progress=partial(progress.advance, task)
            ).run()
            if not report.has_more_to_repair:
                return report
            progress.console.print(f"{report.repaired:,} payments were settled; looking again.")


async def _records_about(shop: Shop) -> int:
    """How much there is to read, roughly: a hold and a sale for each ticket, its order, goodies."""
    stock = await shop.inventory()
    tickets = sum(3 * inventory.sold + inventory.held for inventory in stock.values())
    return tickets + (await shop.goodies()).sold


def _progress() -> Progress:
    return Progress(
        "[progress.description]{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def show(report: Report) -> None:
    """Prints the report for a person."""
    table = Table("", "capacity", "available", "held", "sold", "kept back")
    for row in report.stock:
        counts = (row.capacity, row.available, row.held, row.sold, row.parked)
        table.add_row(row.name, *(f"{count:,}" for count in counts))
    console = Console()
    console.print(table)
    console.print(f"{report.sales:,} sales on the ledger, {report.orders:,} paid orders.")
    if report.refunds:
        were = "was" if report.refunds == 1 else "were"
        console.print(f"{report.refunds:,} of the tickets {were} refunded.")
    if report.inside:
        console.print(f"{report.inside:,} of the tickets are inside.")
    _show_differences(console, report)
    if report.unmatched:
        console.print(
            f"Unmatched payments: {report.unmatched:,}. Give them back or dismiss them in the box"
            " office.",
            soft_wrap=True,
        )
    if report.says_the_same:
        console.print("Both sides say the same.")
    else:
        console.print("They do not say the same.")


def show_provider(report: ProviderReport) -> None:
    """Prints the report of what the provider has charged for a person."""
    console = Console()
    table = Table("", *(Column(name, justify="right") for name in ("payments", "amount")))
    for currency, totals in report.currencies.items():
        rows = [(f"charged by {report.provider}", totals.charged), *totals.states.items()]
        for name, row in rows:
            table.add_row(name, f"{row.payments:,}", money(row.amount, currency))
        table.add_row("difference", "", money(totals.difference, currency), end_section=True)
    if report.currencies:
        console.print(table)
    console.print(
        f"Payments that were begun from {report.since:%Y-%m-%d %H:%M} to"
        f" {report.until:%Y-%m-%d %H:%M} UTC.",
        soft_wrap=True,
    )
    for currency, totals in report.currencies.items():
        if back := totals.given_back.amount:
            console.print(f"{report.provider} has given {money(back, currency)} of it back.")
    _show_differences(console, report)
    for dispute in report.disputed:
        console.print(f"disputed: {dispute.what} {dispute.order_id}", soft_wrap=True)
    if report.disputed_not_named:
        console.print(f"… and {report.disputed_not_named:,} more.")
    if report.is_clean:
        console.print("All that was charged is in the orders.")
    else:
        console.print(f"The orders and {report.provider} do not say the same.")


def _show_differences(console: Console, report: Report | ProviderReport) -> None:
    for difference in report.differences:
        mark = "repaired" if difference.repaired else "differs"
        console.print(f"{mark}: {difference.what} {difference.order_id}", soft_wrap=True)
    if report.differences_not_named:
        console.print(f"… and {report.differences_not_named:,} more.")
