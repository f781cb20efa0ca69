"""A ticket's documents: drawn once, off the loop, and told apart by their digests."""

import asyncio
import threading
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.http.api.test_api import checkout, client_of, event, send
from tests.http.asgi import client_of_app
from tests.http.office.test_admin import OPERATOR
from tigerfans.errors import UnavailableError
from tigerfans.http.api import documents
from tigerfans.http.api.documents import DOCUMENTS, Drawings
from tigerfans.http.app import create_app
from tigerfans.http.serving.shortcut import Shortcut
from tigerfans.office.order_search import OrderSearch
from tigerfans.payments.mockpay import MockPay
from tigerfans.settings.settings import HttpSettings, Settings
from tigerfans.shop.shop import Shop

PUBLIC = Settings(http=HttpSettings(public_url="https://tickets.example.org"))


# --- Drawing ---------------------------------------------------------------------------------


async def test_what_many_ask_for_at_once_is_drawn_once_and_not_on_the_loops_thread() -> None:
    threads: list[int] = []

    def draw() -> bytes:
        threads.append(threading.get_ident())
        return b"picture"

    drawings = Drawings()
    drawn = await asyncio.gather(*(drawings.get("a", draw) for _ in range(5)))
    assert {picture.content for picture in drawn} == {b"picture"}
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


async def test_the_document_that_was_asked_for_longest_ago_makes_room() -> None:
    drawn: list[str] = []

    def draw(name: str) -> bytes:
        drawn.append(name)
        return bytes(4)

    drawings = Drawings(kept_bytes_max=8)
    for name in ("a", "b", "a", "c", "a", "b"):
        await drawings.get(name, lambda name=name: draw(name))  # type: ignore[misc]
    assert drawn == ["a", "b", "c", "b"]
    assert repr(drawings) == "<Drawings: 2 kept, 0 waiting>"


async def test_more_drawings_than_the_bound_are_busy_and_a_failed_one_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(documents, "DRAWINGS_MAX", 1)
    drawings = Drawings()
    may_end = threading.Event()

    def broken() -> bytes:
        may_end.wait()
        raise ValueError("no ink")

    first = asyncio.create_task(drawings.get("a", broken))
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError):
        await drawings.get("b", lambda: b"")
    may_end.set()
    with pytest.raises(ValueError, match="no ink"):
        await first
    assert (await drawings.get("a", lambda: b"ink")).content == b"ink"


# --- Served ----------------------------------------------------------------------------------


@pytest.fixture
async def client(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    """What a worker serves, HEAD too."""
    assert isinstance(shop.provider, MockPay)
    async with client_of_app(Shortcut(create_app(PUBLIC, shop, shop.provider))) as client:
        yield client


@pytest.fixture
async def ticket(client: httpx.AsyncClient, shop: Shop) -> str:
    """Where a paid order is."""
    order = await checkout(client)
    await send(client, shop, event(order))
    return f"/api/orders/{order['order_id']}"


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_who_has_a_document_is_told_so_and_gets_it_no_second_time(
    client: httpx.AsyncClient, ticket: str, name: str
) -> None:
    first = await client.get(f"{ticket}/{name}")
    assert first.status_code == 200
    assert first.headers["x-robots-tag"] == "noindex"
    etag = first.headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}'):
        again = await client.get(f"{ticket}/{name}", headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == etag
        assert again.headers["cache-control"] == first.headers["cache-control"]
    other = await client.get(f"{ticket}/{name}", headers={"If-None-Match": '"other"'})
    assert (other.status_code, other.content) == (200, first.content)


async def test_a_calendar_entry_leads_back_to_the_ticket_where_the_shop_knows_where_it_is(
    client: httpx.AsyncClient, shop: Shop, ticket: str
) -> None:
    order_id = ticket.rpartition("/")[2]
    page = f"https://tickets.example.org/demo/success?order_id={order_id}"
    entry = (await client.get(f"{ticket}/ticket.ics")).text.replace("\r\n ", "")
    assert f"\r\nURL:{page}\r\n" in entry
    async with client_of(shop) as without:
        assert "URL:" not in (await without.get(f"{ticket}/ticket.ics")).text


@pytest.mark.parametrize("form", ["{}.", "{})", "({} "])
async def test_an_order_is_found_as_people_copy_its_id(
    client: httpx.AsyncClient, ticket: str, form: str
) -> None:
    order_id = ticket.rpartition("/")[2]
    for shown in (order_id, order_id.upper()):
        typed = form.format(shown)
        status = await client.get(f"/api/orders/{typed}")
        assert status.json()["order_id"] == order_id
        assert (await client.get(f"/api/orders/{typed}/qr.svg")).status_code == 200
        page = await client.get("/demo/success", params={"order_id": typed})
        assert (page.status_code, typed in page.text) == (200, False)
        assert f'"{ticket}/qr.svg"' in page.text
        assert (await client.get(f"/mockpay/mock_{typed}")).status_code == 200
        story = await client.get(f"/admin/orders/{typed}", headers=OPERATOR)
        assert story.status_code == 200


# --- HEAD ------------------------------------------------------------------------------------


async def test_the_headers_of_a_picture_are_told_without_drawing_it(
    client: httpx.AsyncClient, ticket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Drawings, "get", None)
    head = await client.head(f"{ticket}/qr.png")
    assert (head.status_code, head.headers["content-type"]) == (200, "image/png")


async def test_the_headers_of_a_stream_are_told_without_opening_one(
    client: httpx.AsyncClient,
) -> None:
    order = await checkout(client)
    # A stream would last until the hold has ended, and longer.
    head = await client.head(f"/api/orders/{order['order_id']}/events")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == "text/event-stream"
    assert (await client.head(f"/api/orders/{'0' * 32}/events")).status_code == 404


async def test_the_headers_of_an_export_are_told_without_reading_an_order(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OrderSearch, "export", None)
    head = await client.head("/api/admin/orders.csv", headers=OPERATOR)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"].startswith("text/csv")
    assert (await client.head("/api/admin/orders.csv")).status_code == 401
