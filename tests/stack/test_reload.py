"""A reload under load: every worker is replaced, and no buyer notices."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.offers import OFFER_FILE
from tests.stack.running_shop import RunningShop, open_shop, tigerfans, until
from tigerfans.settings.folder import state_file
from tigerfans.stack import state
from tigerfans.stack.state import ProcessState

CLIENTS = 10


# All reload the same shop, so that later ones replace workers that replaced others.
@pytest.fixture(scope="module")
def offer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that the shop sells."""
    file = tmp_path_factory.mktemp("offer") / "offer.toml"
    file.write_text(OFFER_FILE.read_text())
    return file


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, offer: Path) -> Iterator[RunningShop]:
    root = tmp_path_factory.mktemp("shop")
    with open_shop(root, TIGERFANS_WORKERS="2", TIGERFANS_OFFER=str(offer)) as shop:
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


def test_a_reload_takes_the_offer_over_and_one_with_a_mistake_not(
    shop: RunningShop, offer: Path
) -> None:
    def show() -> Any:
        return httpx.get(f"{shop.url}/api/show", trust_env=False).raise_for_status().json()

    good = offer.read_text()
    new = good.replace("Night of the Whales", "Day of the Whales").replace('"65.00"', '"71.50"')
    offer.write_text(new + "\n[limits]\nholds_per_email = 3\n" + GALLERY)
    reload = shop.tigerfans("reload")
    assert reload.returncode == 0, reload.stderr
    now = show()
    assert (now["name"], now["limits"]["holds_per_email"]) == ("Day of the Whales", 3)
    assert [(each["cls"], each["price"]) for each in now["classes"]] == [
        ("A", 7150),
        ("B", 3500),
        ("C", 1900),
    ]
    workers = {row["pid"] for row in shop.ps() if row["name"].startswith("worker")}
    offer.write_text(new.replace('currency = "EUR"', 'currency = "EURO"'))
    # The operator's shell may name the file, or not.
    for environ in (shop.environ, {**shop.environ, "TIGERFANS_OFFER": ""}):
        reload = tigerfans("reload", environ=environ, cwd=offer.parent)
        assert reload.returncode != 0
        assert f"{offer}:10: currency: nobody pays in 'EURO'" in reload.stderr
    assert workers == {row["pid"] for row in shop.ps() if row["name"].startswith("worker")}
    assert show() == now
    offer.write_text(good)


def test_a_worker_that_dies_while_the_file_is_changed_sells_what_was_taken_over(
    shop: RunningShop, offer: Path
) -> None:
    good = offer.read_text()
    offer.write_text(good[: good.index("venue")])
    kill_and_wait(shop, "worker-1")
    body = {"cls": "A", "customer_email": "fan@example.org"}
    assert httpx.post(f"{shop.url}/api/checkout", json=body, trust_env=False).is_success
    # What only the shop can say is wrong is refused before a worker meets it.
    head, _, second = good.split("[[class]]")
    offer.write_text(f"{head}[[class]]{second}")
    reload = shop.tigerfans("reload")
    assert reload.returncode == 1
    assert "The offer has no class A any more" in reload.stderr
    kill_and_wait(shop, "worker-2")
    offer.write_text(good)


def kill_and_wait(shop: RunningShop, name: str) -> None:
    """Kills a process, and waits until it runs again."""

    def now() -> ProcessState:
        written = state.read(state_file(shop.data))
        assert written is not None
        return next(process for process in written.processes if process.name == name)

    before = now()
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    until(lambda: now().restarts > before.restarts and now().state == "running")


GALLERY = """
[[class]]
code = "C"
number = 4
name = "Gallery"
price = 19
capacity = 30
"""
