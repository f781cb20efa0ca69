"""The headers that every answer has, whatever went wrong."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.http.api.test_api import client_of
from tests.http.asgi import client_of_app
from tests.http.office.test_admin import OPERATOR
from tigerfans.http.app import create_app
from tigerfans.http.pages.rendering import SECURITY_HEADERS
from tigerfans.http.serving.shortcut import Shortcut
from tigerfans.payments.mockpay import MockPay
from tigerfans.settings.settings import Settings
from tigerfans.shop.shop import Shop

ORDER = f"/api/orders/{'0' * 32}"


@pytest.fixture
async def client(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    """What a worker serves."""
    assert isinstance(shop.provider, MockPay)
    async with client_of_app(Shortcut(create_app(Settings(), shop, shop.provider))) as client:
        yield client


@pytest.mark.parametrize("accept", ["text/html", "*/*"])
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/static/0123456789ab/nothing.css", 404),
        ("GET", "/static/0123456789ab/../nothing", 404),
        ("GET", "/bench/results/nothing.csv", 404),
        ("GET", "/bench/charts/1/nothing.js", 404),
        ("GET", "/mockpay/nothing", 404),
        ("GET", "/admin", 401),
        ("GET", "/api/admin/orders", 401),
        ("GET", "/api/admin/orders.csv", 401),
        ("DELETE", "/", 405),
        ("POST", "/mockpay/nothing/emit", 400),
    ],
)
async def test_an_error_is_kept_by_no_cache_and_has_the_headers_of_every_page(
    client: httpx.AsyncClient, method: str, path: str, status: int, accept: str
) -> None:
    response = await client.request(method, path, headers={"Accept": accept})
    assert response.status_code == status
    assert response.headers["cache-control"] == "no-store"
    for name, value in SECURITY_HEADERS.items():
        assert response.headers.get_list(name) == [value]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", ORDER, 404),
        ("GET", f"{ORDER}/qr.png", 404),
        ("GET", f"{ORDER}/events", 404),
        ("GET", "/api/checkout", 405),
        ("POST", "/api/checkout", 400),
        ("POST", "/payments/webhook", 400),
        ("GET", "/healthz", 200),
        ("GET", "/readyz", 200),
        ("GET", "/api/inventory", 200),
    ],
)
async def test_an_answer_to_a_program_is_kept_by_no_cache_either(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await client.request(method, path)
    assert response.status_code == status
    assert response.headers.get_list("cache-control") == ["no-store"]
    assert response.headers.get_list("x-content-type-options") == ["nosniff"]


async def test_what_an_answer_says_itself_is_left_as_it_is(shop: Shop) -> None:
    async with client_of(shop) as client:
        refused = await client.get("/admin")
        assert refused.headers.get_list("www-authenticate")
        let_in = await client.get("/api/admin/orders", headers=OPERATOR)
        assert let_in.headers.get_list("cache-control") == ["no-store"]
        assert "set-cookie" in let_in.headers
        page = await client.get("/")
        assert len(page.headers.get_list("content-security-policy")) == 1
