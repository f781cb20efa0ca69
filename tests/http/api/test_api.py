"""The JSON API's contract, over the real application in one process."""

import asyncio
import re
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import asyncpg
import httpx
import msgspec
import orjson
import pytest

from tests.harness.patience import until
from tests.http.asgi import WEBHOOK_URL, client_of_app
from tests.offers import OFFER, UP_TO_FOUR
from tests.shops import OpenShop
from tigerfans.booking.ids import OrderId
from tigerfans.http import reading
from tigerfans.http.app import create_app
from tigerfans.http.reading import BODY_BYTES_MAX
from tigerfans.json_input import DEPTH_MAX
from tigerfans.ledger.base import (
    InvalidRecordsError,
    LedgerBusyError,
    LedgerTimeoutError,
    LedgerUnavailableError,
    TooManyRecordsError,
)
from tigerfans.payments.mockpay import SIGNATURE_HEADER, MockPay
from tigerfans.settings.settings import HttpSettings, LimitSettings, Settings
from tigerfans.shop.hold_limits import HoldLimits
from tigerfans.shop.shop import Shop
from tigerfans.stores import orders

EMAIL = "fan@example.org"
BUY_A = {"cls": "A", "customer_email": EMAIL}
FORM = {"content-type": "application/x-www-form-urlencoded"}
SETTINGS = Settings(bench=True)
# Deeper than is read; some versions of Python could follow.
NESTED = b"[" * DEPTH_MAX + b"]" * DEPTH_MAX


def client_of(shop: Shop, settings: Settings = SETTINGS) -> httpx.AsyncClient:
    """A client whose MockPay sends its webhooks to the same application."""
    mockpay = shop.provider
    assert isinstance(mockpay, MockPay)
    app = create_app(settings, shop, mockpay)
    client = client_of_app(app)
    mockpay._client, mockpay._webhook_url = client, WEBHOOK_URL
    return client


