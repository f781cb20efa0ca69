"""The events of an order: what a browser that listens is told, and when its stream ends."""

import asyncio
import logging
from collections.abc import AsyncIterator
from itertools import repeat
from typing import Any

import httpx
import orjson
import pytest

from tests.http.asgi import WEBHOOK_URL, client_of_app
from tests.shops import OpenShop
from tigerfans.booking.ids import OrderId
from tigerfans.errors import UnavailableError, UnknownOrderError
from tigerfans.http.api import order_stream as events
from tigerfans.http.api.order_status import STREAM_ROUTE
from tigerfans.http.api.order_stream import HEARTBEAT, OrderStreams
from tigerfans.http.app import create_app
from tigerfans.http.serving.counting import counted
from tigerfans.payments.mockpay import MockPay
from tigerfans.settings.settings import Settings
from tigerfans.stores.orders import MAY_CHANGE, OrderStatus

ORDER_ID = OrderId(b"\0" + bytes(range(1, 16)))
PERIOD_SECONDS = 0.001


def answer(status: str) -> bytes:
    return orjson.dumps({"order_id": ORDER_ID.hex_digits, "status": status})


def event(status: str) -> bytes:
    return b"data: " + answer(status) + b"\n\n"


class FakeOrder:
    """Gives its answers one after the other, then the last one for ever; raises the errors."""

    def __init__(self, *answers: bytes | Exception | None) -> None:
        self._answers = iter(answers)
        self._last = answers[-1]

    async def read(self, order_id: OrderId) -> bytes | None:
        assert order_id == ORDER_ID
        found = next(self._answers, self._last)
        if isinstance(found, Exception):
            raise found
        return found


