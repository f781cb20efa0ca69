"""Tickets are sold inside the window of their class, and what was held in time stays held."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.http.asgi import client_of_app
from tests.offers import on_sale
from tests.shops import OpenShop, event
from tigerfans.errors import NotOnSaleError
from tigerfans.http.app import create_app
from tigerfans.settings.settings import Settings
from tigerfans.shop.shop import Shop

HOUR = timedelta(hours=1)
EMAIL = "fan@example.org"


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


async def checkout(shop: Shop, **headers: str) -> httpx.Response:
    async with client_of_app(create_app(Settings(), shop, None)) as client:
        body = {"cls": "A", "customer_email": EMAIL}
        return await client.post("/api/checkout", json=body, headers=headers)


async def state(shop: Shop, cls: str = "A") -> Any:
    async with client_of_app(create_app(Settings(), shop, None)) as client:
        return (await client.get("/api/inventory")).json()[cls]["state"]


async def test_before_its_window_a_class_is_refused_with_the_time_to_wait(
    open_shop: OpenShop,
) -> None:
    opens_at = now() + HOUR
    shop = await open_shop(offer=on_sale(opens_at))
    answer = await checkout(shop)
    assert answer.status_code == 403
    assert 3_590 < int(answer.headers["retry-after"]) <= 3_600
    refusal = answer.json()
    assert (refusal["state"], refusal["on_sale_from"]) == ("not_yet", opens_at.isoformat())
    assert refusal["detail"].startswith("Premium is on sale from ")
    assert await state(shop) == "not_yet"
    assert await state(shop, "B") == "on_sale"


async def test_after_its_window_a_class_is_refused_for_good(open_shop: OpenShop) -> None:
    closed_at = now() - HOUR
    shop = await open_shop(offer=on_sale(None, closed_at))
    answer = await checkout(shop)
    assert answer.status_code == 403
    assert "retry-after" not in answer.headers
    refusal = answer.json()
    assert (refusal["state"], refusal["on_sale_until"]) == ("ended", closed_at.isoformat())
    assert refusal["detail"].startswith("The sale of Premium ended on ")
    assert await state(shop) == "ended"
    assert (await shop.inventory())["A"].held == 0


async def test_inside_its_window_a_class_is_sold(open_shop: OpenShop) -> None:
    shop = await open_shop(offer=on_sale(now() - HOUR, now() + HOUR))
    assert (await checkout(shop)).status_code == 200
    assert await state(shop) == "on_sale"


async def test_what_was_held_in_time_is_told_again_and_paid_after_the_end(
    open_shop: OpenShop,
) -> None:
    key = "the key of a form"
    shop = await open_shop()
    first = await shop.checkout("A", EMAIL, key)
    later = await open_shop(offer=on_sale(None, now() - HOUR))
    assert await later.checkout("A", EMAIL, key) == first
    with pytest.raises(NotOnSaleError):
        await later.checkout("A", EMAIL, "another key")
    assert (await later.settle(event(first))).order_status == "PAID"


async def test_what_is_sold_out_is_said_to_be_whatever_the_hour(open_shop: OpenShop) -> None:
    shop = await open_shop(tickets_a=1)
    await shop.settle(event(await shop.checkout("A", EMAIL)))
    later = await open_shop(tickets_a=1, offer=on_sale(None, now() - HOUR))
    assert await state(later) == "sold_out"