@pytest.fixture
async def client(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(shop) as client:
        yield client


async def checkout(client: httpx.AsyncClient, **headers: str) -> dict[str, Any]:
    response = await client.post("/api/checkout", json=BUY_A, headers=headers)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def event(order: dict[str, Any], kind: str = "succeeded", **changes: Any) -> bytes:
    fields = {
        "type": f"payment.{kind}",
        "payment_session_id": order["redirect_url"].rpartition("/")[2],
        "order_id": order["order_id"],
        "amount": order["amount"],
        "currency": order["currency"],
        "created_at": 1795348800,
        "idempotency_key": "event-1",
    }
    return orjson.dumps(fields | changes)


async def send(
    client: httpx.AsyncClient, shop: Shop, body: bytes, signature: str | None = None
) -> httpx.Response:
    mockpay = shop.provider
    assert isinstance(mockpay, MockPay)
    headers = {"x-mockpay-signature": mockpay.sign(body) if signature is None else signature}
    return await client.post("/payments/webhook", content=body, headers=headers)


async def test_a_purchase_from_checkout_to_ticket(client: httpx.AsyncClient) -> None:
    order = await checkout(client)
    assert order["amount"] == 6500
    assert order["currency"] == "eur"
    emitted = await client.post(f"{order['redirect_url']}/emit", data={"t": "succeeded"})
    assert emitted.status_code == 303
    assert emitted.headers["location"] == f"/demo/success?order_id={order['order_id']}"
    status = (await client.get(f"/api/orders/{order['order_id']}")).json()
    assert status | {"paid_at": "", "ticket_code": ""} == {
        "order_id": order["order_id"],
        "status": "PAID",
        "cls": "A",
        "qty": 1,
        "amount": 6500,
        "currency": "eur",
        "paid_at": "",
        "ticket_code": "",
        "got_goodie": True,
        "tickets": [{"code": status["ticket_code"]}],
    }
    for document, media_type in (
        ("qr.png", "image/png"),
        ("qr.svg", "image/svg+xml"),
        ("ticket.png", "image/png"),
        ("ticket.pdf", "application/pdf"),
    ):
        picture = await client.get(f"/api/orders/{order['order_id']}/{document}")
        assert picture.status_code == 200
        assert picture.headers["content-type"].startswith(media_type)


async def test_a_purchase_of_several_tickets_from_checkout_to_each_of_them(
    open_shop: OpenShop,
) -> None:
    async with client_of(await open_shop(offer=UP_TO_FOUR)) as client:
        held = (await client.post("/api/checkout", json=BUY_A | {"qty": 3})).json()
        assert held["amount"] == 3 * 6500
        order = f"/api/orders/{held['order_id']}"
        assert (await client.get(order)).json()["tickets"] == []
        await client.post(f"{held['redirect_url']}/emit", data={"t": "succeeded"})
        paid = (await client.get(order)).json()
        assert (paid["status"], paid["qty"], paid["amount"]) == ("PAID", 3, 3 * 6500)
        codes = [ticket["code"] for ticket in paid["tickets"]]
        assert len(set(codes)) == 3
        assert paid["ticket_code"] == codes[0]
        for document in ("qr.png", "qr.svg", "ticket.png"):
            each = [await client.get(f"{order}/tickets/{n}/{document}") for n in range(3)]
            assert {answer.status_code for answer in each} == {200}
            assert len({answer.content for answer in each}) == 3
            # At the address that orders of one ticket have.
            assert (await client.get(f"{order}/{document}")).content == each[0].content
        for nothing in ("tickets/3/qr.svg", "tickets/-1/qr.svg", "tickets/0", "tickets/0/x.svg"):
            assert (await client.get(f"{order}/{nothing}")).status_code == 404
        assert (await client.get(f"{order}/tickets/0/ticket.ics")).status_code == 404
        assert (await client.get(f"{order}/ticket.pdf")).content.count(b"/Type /Page\n") == 3
        entry = (await client.get(f"{order}/ticket.ics")).text.replace("\r\n ", "")
        assert all(code in entry for code in codes)


@pytest.mark.parametrize("qty", [0, -1, 5, 65, 2**70, "2", "", 1.5, True, None, [2]])
async def test_a_number_of_tickets_that_cannot_be_is_refused_in_a_sentence(
    open_shop: OpenShop, qty: object
) -> None:
    async with client_of(await open_shop(offer=UP_TO_FOUR)) as client:
        refused = await client.post("/api/checkout", json=BUY_A | {"qty": qty})
        assert refused.status_code == 400
        assert refused.json()["field"] == "qty"
        assert refused.json()["detail"].startswith("Please choose")
        assert (await client.get("/api/inventory")).json()["A"]["active_holds"] == 0


async def test_more_tickets_than_are_left_is_a_conflict_that_says_how_many_are(
    open_shop: OpenShop,
) -> None:
    async with client_of(await open_shop(tickets_a=2, offer=UP_TO_FOUR)) as client:
        refused = await client.post("/api/checkout", json=BUY_A | {"qty": 3})
        assert refused.status_code == 409
        assert refused.json() == {
            "detail": "Only 2 tickets of this class are left. Please choose fewer.",
            "state": "too_few",
            "available": 2,
        }
        assert "retry-after" not in refused.headers


async def test_a_key_that_is_sent_with_another_number_of_tickets_is_a_conflict(
    open_shop: OpenShop,
) -> None:
    async with client_of(await open_shop(offer=UP_TO_FOUR)) as client:
        key = {"Idempotency-Key": "key-1"}
        first = await client.post("/api/checkout", json=BUY_A | {"qty": 2}, headers=key)
        again = await client.post("/api/checkout", json=BUY_A | {"qty": 2}, headers=key)
        assert again.json() == first.json()
        other = await client.post("/api/checkout", json=BUY_A, headers=key)
        assert (other.status_code, other.json()["new_key_needed"]) == (409, True)


async def test_the_show_says_how_many_tickets_an_order_may_have(open_shop: OpenShop) -> None:
    for offer, most in ((OFFER, 1), (UP_TO_FOUR, 4)):
        async with client_of(await open_shop(offer=offer)) as client:
            limits = (await client.get("/api/show")).json()["limits"]
            assert limits["tickets_per_order"] == most


@pytest.mark.parametrize(("kind", "status"), [("failed", "FAILED"), ("canceled", "CANCELED")])
async def test_a_payment_that_is_not_made_leads_back_to_the_checkout(
    client: httpx.AsyncClient, kind: str, status: str
) -> None:
    order = await checkout(client)
    emitted = await client.post(f"{order['redirect_url']}/emit", data={"t": kind})
    assert emitted.status_code == 303
    location = f"/demo/checkout?status={kind}&order_id={order['order_id']}"
    assert emitted.headers["location"] == location
    assert (await client.get(f"/api/orders/{order['order_id']}")).json()["status"] == status
    assert (await client.get(f"/api/orders/{order['order_id']}/qr.png")).status_code == 404


async def test_only_a_checkout_that_asks_for_it_brings_the_cookie_of_its_hold(
    client: httpx.AsyncClient,
) -> None:
    assert "set-cookie" not in (await client.post("/api/checkout", json=BUY_A)).headers
    held = await client.post("/api/checkout", json=BUY_A | {"remember": True})
    assert held.headers["set-cookie"].startswith(f"tigerfans-held-{held.json()['order_id']}=")
    page = await client.get("/demo/checkout", headers={"Accept": "text/html"})
    assert "You have a ticket on hold" in page.text.partition("<template")[0]


async def test_an_unknown_button_is_refused(client: httpx.AsyncClient) -> None:
    order = await checkout(client)
    emitted = await client.post(f"{order['redirect_url']}/emit", data={"t": "stolen"})
    assert emitted.status_code == 400


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="t"\r\n\r\n\xff\r\n--b--\r\n',
        ),
        ("application/x-www-form-urlencoded", b"t=\xff&%ff=%ff"),
        ("application/x-www-form-urlencoded", b"t=succeeded&t=failed"),
    ],
)
async def test_a_button_that_is_no_text_is_refused(
    client: httpx.AsyncClient, content_type: str, body: bytes
) -> None:
    order = await checkout(client)
    emitted = await client.post(
        f"{order['redirect_url']}/emit", content=body, headers={"Content-Type": content_type}
    )
    assert emitted.status_code == 400
    assert emitted.json()["detail"].endswith(".")
    assert "`" not in emitted.json()["detail"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"not json", 400),
        (b"[]", 400),
        (b'{"cls":"A"}', 400),
        (b'{"cls":"A","customer_email":7}', 400),
        (b'{"cls":"Z","customer_email":"fan@example.org"}', 400),
        (b'{"cls":"A","customer_email":"nobody"}', 400),
        (b'{"cls":"A","customer_email":"\\ud800@example.org"}', 400),
        (b'{"cls":"A","customer_email":"\xff@example.org"}', 400),
        (b'{"cls":"A","customer_email":"a\\u0000@example.org"}', 400),
        (b'{"cls":"A","customer_email":"a@b.de","more":' + NESTED + b"}", 400),
        (b" " * (BODY_BYTES_MAX + 1), 413),
    ],
)
async def test_a_bad_checkout_gets_a_sentence_and_no_hold(
    client: httpx.AsyncClient, shop: Shop, body: bytes, status: int
) -> None:
    response = await client.post("/api/checkout", content=body)
    assert response.status_code == status
    assert response.json()["detail"].endswith(".")
    assert (await shop.read_stock())[0].held == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cls": []}, "Please choose a ticket class."),
        ({"cls": None}, "Please choose a ticket class."),
        ({"customer_email": ["fan@example.org"]}, "Please give an email address for the ticket."),
    ],
)
async def test_a_field_of_the_wrong_kind_is_said_as_to_a_buyer(
    client: httpx.AsyncClient, changes: dict[str, Any], words: str
) -> None:
    response = await client.post("/api/checkout", json=BUY_A | changes)
    assert (response.status_code, response.json()) == (400, {"detail": words})
    fields = {name: value for name, value in BUY_A.items() if name not in changes}
    response = await client.post("/api/checkout", json=fields)
    assert (response.status_code, response.json()) == (400, {"detail": words})


