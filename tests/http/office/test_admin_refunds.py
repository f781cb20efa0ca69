"""Refunds by the operator's API, and what a buyer then gets of an order."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.http.api.test_api import checkout, client_of, event, send
from tests.http.office.test_admin import OPERATOR
from tests.offers import UP_TO_FOUR
from tests.shops import OpenShop
from tigerfans.http.api.documents import DOCUMENTS, OF_ONE_TICKET
from tigerfans.shop.shop import Shop


@pytest.fixture
async def shop(open_shop: OpenShop) -> Shop:
    shop: Shop = await open_shop(offer=UP_TO_FOUR)
    return shop


@pytest.fixture
async def client(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(shop) as client:
        yield client


@pytest.fixture
async def order_id(client: httpx.AsyncClient, shop: Shop) -> str:
    """Of a paid order of three tickets."""
    body = {"cls": "A", "customer_email": "fan@example.org", "qty": 3}
    order: dict[str, Any] = (await client.post("/api/checkout", json=body)).json()
    assert (await send(client, shop, event(order))).status_code == 200
    return str(order["order_id"])


async def refund(client: httpx.AsyncClient, path: str, status: int = 200) -> dict[str, Any]:
    response = await client.post(f"/api/admin/orders/{path}/refund", headers=OPERATOR)
    assert response.status_code == status, response.text
    answered: dict[str, Any] = response.json()
    return answered


async def test_one_ticket_is_refunded_and_its_documents_are_gone(
    client: httpx.AsyncClient, order_id: str
) -> None:
    item = await refund(client, f"{order_id}/tickets/1")
    assert (item["status"], item["refunded_at_iso"]) == ("PAID", None)
    order = (await client.get(f"/api/orders/{order_id}")).json()
    assert [set(ticket) for ticket in order["tickets"]] == [
        {"code"},
        {"code", "refunded_at"},
        {"code"},
    ]
    assert item["tickets_refunded_at_iso"] == [None, order["tickets"][1]["refunded_at"], None]
    for name in OF_ONE_TICKET:
        gone = await client.get(f"/api/orders/{order_id}/tickets/1/{name}")
        assert (gone.status_code, "refunded" in gone.json()["detail"]) == (410, True)
        assert (await client.get(f"/api/orders/{order_id}/tickets/2/{name}")).status_code == 200
    entry = (await client.get(f"/api/orders/{order_id}/ticket.ics")).text.replace("\r\n ", "")
    codes = [ticket["code"] in entry for ticket in order["tickets"]]
    assert codes == [True, False, True]


async def test_a_refunded_order_has_no_documents_any_more(
    client: httpx.AsyncClient, order_id: str
) -> None:
    assert (await client.get(f"/api/orders/{order_id}/ticket.pdf")).status_code == 200
    assert (await refund(client, order_id))["status"] == "REFUNDED"
    assert (await client.get(f"/api/orders/{order_id}")).json()["status"] == "REFUNDED"
    for name in DOCUMENTS:
        gone = await client.get(f"/api/orders/{order_id}/{name}")
        assert gone.status_code == 410, name
    # Told again, it says the same.
    assert (await refund(client, order_id))["status"] == "REFUNDED"


async def test_a_refund_of_what_there_is_not_is_refused_in_a_sentence(
    client: httpx.AsyncClient, order_id: str
) -> None:
    no_ticket = await refund(client, f"{order_id}/tickets/3", status=400)
    assert no_ticket["detail"] == "This order has no such ticket: it has 3."
    held = await checkout(client)
    await refund(client, held["order_id"], status=404)


async def test_a_refunded_order_is_found_among_the_refunded_ones(
    client: httpx.AsyncClient, order_id: str
) -> None:
    await refund(client, order_id)
    for query in ("status=REFUNDED", f"status=REFUNDED&q={order_id}"):
        found = (await client.get(f"/api/admin/orders?{query}", headers=OPERATOR)).json()
        assert [item["id"] for item in found["items"]] == [order_id]
    none = (await client.get("/api/admin/orders?status=PAID", headers=OPERATOR)).json()
    assert none["items"] == []
    lines = (await client.get("/api/admin/orders.csv", headers=OPERATOR)).text.splitlines()
    assert lines[1].split(",")[1] == "REFUNDED"
