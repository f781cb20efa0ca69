"""How many tickets many doors let in at once, while others buy.

    python -m bench.scan_load                              50 doors, 4,000 tickets, on TigerBeetle
    python -m bench.scan_load --doors 10 --no-sale --embedded

A shop of its own sells the tickets first. Then each door, over a connection of its own, has one
ticket after the other let in by its signed code, one scan a request, as fast as it is answered;
beside them buyers buy as fast as they can, and do it alone for the same time afterwards.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import orjson
import uvloop

from bench.config import Config
from bench.errors import BenchError
from bench.http_client import Address, Connection, Response
from bench.latencies import summarise
from bench.machine import ROOT
from bench.stack import Stack, clean_environment, running
from tigerfans.booking.door_codes import DoorKeys
from tigerfans.booking.ids import OrderId
from tigerfans.settings.settings import DEFAULT_ADMIN_PASSWORD, Settings

CONFIG: Final = ROOT / "ops" / "workers-2.env"
DOORS_MAX: Final = 500
TICKETS_MAX: Final = 100_000
SALE_SECONDS: Final = 10.0
SALE_CONNECTIONS: Final = 20
# To log in takes a worker a comparison of a password, and it compares few a second.
LOGIN_SECONDS_MAX: Final = 60.0
LOGIN_PAUSE_SECONDS: Final = 0.3
PAGE: Final = 200
PATIENCE_SECONDS: Final = 300.0


@dataclass
class Scans:
    """What the doors did."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    results: Counter[str] = field(default_factory=Counter)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measures the doors.")
    parser.add_argument("--doors", type=int, default=50, help="at once (%(default)s)")
    parser.add_argument("--tickets", type=int, default=4_000, help="let in (%(default)s)")
    parser.add_argument("--config", type=Path, default=CONFIG, help="a file of settings")
    parser.add_argument("--no-sale", action="store_true", help="nobody buys meanwhile")
    parser.add_argument("--embedded", action="store_true", help="even where there is TigerBeetle")
    options = parser.parse_args(arguments)
    for name, most in (("doors", DOORS_MAX), ("tickets", TICKETS_MAX)):
        if not 0 < getattr(options, name) <= most:
            parser.error(f"--{name} takes 1 to {most:,}.")
    try:
        config = Config.read(options.config)
        with running(config, embedded=options.embedded) as stack:
            measure(stack, config, options.doors, options.tickets, sells=not options.no_sale)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def measure(stack: Stack, config: Config, doors: int, tickets: int, *, sells: bool) -> None:
    client = httpx.Client(base_url=stack.url, auth=_login(config), timeout=60)
    with client:
        _finish(_buy(stack, "--total", str(tickets), "--concurrency", str(SALE_CONNECTIONS)))
        codes = _codes(client, config, tickets)
        before = stack.sequencer_status()
        sale = _buy_meanwhile(stack) if sells else None
        scans = uvloop.run(_scan_all(stack.url, config, doors, codes))
        after = stack.sequencer_status()
    print(f"{len(codes):,} tickets at {doors} doors in {scans.seconds:.1f} s", end=": ")
    print(f"{len(codes) / scans.seconds:,.0f} scans a second; {dict(scans.results)}")
    print("  ".join(f"{name} {value:.1f} ms" for name, value in summarise(scans.latencies).items()))
    requests, batches = (
        _lane(after, name) - _lane(before, name) for name in ("requests", "batches")
    )
    print(f"{requests / batches:.1f} requests in a batch of the sequencer, of all kinds")
    if sale is not None:
        beside, alone = _finish(sale), _finish(_buy_meanwhile(stack))
        for words, report in (("beside", beside), ("alone", alone)):
            rate, p99 = (
                report["total"] / report["seconds"],
                report["latencies_ms"]["checkout"]["p99"],
            )
            print(f"purchases {words}: {rate:,.0f} a second, checkout p99 {p99:.1f} ms")


def _lane(status: dict[str, Any], name: str) -> int:
    return int(status["operations"]["create_transfers"][name])


def _buy_meanwhile(stack: Stack) -> "subprocess.Popen[str]":
    seconds, connections = str(SALE_SECONDS), str(SALE_CONNECTIONS)
    return _buy(stack, "--seconds", seconds, "--concurrency", connections)