async def test_sold_out_is_a_409_for_good(open_shop: OpenShop) -> None:
    async with client_of(await open_shop(tickets_a=0)) as client:
        response = await client.post("/api/checkout", json=BUY_A)
        stock = (await client.get("/api/inventory")).json()["A"]
    assert response.status_code == 409
    assert "retry-after" not in response.headers
    assert "old out" in response.json()["detail"]
    assert response.json()["state"] == stock["state"] == "sold_out"
    assert stock["sold_out"] is True


async def test_all_on_hold_is_a_409_until_later(open_shop: OpenShop) -> None:
    async with client_of(await open_shop(tickets_a=1)) as client:
        await checkout(client)
        response = await client.post("/api/checkout", json=BUY_A)
        stock = (await client.get("/api/inventory")).json()["A"]
    assert response.status_code == 409
    assert response.headers["retry-after"] == "10"
    assert "come back" in response.json()["detail"]
    assert "old out" not in response.json()["detail"]
    assert response.json()["state"] == stock["state"] == "on_hold"
    assert stock["sold_out"] is False


async def test_an_idempotency_key_gives_the_same_order_again(client: httpx.AsyncClient) -> None:
    first = await checkout(client, **{"Idempotency-Key": "key"})
    assert await checkout(client, **{"Idempotency-Key": "key"}) == first
    other = await client.post(
        "/api/checkout",
        json=BUY_A | {"customer_email": "other@example.org"},
        headers={"Idempotency-Key": "key"},
    )
    assert other.status_code == 409
    assert other.json().keys() == {"detail", "new_key_needed"}


