"""What a phase needs before it can be measured: holds to sell, webhooks to send, orders to ask for.

All of it is made over HTTP by the running shop itself, and handed to wrk in a file.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import orjson
import uvloop

from bench.errors import BenchError
from bench.http_client import Address, Connection, HttpError, Response
from bench.purchase import Requests, Wish, event, sign

CONNECTIONS: Final = 60
SECONDS_MAX: Final = 60.0

WISH: Final = Wish("A", "fan@example.org", "succeeded")

Make = Callable[[Connection, Requests], Awaitable[str]]


def holds(url: str, secret: str, count: int, path: Path) -> None:
    """`count` holds; a line is the path that sells one."""

    async def hold(connection: Connection, requests: Requests) -> str:
        request = requests.get("/api/accounting/reserve")
        ids = orjson.loads(_checked(await connection.request(request)))
        query = "&".join(f"{name}={value}" for name, value in ids.items())
        return f"/api/accounting/commit?{query}"

    _make(url, secret, count, path, hold)


def webhooks(url: str, secret: str, count: int, path: Path) -> None:
    """`count` checkouts; a line is the signature and the body of the webhook that pays one."""

    async def webhook(connection: Connection, requests: Requests) -> str:
        body = event(await _checkout(connection, requests), WISH)
        return f"{sign(secret.encode(), body)} {body.decode()}"

    _make(url, secret, count, path, webhook)


def paid_orders(url: str, secret: str, count: int, path: Path) -> None:
    """`count` orders that are paid; a line is the id of one."""

    async def paid_order(connection: Connection, requests: Requests) -> str:
        order = await _checkout(connection, requests)
        _checked(await connection.request(requests.webhook(order, WISH)))
        order_id: str = order["order_id"]
        return order_id

    _make(url, secret, count, path, paid_order)


async def _checkout(connection: Connection, requests: Requests) -> dict[str, Any]:
    order: dict[str, Any] = orjson.loads(
        _checked(await connection.request(requests.checkout(WISH)))
    )
    return order


def _checked(response: Response) -> bytes:
    if response.status != 200:
        raise HttpError(f"{response.status} {response.body[:200].decode(errors='replace')}")
    return response.body


def _make(url: str, secret: str, count: int, path: Path, make: Make) -> None:
    """Writes `count` lines; raises `BenchError` where the shop gives anything but a 200."""
    address = Address.parse(url)
    requests = Requests(address, secret)
    lines: list[str] = []

    async def make_some(numbers: Iterator[int]) -> None:
        connection = await Connection.open(address)
        lines.extend([await make(connection, requests) for _ in numbers])
        connection.close()

    async def make_all() -> None:
        numbers = iter(range(count))
        async with asyncio.timeout(SECONDS_MAX):
            await asyncio.gather(*(make_some(numbers) for _ in range(min(CONNECTIONS, count))))

    try:
        uvloop.run(make_all())
    except TimeoutError:
        raise BenchError(f"To make what is measured took over {SECONDS_MAX:.0f} s.") from None
    except (HttpError, OSError) as error:
        raise BenchError(f"What is measured cannot be made: {error}.") from None
    path.write_text("\n".join(lines) + "\n")
