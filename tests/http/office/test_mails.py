"""The operator's mails over the real application: what did not arrive, sent again, put right."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.http.api.test_api import client_of
from tests.http.office.test_admin import OPERATOR
from tests.shops import event
from tigerfans.booking.ids import OrderId
from tigerfans.payments.base import EventType
from tigerfans.shop.shop import Shop
from tigerfans.stores.audit import Audit
from tigerfans.stores.mails import MailKey, MailKind, Mails
from tigerfans.stores.orders import Order

EMAIL = "fan@example.org"
BROWSER = {"Accept": "text/html"}
REFUSED = "550 5.1.1 <fan@example.org>: no such user & <nobody>"


@pytest.fixture
async def client(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(shop) as client:
        client.headers.update(OPERATOR)
        yield client


@pytest.fixture
async def order(shop: Shop) -> Order:
    """A paid order, whose mail waits."""
    return await sold(shop)


@pytest.fixture
def mails(shop: Shop) -> Mails:
    return Mails(shop.orders.database)


async def sold(shop: Shop) -> Order:
    checkout = await shop.checkout("A", EMAIL)
    await shop.settle(event(checkout))
    order_id = OrderId.parse(checkout.order_id)
    assert order_id
    order = await shop.orders.find(order_id)
    assert order
    return order


async def listed(client: httpx.AsyncClient) -> dict[str, Any]:
    answer: dict[str, Any] = (await client.get("/api/admin/mails")).json()
    return answer


async def test_what_did_not_arrive_is_listed_with_what_the_server_said(
    client: httpx.AsyncClient, mails: Mails, order: Order
) -> None:
    assert await listed(client) == {
        "items": [],
        "limit": 200,
        "waiting": 1,
        "failing": 0,
        "given_up": 0,
    }
    await mails.failed(MailKey(order.id, MailKind.TICKETS), REFUSED, is_final=True)
    answer = await listed(client)
    [item] = answer["items"]
    assert (answer["waiting"], answer["given_up"]) == (0, 1)
    assert (item["order_id"], item["kind"], item["attempts"]) == (order.id.hex_digits, "tickets", 1)
    assert item["last_error"] == REFUSED
    assert item["gave_up_at_iso"]
    assert item["next_attempt_at_iso"] is None
    page = (await client.get("/admin/mails", headers=BROWSER)).text
    assert "no such user &amp; &lt;nobody&gt;" in page
    assert f'href="/admin/orders/{order.id.hex_digits}"' in page
    assert "Try all again" in page


@pytest.mark.parametrize("path", ["/api/admin/mails/retry", "/admin/mails/retry"])
async def test_all_of_it_is_tried_again_by_one_button(
    client: httpx.AsyncClient, mails: Mails, order: Order, path: str
) -> None:
    await mails.failed(MailKey(order.id, MailKind.TICKETS), REFUSED, is_final=True)
    answer = await client.post(path)
    assert answer.status_code == 303 or answer.json() == {"tried": 1}
    assert (await listed(client))["waiting"] == 1


@pytest.mark.parametrize("path", ["/api/admin/orders/{}/mail", "/admin/orders/{}/mail"])
async def test_tickets_are_sent_again_by_name(
    client: httpx.AsyncClient, shop: Shop, mails: Mails, order: Order, path: str
) -> None:
    await mails.sent(MailKey(order.id, MailKind.TICKETS), EMAIL)
    answer = await client.post(path.format(order.id.hex_digits))
    assert answer.status_code in (200, 303)
    assert [mail.key.kind for mail in await mails.of(order.id)] == [
        MailKind.TICKETS,
        MailKind.AGAIN,
    ]
    [deed] = await Audit(shop.orders.database).of_order(order.id)
    assert (deed.by, deed.what) == ("admin", "Mail sent again")


async def test_an_order_without_tickets_has_no_mail_to_be_sent_again(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    checkout = await shop.checkout("A", EMAIL)
    pending = await client.post(f"/api/admin/orders/{checkout.order_id}/mail")
    assert pending.status_code == 404
    await shop.settle(event(checkout, EventType.FAILED))
    failed = await client.post(f"/api/admin/orders/{checkout.order_id}/mail")
    assert (failed.status_code, failed.json()["detail"]) == (
        400,
        "There is no mail to send again: this order has no tickets.",
    )


async def test_an_email_is_corrected_in_a_form_and_in_json(
    client: httpx.AsyncClient, shop: Shop, order: Order
) -> None:
    path = f"/orders/{order.id.hex_digits}/email"
    form = await client.post(f"/admin{path}", data={"email": " Fan@Exämple.org "})
    assert form.status_code == 303
    assert (await shop.orders.find(order.id)).email == "Fan@exämple.org"  # type: ignore[union-attr]
    answer = await client.post(f"/api/admin{path}", json={"email": "fan@example.com"})
    assert (answer.status_code, answer.json()["email"]) == (200, "fan@example.com")
    story = (await client.get(f"/api/admin/orders/{order.id.hex_digits}")).json()
    corrected = [e["detail"] for e in story["events"] if e["what"] == "Email corrected"]
    assert corrected == [
        "from fan@example.org to Fan@exämple.org, by admin",
        "from Fan@exämple.org to fan@example.com, by admin",
    ]
    found = await client.get("/api/admin/orders", params={"q": "fan@example.com"})
    assert [item["id"] for item in found.json()["items"]] == [order.id.hex_digits]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"email": "nobody"}, "does not look like an email address"),
        ({"email": "a@b.org\r\nBcc: c@d.org"}, "does not look like an email address"),
        ({"email": ""}, "Please give an email address"),
        ({}, "email is missing."),
        ({"email": 5}, "email cannot be read."),
        ({"email": "a@b.org", "order": 1}, "The body has a field that nobody knows."),
        ({"email": "a" * 300 + "@b.org"}, "email may have at most 254 characters."),
    ],
)
async def test_what_is_no_email_is_one_sentence_and_corrects_nothing(
    client: httpx.AsyncClient, shop: Shop, order: Order, body: dict[str, Any], words: str
) -> None:
    path = f"/api/admin/orders/{order.id.hex_digits}/email"
    answer = await client.post(path, json=body)
    assert answer.status_code == 400
    assert words in answer.json()["detail"]
    assert await shop.orders.find(order.id) == order
    assert await Audit(shop.orders.database).of_order(order.id) == []


async def test_an_order_that_nobody_knows_is_a_404(client: httpx.AsyncClient) -> None:
    path = f"/api/admin/orders/{'0' * 32}"
    assert (await client.post(f"{path}/mail")).status_code == 404
    assert (await client.post(f"{path}/email", json={"email": EMAIL})).status_code == 404


async def test_another_sites_form_sends_and_corrects_nothing(
    client: httpx.AsyncClient, order: Order
) -> None:
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    for path in ("mail", "email"):
        for prefix in ("/admin", "/api/admin"):
            answer = await client.post(
                f"{prefix}/orders/{order.id.hex_digits}/{path}", headers=elsewhere
            )
            assert answer.status_code == 403
    assert (await client.post("/admin/mails/retry", headers=elsewhere)).status_code == 403


async def test_the_orders_page_offers_both_where_there_is_something_to_send(
    client: httpx.AsyncClient, shop: Shop, order: Order
) -> None:
    page = (await client.get(f"/admin/orders/{order.id.hex_digits}", headers=BROWSER)).text
    assert "Send the mail again" in page
    assert "Correct the email" in page
    pending = await shop.checkout("A", EMAIL)
    page = (await client.get(f"/admin/orders/{pending.order_id}", headers=BROWSER)).text
    assert "Send the mail again" not in page
    assert "Correct the email" not in page