async def test_a_form_that_is_sent_three_times_holds_one_ticket(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    page = (await client.get("/demo/checkout")).text
    found = re.search(r'name="idempotency_key" value="(\w+)"', page)
    assert found
    form = BUY_A | {"idempotency_key": found[1]}
    sent = await asyncio.gather(*(client.post("/demo/checkout", data=form) for _ in range(3)))
    assert {answer.status_code for answer in sent} == {303}
    assert len({answer.headers["location"] for answer in sent}) == 1
    assert (await shop.read_stock())[0].held == 1

    order_id = sent[0].headers["location"].rpartition("_")[2]
    await client.post(f"/mockpay/mock_{order_id}/emit", data={"t": "canceled"})
    ended = await client.post("/demo/checkout", data=form)
    assert ended.status_code == 409
    assert "was canceled. Please start a new one." in ended.text
    assert found[1] not in ended.text


async def test_a_key_whose_order_was_canceled_says_so_and_that_another_one_is_needed(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    order = await checkout(client, **{"Idempotency-Key": "key"})
    await send(client, shop, event(order, "canceled"))
    answer = await client.post("/api/checkout", json=BUY_A, headers={"Idempotency-Key": "key"})
    assert answer.status_code == 409
    assert answer.json() == {
        "detail": "The payment of this order was canceled. Please start a new one.",
        "new_key_needed": True,
        "order_status": "CANCELED",
    }


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/checkout"), ("POST", "/api/inventory"), ("DELETE", "/payments/webhook")],
)
async def test_a_wrong_method_is_a_405(client: httpx.AsyncClient, method: str, path: str) -> None:
    response = await client.request(method, path)
    assert response.status_code == 405
    assert response.headers["allow"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (LedgerBusyError(), "busy"),
        (LedgerUnavailableError(), "away"),
        (LedgerTimeoutError(), "did not answer in time"),
    ],
)
async def test_a_ledger_that_is_away_or_silent_is_a_503_and_never_sold_out(
    client: httpx.AsyncClient,
    shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    words: str,
) -> None:
    async def fail(*_: object) -> bytes:
        raise error

    monkeypatch.setattr(shop.ledger, "submit", fail)
    response = await client.post("/api/checkout", json=BUY_A)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert words in response.json()["detail"]


@pytest.mark.parametrize(
    "bug",
    [
        KeyError("secret detail"),
        InvalidRecordsError("secret detail"),
        TooManyRecordsError("secret detail"),
    ],
    ids=repr,
)
async def test_a_bug_is_a_500_without_a_stack_trace_and_a_trace_in_the_log(
    client: httpx.AsyncClient,
    shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    bug: Exception,
) -> None:
    async def fail(*_: object) -> bytes:
        raise bug

    monkeypatch.setattr(shop.ledger, "submit", fail)
    for response in (
        await client.post("/api/checkout", json=BUY_A),
        await client.get("/api/admin/goodies", headers=OPERATOR),
    ):
        assert response.status_code == 500
        assert "secret" not in response.text
        assert "Traceback" not in response.text
    assert [record.exc_info and record.exc_info[1] for record in caplog.records] == [bug, bug]


