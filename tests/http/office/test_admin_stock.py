"""The stock over the real application: its page, its forms, and its JSON."""

import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import httpx
import msgspec
import pytest

from tests.http.api.test_api import client_of
from tests.http.office.test_admin import OPERATOR
from tests.http.office.test_people import PASSWORD, login, people_of
from tests.shops import OpenShop
from tigerfans.http.office.admin_stock import ClassStockItem
from tigerfans.office.passwords import hash_password
from tigerfans.shop.shop import Shop
from tigerfans.stores.audit import Audit
from tigerfans.stores.people import Role

BROWSER = {**OPERATOR, "Accept": "text/html", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
async def shop(open_shop: OpenShop) -> Shop:
    return await open_shop(tickets_a=10)  # type: ignore[no-any-return]


@pytest.fixture
async def client(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(shop) as client:
        client.headers.update(OPERATOR)
        yield client


async def change(client: httpx.AsyncClient, words: str, number: int, cls: str = "A") -> Any:
    body = {"change": words, "number": number}
    return await client.post(f"/api/admin/stock/{cls}", json=body)


async def press(client: httpx.AsyncClient, cls: str = "A", **form: str) -> httpx.Response:
    return await client.post(f"/admin/stock/{cls}", data=form, headers=BROWSER)


def words_of(answer: httpx.Response) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


async def test_stock_is_told_changed_and_told_again(client: httpx.AsyncClient, shop: Shop) -> None:
    await client.post("/api/checkout", json={"cls": "A", "customer_email": "fan@example.org"})
    added = await change(client, "+50", 0)
    assert added.status_code == 200
    item = msgspec.json.decode(added.content, type=ClassStockItem)
    assert (item.funded, item.held, item.available, item.number) == (60, 1, 59, 1)
    assert [(c.number, c.change) for c in item.changes] == [(0, "+50")]
    closed = (await change(client, "close", 1)).json()
    assert (closed["state"], closed["parked"], closed["available"]) == ("closed", 59, 0)
    listed = (await client.get("/api/admin/stock")).json()["items"]
    assert [each["cls"] for each in listed] == list(shop.classes)
    assert listed[0] == closed
    shown = (await client.get("/api/inventory")).json()["A"]
    assert (shown["state"], shown["capacity"], shown["available"]) == ("closed", 1, 0)
    refused = await client.post(
        "/api/checkout", json={"cls": "A", "customer_email": "fan@example.org"}
    )
    assert (refused.status_code, refused.json()) == (
        403,
        {"detail": "The sale is closed.", "state": "closed"},
    )


NO_CHANGE = "Please say +50, -50, close or open, with the amount you mean."
REFUSALS = {
    ("+20", 0): (409, "Somebody changed the stock meanwhile: please look again."),
    ("+50", 0): (200, None),
    ("-61", 1): (409, "Of Premium 60 can be withdrawn: 0 of 60 are sold and 0 on hold."),
    ("open", 1): (409, "The sale of Premium is not closed."),
    ("+0", 1): (400, NO_CHANGE),
    ("50", 1): (400, NO_CHANGE),
    ("+1", 2): (400, "The next change of A has the number 1."),
}


async def test_a_change_that_cannot_be_made_is_refused_in_a_sentence(
    client: httpx.AsyncClient,
) -> None:
    assert (await change(client, "+50", 0)).status_code == 200
    for (words, number), expected in REFUSALS.items():
        answer = await change(client, words, number)
        assert (answer.status_code, answer.json().get("detail")) == expected, words
        [a, *_] = (await client.get("/api/admin/stock")).json()["items"]
        assert (a["available"], a["number"]) == (60, 1)


async def test_a_class_that_is_not_there_and_a_body_that_is_none_are_refused(
    client: httpx.AsyncClient,
) -> None:
    assert (await change(client, "+1", 0, "Z")).status_code == 400
    assert (await press(client, "Z", change="+", amount="1", number="0")).status_code == 400
    answer = await client.post("/api/admin/stock/A", json={"change": "+1"})
    assert (answer.status_code, list(answer.json())) == (400, ["detail"])


async def test_the_page_tells_what_each_button_will_do_and_does_it(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    page = await client.get("/admin/stock", headers=BROWSER)
    words = words_of(page)
    assert "What is added is on sale at once. 10 can be withdrawn" in words
    assert "Close the sale of Premium" in words
    pressed = await press(client, change="+", amount=" 5 ", number="0")
    assert (pressed.status_code, pressed.headers["location"]) == (303, "/admin/stock#A")
    # A form from before, sent again or by somebody else.
    assert (await press(client, change="+", amount="5", number="0")).status_code == 303
    assert (await press(client, change="close", number="1")).status_code == 303
    words = words_of(await client.get("/admin/stock", headers=BROWSER))
    assert "The sale is closed" in words
    assert "15 go on sale again." in words
    assert "Sale closed" in words
    assert (await press(client, change="open", number="2")).status_code == 303
    assert (await shop.class_stock("A")).stock.available == 15
    deeds = await Audit(shop.orders.database).page(None, 10)
    assert [(deed.by, deed.what) for deed in reversed(deeds)] == [
        ("admin", "Stock added"),
        ("admin", "Sale closed"),
        ("admin", "Sale opened"),
    ]


async def test_a_form_that_is_refused_is_shown_again_with_the_reason(
    client: httpx.AsyncClient,
) -> None:
    for form, status, sentence in (
        ({"change": "-", "amount": "11", "number": "0"}, 409, "Of Premium 10 can be withdrawn"),
        ({"change": "+", "amount": "many", "number": "0"}, 400, "Please say +50"),
        ({"change": "+", "amount": "1"}, 400, "Please look at the stock again"),
        (
            {"change": "+", "amount": "1", "number": "9" * 5_000},
            400,
            "Please look at the stock again",
        ),
    ):
        answer = await press(client, **form)
        assert answer.status_code == status
        assert sentence in words_of(answer)
        assert "Not done: Stock" in answer.text


async def test_the_office_sees_the_stock_and_an_owner_alone_changes_it(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    await people_of(shop).add("office", Role.OFFICE, hash_password(PASSWORD), "root")
    client.headers.update(login("office"))
    page = await client.get("/admin/stock", headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert "<form" not in page.text
    assert (await change(client, "+1", 0)).status_code == 403
    assert (await client.get("/api/admin/stock")).status_code == 200
