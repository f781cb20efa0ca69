"""Two hosts of one shop over one Redis: what is limited on the one is limited on the other."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.http.api.test_api import client_of
from tests.shops import OpenShop
from tigerfans.http import app as app_module
from tigerfans.settings.settings import HttpSettings, Settings
from tigerfans.shop.hold_limits import HoldLimits
from tigerfans.stores.token_bucket import Rate

CLIENT = {"X-Forwarded-For": "203.0.113.7"}
HOLDS_MAX = 2
# So slow that the time which a test takes does not count.
GUESSES = Rate(per_second=1e-6, burst=3)


@pytest.fixture
async def hosts(
    open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[list[httpx.AsyncClient]]:
    monkeypatch.setattr(app_module, "GUESS_RATE", GUESSES)
    clients = []
    for number in (1, 2):
        shop = await open_shop(limits=HoldLimits("ticket secret", per_client=HOLDS_MAX))
        # Not even as many workers on each.
        settings = Settings(host_name=f"tickets-{number}", http=HttpSettings(workers=number))
        clients.append(client_of(shop, settings))
    yield clients
    for client in clients:
        await client.aclose()


async def test_a_client_holds_no_more_tickets_on_two_hosts_than_on_one(
    hosts: list[httpx.AsyncClient],
) -> None:
    order = {"cls": "A", "customer_email": "ada@example.org"}

    async def hold(number: int) -> int:
        answer = await hosts[number].post("/api/checkout", json=order, headers=CLIENT)
        return answer.status_code

    assert [await hold(0), await hold(1)] == [200, 200]
    assert [await hold(0), await hold(1)] == [429, 429]


async def test_a_password_is_guessed_no_faster_on_two_hosts_than_on_one(
    hosts: list[httpx.AsyncClient],
) -> None:
    def guess(number: int) -> asyncio.Task[httpx.Response]:
        login = b64encode(b"admin:guess %d" % number).decode()
        headers = CLIENT | {"Authorization": f"Basic {login}"}
        asked = hosts[number % 2].get("/api/admin/goodies", headers=headers)
        return asyncio.create_task(asked, name=f"guess {number}")

    compared = [await guess(number) for number in range(GUESSES.burst)]
    assert {answer.status_code for answer in compared} == {401}
    waiting = [guess(number) for number in range(4)]
    # Whatever else would be compared is compared before the answer to this.
    for host in hosts:
        assert (await host.get("/readyz")).status_code == 200
    assert not any(task.done() for task in waiting)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
