"""`tigerfans stock`: shows what there is of each class, and changes it."""

import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

import orjson
from rich.console import Console
from rich.table import Column, Table

from tigerfans.assembly import look_at_shop
from tigerfans.booking.stock_changes import Move
from tigerfans.office import at_shop
from tigerfans.settings.settings import Settings
from tigerfans.shop.shop import Shop
from tigerfans.shop.stock_changes import ClassStock, wanted_of
from tigerfans.stores.audit import system_user

NAME: Final = "stock"
COLUMNS: Final = ("", "funded", "withdrawn", "held", "sold", "kept", "available", "number")


def run(
    settings: Settings,
    cls: str | None = None,
    change: str | None = None,
    *,
    number: int | None = None,
    as_json: bool = False,
) -> int:
    """Prints the stock, after the change where there is one; 0.

    Raises `SettingsError` where the shop cannot be reached, or the change is refused.
    """
    classes = at_shop.take(settings, partial(_stock, cls=cls, change=change, number=number))
    if as_json:
        sys.stdout.buffer.write(orjson.dumps([_row(each) for each in classes]) + b"\n")
    else:
        show(classes)
    return 0


async def _stock(
    settings: Settings, cls: str | None, change: str | None, number: int | None
) -> list[ClassStock]:
    wanted = None if change is None else wanted_of(change)
    async with AsyncExitStack() as stack:
        shop: Shop = (await look_at_shop(stack, settings, NAME)).shop
        if cls is not None and wanted is not None:
            return [await shop.change_stock(cls, wanted, system_user(), number)]
        return [await shop.class_stock(code) for code in ([cls] if cls else shop.classes)]


def _row(seen: ClassStock) -> dict[str, int | str]:
    stock = seen.stock
    return {
        "class": seen.ticket_class.code,
        "state": stock.state,
        "funded": stock.funded,
        "withdrawn": stock.withdrawn,
        "parked": stock.parked,
        "held": stock.held,
        "sold": stock.sold,
        "available": stock.available,
        "number": seen.number,
    }


def show(classes: Sequence[ClassStock]) -> None:
    """Prints the stock for a person; the number is what `--number` takes for the next change."""
    table = Table(*(Column(words, no_wrap=True) for words in COLUMNS))
    for seen in classes:
        stock = seen.stock
        counts = (
            stock.funded,
            stock.withdrawn,
            stock.held,
            stock.sold,
            stock.parked,
            stock.available,
        )
        numbers = (*(f"{count:,}" for count in counts), str(seen.number))
        table.add_row(seen.ticket_class.code, *numbers)
    console = Console(markup=False, emoji=False, highlight=False)
    console.print(table)
    for seen in classes:
        if seen.stock.is_closed:
            closed_at = [c.at for c in seen.changes if c.wanted.move is Move.CLOSE][-1]
            console.print(
                f"The sale of {seen.ticket_class.name} is closed since {closed_at:%Y-%m-%d %H:%M}"
                " UTC."
            )
