"""The operator's API over the real application: logins, searches, exports, stories, figures."""

import asyncio
import csv
import tempfile
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest

from tests.harness.ports import free_port
from tests.hosts.reports import a_report
from tests.http.api.test_api import checkout, client_of, event, send
from tests.shops import OpenShop
from tigerfans.booking.ids import OrderId
from tigerfans.hosts.roster import Roster
from tigerfans.http.app import create_app
from tigerfans.http.office import csv_files
from tigerfans.office.order_search import EXPORT_ROWS
from tigerfans.office.permissions import Permission
from tigerfans.payments.mockpay import MockPay
from tigerfans.settings.settings import SequencerSettings, Settings
from tigerfans.shop.shop import Shop

SHOP = "http://shop"
OPERATOR = {"Authorization": "Basic " + b64encode(b"admin:supasecret").decode()}


@pytest.fixture
async def client(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(shop) as client:
        client.headers.update(OPERATOR)
        yield client


async def buy(client: httpx.AsyncClient, shop: Shop, kind: str = "succeeded") -> str:
    order = await checkout(client)
    assert (await send(client, shop, event(order, kind))).status_code == 200
    return str(order["order_id"])


async def search(client: httpx.AsyncClient, **query: Any) -> dict[str, Any]:
    response = await client.get("/api/admin/orders", params=query)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def ids(page: dict[str, Any]) -> list[str]:
    return [item["id"] for item in page["items"]]


# --- Who gets in -----------------------------------------------------------------------------


# What codes are checked with, and what keeps the page for when there is no shop.
PUBLIC_AT_THE_DOOR: Final = ("/api/door/keys", "/door-worker.js")


def is_operators(path: str) -> bool:
    """Whether it is behind the login, as what people at the door ask is."""
    is_doors = path.startswith(("/door", "/api/door/")) and path not in PUBLIC_AT_THE_DOOR
    return "admin" in path or path == "/api/pending" or is_doors


async def test_every_route_of_the_operators_asks_for_the_login(shop: Shop) -> None:
    assert isinstance(shop.provider, MockPay)
    app = create_app(Settings(), shop, shop.provider)
    operators = [
        (
            method,
            route.path_format.replace("{order_id}", OrderId.new().hex_digits)
            .replace("{payment_id}", "0" * 32)
            .replace("{scan_id:uuid}", str(uuid4()))
            .replace("{scan_id}", str(uuid4()))
            .replace("{number}", "0"),
        )
        for route in app.routes
        for method in getattr(route, "methods", {"GET"})
        if is_operators(route.path)
    ]
    assert len(operators) >= 12
    async with client_of(shop) as stranger:
        for method, path in operators:
            response = await stranger.request(method, path)
            assert response.status_code == 401, (method, path)


async def test_every_route_of_the_operators_names_the_permission_that_it_takes(shop: Shop) -> None:
    routes: list[Any] = list(create_app(Settings(), shop, mockpay=None).routes)
    for route in routes:
        for handler in getattr(route, "route_handlers", None) or [route.route_handler]:
            if getattr(handler, "http_methods", None) != {"OPTIONS"}:
                names_one = isinstance(handler.opt.get("permission"), Permission)
                assert names_one == is_operators(route.path), route.path


# --- Searching -------------------------------------------------------------------------------


async def test_orders_are_found_by_id_email_code_and_status(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    failed, paid = await buy(client, shop, "failed"), await buy(client, shop)
    everything = await search(client)
    assert ids(everything) == [paid, failed]
    assert (everything["total"], everything["total_is_more"], everything["next"]) == (
        2,
        False,
        None,
    )
    code = everything["items"][0]["ticket_code"]
    assert ids(await search(client, q=code.lower())) == [paid]
    assert ids(await search(client, q=failed)) == [failed]
    assert ids(await search(client, q="fan@", status="FAILED")) == [failed]
    assert ids(await search(client, q="nobody@")) == []


async def test_pages_lead_from_one_to_the_next(client: httpx.AsyncClient, shop: Shop) -> None:
    first, second, third = [await buy(client, shop) for _ in range(3)]
    page = await search(client, limit=2)
    assert (ids(page), page["total"]) == ([third, second], 3)
    page = await search(client, limit=2, after=page["next"])
    assert (ids(page), page["next"]) == ([first], None)


async def test_an_unpaid_order_is_found_by_its_whole_id(client: httpx.AsyncClient) -> None:
    order_id = (await checkout(client))["order_id"]
    page = await search(client, q=order_id)
    assert (ids(page), page["items"][0]["status"], page["total"]) == ([order_id], "PENDING", 1)
    assert ids(await search(client, q=order_id[:18])) == []


@pytest.mark.parametrize(
    "query", [{"q": "\0"}, {"q": "a" * 255}, {"status": "LOST"}, {"after": "1"}, {"limit": "201"}]
)
async def test_what_cannot_be_searched_for_is_a_400(
    client: httpx.AsyncClient, query: dict[str, str]
) -> None:
    response = await client.get("/api/admin/orders", params=query)
    assert response.status_code == 400
    assert response.json()["detail"]


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("/api/admin/orders", "There is only: q, status, after, limit."),
        ("/api/admin/orders.csv", "There is only: q, status."),
        ("/api/admin/orders/1", "This takes none."),
        ("/api/admin/refunds", "There is only: limit."),
        ("/api/admin/webhooks", "There is only: limit."),
        ("/api/admin/unmatched", "There is only: limit, resolved."),
        ("/api/admin/goodies", "This takes none."),
        ("/api/admin/history", "This takes none."),
        ("/api/admin/hosts", "This takes none."),
        ("/api/pending", "There is only: limit."),
    ],
)
async def test_a_parameter_that_nobody_knows_is_refused_and_the_others_are_named(
    client: httpx.AsyncClient, path: str, known: str
) -> None:
    response = await client.get(path, params={"text": "anna", "q": "fan"})
    assert response.status_code == 400
    assert response.json()["detail"] == f"There is no parameter 'text'. {known}"