def _buy(stack: Stack, *options: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "bench.load_client", "--json", "--url", stack.url]
    return subprocess.Popen(
        [*command, "--via", "provider", *options],
        cwd=ROOT,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )


def _finish(buying: "subprocess.Popen[str]") -> dict[str, Any]:
    told, _ = buying.communicate(timeout=PATIENCE_SECONDS)
    if buying.returncode != 0:
        raise BenchError("The load client failed.")
    report: dict[str, Any] = json.loads(told)
    return report


def _login(config: Config) -> tuple[str, str]:
    settings = Settings.from_environment(config.variables)
    return settings.admin.username, DEFAULT_ADMIN_PASSWORD


def _codes(client: httpx.Client, config: Config, count: int) -> list[str]:
    """The signed codes of the first tickets of paid orders."""
    shop = client.get("/api/door/keys").raise_for_status().json()["shop"]
    settings = Settings.from_environment(config.variables)
    keys = DoorKeys(settings.ticket_secret, shop, settings.door_key)
    codes: list[str] = []
    after = ""
    while len(codes) < count:
        params = {"status": "PAID", "limit": str(PAGE), **({"after": after} if after else {})}
        page = client.get("/api/admin/orders", params=params).raise_for_status().json()
        for order in page["items"]:
            order_id = OrderId.parse(order["id"])
            if order_id is not None:
                # The door goes by the order's class.
                codes.append(keys.sign(order_id, 0, 1))
        after = page["next"]
        if not after:
            break
    if not codes:
        raise BenchError("Nothing was sold.")
    return codes[:count]


async def _scan_all(url: str, config: Config, doors: int, codes: list[str]) -> Scans:
    address = Address.parse(url)
    scans, left = Scans(), list(codes)
    head = _head(address, config)
    connections = [await Connection.open(address) for _ in range(doors)]
    try:
        head += await _log_in(connections[0], head)
        began = time.perf_counter()
        await asyncio.gather(
            *(_door(f"Gate {n}", each, head, left, scans) for n, each in enumerate(connections))
        )
        scans.seconds = time.perf_counter() - began
    finally:
        for connection in connections:
            connection.close()
    return scans


async def _log_in(connection: Connection, head: bytes) -> bytes:
    """The pass that whoever has logged in brings along from then on, as browsers do."""
    ends_at = time.monotonic() + LOGIN_SECONDS_MAX
    while (answer := await _ask(connection, head, _scan("", "warm"))).status != httpx.codes.OK:
        if time.monotonic() > ends_at:
            raise BenchError(f"The shop lets no door log in: {answer.status}.")
        await asyncio.sleep(LOGIN_PAUSE_SECONDS)
    given = (answer.header("set-cookie") or "").partition(";")[0]
    return f"Cookie: {given}\r\n".encode()


async def _door(
    gate: str, connection: Connection, head: bytes, left: list[str], scans: Scans
) -> None:
    while left:
        body = _scan(left.pop(), gate)
        began = time.perf_counter()
        answer = await _ask(connection, head, body)
        scans.latencies.append(time.perf_counter() - began)
        is_ok = answer.status == httpx.codes.OK
        scans.results[orjson.loads(answer.body)[0]["result"] if is_ok else str(answer.status)] += 1


def _scan(text: str, gate: str) -> bytes:
    scan = {
        "scan_id": str(uuid4()),
        "text": text,
        "gate": gate,
        "device": gate,
        "scanned_at": time.time_ns() // 1_000_000,
    }
    return orjson.dumps([scan])


def _head(address: Address, config: Config) -> bytes:
    credentials = b64encode(":".join(_login(config)).encode()).decode()
    lines = (
        "POST /api/door/scans HTTP/1.1",
        f"Host: {address}",
        f"Authorization: Basic {credentials}",
        "Content-Type: application/json",
    )
    return "".join(f"{line}\r\n" for line in lines).encode()


async def _ask(connection: Connection, head: bytes, body: bytes) -> Response:
    length = f"Content-Length: {len(body)}\r\n\r\n".encode()
    return await connection.request(head + length + body)


if __name__ == "__main__":
    raise SystemExit(main())
