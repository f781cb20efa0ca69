"""How soon a shop answers that is opened with many overdue holds on the embedded ledger.

    python -m bench.overdue_load                       a million of them
    python -m bench.overdue_load --holds 100000

A shop is opened for the first time, so that its ledger is funded, and closed; holds of one second
are placed on its ledger, and when all of them are overdue it is opened again. Measured are the
first checkout after it says that it is ready, and those that follow while the holds are given back.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

import orjson
import uvloop
from rich.console import Console
from rich.progress import track

from bench.config import Config
from bench.errors import BenchError
from bench.http_client import Address, Connection, HttpError, Response
from bench.purchase import Requests, Wish
from bench.stack import OFFER_FILE, Stack, data_folder, running_in
from tigerfans.booking.ids import OrderId
from tigerfans.booking.transfers import Booking
from tigerfans.ledger.base import RECORDS_MAX
from tigerfans.ledger.books import Books
from tigerfans.ledger.store import FILE_NAME, Store
from tigerfans.ledger.wire import Operation
from tigerfans.offer.catalog import Catalog
from tigerfans.offer.file import read_offer

HOLDS_MAX: Final = 5_000_000
HOLD_SECONDS: Final = 1
# Between two checkouts while holds are given back.
CHECKOUT_PAUSE_SECONDS: Final = 0.02
FREE_SECONDS_MAX: Final = 600.0
WISH: Final = Wish("A", "fan@example.org", "succeeded")


class Answers(NamedTuple):
    """What was measured, in seconds; `checkouts` are those after the first."""

    first: float
    checkouts: list[float]
    all_free: float


class StandingClock:
    """Time that stands still, so that no hold is due before the last one is placed."""

    def __init__(self) -> None:
        self._wall = time.time_ns()

    def wall(self) -> int:
        return self._wall

    def steady(self) -> int:
        return 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measures a start with many overdue holds.")
    parser.add_argument("--holds", type=int, default=1_000_000, help="how many (%(default)s)")
    options = parser.parse_args(arguments)
    if not 0 < options.holds <= HOLDS_MAX:
        parser.error(f"--holds takes 1 to {HOLDS_MAX:,}.")
    config = Config("overdue", {"TIGERFANS_WORKERS": "1"}, workers=1)
    try:
        with data_folder() as data:
            with running_in(data, config, embedded=True):
                pass
            _place(data / "ledger", options.holds)
            began = time.monotonic()
            with running_in(data, config, embedded=True) as stack:
                opened = time.monotonic() - began
                answers = uvloop.run(_ask(stack, options.holds))
    except (BenchError, HttpError) as error:
        print(error, file=sys.stderr)
        return 2
    following = sorted(answers.checkouts)
    print(
        f"{options.holds:,} overdue holds: ready {opened:.1f} s after the start, the first checkout"
        f" answered {answers.first * 1e3:.0f} ms later.\n"
        f"All holds were free after {answers.all_free:.0f} s more; the {len(following)} checkouts"
        f" meanwhile took {_quantile(following, 0.5) * 1e3:.0f} ms (p50),"
        f" {_quantile(following, 0.99) * 1e3:.0f} ms (p99), {following[-1] * 1e3:.0f} ms (max)."
    )
    return 0


def _place(folder: Path, holds: int) -> None:
    """Places holds, and returns when all of them are overdue."""
    booking = Booking(Catalog.build(read_offer(OFFER_FILE)), HOLD_SECONDS)
    with closing(Books(Store(folder / FILE_NAME), StandingClock())) as books:
        starts = range(0, holds, RECORDS_MAX)
        for start in track(starts, "placing", console=Console(stderr=True), transient=True):
            count = min(RECORDS_MAX, holds - start)
            batch = [booking.hold(OrderId.new(), WISH.cls, bytes(16)) for _ in range(count)]
            books.execute(Operation.CREATE_TRANSFERS, b"".join(batch))
    # They were all placed when that clock was made; the last of them is a second old soon.
    time.sleep(HOLD_SECONDS)


async def _ask(stack: Stack, holds: int) -> Answers:
    """Checks out until every overdue hold has been given back."""
    address = Address.parse(stack.url)
    requests = Requests(address, "")
    connection = await Connection.open(address)
    first = await _check_out(connection, requests)
    began = time.monotonic()
    checkouts: list[float] = []
    while await _held(connection, requests) > 1 + len(checkouts):
        if time.monotonic() - began > FREE_SECONDS_MAX:
            raise BenchError(f"Not all holds were free within {FREE_SECONDS_MAX:.0f} s.")
        checkouts.append(await _check_out(connection, requests))
        await asyncio.sleep(CHECKOUT_PAUSE_SECONDS)
    connection.close()
    return Answers(first, checkouts or [first], time.monotonic() - began)


async def _check_out(connection: Connection, requests: Requests) -> float:
    began = time.perf_counter()
    _checked(await connection.request(requests.checkout(WISH)))
    return time.perf_counter() - began


async def _held(connection: Connection, requests: Requests) -> int:
    inventory = orjson.loads(_checked(await connection.request(requests.get("/api/inventory"))))
    return int(inventory[WISH.cls]["active_holds"])


def _checked(response: Response) -> bytes:
    if response.status != 200:
        raise BenchError(f"The shop answered {response.status}: {response.body[:200]!r}.")
    return response.body


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


if __name__ == "__main__":
    sys.exit(main())
