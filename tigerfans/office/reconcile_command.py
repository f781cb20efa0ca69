"""`tigerfans reconcile`: opens a shop to look, and shows what `reconcile` finds."""

import asyncio
import sys
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table

from tigerfans.assembly import look_at_shop
from tigerfans.errors import ShopError
from tigerfans.ledger.base import LEDGER_AWAY
from tigerfans.office.reconcile import Reconciler, Report
from tigerfans.settings.folder import DataFolder
from tigerfans.settings.located import located
from tigerfans.settings.settings import Settings, SettingsError
from tigerfans.shop.shop import Shop

EXIT_CLEAN: Final = 0
EXIT_DIFFERENCES: Final = 1


def run(settings: Settings, *, as_json: bool, repair: bool) -> int:
    """Prints the report; 0 where both sides say the same and no payment waits, 1 where not.

    Raises `SettingsError` where the shop's stores cannot be reached.
    """
    if settings.stores.database_url is None or settings.stores.redis_url is None:
        settings = located(settings, DataFolder(settings.data))
    try:
        report = asyncio.run(_reconcile(settings, repair=repair))
    except (ShopError, *LEDGER_AWAY, OSError) as error:
        raise SettingsError(f"The shop cannot be looked at, is it running? {error}") from error
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(report.as_dict(), option=orjson.OPT_INDENT_2) + b"\n")
    else:
        show(report)
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
    for difference in report.differences:
        mark = "repaired" if difference.repaired else "differs"
        console.print(f"{mark}: {difference.what} {difference.order_id}", soft_wrap=True)
    if report.differences_not_named:
        console.print(f"… and {report.differences_not_named:,} more.")
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
