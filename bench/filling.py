"""Sells many orders to a shop by a shorter way than HTTP, for what is measured on a large shop.

What a sale leaves behind is there afterwards, in the same random order: a hold and a sale on the
ledger, as the shop packs them, under ids that derive from an Idempotency-Key, by way of the
sequencer's socket; the order and its mail in PostgreSQL, by the shop's own statement, and the mail
sent. Redis has none of it, as after a day. What is left out is HTTP, and that buyers come one by
one.
"""

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Final

from rich.console import Console
from rich.progress import Progress, TaskID

from bench.errors import BenchError
from bench.purchase import KEY_BYTES
from bench.stack import OFFER_FILE, Stack
from tigerfans.assembly import open_shop
from tigerfans.booking.ids import OrderId
from tigerfans.booking.moments import moment_at
from tigerfans.booking.outcomes import (
    SaleOutcome,
    are_goodies_gone,
    decode_sale,
    decode_sale_alone,
)
from tigerfans.booking.tickets import ticket_codes
from tigerfans.booking.transfers import fingerprint
from tigerfans.ledger.wire import Operation
from tigerfans.offer.file import read_offer
from tigerfans.settings.folder import DataFolder
from tigerfans.settings.located import located
from tigerfans.settings.settings import Settings
from tigerfans.shop.gone import Gone
from tigerfans.shop.shop import Shop
from tigerfans.stores.orders import Order, OrderStatus

# Held and sold in one breath, so that no hold expires meanwhile.
PAGE_MAX: Final = 1_000
# While one page is on the ledger, the other is on its way into PostgreSQL.
PAGES_AT_ONCE: Final = 2
MAIL_SECONDS_MAX: Final = 60.0

_MAILS_SENT: Final = """
    UPDATE mails SET sent_at = now(), sent_to = 'a buyer', attempts = attempts + 1
    WHERE sent_at IS NULL AND order_id = ANY($1::uuid[])
"""


def fill(stack: Stack, orders: int, first: int = 0) -> None:
    """Sells so many orders of one ticket, half of them in each class; raises `BenchError`.

    The first buyer has the number `first`.
    """
    asyncio.run(_fill(stack, range(first, first + orders)))


async def _fill(stack: Stack, numbers: range) -> None:
    settings = located(Settings(offer=read_offer(OFFER_FILE)), DataFolder(stack.data))
    async with AsyncExitStack() as exits:
        shop = (await open_shop(exits, settings, "filling")).shop
        # Meanwhile no goodie comes back: time stands still.
        shop.gone = Gone(lambda: 0.0)
        page = min(PAGE_MAX, shop.ledger.records_max // 3)
        pages = (numbers[start : start + page] for start in range(0, len(numbers), page))
        with Progress(console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task("filling", total=len(numbers))
            sellers = (_sell_pages(shop, pages, progress, bar) for _ in range(PAGES_AT_ONCE))
            await asyncio.gather(*sellers)


async def _sell_pages(shop: Shop, pages: Iterator[range], progress: Progress, bar: TaskID) -> None:
    for page in pages:
        await sell(shop, page)
        progress.advance(bar, len(page))


async def sell(shop: Shop, numbers: Sequence[int]) -> None:
    """One order for each of the buyers' numbers."""
    ids = [shop.ids.of_key(secrets.token_hex(KEY_BYTES), 0) for _ in numbers]
    classes = [shop.catalog.classes[number % 2] for number in numbers]
    emails = [f"buyer-{number}@example.org" for number in numbers]
    # As the shop itself does once it was refused one.
    goodies_are_gone = shop.gone.refuses(goodies := shop.catalog.goodies.ledger, 1)
    holds = [
        shop.booking.hold(order_id, c.code, fingerprint(c.code, email))
        for order_id, c, email in zip(ids, classes, emails, strict=True)
    ]
    await shop.ledger.submit(Operation.CREATE_TRANSFERS, b"".join(holds))
    pack = shop.booking.sale_alone if goodies_are_gone else shop.booking.sale
    sales = [pack(order_id, c.code) for order_id, c in zip(ids, classes, strict=True)]
    results = await shop.ledger.submit(Operation.CREATE_TRANSFERS, b"".join(sales))
    decode = decode_sale_alone if goodies_are_gone else decode_sale
    size = len(results) // len(ids)
    each_result = [results[start : start + size] for start in range(0, len(results), size)]
    if not goodies_are_gone and are_goodies_gone(each_result[-1]):
        shop.gone.remember(goodies, 1, shop.gone.clock())
    currency = shop.catalog.currency
    orders = []
    for order_id, c, email, result in zip(ids, classes, emails, each_result, strict=True):
        outcome, sold_ns = decode(result)
        if outcome not in (SaleOutcome.SOLD, SaleOutcome.SOLD_WITH_GOODIE):
            raise BenchError(f"An order was not sold: {outcome.value}.")
        paid_at = moment_at(sold_ns // 1_000)
        order = Order(
            id=order_id,
            status=OrderStatus.PAID,
            cls=c.code,
            amount_cents=c.price_cents,
            email=email,
            created_at=paid_at,
            paid_at=paid_at,
            ticket_code=ticket_codes(order_id, shop.secret, 1)[0],
            got_goodie=outcome is SaleOutcome.SOLD_WITH_GOODIE,
            currency=currency,
        )
        orders.append(order)
    await asyncio.gather(*map(shop.orders.record, orders))
    await mark_mails_sent(shop, ids)


async def mark_mails_sent(shop: Shop, order_ids: Sequence[OrderId]) -> None:
    hex_digits = [order_id.hex_digits for order_id in order_ids]
    async with shop.orders.database.connection(MAIL_SECONDS_MAX, writes=True) as connection:
        await connection.execute(_MAILS_SENT, hex_digits)