async def test_every_parameter_of_the_operators_routes_is_one_that_they_know(shop: Shop) -> None:
    async with client_of(shop) as client:
        schema = (await client.get("/schema/openapi.json")).json()
        asked = 0
        for path, operations in schema["paths"].items():
            if not path.startswith(("/api/admin", "/api/pending")) or "get" not in operations:
                continue
            names = [
                p["name"] for p in operations["get"].get("parameters", ()) if p["in"] == "query"
            ]
            response = await client.get(path, params=dict.fromkeys(names, "1"), headers=OPERATOR)
            assert "no parameter" not in response.text
            asked += len(names)
    assert asked >= 7


# --- Export ----------------------------------------------------------------------------------


async def test_the_export_is_what_was_searched_for(client: httpx.AsyncClient, shop: Shop) -> None:
    await buy(client, shop, "failed")
    paid = await buy(client, shop)
    response = await client.get("/api/admin/orders.csv?q=fan%40&status=PAID")
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in response.headers["content-disposition"]
    assert response.headers["cache-control"] == "no-store"
    assert response.content.startswith(b"\xef\xbb\xbforder_id,")
    assert int(response.headers["content-length"]) == len(response.content)
    (row,) = csv.DictReader(response.content.decode("utf-8-sig").splitlines())
    assert (row["order_id"], row["status"]) == (paid, "PAID")


@pytest.mark.parametrize("query", ["q=%00", "status=LOST"])
async def test_what_cannot_be_exported_is_a_400(client: httpx.AsyncClient, query: str) -> None:
    response = await client.get(f"/api/admin/orders.csv?{query}")
    assert response.status_code == 400
    assert response.json()["detail"]


def export_scope() -> Any:
    return {
        "type": "http",
        "method": "GET",
        "path": "/api/admin/orders.csv",
        "raw_path": b"/api/admin/orders.csv",
        "query_string": b"",
        "headers": [(b"authorization", OPERATOR["Authorization"].encode())],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("shop", 80),
        "client": ("127.0.0.1", 1),
        "root_path": "",
    }