async def test_a_query_with_wrong_arguments_is_a_500_and_a_trace_in_the_log(
    client: httpx.AsyncClient,
    shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    order = await checkout(client)
    monkeypatch.setattr(orders, "_FIND", "SELECT $1::uuid[], $2::int")
    response = await client.get(f"/api/orders/{order['order_id']}")
    assert response.status_code == 500
    [record] = caplog.records
    assert record.exc_info
    assert isinstance(record.exc_info[1], asyncpg.InterfaceError)


async def test_a_bug_in_a_check_is_not_ready_and_a_trace_in_the_log(
    client: httpx.AsyncClient,
    shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(*_: object) -> bytes:
        raise InvalidRecordsError

    monkeypatch.setattr(shop.ledger, "submit", fail)
    assert (await client.get("/readyz")).status_code == 503
    assert [record.exc_info is not None for record in caplog.records] == [True]


# --- Webhook ---------------------------------------------------------------------------------


async def test_a_signed_webhook_sells_the_ticket_and_its_replay_is_idempotent(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    order = await checkout(client)
    first = await send(client, shop, event(order))
    assert (first.status_code, first.json()) == (200, {"ok": True, "order_status": "PAID"})
    again = await send(client, shop, event(order))
    assert again.json() == {"ok": True, "order_status": "PAID", "idempotent": True}


@pytest.mark.parametrize("signature", ["", "AAAA", "é" * 44])
async def test_a_webhook_without_a_good_signature_changes_nothing(
    client: httpx.AsyncClient, shop: Shop, signature: str
) -> None:
    order = await checkout(client)
    response = await client.post(
        "/payments/webhook",
        content=event(order),
        headers={b"x-mockpay-signature": signature.encode("latin-1")},
    )
    assert response.status_code == 400
    assert (await client.get(f"/api/orders/{order['order_id']}")).json()["status"] == "PENDING"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"type": "payment.refunded"}, "unreadable"),
        ({"amount": 1}, "amount"),
        ({"amount": "6500"}, "unreadable"),
        ({"currency": "usd"}, "currency"),
        ({"payment_session_id": "mock_other"}, "session"),
        ({"order_id": "zz"}, "no order id"),
        ({"order_id": "0" * 32}, "session"),
        ({"customer_email": "\0", "cls": "\0"}, "class"),
    ],
)
async def test_a_signed_webhook_that_does_not_fit_is_an_unmatched_payment(
    client: httpx.AsyncClient, shop: Shop, changes: dict[str, Any], reason: str
) -> None:
    order = await checkout(client)
    first = await send(client, shop, event(order, **changes))
    assert (first.status_code, first.json()) == (200, {"ok": True, "order_status": "UNMATCHED"})
    again = await send(client, shop, event(order, **changes))
    assert again.json() == {"ok": True, "order_status": "UNMATCHED", "idempotent": True}
    assert (await client.get(f"/api/orders/{order['order_id']}")).json()["status"] == "PENDING"
    listed = (await client.get("/api/admin/unmatched", headers=OPERATOR)).json()
    assert (listed["total"], [item["reason"] for item in listed["items"]]) == (1, [reason])


