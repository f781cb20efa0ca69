"""The way past the framework: the same answers, and nothing else gets them."""

from collections.abc import AsyncIterator

import httpx
import pytest
from litestar import Litestar
from litestar.types import Receive, Scope, Send

from tests.http.asgi import client_of_app
from tigerfans.http.app import create_app
from tigerfans.http.serving.shortcut import Shortcut
from tigerfans.payments.mockpay import MockPay
from tigerfans.settings.settings import Settings
from tigerfans.shop.shop import Shop

BUY = b'{"cls": "A", "customer_email": "fan@example.org"}'
ORDER = f"/api/orders/{'0' * 32}"


@pytest.fixture
async def app(shop: Shop) -> Litestar:
    assert isinstance(shop.provider, MockPay)
    return create_app(Settings(bench=True), shop, shop.provider)


@pytest.fixture
async def passed_on() -> list[str]:
    """The paths that the framework was asked for."""
    return []


@pytest.fixture
async def client(
    app: Litestar, passed_on: list[str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    serve = Litestar.__call__

    async def noting(app: Litestar, scope: Scope, receive: Receive, send: Send) -> None:
        passed_on.append(scope["path"])
        await serve(app, scope, receive, send)

    monkeypatch.setattr(Litestar, "__call__", noting)
    async with client_of_app(Shortcut(app)) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/inventory", 200),
        ("POST", "/api/checkout", 200),
        ("GET", "/api/checkout", 405),
        ("POST", "/payments/webhook", 400),
        ("GET", "/api/accounting/reserve", 200),
        ("GET", ORDER, 404),
        ("GET", f"{ORDER}/qr.svg", 404),
        ("POST", ORDER, 405),
    ],
)
async def test_a_hot_route_is_served_without_the_framework(
    client: httpx.AsyncClient,
    app: Litestar,
    passed_on: list[str],
    method: str,
    path: str,
    status: int,
) -> None:
    response = await client.request(method, path, content=BUY)
    assert response.status_code == status
    assert passed_on == []
    async with client_of_app(app) as through_framework:
        other = await through_framework.request(method, path, content=BUY)
    assert passed_on
    assert other.status_code == status
    assert other.headers.keys() == response.headers.keys()


@pytest.mark.parametrize("path", ["/", "/healthz", "/api/orders", "/api/ordersx", "/api/checkouts"])
async def test_everything_else_is_the_frameworks(
    client: httpx.AsyncClient, passed_on: list[str], path: str
) -> None:
    await client.get(path)
    assert passed_on == [path]
