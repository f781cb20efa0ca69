"""A shop whose payment provider is not MockPay: nothing but the provider itself is another one."""

from collections.abc import AsyncIterator

import httpx
import orjson
import pytest

from tests.harness.patience import until
from tests.http.api.test_api import BUY_A
from tests.http.asgi import client_of_app
from tests.shops import OpenShop
from tigerfans.http.app import create_app
from tigerfans.payments.base import EventType, InvalidWebhookError, PaymentEvent
from tigerfans.settings.settings import Settings
from tigerfans.shop.inquiry import inquire
from tigerfans.shop.shop import Shop

BROWSER = {"Accept": "text/html"}


class Coins:
    """A provider that signs with a word and tells no more than it must."""

    name = "Coins"
    signature_header = "x-word"

    def __init__(self) -> None:
        self.paid: dict[str, PaymentEvent] = {}

    def pay(self, order_id: str) -> None:
        """Takes the coins, and tells nobody."""
        session_id = f"coins-{order_id}"
        self.paid[session_id] = PaymentEvent(EventType.SUCCEEDED, session_id, order_id, 6500, "eur")

    def session_id(self, order_id: str) -> str:
        return f"coins-{order_id}"

    def order_id(self, session_id: str) -> str | None:
        return session_id.removeprefix("coins-")

    def redirect_url(self, session_id: str) -> str:
        return f"https://coins.example/{session_id}"

    def read_webhook(self, body: bytes, signature: str | None) -> PaymentEvent:
        if signature != "sesame":
            raise InvalidWebhookError
        order_id = body.decode()
        return PaymentEvent(EventType.SUCCEEDED, f"coins-{order_id}", order_id, 6500, "eur")

    async def look_up(self, session_id: str) -> PaymentEvent | None:
        return self.paid.get(session_id)

    async def refund(self, session_id: str, amount_cents: int, key: str) -> None: ...


@pytest.fixture
def coins() -> Coins:
    return Coins()


@pytest.fixture
async def shop(open_shop: OpenShop, coins: Coins) -> Shop:
    shop: Shop = await open_shop(provider=coins, hold_seconds=1)
    return shop


@pytest.fixture
async def client(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of_app(create_app(Settings(), shop, mockpay=None)) as client:
        yield client


async def test_another_provider_sells_a_ticket(client: httpx.AsyncClient) -> None:
    order = (await client.post("/api/checkout", json=BUY_A)).json()
    order_id = order["order_id"]
    assert order["redirect_url"] == f"https://coins.example/coins-{order_id}"
    paid = await client.post("/payments/webhook", content=order_id, headers={"x-word": "sesame"})
    assert paid.json() == {"ok": True, "order_status": "PAID"}
    assert (await client.get(f"/api/orders/{order_id}")).json()["status"] == "PAID"


async def test_what_it_never_tells_it_is_asked_for(
    client: httpx.AsyncClient, shop: Shop, coins: Coins
) -> None:
    order_id = (await client.post("/api/checkout", json=BUY_A)).json()["order_id"]
    coins.pay(order_id)

    async def is_paid() -> bool:
        # It is asked when the hold is over.
        await inquire(shop)
        order = await client.get(f"/api/orders/{order_id}")
        return bool(order.json()["status"] == "PAID")

    await until(is_paid)


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