async def test_a_signed_webhook_that_fits_no_order_and_moves_no_money_is_confirmed(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    order = await checkout(client)
    response = await send(client, shop, event(order, "failed", amount=1))
    assert (response.status_code, response.json()) == (200, {"ok": True, "order_status": None})
    assert (await client.get(f"/api/orders/{order['order_id']}")).json()["status"] == "PENDING"
    assert (await client.get("/api/admin/unmatched", headers=OPERATOR)).json()["total"] == 0


async def test_a_webhook_over_256_kib_is_refused(client: httpx.AsyncClient, shop: Shop) -> None:
    assert (await send(client, shop, b" " * (256 * 1024 + 1))).status_code == 413


async def test_a_signed_webhook_that_is_nested_too_deeply_is_kept_unread(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    body = b'{"type":"payment.failed","created_at":' + NESTED + b"}"
    assert (await send(client, shop, body)).json()["order_status"] == "UNMATCHED"
    [kept] = (await client.get("/api/admin/unmatched", headers=OPERATOR)).json()["items"]
    assert kept["body"] == body.decode()


# --- Requests that do not arrive ---------------------------------------------------------------


@pytest.fixture
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BODY_SECONDS_MAX", 0.02)


@pytest.mark.parametrize("path", ["/api/checkout", "/payments/webhook", "/mockpay/mock_1/emit"])
async def test_a_body_that_does_not_come_is_not_waited_for(
    little_patience: None, client: httpx.AsyncClient, path: str
) -> None:
    async def half_a_body() -> AsyncIterator[bytes]:
        yield b"t=succ"
        await asyncio.Event().wait()

    response = await client.post(path, content=half_a_body(), headers=FORM)
    assert response.status_code == 408
    assert response.json()["detail"] == "The request took too long to arrive."


@pytest.mark.parametrize("has_length", [True, False])
async def test_a_body_in_many_parts_is_read_to_its_end(
    client: httpx.AsyncClient, has_length: bool
) -> None:
    body = orjson.dumps(BUY_A)

    async def in_parts() -> AsyncIterator[bytes]:
        for byte in body:
            yield bytes([byte])

    headers = {"content-length": str(len(body))} if has_length else {}
    response = await client.post("/api/checkout", content=in_parts(), headers=headers)
    assert response.status_code == 200


# --- Orders and inventory --------------------------------------------------------------------


@pytest.mark.parametrize("order_id", ["0" * 32, "x", "0" * 31, "%00"])
async def test_an_unknown_order_is_a_404(client: httpx.AsyncClient, order_id: str) -> None:
    for path in (f"/api/orders/{order_id}", f"/api/orders/{order_id}/qr.svg"):
        response = await client.get(path)
        assert response.status_code == 404
        assert response.json()["detail"]


async def test_an_order_says_nothing_of_its_buyer(client: httpx.AsyncClient) -> None:
    order = await checkout(client)
    assert EMAIL not in (await client.get(f"/api/orders/{order['order_id']}")).text


async def test_the_inventory_counts_holds_and_sales(client: httpx.AsyncClient, shop: Shop) -> None:
    await checkout(client)
    await send(client, shop, event(await checkout(client)))
    stock = (await client.get("/api/inventory")).json()
    timestamp = stock["A"].pop("timestamp")
    assert timestamp.endswith("+00:00")
    assert stock["A"] == {
        "capacity": 10,
        "sold": 1,
        "active_holds": 1,
        "available": 8,
        "state": "on_sale",
        "going_fast": False,
        "sold_out": False,
    }
    assert stock["B"]["available"] == 10


# --- Operator --------------------------------------------------------------------------------

OPERATOR = {"Authorization": "Basic " + b64encode(b"admin:supasecret").decode()}
ADMIN_PATHS = [
    "/admin",
    "/api/pending",
    "/api/admin/orders",
    "/api/admin/goodies",
    "/api/admin/webhooks",
    "/api/admin/refunds",
    "/api/admin/unmatched",
]


@pytest.mark.parametrize("login", [None, "Basic !!", "Bearer x", "Basic YWRtaW46d3Jvbmc="])
async def test_every_admin_route_asks_for_the_login(
    client: httpx.AsyncClient, login: str | None
) -> None:
    for path in ADMIN_PATHS:
        response = await client.get(path, headers={"Authorization": login} if login else {})
        assert response.status_code == 401, path
        assert response.headers["www-authenticate"].startswith("Basic"), path


async def test_the_operator_sees_pending_sessions_orders_and_goodies(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    waiting = await checkout(client)
    paid = await checkout(client)
    await send(client, shop, event(paid))
    await shop.sessions._finishes.drain()
    client.headers.update(OPERATOR)
    pending = (await client.get("/api/pending")).json()
    assert (pending["total"], pending["limit"]) == (1, 200)
    [session] = pending["items"]
    assert session["order_id"] == waiting["order_id"]
    assert session["email"] == EMAIL
    assert session["status"] == "PENDING"
    orders = (await client.get("/api/admin/orders?limit=5")).json()
    assert orders["limit"] == 5
    [order] = orders["items"]
    assert (order["id"], order["status"], order["email"]) == (paid["order_id"], "PAID", EMAIL)
    assert (await client.get("/api/admin/goodies")).json() == {"used": 1, "limit": 2}


async def test_an_abandoned_hold_is_neither_listed_nor_counted_as_pending(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    waiting = await checkout(client)
    session = await shop.payment_session(waiting["redirect_url"].rpartition("/")[2])
    assert session is not None
    now_ms = time.time_ns() // 1_000_000
    abandoned = msgspec.structs.replace(session, order_id=OrderId.new(), expires_ms=now_ms)
    await shop.sessions.save(abandoned)
    pending = (await client.get("/api/pending", headers=OPERATOR)).json()
    assert [session["order_id"] for session in pending["items"]] == [waiting["order_id"]]
    assert pending["total"] == 1


async def test_a_client_over_its_limit_is_a_429_that_says_when_to_come_back(
    open_shop: OpenShop,
) -> None:
    shop = await open_shop(limits=HoldLimits("secret", per_client=1))
    settings = replace(SETTINGS, limits=LimitSettings(trusted_proxies=(ip_network("127.0.0.1"),)))
    async with client_of(shop, settings) as client:
        for name in ("192.0.2.7", "192.0.2.8"):
            await checkout(client, **{"X-Forwarded-For": name})
        for name in ("192.0.2.7", "192.0.2.9, 192.0.2.8"):
            refused = await client.post(
                "/api/checkout", json=BUY_A, headers={"X-Forwarded-For": name}
            )
            assert refused.status_code == 429
            assert "Only 1 ticket at a time" in refused.json()["detail"]
            assert 240 < int(refused.headers["retry-after"]) <= 300


async def test_a_connection_from_this_machine_has_no_limit(open_shop: OpenShop) -> None:
    shop = await open_shop(limits=HoldLimits("secret", per_client=1))
    async with client_of(shop) as client:
        for _ in range(3):
            await checkout(client)
    assert (await shop.read_stock())[0].held == 3


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/api/pending?limit=0", "limit must be at least 1."),
        ("/api/pending?limit=201", "limit must be at most 200."),
        ("/api/pending?limit=x", "limit must be a whole number."),
        ("/api/admin/orders?q=" + "x" * 255, "may have at most 254 characters."),
        ("/api/admin/unmatched?resolved=x", "resolved must be true or false."),
        ("/api/admin/unmatched?resolved=x&limit=x", "must be a whole number, resolved must be"),
    ],
)
async def test_what_is_wrong_with_an_address_is_a_sentence_that_names_it(
    client: httpx.AsyncClient, address: str, words: str
) -> None:
    response = await client.get(address, headers=OPERATOR)
    assert response.status_code == 400
    assert words in response.json()["detail"]
    assert "`" not in response.json()["detail"]


async def test_a_refund_that_is_due_is_listed_and_given_once(open_shop: OpenShop) -> None:
    shop = await open_shop(tickets_a=1)
    async with client_of(shop) as client:
        late = await checkout(client)
        await send(client, shop, event(late, "failed"))
        await checkout(client)
        assert (await send(client, shop, event(late))).json()["order_status"] == "PAID_UNFULFILLED"
        client.headers.update(OPERATOR)
        due = (await client.get("/api/admin/refunds")).json()
        assert (due["total"], [item["id"] for item in due["items"]]) == (1, [late["order_id"]])
        path = f"/api/admin/orders/{late['order_id']}/refund"
        first = (await client.post(path)).json()
        assert first["refunded_at_iso"]
        assert (await client.post(path)).json() == first
        assert (await client.get("/api/admin/refunds")).json()["total"] == 0


async def test_a_refund_that_the_provider_fails_is_its_failure_and_stays_due(
    open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise httpx.ConnectError("no route")

    shop = await open_shop(tickets_a=1)
    async with client_of(shop) as client:
        late = await checkout(client)
        await send(client, shop, event(late, "failed"))
        await checkout(client)
        await send(client, shop, event(late))
        client.headers.update(OPERATOR)
        path = f"/api/admin/orders/{late['order_id']}/refund"
        with monkeypatch.context() as patch:
            patch.setattr(shop.provider, "refund", fail)
            failed = await client.post(path)
        assert (failed.status_code, "retry-after" in failed.headers) == (503, True)
        assert "payment provider" in failed.json()["detail"]
        assert (await client.get("/api/admin/refunds")).json()["total"] == 1
        assert (await client.post(path)).json()["refunded_at_iso"]


async def test_no_refund_is_given_for_an_order_that_nobody_has_paid(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    order = await checkout(client)
    await send(client, shop, event(order, "failed"))
    path = f"/api/admin/orders/{order['order_id']}/refund"
    assert (await client.post(path)).status_code == 401
    assert (await client.post(path, headers=OPERATOR)).status_code == 400


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil"}])
async def test_another_site_cannot_act_with_the_operators_login(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    order = await checkout(client)
    path = f"/api/admin/orders/{order['order_id']}/refund"
    assert (await client.post(path, headers=OPERATOR | headers)).status_code == 403


@pytest.mark.parametrize(
    ("public_url", "headers"),
    [
        # The browser says whose page it was, whatever a proxy makes of the host.
        (
            None,
            {"Sec-Fetch-Site": "same-origin", "Origin": "https://shop", "Host": "127.0.0.1:8000"},
        ),
        # An older one does not, and a proxy leaves the port out or adds it.
        (None, {"Origin": "https://shop", "Host": "shop:443"}),
        (None, {"Origin": "http://shop:80", "Host": "shop"}),
        ("https://shop:8443", {"Origin": "https://shop:8443", "Host": "shop"}),
        ("https://shop", {"Origin": "https://shop", "Host": "10.0.0.7:8000"}),
        # No browser at all.
        ("https://shop", {"Host": "10.0.0.7:8000"}),
    ],
)
async def test_the_operator_acts_from_behind_any_proxy(
    shop: Shop, public_url: str | None, headers: dict[str, str]
) -> None:
    settings = Settings(http=HttpSettings(public_url=public_url))
    async with client_of(shop, settings) as client:
        order = await checkout(client)
        path = f"/api/admin/orders/{order['order_id']}/refund"
        # No refund is due, and that is all that is wrong.
        assert (await client.post(path, headers=OPERATOR | headers)).status_code in (400, 404)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil"},
        {"Origin": "https://shop:8443"},
        {"Origin": "http://shop"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1:8000"},
        {"Origin": "https://shop", "Sec-Fetch-Site": "same-site"},
        {"Origin": "https://shop", "Sec-Fetch-Site": "none"},
    ],
)
async def test_only_the_public_address_is_the_shops_own_where_it_is_set(
    shop: Shop, headers: dict[str, str]
) -> None:
    settings = Settings(http=HttpSettings(public_url="https://shop"))
    async with client_of(shop, settings) as client:
        path = f"/api/admin/orders/{'0' * 32}/refund"
        sent = OPERATOR | {"Host": "127.0.0.1:8000"} | headers
        assert (await client.post(path, headers=sent)).status_code == 403


async def test_a_webhook_that_is_not_confirmed_is_kept_and_sent_again(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    order = await checkout(client)
    mockpay = shop.provider
    assert isinstance(mockpay, MockPay)
    mockpay._webhook_url = "http://shop/nowhere"
    emitted = await client.post(f"{order['redirect_url']}/emit", data={"t": "succeeded"})
    assert emitted.status_code == 303
    kept = (await client.get("/api/admin/webhooks", headers=OPERATOR)).json()
    assert kept["total"] == 1
    assert kept["items"][0] | {"created_at_iso": "", "next_attempt_at_iso": ""} == {
        "order_id": order["order_id"],
        "type": "payment.succeeded",
        "created_at_iso": "",
        "next_attempt_at_iso": "",
        "attempts": 1,
        "last_error": "status 404",
    }
    mockpay._webhook_url = WEBHOOK_URL

    async def is_delivered() -> bool:
        # The next attempt comes when the pause is over.
        await mockpay.deliver_due()
        left = await client.get("/api/admin/webhooks", headers=OPERATOR)
        return bool(left.json()["total"] == 0)

    await until(is_delivered)
    assert (await client.get(f"/api/orders/{order['order_id']}")).json()["status"] == "PAID"


async def test_both_webhook_secrets_are_valid_while_they_are_rotated(shop: Shop) -> None:
    mockpay = shop.provider
    assert isinstance(mockpay, MockPay)
    old = MockPay(("old",), "", mockpay._client, mockpay.outbox)
    rotating = MockPay(("new", "old"), "", mockpay._client, mockpay.outbox)
    body = event({"redirect_url": "x", "order_id": "x", "amount": 1, "currency": "eur"})
    assert rotating.read_webhook({SIGNATURE_HEADER: old.sign(body)}, body).amount == 1
    assert rotating.read_webhook({SIGNATURE_HEADER: rotating.sign(body)}, body).amount == 1


# --- Health and benchmarks -------------------------------------------------------------------


async def test_a_shop_is_ready_when_all_its_stores_answer(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).status_code == 200
    assert (await client.get("/readyz")).json() == {"status": "ready"}


async def test_a_shop_that_is_not_ready_names_what_is_away(
    client: httpx.AsyncClient, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> bytes:
        raise LedgerUnavailableError

    monkeypatch.setattr(shop.ledger, "submit", fail)
    response = await client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["away"] == ["ledger"]


async def test_the_accounting_endpoints_hold_and_sell(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    ids = (await client.get("/api/accounting/reserve")).json()
    assert int(ids["goodie_tb_transfer_id"]) == int(ids["tb_transfer_id"]) + 2
    assert (await shop.read_stock())[0].held == 1
    committed = await client.get("/api/accounting/commit", params=ids)
    assert committed.json() == ids
    assert (await shop.read_stock())[0].sold == 1
    for query in ("tb_transfer_id=1", "&".join(["tb_transfer_id=1"] * 11)):
        assert (await client.get(f"/api/accounting/commit?{query}")).status_code == 400


async def test_the_accounting_endpoints_are_closed_without_the_switch(shop: Shop) -> None:
    async with client_of(shop, replace(SETTINGS, bench=False)) as client:
        assert (await client.get("/api/accounting/reserve")).status_code == 404


async def test_many_buyers_at_once_get_exactly_the_tickets_there_are(open_shop: OpenShop) -> None:
    workers = [client_of(await open_shop(tickets_a=20, goodies=5)) for _ in range(2)]
    responses = await asyncio.gather(
        *(workers[i % 2].post("/api/checkout", json=BUY_A) for i in range(200))
    )
    for worker in workers:
        await worker.aclose()
    assert sorted(r.status_code for r in responses) == [200] * 20 + [409] * 180
