"""A rush on the whole shop: two workers, one sequencer, and more buyers than tickets."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson
import pytest

from tests.harness.patience import PATIENCE_SECONDS, patience
from tests.stack.running_shop import POLL_PAUSE_S, RunningShop, open_shop
from tigerfans.payments.mockpay import SIGNATURE_HEADER, sign
from tigerfans.settings.settings import DEFAULT_ADMIN_PASSWORD, DEFAULT_WEBHOOK_SECRET

BUYERS = 200
TICKETS = 20
GOODIES = 5
# Of each worker: fewer than buyers come.
CONNECTIONS = 80
OPERATOR = httpx.BasicAuth("admin", DEFAULT_ADMIN_PASSWORD)


SETTINGS = {
    "TIGERFANS_TICKETS_A": str(TICKETS),
    "TIGERFANS_TICKETS_B": "1000000",
    "TIGERFANS_GOODIES": str(GOODIES),
    "TIGERFANS_WORKERS": "2",
    "TIGERFANS_CONNECTIONS": str(CONNECTIONS),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    """A shop whose class A the first test buys empty, and whose class B is there for the second."""
    with open_shop(tmp_path_factory.mktemp("shop"), **SETTINGS) as shop:
        yield shop


def client_of(shop: RunningShop) -> httpx.AsyncClient:
    # A connection for each buyer, so that both workers get their share.
    limits = httpx.Limits(max_connections=BUYERS, max_keepalive_connections=BUYERS)
    return httpx.AsyncClient(
        base_url=shop.url, limits=limits, trust_env=False, timeout=PATIENCE_SECONDS
    )


async def pay(client: httpx.AsyncClient, order: dict[str, Any]) -> httpx.Response:
    body = orjson.dumps(
        {
            "type": "payment.succeeded",
            "payment_session_id": order["redirect_url"].rpartition("/")[2],
            "order_id": order["order_id"],
            "amount": order["amount"],
            "currency": order["currency"],
        }
    )
    headers = {SIGNATURE_HEADER: sign(DEFAULT_WEBHOOK_SECRET, body)}
    return await client.post("/payments/webhook", content=body, headers=headers)


async def buy(client: httpx.AsyncClient, buyer: int, cls: str = "A") -> httpx.Response:
    body = {"cls": cls, "customer_email": f"fan{buyer}@example.org"}
    return await client.post("/api/checkout", json=body)


async def test_two_hundred_buyers_get_exactly_the_twenty_tickets_and_five_goodies(
    shop: RunningShop,
) -> None:
    async with client_of(shop) as client:
        answers = await asyncio.gather(*(buy(client, n) for n in range(BUYERS)))
        assert Counter(a.status_code for a in answers) == {200: TICKETS, 409: BUYERS - TICKETS}
        orders = [answer.json() for answer in answers if answer.is_success]

        # Each payment is told three times at once.
        paid = await asyncio.gather(*(pay(client, order) for order in orders * 3))
        assert {(p.status_code, p.json()["order_status"]) for p in paid} == {(200, "PAID")}
        assert sum("idempotent" not in p.json() for p in paid) == TICKETS

        listed = (await client.get("/api/admin/orders", auth=OPERATOR)).json()["items"]
        assert {order["id"] for order in listed} == {order["order_id"] for order in orders}
        assert Counter(order["status"] for order in listed) == {"PAID": TICKETS}
        assert sum(order["got_goodie"] for order in listed) == GOODIES
        stock = (await client.get("/api/inventory")).json()["A"]
        assert (stock["sold"], stock["active_holds"], stock["sold_out"]) == (TICKETS, 0, True)
    assert shop.tigerfans("reconcile", "--json").returncode == 0


async def test_batches_hold_the_transfers_of_both_workers(shop: RunningShop) -> None:
    metrics = f"http://{shop.environ['TIGERFANS_METRICS_ADDRESS']}"
    async with client_of(shop) as client, patience():
        while True:
            answers = await asyncio.gather(*(buy(client, n, "B") for n in range(BUYERS)))
            assert all(answer.is_success for answer in answers)
            status = (await client.get(f"{metrics}/status")).json()
            if status["operations"]["create_transfers"]["batches_merged"]:
                break
        busy = [worker for worker in status["workers"] if worker["requests"] > 10]
        assert len(busy) == 2
        text = (await client.get(f"{metrics}/metrics")).text
        assert "tigerfans_sequencer" in text


async def test_more_connections_than_the_workers_keep_are_all_answered(shop: RunningShop) -> None:
    ask = f"GET /api/inventory HTTP/1.1\r\nHost: {shop.url}\r\n\r\n".encode()
    address = urlsplit(shop.url)
    kept, hung_up = [], 0
    async with patience():
        for _ in range(3 * CONNECTIONS):
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            kept.append(writer)
            writer.write(ask)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            hung_up += b"\r\nconnection: close\r\n" in head.lower()
    # Those that are kept leave room for those who come.
    assert hung_up > CONNECTIONS
    for writer in kept:
        writer.close()


async def test_a_restart_finds_orders_holds_and_inventory_as_they_were(tmp_path: Path) -> None:
    with open_shop(tmp_path, **SETTINGS) as shop:
        async with client_of(shop) as client:
            paid, held = (await buy(client, 1)).json(), (await buy(client, 2)).json()
            await pay(client, paid)
            before = await snapshot(client, paid["order_id"], held["order_id"])
        assert shop.stop() == 0

    with open_shop(tmp_path, **SETTINGS) as again:
        async with client_of(again) as client:
            assert await snapshot(client, paid["order_id"], held["order_id"]) == before
            assert (await pay(client, held)).json()["order_status"] == "PAID"


async def snapshot(client: httpx.AsyncClient, *order_ids: str) -> list[Any]:
    """What is left and what became of the orders, one of which is paid and one is held."""
    stock = (await client.get("/api/inventory")).json()
    # The inventory may be shown as it was a moment ago.
    async with patience():
        while (stock["A"]["sold"], stock["A"]["active_holds"]) != (1, 1):
            await asyncio.sleep(POLL_PAUSE_S)
            stock = (await client.get("/api/inventory")).json()
    for tickets in stock.values():
        tickets.pop("timestamp")
    orders = [(await client.get(f"/api/orders/{order_id}")).json() for order_id in order_ids]
    return [stock, *orders]
