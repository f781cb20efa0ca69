"""How long `tigerfans reconcile` takes over many orders, and how much memory.

    python -m bench.reconcile_load                           a million orders, on TigerBeetle
    python -m bench.reconcile_load --orders 100000 --embedded

A shop of its own is filled first: every order is held and sold on the ledger, through the
sequencer, as the shop itself does it, and copied into PostgreSQL. What is measured is the
operator's command, a process of its own, from its start to its end.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import track

from bench.config import Config
from bench.errors import BenchError
from bench.stack import OFFER_FILE, Stack, clean_environment, running
from tigerfans.assembly import open_shop
from tigerfans.booking.ids import OrderId
from tigerfans.booking.outcomes import SaleOutcome, decode_sale
from tigerfans.booking.tickets import ticket_code
from tigerfans.booking.transfers import fingerprint
from tigerfans.ledger.wire import RESULT_SIZE, Operation
from tigerfans.offer.file import read_offer
from tigerfans.settings.folder import DataFolder
from tigerfans.settings.located import located
from tigerfans.settings.settings import Settings
from tigerfans.shop.shop import Shop

ORDERS_MAX: Final = 5_000_000
# Held and sold in one breath, so that no hold expires meanwhile; a sale is three transfers.
PAGE_MAX: Final = 2_000
SALE_BYTES: Final = 3 * RESULT_SIZE
EMAIL: Final = "fan@example.org"
MEMORY_POLL_SECONDS: Final = 0.05
COLUMNS: Final = (
    *("id", "status", "cls", "amount_cents", "currency", "email"),
    *("created_at", "paid_at", "ticket_code", "got_goodie"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measures `tigerfans reconcile`.")
    parser.add_argument("--orders", type=int, default=1_000_000, help="how many (%(default)s)")
    parser.add_argument("--embedded", action="store_true", help="even where there is TigerBeetle")
    options = parser.parse_args(arguments)
    if not 0 < options.orders <= ORDERS_MAX:
        parser.error(f"--orders takes 1 to {ORDERS_MAX:,}.")
    config = Config("reconcile", {"TIGERFANS_WORKERS": "1"}, workers=1)
    try:
        with running(config, embedded=options.embedded) as stack:
            ledger = stack.sequencer_status()["ledger"]["kind"]
            asyncio.run(_fill(stack, options.orders))
            return _measure(stack, ledger)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 2


async def _fill(stack: Stack, orders: int) -> None:
    settings = located(Settings(offer=read_offer(OFFER_FILE)), DataFolder(stack.data))
    async with AsyncExitStack() as exits:
        shop = (await open_shop(exits, settings, "filling")).shop
        page = min(PAGE_MAX, shop.ledger.records_max // 3)
        starts = range(0, orders, page)
        for start in track(starts, "filling", console=Console(stderr=True), transient=True):
            await _sell(shop, [OrderId.new() for _ in range(min(page, orders - start))])


async def _sell(shop: Shop, order_ids: list[OrderId]) -> None:
    """Half of them in each class."""
    classes = [shop.catalog.classes[number % 2] for number in range(len(order_ids))]
    wanted = list(zip(order_ids, classes, strict=True))
    holds = [shop.booking.hold(i, c.code, fingerprint(c.code, EMAIL)) for i, c in wanted]
    await shop.ledger.submit(Operation.CREATE_TRANSFERS, b"".join(holds))
    sales = [shop.booking.sale(i, c.code) for i, c in wanted]
    results = await shop.ledger.submit(Operation.CREATE_TRANSFERS, b"".join(sales))
    rows = []
    for number, (order_id, ticket_class) in enumerate(wanted):
        start = number * SALE_BYTES
        outcome, sold_ns = decode_sale(results[start : start + SALE_BYTES])
        if outcome not in (SaleOutcome.SOLD, SaleOutcome.SOLD_WITH_GOODIE):
            raise BenchError(f"An order was not sold: {outcome.value}.")
        seconds, microseconds = divmod(sold_ns // 1_000, 1_000_000)
        paid_at = datetime.fromtimestamp(seconds, UTC).replace(microsecond=microseconds)
        with_goodie = outcome is SaleOutcome.SOLD_WITH_GOODIE
        code = ticket_code(order_id, "secret")
        start_of_row = (order_id.hex_digits, "PAID", ticket_class.code, ticket_class.price_cents)
        rows.append((*start_of_row, "eur", EMAIL, paid_at, paid_at, code, with_goodie))
    async with shop.orders.database.connection(deadline_seconds=60) as connection:
        await connection.copy_records_to_table("orders", records=rows, columns=COLUMNS)


def _measure(stack: Stack, ledger: str) -> int:
    command = [sys.executable, "-P", "-m", "tigerfans", "reconcile", "--json"]
    environment = clean_environment() | {"TIGERFANS_DATA": str(stack.data)}
    began = time.monotonic()
    peak_kib = 0
    output = stack.data / "report.json"
    with (
        output.open("wb") as file,
        subprocess.Popen(command, env=environment, stdout=file) as process,
    ):
        # What the kernel noted as the most it ever had, for as long as the process is there.
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            peak_kib = max(peak_kib, _peak_kib(process.pid))
            time.sleep(MEMORY_POLL_SECONDS)
        seconds = time.monotonic() - began
    if process.returncode not in (0, 1):
        raise BenchError(f"The reconciliation ended with exit code {process.returncode}.")
    report: dict[str, Any] = json.loads(output.read_text())
    print(
        f"{ledger}: {report['sales']:,} sales and {report['orders']:,} orders,"
        f" {'clean' if report['clean'] else 'NOT clean'}, in {seconds:.0f} s"
        f" with at most {peak_kib / 1024:.0f} MiB."
    )
    return int(process.returncode)


def _peak_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    _, _, peak = status.partition("VmHWM:")
    return int(peak.split()[0]) if peak else 0


if __name__ == "__main__":
    sys.exit(main())
