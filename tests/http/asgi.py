"""A client that talks to an application in this process, without a socket between them."""

from collections.abc import Awaitable, Callable

import httpx

URL = "http://shop"
WEBHOOK_URL = f"{URL}/payments/webhook"


def client_of_app(app: Callable[..., Awaitable[None]]) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL)