async def test_a_reader_who_leaves_ends_the_export_and_one_who_stands_still_keeps_nobody(
    open_shop: OpenShop,
) -> None:
    shop: Shop = await open_shop(tickets_a=3 * EXPORT_ROWS)
    assert isinstance(shop.provider, MockPay)
    app = create_app(Settings(), shop, shop.provider)
    async with client_of(shop) as client:
        await asyncio.gather(*(buy(client, shop) for _ in range(3 * EXPORT_ROWS)))
    left, stands_still, nobody_left = asyncio.Event(), asyncio.Event(), asyncio.Event()
    bodies: list[bytes] = []

    async def receive() -> Any:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send_to_one_who_reads_nothing(message: Any) -> None:
        if message["type"] == "http.response.body":
            bodies.append(message["body"])
            stands_still.set()
            await nobody_left.wait()

    scope = export_scope()
    still = asyncio.create_task(app(scope, receive, send_to_one_who_reads_nothing))
    await stands_still.wait()
    other: Any = app
    async with httpx.AsyncClient(transport=httpx.ASGITransport(other), base_url=SHOP) as client:
        exported = await client.get("/api/admin/orders.csv", headers=OPERATOR)
    assert len(exported.text.splitlines()) == 1 + 3 * EXPORT_ROWS
    left.set()
    nobody_left.set()
    await still
    assert len(bodies) == 1


async def test_a_disk_that_is_full_is_told_before_anything_is_sent(
    client: httpx.AsyncClient, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await buy(client, shop)
    full = Path("/dev/full")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **how: full.open("r+b", **how))
    response = await client.get("/api/admin/orders.csv")
    assert response.status_code == 503
    assert "no room" in response.json()["detail"]


async def test_more_exports_than_there_may_be_are_refused_at_once(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_files, "EXPORTS_MAX", 0)
    response = await client.get("/api/admin/orders.csv")
    assert response.status_code == 503
    assert "exports are under way" in response.json()["detail"]


# --- Stories ---------------------------------------------------------------------------------


async def test_a_story_is_told_as_json(client: httpx.AsyncClient, shop: Shop) -> None:
    order_id = await buy(client, shop)
    story = (await client.get(f"/api/admin/orders/{order_id}")).json()
    assert (story["order"]["id"], story["order"]["status"]) == (order_id, "PAID")
    assert story["away"] == []
    sold = next(e for e in story["events"] if e["what"] == "Ticket sold")
    assert sold["place"] == "ledger"
    assert sold["transfer_id"][:-2] == order_id[:-2]
    assert sold["at_iso"].endswith("+00:00")


@pytest.mark.parametrize("order_id", ["x", "0" * 32, "f" * 31])
async def test_the_story_of_an_unknown_order_is_a_404(
    client: httpx.AsyncClient, order_id: str
) -> None:
    assert (await client.get(f"/api/admin/orders/{order_id}")).status_code == 404


async def test_a_story_is_a_page_for_a_browser(client: httpx.AsyncClient, shop: Shop) -> None:
    order_id = await buy(client, shop)
    page = await client.get(f"/admin/orders/{order_id}")
    assert page.status_code == 200
    assert "Goodie granted" in page.text


# --- Payments that fit no order ------------------------------------------------------------------


async def unmatched(client: httpx.AsyncClient, shop: Shop, **changes: Any) -> dict[str, Any]:
    """The one there is, after a payment that does not fit."""
    order = await checkout(client)
    wrong: dict[str, Any] = {"amount": 1, "customer_email": "told@example.org"} | changes
    assert (await send(client, shop, event(order, **wrong))).status_code == 200
    [item] = (await client.get("/api/admin/unmatched")).json()["items"]
    assert item["order_id"] == order["order_id"]
    return dict(item)


