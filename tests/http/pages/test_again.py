"""Tickets that are sent again to who has lost them: one answer for all, and a mail for some."""

from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_network

import httpx
import pytest

from tests.http.api.test_api import SETTINGS, client_of
from tests.shops import event
from tigerfans.booking.ids import OrderId
from tigerfans.http.pages.again_page import CLIENT_RATE, EMAIL_RATE, PATH
from tigerfans.payments.base import EventType
from tigerfans.settings.settings import LimitSettings
from tigerfans.shop.shop import Shop
from tigerfans.stores import mail_requests
from tigerfans.stores.mail_requests import MailRequests
from tigerfans.stores.mails import MailKey, MailKind, Mails

EMAIL = "Fän@Example.org"
BROWSER = {"Accept": "text/html"}


@pytest.fixture
async def client(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    behind_a_proxy = LimitSettings(trusted_proxies=(ip_network("127.0.0.1"),))
    async with client_of(shop, replace(SETTINGS, limits=behind_a_proxy)) as client:
        yield client


@pytest.fixture
def requests(shop: Shop) -> MailRequests:
    return MailRequests(shop.orders.database)


@pytest.fixture
def mails(shop: Shop) -> Mails:
    return Mails(shop.orders.database)


async def sold(shop: Shop, email: str = EMAIL, outcome: EventType = EventType.SUCCEEDED) -> OrderId:
    """An order, whose mail has been sent."""
    checkout = await shop.checkout("A", email)
    await shop.settle(event(checkout, outcome))
    order_id = OrderId.parse(checkout.order_id)
    assert order_id
    await Mails(shop.orders.database).sent(MailKey(order_id, MailKind.TICKETS), email)
    return order_id


async def ask(
    client: httpx.AsyncClient, email: str, headers: dict[str, str] | None = None
) -> httpx.Response:
    form = {"customer_email": email}
    return await client.post(PATH, data=form, headers={**BROWSER, **(headers or {})})


async def due(mails: Mails) -> set[MailKey]:
    return {mail.key for mail in await mails.lease(100)}


async def test_each_paid_order_of_an_address_is_sent_again_however_it_is_typed(
    client: httpx.AsyncClient, shop: Shop, requests: MailRequests, mails: Mails
) -> None:
    orders = [await sold(shop) for _ in range(2)]
    await sold(shop, outcome=EventType.FAILED)
    await sold(shop, "another@example.org")
    answer = await ask(client, " fÄN@EXAMPLE.ORG ")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{PATH}?asked=1")
    assert not await requests.answer()
    assert await due(mails) == {MailKey(order_id, MailKind.AGAIN) for order_id in orders}


async def test_the_answer_is_the_same_whether_or_not_an_address_has_orders(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    await sold(shop)
    answers = [await ask(client, email) for email in (EMAIL, "nobody@example.org")]
    # Once more than an address may ask.
    answers += [await ask(client, EMAIL) for _ in range(EMAIL_RATE.burst + 1)]
    assert {(each.status_code, each.text, each.headers["location"]) for each in answers} == {
        (303, "", f"{PATH}?asked=1")
    }
    page = (await client.get(f"{PATH}?asked=1", headers=BROWSER)).text
    assert "If there are tickets for that email address" in page
    assert "xample.org" not in page


async def test_what_was_sent_again_a_moment_ago_is_not_sent_once_more(
    shop: Shop, requests: MailRequests, mails: Mails
) -> None:
    order_id = await sold(shop)
    for expected in ({MailKey(order_id, MailKind.AGAIN)}, set()):
        await requests.add(EMAIL)
        await requests.answer()
        assert await due(mails) == expected
        await mails.sent(MailKey(order_id, MailKind.AGAIN), EMAIL)
    async with shop.orders.database.connection() as connection:
        await connection.execute(
            "UPDATE mails SET created_at = created_at - make_interval(secs => $1)",
            mail_requests.PAUSE_SECONDS,
        )
    await requests.add(EMAIL)
    await requests.answer()
    assert await due(mails) == {MailKey(order_id, MailKind.AGAIN, 1)}


async def test_a_mail_that_waits_is_not_joined_by_another(
    shop: Shop, requests: MailRequests, mails: Mails
) -> None:
    checkout = await shop.checkout("A", EMAIL)
    await shop.settle(event(checkout))
    await requests.add(EMAIL)
    await requests.answer()
    assert {key.kind for key in await due(mails)} == {MailKind.TICKETS}


async def test_many_requests_are_answered_by_one_reading_in_turns(
    shop: Shop, requests: MailRequests, mails: Mails, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_requests, "LOOKED_UP_MAX", 2)
    emails = [f"fan{number}@example.org" for number in range(3)]
    for email in emails:
        await sold(shop, email)
        await requests.add(email)
    assert await requests.answer()
    assert len(await due(mails)) == 2
    assert not await requests.answer()
    assert len(await due(mails)) == 1


async def test_requests_are_as_many_as_there_is_room_for_and_then_it_is_busy_for_all(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    async with shop.orders.database.connection() as connection:
        await connection.execute(
            "INSERT INTO mail_requests SELECT n || '@example.org' FROM generate_series(1, $1) AS n",
            mail_requests.REQUESTS_MAX,
        )
    answer = await ask(client, EMAIL)
    assert answer.status_code == 503
    assert "very busy" in answer.text
    assert "Fän@example.org" in answer.text


async def test_who_asks_for_many_addresses_has_to_wait(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    elsewhere = {"X-Forwarded-For": "192.0.2.7"}
    for number in range(CLIENT_RATE.burst):
        assert (await ask(client, f"fan{number}@example.org", elsewhere)).status_code == 303
    answer = await ask(client, "one@more.org", elsewhere)
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 60
    assert "Please wait for a while" in answer.text
    other = {"X-Forwarded-For": "192.0.2.8"}
    assert (await ask(client, "one@more.org", other)).status_code == 303


async def test_in_redis_nobody_is_known_by_name(client: httpx.AsyncClient, shop: Shop) -> None:
    await ask(client, EMAIL, {"X-Forwarded-For": "192.0.2.7"})
    keys = await shop.sessions.store.client.keys("*again*")
    assert len(keys) == 2
    assert all("192.0" not in str(key) and "xample" not in str(key) for key in keys)


@pytest.mark.parametrize("email", ["", "nobody", "a@b\r\nc", "x" * 300])
async def test_what_is_no_address_is_said_beside_the_field(
    client: httpx.AsyncClient, requests: MailRequests, email: str
) -> None:
    answer = await ask(client, email)
    assert answer.status_code == 400
    assert 'aria-invalid="true"' in answer.text
    assert 'role="alert"' in answer.text


async def test_the_page_is_linked_from_where_it_is_looked_for(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    order_id = await sold(shop)
    for page in ("/", f"/demo/success?order_id={order_id.hex_digits}", "/demo/success?order_id=x"):
        assert f'href="{PATH}"' in (await client.get(page, headers=BROWSER)).text