class Browser:
    """The other end of one stream; what it was sent, piece by piece, is in `pieces`."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.pieces: list[bytes] = []
        self.is_complete = False
        self._messages: asyncio.Queue[Any] = asyncio.Queue()
        self._sent = asyncio.Condition()
        self._messages.put_nowait({"type": "http.request", "body": b"", "more_body": False})

    def leave(self) -> None:
        self._messages.put_nowait({"type": "http.disconnect"})

    async def receive(self) -> Any:
        return await self._messages.get()

    async def send(self, message: Any) -> None:
        assert not self.is_complete
        if message["type"] == "http.response.start":
            self.status = message["status"]
            return
        if message["body"]:
            self.pieces.append(message["body"])
        self.is_complete = not message["more_body"]
        async with self._sent:
            self._sent.notify_all()

    async def until_sent(self, piece: bytes) -> None:
        async with self._sent:
            await self._sent.wait_for(lambda: piece in self.pieces)

    async def listen(self, streams: OrderStreams) -> None:
        await streams.serve(ORDER_ID, self.receive, self.send)


@pytest.fixture
def browser() -> Browser:
    return Browser()


def streams_of(*answers: bytes | Exception | None) -> OrderStreams:
    return OrderStreams(FakeOrder(*answers).read, PERIOD_SECONDS)


@pytest.mark.parametrize("status", sorted(set(OrderStatus) - set(MAY_CHANGE)))
async def test_a_state_that_stays_is_told_at_once_and_ends_the_stream(
    browser: Browser, status: OrderStatus
) -> None:
    await browser.listen(streams_of(answer(status)))
    assert (browser.status, browser.pieces) == (200, [event(status)])
    assert browser.is_complete


@pytest.mark.parametrize("status", MAY_CHANGE)
async def test_a_state_that_may_change_keeps_the_stream_open_until_it_has(
    browser: Browser, status: OrderStatus
) -> None:
    await browser.listen(streams_of(*map(answer, [*repeat(status, 3), "PAID"])))
    assert browser.pieces == [event(status), event("PAID")]
    assert browser.is_complete


async def test_each_change_is_told_once(browser: Browser) -> None:
    states = [*repeat("PENDING", 3), *repeat("EXPIRED", 3), *repeat("FAILED", 3), "PAID"]
    await browser.listen(streams_of(*map(answer, states)))
    assert browser.pieces == [event("PENDING"), event("EXPIRED"), event("FAILED"), event("PAID")]


async def test_silence_is_broken_by_a_comment(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.0)
    await browser.listen(streams_of(*map(answer, ["PENDING", "PENDING", "PAID"])))
    assert browser.pieces == [event("PENDING"), HEARTBEAT, event("PAID")]


async def test_a_stream_ends_when_its_time_is_up(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "STREAM_SECONDS_MAX", 0.0)
    await browser.listen(streams_of(answer("PENDING")))
    assert browser.pieces == [event("PENDING")]
    assert browser.is_complete


async def test_a_browser_that_leaves_ends_its_stream(browser: Browser) -> None:
    streams = streams_of(answer("PENDING"))
    listening = asyncio.create_task(browser.listen(streams))
    await browser.until_sent(event("PENDING"))
    assert repr(streams) == "<OrderStreams: 1 open>"
    browser.leave()
    await listening
    assert repr(streams) == "<OrderStreams: 0 open>"


async def test_a_worker_that_stops_ends_its_streams_and_opens_no_more(browser: Browser) -> None:
    streams = streams_of(answer("PENDING"))
    listening = asyncio.create_task(browser.listen(streams))
    await browser.until_sent(event("PENDING"))
    streams.close()
    await listening
    assert browser.is_complete
    with pytest.raises(UnavailableError):
        await Browser().listen(streams)


async def test_no_more_streams_open_than_the_bound(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "STREAMS_MAX", 1)
    streams = streams_of(answer("PENDING"))
    listening = asyncio.create_task(browser.listen(streams))
    await browser.until_sent(event("PENDING"))
    refused = Browser()
    with pytest.raises(UnavailableError):
        await refused.listen(streams)
    assert refused.status is None
    browser.leave()
    await listening
    waiting = asyncio.create_task(refused.listen(streams))
    await refused.until_sent(event("PENDING"))
    refused.leave()
    await waiting


@pytest.mark.parametrize(("found", "error"), [(None, UnknownOrderError), (KeyError(), KeyError)])
async def test_what_goes_wrong_before_the_first_event_is_an_answer_like_any_other(
    browser: Browser, found: Exception | None, error: type[Exception]
) -> None:
    streams = streams_of(found)
    with pytest.raises(error):
        await browser.listen(streams)
    assert browser.status is None
    assert repr(streams) == "<OrderStreams: 0 open>"


async def test_a_shop_that_cannot_be_asked_later_ends_the_stream(browser: Browser) -> None:
    await browser.listen(streams_of(answer("PENDING"), UnavailableError()))
    assert browser.pieces == [event("PENDING")]
    assert browser.is_complete


async def test_a_bug_in_a_stream_is_logged_and_ends_it(
    browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    await browser.listen(streams_of(answer("PENDING"), KeyError("a bug")))
    assert browser.is_complete
    assert [(r.levelno, "a bug" in r.getMessage()) for r in caplog.records] == [
        (logging.ERROR, True)
    ]


@pytest.fixture
async def client(open_shop: OpenShop) -> AsyncIterator[httpx.AsyncClient]:
    shop = await open_shop()
    assert isinstance(shop.provider, MockPay)
    app = create_app(Settings(), shop, shop.provider)
    async with client_of_app(app) as client:
        shop.provider._client = client
        shop.provider._webhook_url = WEBHOOK_URL
        yield client


async def test_the_events_of_a_paid_order_are_its_public_json(client: httpx.AsyncClient) -> None:
    held = await client.post(
        "/api/checkout", json={"cls": "A", "customer_email": "fan@example.org"}
    )
    order = held.json()
    await client.post(f"{order['redirect_url']}/emit", data={"t": "succeeded"})
    path = f"/api/orders/{order['order_id']}"
    stream = await client.get(f"{path}/events")
    assert stream.headers["content-type"] == "text/event-stream"
    # What makes proxies pass each event on at once.
    assert stream.headers["x-accel-buffering"] == "no"
    assert "no-transform" in stream.headers["cache-control"]
    assert stream.text == f"data: {(await client.get(path)).text}\n\n"


async def test_streams_are_counted_as_a_route_of_their_own(open_shop: OpenShop) -> None:
    shop = await open_shop()
    app = counted(create_app(Settings(), shop, shop.provider), shop.counters)
    async with client_of_app(app) as client:
        await client.get(f"/api/orders/{ORDER_ID.hex_digits}/events")
    assert shop.counters.requests == {(STREAM_ROUTE, 404): 1}


async def test_an_unknown_order_has_no_events(client: httpx.AsyncClient) -> None:
    stream = await client.get(f"/api/orders/{ORDER_ID.hex_digits}/events")
    assert (stream.status_code, stream.headers["content-type"]) == (404, "application/json")