async def test_an_unmatched_payment_is_listed_as_it_was_told(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    item = await unmatched(client, shop)
    assert item | {"received_at_iso": "", "id": ""} == {
        "id": "",
        "reason": "amount",
        "why": "It is not what the order costs.",
        "amount": 1,
        "currency": "eur",
        "order_id": item["order_id"],
        "payment_session_id": f"mock_{item['order_id']}",
        "email": "told@example.org",
        "body": None,
        "received_at_iso": "",
        "can_be_refunded": True,
        "resolution": None,
        "resolved_at_iso": None,
        "resolved_by": "",
    }


@pytest.mark.parametrize(
    ("action", "other", "resolution"),
    [("refund", "dismiss", "REFUNDED"), ("dismiss", "refund", "DISMISSED")],
)
async def test_an_unmatched_payment_is_resolved_once_and_says_by_whom_and_when(
    client: httpx.AsyncClient, shop: Shop, action: str, other: str, resolution: str
) -> None:
    item = await unmatched(client, shop)
    path = f"/api/admin/unmatched/{item['id']}"
    first = (await client.post(f"{path}/{action}")).json()
    assert (first["resolution"], first["resolved_by"]) == (resolution, "admin")
    assert first["resolved_at_iso"].endswith("+00:00")
    assert (await client.post(f"{path}/{action}")).json() == first
    refused = await client.post(f"{path}/{other}")
    assert refused.status_code == 400
    assert f"{resolution.lower()} before" in refused.json()["detail"]
    assert (await client.get("/api/admin/unmatched")).json()["total"] == 0
    resolved = (await client.get("/api/admin/unmatched?resolved=true")).json()
    assert (resolved["items"], resolved["total"]) == ([first], 1)


@pytest.mark.parametrize("payment_id", ["0" * 32, "x", "%00", "%ff"])
@pytest.mark.parametrize("action", ["refund", "dismiss"])
async def test_an_unmatched_payment_that_is_not_there_is_a_404(
    client: httpx.AsyncClient, payment_id: str, action: str
) -> None:
    response = await client.post(f"/api/admin/unmatched/{payment_id}/{action}")
    assert response.status_code == 404


async def test_a_payment_for_an_order_nobody_knows_leads_to_a_page_that_tells_of_it(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    order_id = OrderId.new().hex_digits
    stranger = {"order_id": order_id, "redirect_url": f"/mock_{order_id}", "amount": 6500}
    assert (await send(client, shop, event(stranger | {"currency": "eur"}))).status_code == 200
    page = await client.get(f"/admin/orders/{order_id}")
    assert page.status_code == 200
    assert "There is no such order." in page.text


async def test_another_site_cannot_resolve_what_the_operator_can(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    item = await unmatched(client, shop)
    for action in ("refund", "dismiss"):
        response = await client.post(
            f"/api/admin/unmatched/{item['id']}/{action}", headers={"Origin": "http://evil"}
        )
        assert response.status_code == 403


# --- The sequencer's figures -----------------------------------------------------------------


async def test_the_sequencers_history_is_passed_on_and_asked_for_once_a_second(
    shop: Shop,
) -> None:
    questions: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        questions.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{"time":[]}')
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    async with server, client_of(shop, settings_with(port)) as client:
        answers = [client.get("/api/admin/history", headers=OPERATOR) for _ in range(5)]
        for response in await asyncio.gather(*answers):
            assert response.json() == {"time": []}
    assert [question.split()[1] for question in questions] == [b"/history"]


async def test_the_hosts_of_the_shop_are_told_with_what_is_wrong_with_them(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    roster = Roster(shop.sessions.store)
    clock_ms = time.time_ns() // 1_000_000
    await roster.write(a_report("tickets-1", clock_ms=clock_ms))
    await roster.write(
        a_report("tickets-2", clock_ms=clock_ms, version="1.1", workers=(), clerks=())
    )
    told = (await client.get("/api/admin/hosts")).json()
    first, second = told["items"]
    assert (first["name"], first["state"], first["versions"]) == ("tickets-1", "selling", ["1.0"])
    assert (first["workers"], first["held_per_second"], first["batch_transfers"]) == (2, 30, 3)
    assert (first["clerks"], second["clerks"]) == (1, 0)
    assert first["heard_ms_ago"] >= 0
    assert (second["name"], second["versions"]) == ("tickets-2", ["1.1"])
    [trouble] = told["troubles"]
    assert (trouble["subject"], trouble["is_bad"]) == ("versions", False)
    assert trouble["sentence"].startswith("Different versions run (1.0 on tickets-1; 1.1 on ticke")


async def test_without_a_sequencer_there_are_no_figures_for_a_moment(shop: Shop) -> None:
    async with client_of(shop, settings_with(free_port())) as client:
        response = await client.get("/api/admin/history", headers=OPERATOR)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert "sequencer" in response.json()["detail"]


def settings_with(metrics_port: int) -> Settings:
    return Settings(sequencer=SequencerSettings(metrics_port=metrics_port))
