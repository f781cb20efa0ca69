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


# --- Money -----------------------------------------------------------------------------------


async def get(client: httpx.AsyncClient, path: str, status: int = 200) -> httpx.Response:
    response = await client.get(path, headers=OPERATOR)
    assert response.status_code == status, response.text
    return response


async def test_the_revenue_is_told_by_class_and_on_its_page(
    client: httpx.AsyncClient, order_id: str
) -> None:
    await refund(client, f"{order_id}/tickets/2")
    revenue = (await get(client, "/api/admin/revenue")).json()
    [a, *_] = revenue["items"]
    assert a["cls"] == "A"
    assert a["today"] == a["total"]
    assert a["total"]["paid"] == {"tickets": 3, "amount": 3 * 6500}
    assert (a["total"]["refunded"]["amount"], a["total"]["left"]) == (6500, 2 * 6500)
    page = (await get(client, "/admin/money")).text
    for words in ("€195.00", "€65.00", "€130.00", "nothing"):
        assert words in page


async def test_the_books_are_a_file_for_the_days_that_are_asked_for(
    client: httpx.AsyncClient, order_id: str
) -> None:
    await refund(client, order_id)
    answer = await get(client, "/api/admin/payments.csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="tigerfans-payments.csv"'
    head, payment, given_back = answer.text.splitlines()
    assert head.startswith("\ufeffdate,kind,order_id,")
    assert payment.split(",")[1:3] == ["payment", order_id]
    # A number below 0 stays one.
    assert given_back.split(",")[6] == "-195.00"
    # As a form sends what nobody filled in.
    for nothing in ("?first=&last=", "?first=1970-01-01"):
        assert (await get(client, f"/api/admin/payments.csv{nothing}")).text == answer.text
    none = await get(client, "/api/admin/payments.csv?last=2000-01-01")
    assert none.text.splitlines() == [head]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("first=tomorrow", "first has to be a day, such as 2027-06-18."),
        ("last=2027-02-30", "last has to be a day, such as 2027-06-18."),
        ("first=2027-06-18&last=2027-06-17", "The last day is before the first one."),
        ("day=2027-06-18", "There is no parameter 'day'. There is only: first, last."),
    ],
)
async def test_days_that_cannot_be_are_refused_in_a_sentence(
    client: httpx.AsyncClient, query: str, sentence: str
) -> None:
    refused = await get(client, f"/api/admin/payments.csv?{query}", status=400)
    assert refused.json()["detail"] == sentence


async def test_the_show_is_canceled_by_its_name_and_its_progress_is_told(
    client: httpx.AsyncClient, shop: Shop, order_id: str
) -> None:
    path, name = "/api/admin/cancellation", shop.catalog.offer.show.name
    open_ = (await get(client, path)).json()
    assert (open_["canceled_at_iso"], open_["orders"], open_["refunded"]) == (None, 1, 0)
    refused = await client.post(path, headers=OPERATOR, json={"show": "another"})
    assert (refused.status_code, name in refused.json()["detail"]) == (400, True)
    assert (await client.post(path, headers=OPERATOR, json={})).status_code == 400
    form = {"show": "another"}
    again = await client.post("/admin/money/cancel", headers=OPERATOR, data=form)
    assert (again.status_code, "please type its name" in again.text) == (400, True)
    done = await client.post(
        "/admin/money/cancel", headers=OPERATOR, data={"show": name}, follow_redirects=False
    )
    assert (done.status_code, done.headers["location"]) == (303, "/admin/money#cancel")
    canceled = (await client.post(path, headers=OPERATOR, json={"show": name})).json()
    assert canceled["canceled_by"] == "admin"
    page = (await get(client, "/admin/money")).text
    assert "0 of 1" in page
    assert "Nothing is sold any more." in page


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil"}])
async def test_nobody_elses_page_cancels_the_show(
    client: httpx.AsyncClient, shop: Shop, headers: dict[str, str]
) -> None:
    body = {"show": shop.catalog.offer.show.name}
    for path in ("/admin/money/cancel", "/api/admin/cancellation"):
        sent: dict[str, Any] = {"json": body} if path.startswith("/api") else {"data": body}
        answer = await client.post(path, headers=OPERATOR | headers, **sent)
        assert answer.status_code == 403
    assert await shop.cancellation.find() is None
