"""One contract for every peer: what one would build instead has to be a shop as well."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import httpx
import orjson
import pytest

from bench.peers.__main__ import main, table
from bench.peers.kills import Books
from bench.peers.measuring import Row
from bench.purchase import Wish, event, sign
from tests.harness.patience import until

pytestmark = pytest.mark.skipif(
    find_spec("fastapi") is None or find_spec("uvicorn") is None,
    reason="no FastAPI: `.venv/bin/pip install -c constraints.txt -e '.[peers]'`",
)

PEERS: Final = {
    "hot_row": "HotRow",
    "ticket_rows": "TicketRows",
    "redis_stock": "RedisStock",
}
EMAIL: Final = "fan@example.org"
SECRET: Final = "supersecret"

OpenPeer = Callable[..., Any]


class Client:
    """A buyer's and the provider's requests to a peer."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def checkout(self, key: str | None = None, **wish: Any) -> httpx.Response:
        body = {"cls": "A", "customer_email": EMAIL} | wish
        headers = {"idempotency-key": key} if key else {}
        return await self.http.post("/api/checkout", json=body, headers=headers)

    async def held(self, **wish: Any) -> dict[str, Any]:
        answer = await self.checkout(**wish)
        assert answer.status_code == 200, answer.text
        order: dict[str, Any] = answer.json()
        return order

    async def tell(
        self, order: dict[str, Any], payment: str = "succeeded", **changed: Any
    ) -> httpx.Response:
        body = event(order, Wish("A", EMAIL, payment))
        body = orjson.dumps(orjson.loads(body) | changed)
        headers = {"x-mockpay-signature": sign(SECRET.encode(), body)}
        return await self.http.post("/payments/webhook", content=body, headers=headers)

    async def paid(self, order: dict[str, Any]) -> dict[str, Any]:
        answer = await self.tell(order)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def status(self, order: dict[str, Any]) -> dict[str, Any]:
        answer = await self.http.get(f"/api/orders/{order['order_id']}")
        return dict(answer.json())

    async def stock(self, cls: str = "A") -> tuple[int, int, int]:
        """Sold, held and available."""
        stock = (await self.http.get("/api/inventory")).json()[cls]
        return stock["sold"], stock["active_holds"], stock["available"]


@pytest.fixture(params=PEERS)
def open_peer(
    request: pytest.FixtureRequest,
    empty_database_url: str,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> OpenPeer:
    monkeypatch.setattr("bench.peers.contract.EXPIRE_PAUSE_SECONDS", 0.02)

    @asynccontextmanager
    async def open_peer(tickets: int = 3, hold_seconds: float = 60.0) -> AsyncIterator[Client]:
        from bench.peers.contract import Settings, serve

        peer = getattr(import_module(f"bench.peers.{request.param}"), PEERS[request.param])
        settings = Settings(empty_database_url, redis_url, tickets, hold_seconds, 5, SECRET)
        app = serve(peer(settings), settings)
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://peer") as http,
        ):
            yield Client(http)

    return open_peer


async def test_a_ticket_is_bought(open_peer: OpenPeer) -> None:
    async with open_peer() as client:
        order = await client.held()
        assert order["redirect_url"] == f"/mockpay/mock_{order['order_id']}"
        assert (order["amount"], order["currency"]) == (6500, "eur")
        assert (await client.status(order))["status"] == "PENDING"
        assert await client.stock() == (0, 1, 2)
        assert await client.paid(order) == {"ok": True, "order_status": "PAID"}
        paid = await client.status(order)
        assert (paid["status"], paid["cls"], paid["qty"], paid["amount"]) == ("PAID", "A", 1, 6500)
        assert paid["paid_at"]
        assert paid["ticket_code"].startswith("TF-")
        assert await client.stock() == (1, 0, 2)


async def test_what_is_sent_again_changes_nothing(open_peer: OpenPeer) -> None:
    async with open_peer() as client:
        order, again = await client.held(key="k"), await client.held(key="k")
        assert order == again
        assert await client.stock() == (0, 1, 2)
        first = await client.paid(order)
        assert await client.paid(order) == first | {"idempotent": True}
        assert (await client.tell(order, "failed")).json()["order_status"] == "PAID"
        assert await client.held(key="k") == order
        assert await client.stock() == (1, 0, 2)
        assert (
            await client.checkout(key="k", customer_email="other@example.org")
        ).status_code == 409


@pytest.mark.parametrize("payment", ["failed", "canceled"])
async def test_a_payment_that_fails_gives_back(open_peer: OpenPeer, payment: str) -> None:
    async with open_peer() as client:
        order = await client.held(key="k", qty=2)
        assert await client.stock() == (0, 2, 1)
        for _ in range(2):
            assert (await client.tell(order, payment)).json()["order_status"] == payment.upper()
            assert await client.stock() == (0, 0, 3)
        assert (await client.status(order))["status"] == payment.upper()
        assert (await client.checkout(key="k", qty=2)).status_code == 409
        # The money came after all.
        assert (await client.paid(order))["order_status"] == "PAID"
        assert await client.stock() == (2, 0, 1)
        assert (await client.status(order))["status"] == "PAID"


