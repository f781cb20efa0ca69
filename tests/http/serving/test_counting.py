from collections.abc import AsyncIterator

import httpx
import pytest

from tests.http.asgi import client_of_app
from tests.shops import OpenShop
from tigerfans.http.app import create_app
from tigerfans.http.serving.counting import NO_ROUTE, NO_STATUS, counted
from tigerfans.http.serving.shortcut import Shortcut
from tigerfans.payments.mockpay import MockPay
from tigerfans.settings.settings import Settings
from tigerfans.shop.shop import Shop
from tigerfans.telemetry.counters import Counters


@pytest.fixture
async def shop(open_shop: OpenShop) -> Shop:
    shop: Shop = await open_shop(tickets_a=1)
    return shop


@pytest.fixture
async def client(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    assert isinstance(shop.provider, MockPay)
    app = counted(Shortcut(create_app(Settings(), shop, shop.provider)), shop.counters)
    async with client_of_app(app) as client:
        yield client


async def test_every_answer_is_counted_by_its_routes_template(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    buy = {"cls": "A", "customer_email": "fan@example.org"}
    held = (await client.post("/api/checkout", json=buy)).json()
    await client.post("/api/checkout", json=buy)
    await client.get(f"/api/orders/{held['order_id']}")
    await client.get(f"/api/orders/{held['order_id']}/qr.svg")
    await client.get(held["redirect_url"])
    await client.get("/")
    assert shop.counters.requests == {
        ("/api/checkout", 200): 1,
        ("/api/checkout", 409): 1,
        ("/api/orders", 200): 1,
        ("/api/orders", 404): 1,
        ("/mockpay/{psid}", 200): 1,
        ("/", 200): 1,
    }


async def test_what_has_no_handler_is_one_route(client: httpx.AsyncClient, shop: Shop) -> None:
    for number in range(3):
        await client.get(f"/nothing/{number}")
    assert shop.counters.requests == {(NO_ROUTE, 404): 3}
    assert shop.counters.seconds[NO_ROUTE].count == 3


async def test_each_store_that_a_checkout_waits_for_is_timed(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    before = shop.counters.ledger.count
    await client.post("/api/checkout", json={"cls": "B", "customer_email": "fan@example.org"})
    assert shop.counters.ledger.count == before + 1
    assert (shop.counters.session.count, shop.counters.order.count) == (1, 0)


async def test_a_request_that_ends_without_an_answer_is_counted_too() -> None:
    async def broken(*_: object) -> None:
        raise ConnectionError

    counters = Counters()
    with pytest.raises(ConnectionError):
        await counted(broken, counters)({}, None, None)  # type: ignore[arg-type]
    assert counters.requests == {(NO_ROUTE, NO_STATUS): 1}
