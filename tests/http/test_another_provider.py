"""A shop whose payment provider is not MockPay: nothing but the provider itself is another one."""

from collections.abc import AsyncIterator

import httpx
import orjson
import pytest

from tests.http.api.test_api import BUY_A
from tests.http.asgi import client_of_app
from tests.offers import SHOW
from tests.shop.test_inquiry import end_holds
from tests.shops import OpenShop
from tigerfans.booking.ids import OrderId
from tigerfans.errors import NotYourTurnError, ProviderError
from tigerfans.http.app import create_app
from tigerfans.payments.base import (
    PAY_PAGE,
    EventType,
    Headers,
    InvalidWebhookError,
    Payment,
    PaymentEvent,
    PaymentLine,
)
from tigerfans.payments.unmatched import MISFIT_WORDS
from tigerfans.settings.settings import DEFAULT_ADMIN_PASSWORD, Settings
from tigerfans.shop.inquiry import inquire
from tigerfans.shop.shop import Shop

BROWSER = {"Accept": "text/html"}


class Coins:
    """A provider that signs with a word and tells no more than it must."""

    name = "Coins"
    signature_header = "x-word"
    hold_seconds_min = 1
    line: PaymentLine | None = None
    books = None

    def __init__(self) -> None:
        self.paid: dict[str, PaymentEvent] = {}
        self.opened: list[Payment] = []
        self.expired: list[str] = []
        self.under_way: set[str] = set()
        self.given_back: list[tuple[str, str | None, int, str]] = []
        self.error: Exception | None = None

    def pay(self, order_id: str) -> None:
        """Takes the coins, and tells nobody."""
        self.paid[order_id] = self._paid(order_id)

    def session_id(self, order_id: str) -> str:
        return f"coins-{order_id}"

    def order_id(self, session_id: str) -> str | None:
        return session_id.removeprefix("coins-")

    def page_url(self, order_id: str) -> str:
        return PAY_PAGE.format(order_id=order_id)

    async def open(self, payment: Payment) -> str:
        if self.error:
            raise self.error
        self.opened.append(payment)
        return f"https://coins.example/{payment.order_id}"

    def read_webhook(self, headers: Headers, body: bytes) -> PaymentEvent | None:
        if headers.get("x-word") != "sesame":
            raise InvalidWebhookError
        order_id, _, coin = body.decode().partition("/")
        return None if body == b"hello" else self._paid(order_id, coin or "coin")

    async def look_up(self, order_id: str) -> PaymentEvent | None:
        if self.error:
            raise self.error
        return self.paid.get(order_id)

    async def is_under_way(self, order_id: str) -> bool:
        return order_id in self.under_way

    async def expire(self, order_id: str) -> None:
        self.expired.append(order_id)

    async def refund(self, order_id: str, reference: str | None, amount: int, key: str) -> None:
        self.given_back.append((order_id, reference, amount, key))

    def _paid(self, order_id: str, coin: str = "coin") -> PaymentEvent:
        return PaymentEvent(
            EventType.SUCCEEDED,
            self.session_id(order_id),
            order_id,
            6500,
            "eur",
            reference=f"{coin}-{order_id}",
        )


@pytest.fixture
def coins() -> Coins:
    return Coins()


@pytest.fixture
async def shop(open_shop: OpenShop, coins: Coins) -> Shop:
    shop: Shop = await open_shop(provider=coins)
    return shop


