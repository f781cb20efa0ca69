"""What a worker does once, before it listens."""

from typing import Any

import pytest
from litestar.types import Message, Receive, Scope, Send

from tests.shops import OpenShop
from tigerfans.errors import UnavailableError
from tigerfans.http.app import create_app
from tigerfans.http.serving.warming import PAGES, warm_up
from tigerfans.settings.settings import Settings
from tigerfans.shop.shop import Shop


class Noting:
    """An application in front of another, that notes each path and what was answered."""

    def __init__(self, app: Any) -> None:
        self.statuses: dict[str, int] = {}
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.statuses[scope["path"]] = message["status"]
            await send(message)

        await self._app(scope, receive, send_noted)


async def test_the_pages_of_the_first_buyers_were_asked_for_before(shop: Shop) -> None:
    app = Noting(create_app(Settings(), shop, None))
    await warm_up(app, shop)
    # Of no order in particular.
    assert app.statuses == dict.fromkeys(PAGES, 200) | {"/demo/success": 404}


async def test_a_store_that_is_away_keeps_no_worker_from_its_start(
    open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await open_shop()

    async def away() -> None:
        raise UnavailableError

    monkeypatch.setattr(shop.orders, "warm_up", away)
    app = Noting(create_app(Settings(), shop, None))
    await warm_up(app, shop)
    assert set(app.statuses) == set(PAGES)


async def test_nothing_is_held_sold_or_saved_by_it(shop: Shop) -> None:
    before = await shop.inventory()
    await warm_up(create_app(Settings(), shop, None), shop)
    assert await shop.inventory() == before
    assert await shop.sessions.pending(1) == ([], 0)
    assert await shop.orders.refunds_due(1) == ([], 0)
