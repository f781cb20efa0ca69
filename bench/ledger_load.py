"""How many transfers a ledger takes in a second, in batches of about 1,000.

    python -m bench.ledger_load embedded:/tmp/ledger
    python -m bench.ledger_load tigerbeetle://127.0.0.1:3000/0 --orders 200000

Places holds, then pays for them: one half of the orders while there are goodies, so that each
chain of three sells, the other half after they are gone, so that each chain fails and the sale
behind it sells. Every run uses accounts of its own, so a ledger can be measured again and again.
Packing the records is not measured, submitting them is.
"""

import argparse
import asyncio
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from bench.stack import OFFER_FILE
from tigerfans.booking.ids import OrderId
from tigerfans.booking.outcomes import check_accounts, check_funding
from tigerfans.booking.transfers import Booking
from tigerfans.ledger import open_ledger
from tigerfans.ledger.base import Ledger, LedgerError
from tigerfans.ledger.wire import (
    TRANSFER_SIZE,
    Operation,
    Result,
    TransferStatus,
)
from tigerfans.offer.catalog import Catalog, Resource
from tigerfans.offer.file import read_offer

BATCH_TRANSFERS: Final = 1000
ORDERS_DEFAULT: Final = 100_000
ORDERS_MAX: Final = 100_000_000
HOLD_SECONDS: Final = 300
FINGERPRINT: Final = bytes(range(16))


class Phase:
    """Submits batches one at a time and counts what they took and what they were answered."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.transfers = 0
        self.seconds: list[float] = []
        self.statuses: Counter[int] = Counter()

    async def run(self, batches: Iterable[bytes]) -> "Phase":
        for batch in batches:
            start = time.perf_counter()
            results = await self._ledger.submit(Operation.CREATE_TRANSFERS, batch)
            self.seconds.append(time.perf_counter() - start)
            self.transfers += len(batch) // TRANSFER_SIZE
            self.statuses.update(result.status for result in Result.unpack_all(results))
        return self

    def describe(self, name: str) -> str:
        batches = sorted(self.seconds)
        statuses = ", ".join(
            f"{TransferStatus(status).name.lower()} {count}"
            for status, count in sorted(self.statuses.items(), reverse=True)
        )
        return (
            f"{name:28} {self.transfers / sum(batches):9,.0f} transfers/s"
            f"   batch p50 {batches[len(batches) // 2] * 1e3:.1f} ms,"
            f" max {batches[-1] * 1e3:.1f} ms   {statuses}"
        )


def build_catalog(orders: int) -> Catalog:
    """A catalog on ledger numbers that no earlier run has used, goodies for half the orders."""
    catalog = Catalog.build(read_offer(OFFER_FILE), {"A": orders}, goodies=orders // 2)
    first = secrets.randbits(30)

    def moved(resource: Resource) -> Resource:
        return replace(resource, ledger=first + resource.ledger)

    return replace(
        catalog,
        classes=tuple(replace(c, tickets=moved(c.tickets)) for c in catalog.classes),
        goodies=moved(catalog.goodies),
    )


def holds(booking: Booking, orders: int, placed: list[OrderId]) -> Iterator[bytes]:
    """Batches of holds; the orders are new when their batch leaves, and are noted in `placed`."""
    while len(placed) < orders:
        batch = [OrderId.new() for _ in range(min(BATCH_TRANSFERS, orders - len(placed)))]
        placed += batch
        yield b"".join(booking.hold(order_id, "A", FINGERPRINT) for order_id in batch)


def sales(booking: Booking, orders: list[OrderId]) -> Iterator[bytes]:
    """Batches of paid orders, three transfers each."""
    size = BATCH_TRANSFERS // 3
    for start in range(0, len(orders), size):
        yield b"".join(booking.sale(order_id, "A") for order_id in orders[start : start + size])


async def measure(address: str, orders: int) -> None:
    ledger = await open_ledger(address)
    try:
        booking = Booking(build_catalog(orders), HOLD_SECONDS)
        accounts = booking.accounts()
        check_accounts(accounts, await ledger.submit(Operation.CREATE_ACCOUNTS, accounts))
        check_funding(await ledger.submit(Operation.CREATE_TRANSFERS, booking.funding()))

        placed: list[OrderId] = []
        half = orders // 2
        held = await Phase(ledger).run(holds(booking, orders, placed))
        print(held.describe("holds"), flush=True)
        sold = await Phase(ledger).run(sales(booking, placed[:half]))
        print(sold.describe("sales with goodies"), flush=True)
        sold = await Phase(ledger).run(sales(booking, placed[half:]))
        print(sold.describe("sales after the goodies"), flush=True)
    finally:
        await ledger.close()


def main() -> int:
    parser = argparse.ArgumentParser(description="How fast is a ledger?")
    parser.add_argument("ledger", help="embedded:DIR or tigerbeetle://ADDR[,ADDR…]/CLUSTER")
    parser.add_argument(
        "--orders", type=int, default=ORDERS_DEFAULT, help=f"default {ORDERS_DEFAULT:,}"
    )
    arguments = parser.parse_args()
    if not 2 <= arguments.orders <= ORDERS_MAX:
        print(f"--orders is from 2 to {ORDERS_MAX}, not {arguments.orders}.", file=sys.stderr)
        return 2
    try:
        asyncio.run(measure(arguments.ledger, arguments.orders))
    except LedgerError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
