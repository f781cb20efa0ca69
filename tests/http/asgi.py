"""A client that talks to an application in this process, without a socket between them."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx

URL = "http://shop"
WEBHOOK_URL = f"{URL}/payments/webhook"


class ClientOfApp(httpx.AsyncClient):
    """Shuts the application down when it is closed, as a server does."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        super().__init__(transport=httpx.ASGITransport(app), base_url=URL)
        self._app = app

    async def aclose(self) -> None:
        await super().aclose()
        for shut_down in getattr(self._app, "on_shutdown", ()):
            await shut_down()

    async def __aexit__(self, *raised: Any) -> None:
        await self.aclose()


def client_of_app(app: Callable[..., Awaitable[None]]) -> httpx.AsyncClient:
    return ClientOfApp(app)
