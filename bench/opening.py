"""How soon a shop with many orders opens, and how long its operator waits; see `bench.growth`.

What is asked for is all that the box office's pages show, and searches of each kind. Each is asked
for a few times, right after the shop has opened; the first time nothing of it is at hand yet.
"""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final

import asyncpg
import httpx
import psutil

from bench import reconcile_load
from bench.config import Config
from bench.errors import BenchError
from bench.measurement import SEQUENCER, WORKER
from bench.stack import Stack, running_in
from tigerfans.booking.ids import OrderId
from tigerfans.office.order_search import Cursor
from tigerfans.settings.folder import DataFolder, state_file
from tigerfans.settings.located import database_url, postgres_sockets
from tigerfans.settings.settings import DEFAULT_ADMIN_PASSWORD, Settings
from tigerfans.stack import state

TIMES: Final = 5
# To log in takes a worker a comparison of a password, and it compares few a second.
LOGIN_SECONDS_MAX: Final = 60.0
LOGIN_PAUSE_SECONDS: Final = 0.3
ANSWER_SECONDS_MAX: Final = 60.0

# What the pages of the box office show, beside orders.
SHOWN: Final = (
    *("goodies", "webhooks", "refunds", "hosts", "history", "door", "door/incidents"),
    *("door/devices", "door/undone", "mails", "revenue", "cancellation", "audit", "stock"),
    "unmatched",
)


def measure(data: Path, config: Config, *, embedded: bool) -> None:
    """Opens the shop in a folder, and prints all of it."""
    began = time.monotonic()
    with running_in(data, config, embedded=embedded) as stack:
        seconds = time.monotonic() - began
        print(
            f"open {seconds:.1f} s after its start, its sequencer ready within"
            f" {_sequencer_seconds(stack):.2f} s"
        )
        for name, first_ms, usual_ms in _asked(stack, config):
            print(f"{name}: {usual_ms:,.0f} ms, the first time {first_ms:,.0f} ms")
        reconcile_load.measure(stack, stack.sequencer_status()["ledger"]["kind"])


def _sequencer_seconds(stack: Stack) -> float:
    """From its start until it was ready, which is when the workers are started."""
    running_stack = state.read_running(state_file(stack.data))
    processes = running_stack.processes if running_stack else ()
    started = {p.name: psutil.Process(p.pid).create_time() for p in processes if p.pid}
    workers = (seconds for name, seconds in started.items() if name.startswith(WORKER))
    return float(min(workers) - started[SEQUENCER])


def _asked(stack: Stack, config: Config) -> list[tuple[str, float, float]]:
    """Each page with how many ms it took, first and usually, the slowest one first."""
    settings = Settings.from_environment(config.variables)
    login = (settings.admin.username, DEFAULT_ADMIN_PASSWORD)
    pages = list(_pages(*asyncio.run(_some_order(stack))))
    with httpx.Client(base_url=stack.url, auth=login, timeout=ANSWER_SECONDS_MAX) as client:
        _log_in(client)
        asked = []
        for name, path, parameters in pages:
            took = [_ask(client, path, parameters) for _ in range(TIMES)]
            asked.append((name, took[0], median(took)))
    return sorted(asked, key=lambda each: -each[2])


def _pages(
    order_id: OrderId, code: str, email: str, cursor: Cursor
) -> Iterator[tuple[str, str, dict[str, str]]]:
    orders = "/api/admin/orders"
    yield "the page", "/admin", {}
    yield "an order's page", f"/admin/orders/{order_id.hex_digits}", {}
    yield "an order's story", f"{orders}/{order_id.hex_digits}", {}
    yield "latest orders", orders, {}
    yield "latest paid orders", orders, {"status": "PAID"}
    yield "refunds due", orders, {"status": "REFUND_DUE"}
    yield "orders in the middle", orders, {"after": str(cursor)}
    yield "on hold", "/api/pending", {}
    for shown in SHOWN:
        yield shown, f"/api/admin/{shown}", {}
    for kind, text in (
        ("id", order_id.hex_digits),
        ("beginning of an id", order_id.short),
        ("ticket code", code),
        ("beginning of a code", code[:9]),
        ("email address", email),
        ("part of an address that one has", email.partition("@")[0][3:]),
        ("part of an address that all have", "example"),
        ("part of an address that nobody has", "nobody"),
    ):
        yield f"search for {kind}", orders, {"q": text}


async def _some_order(stack: Stack) -> tuple[OrderId, str, str, Cursor]:
    """An order from the middle of all: its id, ticket code and email, and its place in lists."""
    connection = await asyncpg.connect(database_url(postgres_sockets(DataFolder(stack.data))))
    try:
        row = await connection.fetchrow(
            "SELECT id, ticket_code, email, recorded_at FROM orders WHERE status = 'PAID' AND"
            " id > '80000000-0000-0000-0000-000000000000' ORDER BY id LIMIT 1"
        )
    finally:
        await connection.close()
    if row is None:
        raise BenchError("Nothing was sold.")
    order_id = OrderId.of_uuid(row["id"])
    return order_id, row["ticket_code"], row["email"], Cursor(row["recorded_at"], order_id)


def _log_in(client: httpx.Client) -> None:
    """After that the client has a pass, and no worker compares its password any more."""
    ends_at = time.monotonic() + LOGIN_SECONDS_MAX
    while (answer := client.get("/admin")).status_code != httpx.codes.OK:
        if time.monotonic() > ends_at:
            raise BenchError(f"The box office lets nobody in: {answer.status_code}.")
        time.sleep(LOGIN_PAUSE_SECONDS)


def _ask(client: httpx.Client, path: str, parameters: dict[str, str]) -> float:
    """How many ms the answer took."""
    began = time.perf_counter()
    answer = client.get(path, params=parameters)
    if answer.status_code != httpx.codes.OK:
        raise BenchError(f"{path} was answered with {answer.status_code}: {answer.text[:200]}")
    return (time.perf_counter() - began) * 1e3