@pytest.fixture
async def client(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of_app(create_app(Settings(), shop, mockpay=None)) as client:
        yield client


async def test_another_provider_sells_a_ticket(client: httpx.AsyncClient) -> None:
    order = (await client.post("/api/checkout", json=BUY_A)).json()
    order_id = order["order_id"]
    assert order["redirect_url"] == f"/pay/{order_id}"
    paid = await client.post("/payments/webhook", content=order_id, headers={"x-word": "sesame"})
    assert paid.json() == {"ok": True, "order_status": "PAID"}
    assert (await client.get(f"/api/orders/{order_id}")).json()["status"] == "PAID"


async def test_what_is_about_no_payment_is_taken_and_changes_nothing(
    client: httpx.AsyncClient,
) -> None:
    heard = await client.post("/payments/webhook", content="hello", headers={"x-word": "sesame"})
    assert (heard.status_code, heard.json()) == (200, {"ok": True, "order_status": None})


async def test_what_it_never_tells_it_is_asked_for(
    client: httpx.AsyncClient, shop: Shop, coins: Coins
) -> None:
    order_id = (await client.post("/api/checkout", json=BUY_A)).json()["order_id"]
    coins.pay(order_id)
    await end_holds(shop)
    await inquire(shop)
    assert (await client.get(f"/api/orders/{order_id}")).json()["status"] == "PAID"
    assert coins.expired == []


async def test_what_is_not_paid_when_its_hold_ends_shall_not_be_paid_any_more(
    client: httpx.AsyncClient, shop: Shop, coins: Coins
) -> None:
    order_id = (await client.post("/api/checkout", json=BUY_A)).json()["order_id"]
    await inquire(shop)
    assert coins.expired == []
    await end_holds(shop)
    await inquire(shop)
    assert coins.expired == [order_id]


async def test_what_it_calls_the_payment_stands_with_the_order_and_goes_back_with_the_money(
    client: httpx.AsyncClient, shop: Shop, coins: Coins
) -> None:
    order_id = (await client.post("/api/checkout", json=BUY_A)).json()["order_id"]
    await client.post("/payments/webhook", content=order_id, headers={"x-word": "sesame"})
    parsed = OrderId.read(order_id)
    assert parsed is not None
    await shop.refund(parsed, "admin")
    assert coins.given_back == [(order_id, f"coin-{order_id}", 6500, f"{order_id}-0")]
    operator = ("admin", DEFAULT_ADMIN_PASSWORD)
    for export in ("orders.csv", "payments.csv"):
        answer = await client.get(f"/api/admin/{export}", auth=operator)
        assert f"coin-{order_id}" in answer.text
    story = await client.get(f"/admin/orders/{order_id}", auth=operator, headers=BROWSER)
    assert f"coin-{order_id}" in story.text


async def test_a_payment_that_fits_no_order_goes_back_by_what_the_provider_calls_it(
    client: httpx.AsyncClient, shop: Shop, coins: Coins
) -> None:
    unknown = "01" * 15 + "00"
    await client.post("/payments/webhook", content=unknown, headers={"x-word": "sesame"})
    [waiting], _ = await shop.unmatched.waiting(10)
    await shop.refund_unmatched(waiting.id, "admin")
    assert coins.given_back == [(unknown, f"coin-{unknown}", 6500, waiting.id)]


@pytest.mark.parametrize("redis_forgets", [False, True])
async def test_a_second_payment_of_an_order_waits_for_the_operator_and_goes_back(
    client: httpx.AsyncClient, shop: Shop, coins: Coins, redis_forgets: bool
) -> None:
    order_id = (await client.post("/api/checkout", json=BUY_A)).json()["order_id"]
    parsed = OrderId.read(order_id)
    assert parsed is not None

    async def tell(coin: str) -> dict[str, object]:
        if redis_forgets:
            await shop.sessions.forget([parsed])
        body, word = f"{order_id}/{coin}", {"x-word": "sesame"}
        answer = await client.post("/payments/webhook", content=body, headers=word)
        assert answer.status_code == 200
        told: dict[str, object] = answer.json()
        return told

    assert await tell("coin") == {"ok": True, "order_status": "PAID"}
    assert await tell("another") == {"ok": True, "order_status": "UNMATCHED"}
    assert await tell("another") == {"ok": True, "order_status": "UNMATCHED", "idempotent": True}
    assert await tell("coin") == {"ok": True, "order_status": "PAID", "idempotent": True}
    [waiting], _ = await shop.unmatched.waiting(10)
    assert "a second one" in MISFIT_WORDS[waiting.reason]
    await shop.refund_unmatched(waiting.id, "admin")
    assert coins.given_back == [(order_id, f"another-{order_id}", 6500, waiting.id)]
    order = await shop.order(parsed)
    assert order is not None
    assert (order.status, order.payment_reference) == ("PAID", f"coin-{order_id}")


# --- The page before the payment, and the one behind it -------------------------------------------


async def hold(client: httpx.AsyncClient) -> str:
    order_id: str = (await client.post("/api/checkout", json=BUY_A)).json()["order_id"]
    return order_id


async def test_a_checkout_asks_nobody_and_its_page_opens_the_payment(
    client: httpx.AsyncClient, coins: Coins
) -> None:
    order_id = await hold(client)
    assert coins.opened == []
    led = await client.get(f"/pay/{order_id}")
    assert (led.status_code, led.headers["location"]) == (303, f"https://coins.example/{order_id}")
    [payment] = coins.opened
    assert (payment.order_id, payment.cls, payment.name) == (order_id, "A", f"Premium, {SHOW.name}")
    assert (payment.qty, payment.price, payment.amount, payment.currency) == (1, 6500, 6500, "eur")
    assert payment.email == BUY_A["customer_email"]
    assert (payment.expires_at - payment.held_at).total_seconds() == 300
    assert payment.success_url == f"http://127.0.0.1:8000/pay/{order_id}/return"


async def test_a_browser_is_led_on_by_a_page_since_no_form_may_end_elsewhere(
    client: httpx.AsyncClient,
) -> None:
    order_id = await hold(client)
    page = await client.get(f"/pay/{order_id}", headers=BROWSER)
    assert page.status_code == 200
    url = f"https://coins.example/{order_id}"
    assert f'<meta http-equiv="refresh" content="0; url={url}">' in page.text
    assert f'href="{url}"' in page.text


async def test_while_others_are_before_it_the_page_says_how_long_and_comes_back(
    client: httpx.AsyncClient, coins: Coins
) -> None:
    order_id = await hold(client)
    coins.error = NotYourTurnError(7.2)
    page = await client.get(f"/pay/{order_id}", headers=BROWSER)
    assert (page.status_code, "Your ticket is yours" in page.text) == (200, True)
    assert "opens in about 8 seconds" in page.text
    # Nobody comes back after the turn: who is somewhat early waits for it in the request.
    assert '<noscript><meta http-equiv="refresh" content="7"></noscript>' in page.text
    assert 'data-retry-after-seconds="5.8"' in page.text
    told = await client.get(f"/pay/{order_id}")
    assert (told.status_code, told.headers["retry-after"]) == (503, "7")
    coins.error = None
    assert (await client.get(f"/pay/{order_id}")).status_code == 303


async def test_a_provider_that_gives_no_session_makes_the_page_wait_and_loses_nothing(
    client: httpx.AsyncClient, coins: Coins
) -> None:
    order_id = await hold(client)
    for error in (KeyError("whatever its client raises"), ProviderError("It refuses the key.")):
        coins.error = error
        page = await client.get(f"/pay/{order_id}", headers=BROWSER)
        assert (page.status_code, "Your ticket is yours" in page.text) == (200, True)
        assert "Coins does not answer right now" in page.text
        assert "Many are paying right now" not in page.text
        told = await client.get(f"/pay/{order_id}")
        assert (told.status_code, "is slow right now" in told.json()["detail"]) == (503, True)
    assert (await client.get(f"/pay/{order_id}/return")).status_code == 303
    assert (await client.get(f"/api/orders/{order_id}")).json()["status"] == "PENDING"


async def test_what_cannot_be_paid_any_more_leads_to_its_order(
    client: httpx.AsyncClient, shop: Shop, coins: Coins
) -> None:
    order_id = await hold(client)
    parsed = OrderId.read(order_id)
    assert parsed is not None
    await shop.release(parsed)
    led = await client.get(f"/pay/{order_id}", headers=BROWSER)
    assert led.headers["location"] == f"/demo/success?order_id={order_id}"
    assert coins.opened == []
    assert (await client.get(f"/pay/{'0' * 31}1", headers=BROWSER)).status_code == 404


async def test_who_comes_back_has_the_ticket_before_the_webhook_is_there(
    client: httpx.AsyncClient, coins: Coins
) -> None:
    order_id = await hold(client)
    coins.pay(order_id)
    back = await client.get(f"/pay/{order_id}/return")
    assert back.headers["location"] == f"/demo/success?order_id={order_id}"
    assert (await client.get(f"/api/orders/{order_id}")).json()["status"] == "PAID"
    late = await client.post("/payments/webhook", content=order_id, headers={"x-word": "sesame"})
    assert late.json() == {"ok": True, "order_status": "PAID", "idempotent": True}


async def test_its_signature_is_asked_for_in_its_own_header(client: httpx.AsyncClient) -> None:
    order_id = (await client.post("/api/checkout", json=BUY_A)).json()["order_id"]
    headers = {"x-mockpay-signature": "sesame"}
    refused = await client.post("/payments/webhook", content=order_id, headers=headers)
    assert refused.status_code == 400


async def test_with_another_provider_nobody_can_press_mockpays_buttons(
    client: httpx.AsyncClient,
) -> None:
    order_id = (await client.post("/api/checkout", json=BUY_A)).json()["order_id"]
    for psid in (f"mock_{order_id}", f"coins-{order_id}"):
        assert (await client.get(f"/mockpay/{psid}")).status_code == 404
        pressed = await client.post(f"/mockpay/{psid}/emit", data={"t": "succeeded"})
        assert pressed.status_code == 404
    assert (await client.get(f"/api/orders/{order_id}")).json()["status"] == "PENDING"


async def test_the_pages_call_the_provider_by_its_name(client: httpx.AsyncClient) -> None:
    order_id = (await client.post("/api/checkout", json=BUY_A)).json()["order_id"]
    for path in ("/", "/demo/checkout", f"/demo/success?order_id={order_id}"):
        page = (await client.get(path, headers=BROWSER)).text
        assert "Coins" in page
        assert "MockPay" not in page


async def test_the_schema_names_the_providers_header_and_nothing_of_mockpay(
    client: httpx.AsyncClient,
) -> None:
    schema = (await client.get("/schema/openapi.json")).content
    description = orjson.loads(schema)
    assert "/payments/webhook" in description["paths"]
    assert description["components"]["securitySchemes"]["provider"]["name"] == "x-word"
    assert b"MockPay" not in schema
    # How MockPay signs is nothing of this provider's.
    assert b"HMAC" not in schema
    assert not [path for path in description["paths"] if "mockpay" in path]
