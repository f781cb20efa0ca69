"""A reload under load: every worker is replaced, and no buyer notices."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from tests.stack.running_shop import RunningShop, open_shop

CLIENTS = 10


# Both tests reload the same shop, so the second one replaces workers that replaced others.
@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    with open_shop(tmp_path_factory.mktemp("shop"), TIGERFANS_WORKERS="2") as shop:
        yield shop


@pytest.mark.parametrize("keep_alive", [True, False], ids=["kept alive", "new connections"])
async def test_a_reload_under_load_loses_no_request(shop: RunningShop, keep_alive: bool) -> None:
    before = {row["pid"] for row in shop.ps() if row["name"].startswith("worker")}
    held_before = await shop.held()
    done = asyncio.Event()

    async def fan(number: int) -> int:
        limits = httpx.Limits(max_keepalive_connections=1 if keep_alive else 0)
        bought = 0
        async with httpx.AsyncClient(base_url=shop.url, limits=limits, trust_env=False) as client:
            while not done.is_set():
                body = {"cls": "A", "customer_email": f"fan{number}@example.org"}
                response = await client.post("/api/checkout", json=body)
                assert response.status_code == 200, response.text
                bought += 1
        return bought

    fans = [asyncio.create_task(fan(number)) for number in range(CLIENTS)]
    reload = await asyncio.to_thread(shop.tigerfans, "reload")
    assert reload.returncode == 0, reload.stderr
    done.set()
    bought = sum(await asyncio.gather(*fans))
    after = {row["pid"] for row in shop.ps() if row["name"].startswith("worker")}
    assert not before & after
    assert await shop.held() == held_before + bought