async def test_a_hold_expires_and_is_paid_late_where_tickets_are_left(open_peer: OpenPeer) -> None:
    async with open_peer(tickets=2, hold_seconds=0.05) as client:
        orders = [await client.held(), await client.held()]

        async def is_given_back() -> bool:
            return bool(await client.stock() == (0, 0, 2))

        await until(is_given_back)
        assert [(await client.status(order))["status"] for order in orders] == ["EXPIRED"] * 2
        assert (await client.paid(orders[0]))["order_status"] == "PAID"
        other = await client.held()
        assert (await client.paid(other))["order_status"] == "PAID"
        assert (await client.paid(orders[1]))["order_status"] == "PAID_UNFULFILLED"
        assert await client.paid(orders[1]) == {
            "ok": True,
            "order_status": "PAID_UNFULFILLED",
            "idempotent": True,
        }
        assert await client.stock() == (2, 0, 0)


async def test_a_hundred_buyers_at_once_get_what_there_is(open_peer: OpenPeer) -> None:
    async with open_peer(tickets=20) as client:
        buyers = [client.checkout(key=f"k{number % 50}") for number in range(100)]
        answers = await asyncio.gather(*buyers)
        held = {answer.json()["order_id"] for answer in answers if answer.status_code == 200}
        assert len(held) == 20
        refused = [answer for answer in answers if answer.status_code != 200]
        assert {answer.status_code for answer in refused} == {409}
        assert all("retry-after" in answer.headers for answer in refused)
        orders = [answer.json() for answer in answers if answer.status_code == 200]
        told = await asyncio.gather(*(client.tell(order) for order in orders))
        assert {answer.json()["order_status"] for answer in told} == {"PAID"}
        assert await client.stock() == (20, 0, 0)
        answer = await client.checkout()
        assert (answer.status_code, "retry-after" in answer.headers) == (409, False)
        assert await client.stock("B") == (0, 0, 20)


async def test_the_first_hundred_paid_orders_get_a_goodie(open_peer: OpenPeer) -> None:
    async with open_peer(tickets=110) as client:
        orders = await asyncio.gather(*(client.held() for _ in range(104)))
        await asyncio.gather(*(client.paid(order) for order in orders))
        paid = await asyncio.gather(*(client.status(order) for order in orders))
        assert sum(order["got_goodie"] for order in paid) == 100


async def test_what_is_wrong_is_refused_in_a_sentence(open_peer: OpenPeer) -> None:
    async with open_peer() as client:
        order = await client.held()
        answers = [
            await client.checkout(cls="C"),
            await client.checkout(customer_email="nobody"),
            await client.checkout(qty=11),
            await client.tell(order, amount=1),
            await client.http.post("/payments/webhook", json={}),
        ]
        assert [answer.status_code for answer in answers] == [400] * 5
        assert all(answer.json()["detail"].endswith(".") for answer in answers)
        assert (await client.http.get("/api/orders/nothing")).status_code == 404
        assert await client.stock() == (0, 1, 2)


def test_what_a_shop_lost_is_read_from_what_was_told_and_what_it_says() -> None:
    books = Books(tickets=3)
    for order_id, status in (("a", "PAID"), ("b", "PAID"), ("c", "PAID_UNFULFILLED")):
        books.sold(order_id, status)
    books.statuses = {"a": "PAID", "b": "PENDING", "c": "PAID_UNFULFILLED", "d": "EXPIRED"}
    assert (books.paid, books.lost, books.to_refund) == (1, 1, 1)
    assert (books.oversold, books.never_back) == (0, 2)
    books.statuses |= dict.fromkeys("defg", "PAID")
    assert (books.oversold, books.never_back) == (2, 0)


def test_runs_of_a_shop_are_one_line_of_the_table() -> None:
    first, second = (
        Row("hot_row", 60, rate, 10.0, 20.0, 3.0, 4.0, 1, {"workers": cpu, "postgres": 300.0})
        for rate, cpu in ((500.0, 100.0), (600.0, 200.0))
    )
    _, _, line = table([first, second])
    assert line == (
        "| hot_row | 60 | 500; 600 | 10.0; 10.0 | 20; 20 | 3.0; 4 | 150 |  | 300 |  | 2 |"
    )


def test_what_cannot_be_measured_is_said_in_one_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for arguments in (["--concurrency", "0"], ["--seconds", "61"], ["--shops", "nobody"]):
        with pytest.raises(SystemExit):
            main(arguments)
        assert arguments[0] in capsys.readouterr().err.splitlines()[-1]
