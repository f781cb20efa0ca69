"""The pages, as a browser without a script gets them, over a shop of this test's own."""

import gzip
import html
import re
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.robotparser import RobotFileParser

import pytest
from litestar import Litestar, Request, Response
from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler
from litestar.testing import AsyncTestClient
from msgspec import structs

from tests.offers import OFFER, catalog_with
from tigerfans.booking.ids import OrderId
from tigerfans.booking.inventory import Inventory
from tigerfans.errors import (
    AllOnHoldError,
    InvalidEmailError,
    InvalidKeyError,
    InvalidRequestError,
    KeyConflictError,
    KeyRefusedError,
    OrderEndedError,
    SoldOutError,
    TooManyHoldsError,
    UnavailableError,
    UnknownOrderError,
)
from tigerfans.http.client_address import ClientAddresses
from tigerfans.http.held_cookies import HeldCookies
from tigerfans.http.office.admin_pages import admin_pages_router
from tigerfans.http.pages.mockpay_page import mockpay_page
from tigerfans.http.pages.rendering import (
    SECURITY_HEADERS,
    STATIC_CACHE_CONTROL,
    STATIC_MISMATCH_CACHE_CONTROL,
    Renderer,
    duration,
    instant,
    moment,
    wants_page,
)
from tigerfans.http.pages.robots import robots_route
from tigerfans.http.pages.shop_pages import (
    AWAITED_REFRESH_SECONDS,
    MAY_BE_UNDER_WAY,
    REFRESH_SECONDS,
    Offer,
    StockWords,
    pages_router,
)
from tigerfans.http.problems import explain
from tigerfans.offer.catalog import Catalog, ClassCode
from tigerfans.offer.money import money
from tigerfans.office.permissions import Person
from tigerfans.office.story import Chapter, Place, Story
from tigerfans.process.packaged_files import templates_directory
from tigerfans.shop.open_hold import OpenHold
from tigerfans.stores.orders import MAY_CHANGE, Order, OrderStatus
from tigerfans.stores.people import Role
from tigerfans.stores.sessions import Session

Client = AsyncTestClient[Litestar]

HOSTILE_EMAIL = '"<img src=x onerror=alert(1)>"@x.io'
ORDER_ID = OrderId(b"\0" + bytes(range(1, 16)))
PAID_AT = datetime(2026, 11, 22, 12, 2, 51, tzinfo=UTC)
PENDING = Order(
    ORDER_ID, OrderStatus.PENDING, "A", 6500, "ada@example.org", PAID_AT, currency="eur"
)
PAID = structs.replace(
    PENDING,
    status=OrderStatus.PAID,
    paid_at=PAID_AT,
    ticket_code="TF-7K3M-92QX-HD4W",
    got_goodie=True,
)
COOKIES = HeldCookies("secret", hold_seconds=300)
# What the pages call each state.
HEADLINES = [
    (OrderStatus.PENDING, "Waiting for your payment"),
    (OrderStatus.PAID, "You are in"),
    (OrderStatus.PAID_UNFULFILLED, "Paid, but sold out"),
    (OrderStatus.FAILED, "The payment failed"),
    (OrderStatus.CANCELED, "You canceled the payment"),
    (OrderStatus.EXPIRED, "Your hold has expired"),
]
OPERATOR = {"Authorization": "x"}
OFFICE = {"Authorization": "of somebody who may give nothing back"}
SCRIPT = {"Accept": "application/json"}
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@dataclass
class Placed:
    order_id: str = ORDER_ID.hex_digits
    redirect_url: str = "/mockpay/psid-1"


@dataclass
class FakeShop:
    """Says what a test tells it to, and remembers the checkouts it was asked for."""

    catalog: Catalog = field(default_factory=lambda: catalog_with({"A": 500, "B": 2000}, 100))
    hold_seconds: int = 300
    tickets_per_order: int = 1
    stock: dict[ClassCode, Inventory] = field(
        default_factory=lambda: {"A": Inventory(500, 9, 100), "B": Inventory(2000, 0, 1000)}
    )
    goodie_stock: Inventory = field(default_factory=lambda: Inventory(100, 0, 99))
    session: Session | None = None
    found: Order | None = None
    error: Exception | None = None
    stock_error: Exception | None = None
    checkouts: list[tuple[str, str]] = field(default_factory=list)
    quantities: list[int] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    clients: list[str | None] = field(default_factory=list)
    is_under_way: bool = False
    holds: list[OpenHold] = field(default_factory=list)
    # What giving back comes to, and of which orders it was asked for.
    ends_as: OrderStatus | Exception = OrderStatus.CANCELED
    given_back: list[OrderId] = field(default_factory=list)
    story: Story | None = None
    refunded: list[tuple[OrderId, Collection[int] | None]] = field(default_factory=list)

    async def inventory(self) -> dict[ClassCode, Inventory]:
        if self.stock_error:
            raise self.stock_error
        return self.stock

    async def goodies(self) -> Inventory:
        if self.stock_error:
            raise self.stock_error
        return self.goodie_stock

    async def checkout(
        self, cls: str, email: str, idempotency_key: str | None, *, qty: int, client: str | None
    ) -> Placed:
        self.checkouts.append((cls, email))
        self.quantities.append(qty)
        self.keys.append(idempotency_key)
        self.clients.append(client)
        if self.error:
            raise self.error
        return Placed()

    async def payment_session(self, psid: str) -> Session | None:
        return self.session if self.session and psid == self.session.psid else None

    async def order(self, order_id: OrderId) -> Order | None:
        if self.error:
            raise self.error
        return self.found if self.found and order_id == self.found.id else None

    async def open_hold(self, order_id: OrderId) -> OpenHold | None:
        if self.stock_error:
            raise self.stock_error
        return next((hold for hold in self.holds if hold.order.id == order_id), None)

    async def payment_is_under_way(self, order_id: OrderId) -> bool:
        return self.is_under_way

    async def release(self, order_id: OrderId) -> str:
        self.given_back.append(order_id)
        if isinstance(self.ends_as, Exception):
            raise self.ends_as
        return self.ends_as

    async def refund(
        self, order_id: OrderId, by: str, tickets: Collection[int] | None = None
    ) -> Order:
        self.refunded.append((order_id, tickets))
        return PAID

    async def of(self, order_id: OrderId) -> Story:
        if self.story is None or order_id != ORDER_ID:
            raise UnknownOrderError
        return self.story


class Page(HTMLParser):
    """A page as its reader sees it: what is hidden is not there."""

    _VOID = frozenset({"br", "circle", "img", "input", "link", "meta", "path", "rect"})

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[tuple[str, bool]] = []
        self._words: list[str] = []
        self._message: list[str] = []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag not in self._VOID:
            above_is_hidden = bool(self._open) and self._open[-1][1]
            is_hidden = "hidden" in attributes or tag == "template"
            self._open.append((tag, above_is_hidden or is_hidden))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self._VOID:
            opened, _ = self._open.pop()
            assert opened == tag, f"<{opened}> is closed by </{tag}>"

    def handle_data(self, data: str) -> None:
        if self.tags and "data-message" in self.tags[-1][1]:
            self._message.append(data)
        if self._open and not self._open[-1][1] and self._open[-1][0] != "title":
            self._words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def message(self) -> str:
        """What is said by the checkout's button."""
        return " ".join("".join(self._message).split())

    @property
    def choices(self) -> dict[str | None, dict[str, str | None]]:
        """The radio buttons by the class they stand for."""
        return {i["value"]: i for i in self.all("input") if i["type"] == "radio"}


@pytest.fixture
def shop() -> FakeShop:
    return FakeShop()


@pytest.fixture(scope="session")
def renderer() -> Renderer:
    return Renderer(OFFER)


def operator_only(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    if "authorization" not in connection.headers:
        raise NotAuthorizedException(headers={"WWW-Authenticate": "Basic"})
    is_office = connection.headers["authorization"] == OFFICE["Authorization"]
    connection.scope["user"] = Person("admin", Role.OFFICE if is_office else Role.OWNER)


@asynccontextmanager
async def open_client(shop: FakeShop, renderer: Renderer) -> AsyncIterator[Client]:
    def on_error(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        assert wants_page(request)
        problem = explain(error)
        if problem is None:
            raise error
        return renderer.error_page(request, problem.status_code, problem.detail, problem.headers)

    app = Litestar(
        route_handlers=[
            pages_router(shop=shop, renderer=renderer, clients=ClientAddresses(), cookies=COOKIES),
            mockpay_page(shop, renderer),
            admin_pages_router(shop=shop, stories=shop, renderer=renderer, guard=operator_only),
            renderer.static.router(),
            robots_route(),
        ],
        exception_handlers={Exception: on_error},
        openapi_config=None,
        logging_config=None,
    )
    async with AsyncTestClient(app) as client:
        client.headers.update(BROWSER)
        yield client


@pytest.fixture
async def client(shop: FakeShop, renderer: Renderer) -> AsyncIterator[Client]:
    async with open_client(shop, renderer) as client:
        yield client


async def get(client: Client, path: str, status: int = 200) -> Page:
    response = await client.get(path)
    assert response.status_code == status, response.text
    return Page(response.text)


def session_of(order: Order, seconds_left: int) -> Session:
    now_ms = time.time_ns() // 1_000_000
    return Session(
        psid="psid-1",
        order_id=order.id,
        cls=order.cls,
        amount_cents=order.amount_cents,
        email=order.email,
        created_ms=now_ms,
        expires_ms=now_ms + seconds_left * 1000,
        qty=order.qty,
    )


# --- Every page ------------------------------------------------------------------------------

SUCCESS = f"/demo/success?order_id={ORDER_ID.hex_digits}"
STORY = f"/admin/orders/{ORDER_ID.hex_digits}"
PATHS = ["/", "/demo/checkout", "/mockpay/psid-1", SUCCESS, "/admin", STORY]
TOLD = Story(
    PAID,
    [
        Chapter(PAID_AT, "Ticket sold", Place.LEDGER, "together with a goodie", "01ab03"),
        Chapter(PAID_AT, "Payment succeeded", Place.POSTGRESQL),
    ],
    [],
)


@pytest.mark.parametrize("path", PATHS)
async def test_every_page_of_a_demonstration_says_that_no_money_is_taken(
    client: Client, shop: FakeShop, path: str
) -> None:
    shop.found, shop.session, shop.story = PAID, session_of(PAID, 200), TOLD
    sentence = "This shop is a demonstration: no money is taken."
    assert sentence not in Page((await client.get(path, headers=OPERATOR)).text).text
    async with open_client(shop, Renderer(OFFER, demo=True)) as demo:
        assert sentence in Page((await demo.get(path, headers=OPERATOR)).text).text


@pytest.mark.parametrize("path", PATHS)
async def test_a_page_is_well_formed_and_keeps_to_the_strict_policy(
    client: Client, shop: FakeShop, path: str
) -> None:
    shop.found, shop.session, shop.story = PAID, session_of(PAID, 200), TOLD
    response = await client.get(path, headers=OPERATOR)
    assert response.status_code == 200
    for name, value in SECURITY_HEADERS.items():
        assert response.headers[name] == value
    assert response.headers["cache-control"] == "no-store"
    page = Page(response.text)
    assert page.all("html")[0]["lang"] == "en"
    assert not page.all("style")
    assert all((script["src"] or "").startswith("/static/") for script in page.all("script"))
    for _, attributes in page.tags:
        assert "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        for address in (attributes.get("src"), attributes.get("href")):
            assert address is None or address.startswith(("/", "#"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("path", PATHS)
async def test_search_engines_list_what_is_nobodys_own(
    client: Client, shop: FakeShop, path: str
) -> None:
    shop.found, shop.session, shop.story = PAID, session_of(PENDING, 60), TOLD
    response = await client.get(path, headers=OPERATOR)
    assert response.headers["x-robots-tag"] == ("all" if path == "/" else "noindex")
    assert response.headers["referrer-policy"] == "strict-origin"


async def test_robots_are_kept_from_no_address_that_has_an_orders_id_in_it(client: Client) -> None:
    rules = RobotFileParser()
    rules.parse((await client.get("/robots.txt")).text.splitlines())
    assert rules.can_fetch("*", "/")
    # What they may not fetch they list all the same where somebody links to it: these say noindex.
    for path in (SUCCESS, "/mockpay/psid-1", f"/api/orders/{ORDER_ID.hex_digits}/qr.png"):
        assert rules.can_fetch("*", path)
    assert not rules.can_fetch("*", "/admin")


# --- The foot --------------------------------------------------------------------------------


def links_at_the_foot(markup: str) -> dict[str, str | None]:
    foot = markup.partition("<footer")[2]
    return {label: url for url, label in re.findall(r'<a href="([^"]+)">([^<]+)</a>', foot)}


async def test_a_buyers_page_ends_with_the_links_that_were_set_and_none_of_the_operators(
    shop: FakeShop,
) -> None:
    links = {"Imprint": "https://example.org/imprint?a=1&b=2", "Contact": "mailto:a@example.org"}
    for renderer, expected in ((Renderer(OFFER), {}), (Renderer(OFFER, links=links), links)):
        async with open_client(shop, renderer) as client:
            for path in ("/", "/demo/checkout", SUCCESS):
                text = (await client.get(path)).text
                found = {k: html.unescape(v or "") for k, v in links_at_the_foot(text).items()}
                assert found == expected


async def test_the_operators_pages_lead_from_one_to_the_other(
    client: Client, shop: FakeShop
) -> None:
    shop.story = TOLD
    for path in ("/admin", STORY):
        text = (await client.get(path, headers=OPERATOR)).text
        assert links_at_the_foot(text) == {"TigerBench": "/bench", "Box office": "/admin"}


async def test_without_a_demo_or_links_the_foot_names_the_show_alone(shop: FakeShop) -> None:
    async with open_client(shop, Renderer(OFFER, provider="Coins")) as client:
        foot = (await client.get("/")).text.partition("<footer")[2]
        assert foot.count("<p>") == 1


def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere() -> None:
    policy = SECURITY_HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


@pytest.mark.parametrize("path", PATHS)
async def test_everything_a_page_links_to_is_there(
    client: Client, shop: FakeShop, path: str
) -> None:
    shop.found, shop.session, shop.story = PAID, session_of(PAID, 200), TOLD
    page = Page((await client.get(path, headers=OPERATOR)).text)
    addresses = {a.get("src") or a.get("href") for _, a in page.tags}
    static = {address for address in addresses if address and address.startswith("/static/")}
    assert static
    for address in static:
        assert (await client.get(address)).status_code == 200


# --- Landing and checkout --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stock", "state"),
    [
        (None, "unknown"),
        (Inventory(500, 0, 0), "on_sale"),
        (Inventory(500, 0, 451), "going_fast"),
        (Inventory(500, 20, 480), "on_hold"),
        (Inventory(500, 0, 500), "sold_out"),
        (Inventory(20, 20, 0, parked=480, is_closed=True), "closed"),
    ],
)
def test_the_words_of_a_stock_are_those_of_its_state(
    stock: Inventory | None, state: StockWords
) -> None:
    assert Offer(catalog_with({"A": 500}, 0).classes[0], stock).state == state


async def test_the_landing_page_shows_offer_price_and_what_is_left(client: Client) -> None:
    text = (await get(client, "/")).text
    assert "1,391 tickets left" in text
    assert "Premium €65.00" in text
    assert "391 left" in text
    assert "Standard €35.00" in text
    assert "1,000 left" in text
    assert "Paper whale for the first 100" in text
    assert "for 5 minutes" in text


async def test_the_landing_page_says_when_the_goodies_are_gone(
    client: Client, shop: FakeShop
) -> None:
    assert "All 100 are granted" not in (await get(client, "/")).text
    shop.goodie_stock = Inventory(100, 0, 100)
    assert "All 100 are granted" in (await get(client, "/")).text


@pytest.mark.parametrize("path", ["/", "/demo/checkout"])
async def test_a_page_says_that_the_sale_is_closed_and_offers_nothing(
    client: Client, shop: FakeShop, path: str
) -> None:
    closed = Inventory(2, 1, 1, parked=3, is_closed=True)
    shop.stock = dict.fromkeys(("A", "B"), closed)
    text = Page((await client.get(path)).text).text
    assert "The sale is closed" in text
    assert "Get your ticket" not in text
    assert "Hold my ticket" not in text


async def test_the_landing_page_counts_the_goodies_that_there_are_whatever_the_offer_says(
    client: Client, shop: FakeShop
) -> None:
    shop.goodie_stock = Inventory(70, 0, 1)
    assert "for the first 70" in Page((await client.get("/")).text).text


async def test_the_landing_page_promises_no_goodie_where_there_is_none(
    client: Client, shop: FakeShop
) -> None:
    shop.catalog = catalog_with({"A": 500, "B": 2000}, 0)
    shop.goodie_stock = Inventory(0, 0, 0)
    assert "Paper whale" not in (await get(client, "/")).text


@pytest.mark.parametrize("path", ["/", "/demo/checkout"])
async def test_a_page_without_its_live_count_still_sells(
    client: Client, shop: FakeShop, path: str
) -> None:
    shop.stock_error = UnavailableError()
    page = await get(client, path)
    assert "Live count not available" in page.text
    assert "disabled" not in page.choices.get("A", {})


async def test_the_checkout_says_what_is_held_and_what_is_sold_out(
    client: Client, shop: FakeShop
) -> None:
    shop.stock = {"A": Inventory(500, 0, 500), "B": Inventory(2000, 50, 1950)}
    page = await get(client, "/demo/checkout?cls=A")
    assert "Sold out, all 500" in page.text
    assert "All on hold" in page.text
    assert "disabled" in page.choices["A"]


@pytest.mark.parametrize(
    ("query", "chosen", "words"),
    [
        ("?cls=A", [], "Premium is sold out. Please choose another ticket."),
        ("?cls=B", ["B"], ""),
        ("", ["B"], ""),
    ],
)
async def test_who_chose_what_is_sold_out_is_told_by_the_button_and_gets_nothing_else_unasked(
    client: Client, shop: FakeShop, query: str, chosen: list[str], words: str
) -> None:
    shop.stock = {"A": Inventory(500, 0, 500), "B": Inventory(2000, 0, 1000)}
    page = await get(client, f"/demo/checkout{query}")
    assert [code for code, choice in page.choices.items() if "checked" in choice] == chosen
    assert page.message == words


async def test_the_landing_page_says_where_the_button_was_that_nothing_is_left(
    client: Client, shop: FakeShop
) -> None:
    shop.stock = {listing.code: Inventory(500, 0, 500) for listing in OFFER.listings}
    text = (await get(client, "/")).text
    assert "Get your ticket" not in text
    assert "0 tickets left" not in text
    assert "Sold out Every ticket is sold" in text
    shop.stock_error = UnavailableError()
    text = (await get(client, "/")).text
    assert "Get your ticket Live count not available" in text
    assert "tickets left" not in text


async def test_the_checkout_closes_when_every_ticket_is_sold(
    client: Client, shop: FakeShop
) -> None:
    shop.stock = {listing.code: Inventory(500, 0, 500) for listing in OFFER.listings}
    text = (await get(client, "/demo/checkout")).text
    assert "Every ticket is sold" in text
    assert "Hold my ticket" not in text
    text = (await get(client, "/")).text
    assert "Choose Premium" not in text
    assert "tickets left" not in text


async def test_while_all_are_on_hold_the_pages_say_so_and_still_take_who_tries(
    client: Client, shop: FakeShop
) -> None:
    shop.stock = {"A": Inventory(500, 0, 500), "B": Inventory(2000, 50, 1950)}
    text = (await get(client, "/demo/checkout")).text
    assert "All on hold right now" in text
    assert "back within 5 minutes" in text
    assert "Hold my ticket" in text
    assert "Every ticket is sold" not in text
    text = (await get(client, "/")).text
    assert "All on hold; unpaid ones come back" in text
    assert "Choose Standard" in text
    assert "tickets left" not in text


@pytest.mark.parametrize(
    ("query", "chosen"), [("", "A"), ("?cls=A", "A"), ("?cls=B", "B"), ("?cls=Z", "A")]
)
async def test_the_checkout_opens_with_the_class_that_was_chosen(
    client: Client, query: str, chosen: str
) -> None:
    choices = (await get(client, f"/demo/checkout{query}")).choices
    assert [code for code, choice in choices.items() if "checked" in choice] == [chosen]


@pytest.mark.parametrize("told", ["failed", "canceled", "succeeded", ""])
@pytest.mark.parametrize(("status", "words"), HEADLINES)
async def test_the_checkout_tells_a_buyer_who_comes_back_what_the_order_says(
    client: Client, shop: FakeShop, status: OrderStatus, words: str, told: str
) -> None:
    shop.found = structs.replace(PAID, status=status)
    path = f"/demo/checkout?status={told}&order_id={ORDER_ID.hex_digits}"
    page = await get(client, path)
    assert [headline for _, headline in HEADLINES if headline in page.text] == [words]
    assert ("Nothing was charged" in page.text) == (status in ("FAILED", "CANCELED"))
    assert {"href": SUCCESS} in page.all("a")
    has_script = any("returned.js" in (script["src"] or "") for script in page.all("script"))
    assert has_script == (status in MAY_CHANGE)


@pytest.mark.parametrize("order_id", ["", "Call%20+49%2030%201234", "0" * 32])
async def test_the_checkout_says_nothing_of_a_payment_it_does_not_know(
    client: Client, order_id: str
) -> None:
    path = "/demo/checkout?status=failed&order_id="
    texts = [(await get(client, path + text)).text for text in ("", order_id)]
    assert texts[0] == texts[1]
    assert "charged" not in texts[1]


async def test_the_checkout_sells_while_it_cannot_tell_what_became_of_a_payment(
    client: Client, shop: FakeShop
) -> None:
    shop.error = UnavailableError()
    text = (await get(client, f"/demo/checkout?order_id={ORDER_ID.hex_digits}")).text
    assert "Hold my ticket" in text
    assert "charged" not in text


async def test_what_stands_in_the_address_reaches_the_page_as_text(client: Client) -> None:
    hostile = "%22%3E%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E"
    for path in (
        f"/demo/checkout?status=failed&cls={hostile}&order_id={hostile}",
        f"/demo/success?order_id={hostile}",
        f"/mockpay/{hostile}",
    ):
        response = await client.get(path)
        assert "<img src=x" not in response.text


# --- Buying without a script -----------------------------------------------------------------


async def test_the_form_posts_and_leads_to_the_payment(client: Client, shop: FakeShop) -> None:
    form = {"cls": "B", "customer_email": "ada@example.org"}
    response = await client.post("/demo/checkout", data=form, follow_redirects=False)
    assert response.status_code == 303
    assert response.headers["location"] == "/mockpay/psid-1"
    assert shop.checkouts == [("B", "ada@example.org")]


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (InvalidRequestError("This does not look like an email address."), 400, None),
        (SoldOutError(), 409, None),
        (AllOnHoldError(), 409, "10"),
        (TooManyHoldsError("At most 20 tickets at a time.", 240), 429, "240"),
        (UnavailableError(), 503, "1"),
    ],
)
async def test_a_refused_form_comes_back_filled_in_with_the_reason(
    client: Client, shop: FakeShop, error: Exception, status: int, retry_after: str | None
) -> None:
    shop.error = error
    form = {"cls": "B", "customer_email": HOSTILE_EMAIL}
    response = await client.post("/demo/checkout", data=form)
    assert response.status_code == status
    assert response.headers.get("retry-after") == retry_after
    page = Page(response.text)
    assert str(error) in page.text
    assert "checked" in page.choices["B"]
    assert named(page, "customer_email")["value"] == HOSTILE_EMAIL


def named(page: "Page", name: str) -> dict[str, Any]:
    """The checkout's input of that name; a ticket on hold has a form of its own."""
    [*_, field] = [field for field in page.all("input") if field.get("name") == name]
    return field


def part_with(page: "Page", attribute: str) -> dict[str, Any]:
    [attributes] = [attributes for _, attributes in page.tags if attribute in attributes]
    return attributes


async def test_what_is_wrong_with_an_email_is_said_beside_it(
    client: Client, shop: FakeShop
) -> None:
    shop.error = InvalidEmailError("An email address has at most 254 characters.")
    form = {"cls": "B", "customer_email": "a" * 300}
    response = await client.post("/demo/checkout", data=form)
    assert response.status_code == 400
    page = Page(response.text)
    assert named(page, "customer_email")["aria-invalid"] == "true"
    assert named(page, "customer_email")["value"] == "a" * 300
    assert "hidden" not in part_with(page, "data-email-problem")
    assert part_with(page, "data-message")["data-kind"] == ""
    assert page.text.count(str(shop.error)) == 1


async def test_a_likely_typo_is_asked_about_once_and_holds_nothing_meanwhile(
    client: Client, shop: FakeShop
) -> None:
    form = {"cls": "B", "customer_email": "ada@exmaple.con", "idempotency_key": "k1"}
    asking = Page((await client.post("/demo/checkout", data=form)).text)
    assert "Did you mean ada@example.com" in asking.text
    assert "hidden" not in part_with(asking, "data-email-meant")
    assert named(asking, "idempotency_key")["value"] == "k1"
    assert shop.checkouts == []
    form["asked_email"] = named(asking, "asked_email")["value"]
    change = {"meant_email": named(asking, "meant_email")["value"]}
    for answered, email in (({}, "ada@exmaple.con"), (change, "ada@example.com")):
        await client.post("/demo/checkout", data=form | answered, follow_redirects=False)
        assert shop.checkouts.pop() == ("B", email)
    other = form | {"customer_email": "ada@gmial.com"}
    assert "ada@gmail.com" in Page((await client.post("/demo/checkout", data=other)).text).text


async def test_each_form_brings_a_key_of_its_own_along(client: Client, shop: FakeShop) -> None:
    first, second = [key_of(await get(client, "/demo/checkout")) for _ in range(2)]
    assert first != second
    assert len(first) == len(second) == 32
    form = {"cls": "B", "customer_email": "ada@example.org", "idempotency_key": first}
    await client.post("/demo/checkout", data=form, follow_redirects=False)
    assert shop.keys == [first]


@pytest.mark.parametrize(
    ("error", "is_kept"),
    [
        (InvalidRequestError("This does not look like an email address."), True),
        (AllOnHoldError(), True),
        (UnavailableError(), True),
        (KeyConflictError(), False),
        (KeyRefusedError(), False),
        (OrderEndedError("The hold of this order has expired.", "EXPIRED"), False),
        (InvalidKeyError(), False),
    ],
)
async def test_a_refused_form_has_a_new_key_only_where_the_one_it_had_leads_nowhere(
    client: Client, shop: FakeShop, error: Exception, is_kept: bool
) -> None:
    shop.error = error
    form = {"cls": "B", "customer_email": "ada@example.org", "idempotency_key": "k1"}
    page = Page((await client.post("/demo/checkout", data=form)).text)
    assert str(error) in page.text
    assert (key_of(page) == "k1") is is_kept
    assert key_of(page)


async def test_a_form_without_a_key_is_taken_and_comes_back_with_one(
    client: Client, shop: FakeShop
) -> None:
    shop.error = UnavailableError()
    form = {"cls": "B", "customer_email": "ada@example.org"}
    page = Page((await client.post("/demo/checkout", data=form)).text)
    assert shop.keys == [None]
    assert len(key_of(page)) == 32


def key_of(page: Page) -> str:
    [key] = [i["value"] for i in page.all("input") if i["name"] == "idempotency_key"]
    return key or ""


async def test_the_form_holds_on_its_clients_account(client: Client, shop: FakeShop) -> None:
    await client.post("/demo/checkout", headers={"X-Forwarded-For": "192.0.2.7"})
    assert shop.clients == ["testclient"]


# --- A ticket that is on hold ----------------------------------------------------------------


def on_hold(order: Order = PENDING) -> OpenHold:
    return OpenHold(order, "/mockpay/psid-1", PAID_AT)


def remember(client: Client, order_id: OrderId = ORDER_ID) -> None:
    """Gives the client the cookie of a hold that it placed."""
    name, _, value = COOKIES.set_cookie(order_id.hex_digits).partition(";")[0].partition("=")
    client.cookies.set(name, value)


def email_of(page: Page) -> str | None:
    [email] = [i["value"] for i in page.all("input") if i.get("id") == "email"]
    return email


async def test_a_checkout_brings_the_cookie_of_its_hold(client: Client, shop: FakeShop) -> None:
    form = {"cls": "B", "customer_email": "ada@example.org"}
    response = await client.post("/demo/checkout", data=form, follow_redirects=False)
    assert response.headers["set-cookie"] == COOKIES.set_cookie(ORDER_ID.hex_digits)


async def test_the_checkout_offers_to_go_on_with_what_is_on_hold_or_to_give_it_back(
    client: Client, shop: FakeShop
) -> None:
    shop.holds = [on_hold()]
    remember(client)
    page = await get(client, "/demo/checkout")
    assert "Premium , €65.00 , for ada@example.org . Nobody else can buy it until" in page.text
    assert {"class": "button", "href": "/mockpay/psid-1", "data-go-on": None} in page.all("a")
    actions = [form["action"] for form in page.all("form")]
    assert actions == ["/demo/checkout/give-back", "/demo/checkout/give-back", "/demo/checkout"]


async def test_who_comes_back_from_a_mistyped_email_finds_the_form_filled_in(
    client: Client, shop: FakeShop
) -> None:
    shop.holds = [on_hold(structs.replace(PENDING, cls="B", email="eda@example.org"))]
    assert email_of(await get(client, "/demo/checkout")) == ""
    remember(client)
    page = await get(client, "/demo/checkout")
    assert email_of(page) == "eda@example.org"
    assert "checked" in page.choices["B"]
    # What is chosen anew counts for more.
    assert "checked" in (await get(client, "/demo/checkout?cls=A")).choices["A"]


@pytest.mark.parametrize("status", [OrderStatus.FAILED, OrderStatus.CANCELED, OrderStatus.EXPIRED])
async def test_who_comes_back_from_a_payment_finds_class_and_email_as_they_were(
    client: Client, shop: FakeShop, status: OrderStatus
) -> None:
    shop.found = structs.replace(PENDING, cls="B", status=status)
    path = f"/demo/checkout?order_id={ORDER_ID.hex_digits}"
    page = await get(client, path)
    assert "checked" in page.choices["B"]
    # The class is the order's to tell, the email only its buyer's to see.
    assert email_of(page) == ""
    remember(client)
    assert email_of(await get(client, path)) == PENDING.email


async def test_only_who_placed_a_hold_sees_it_and_gives_it_back(
    client: Client, shop: FakeShop
) -> None:
    shop.holds = [on_hold()]
    for name in (f"tigerfans-held-{ORDER_ID.hex_digits}", ORDER_ID.hex_digits, "tigerfans-held-x"):
        client.cookies.set(name, "0123456789abcdef")
    assert "on hold" not in (await get(client, "/demo/checkout")).text
    assert (await client.get("/demo/checkout/held")).json() == []
    form = {"order_id": ORDER_ID.hex_digits}
    for data in (form, {"order_id": "x"}, {}):
        response = await client.post("/demo/checkout/give-back", data=data)
        assert response.status_code == 404
        assert Page(response.text).message == "This browser has no such ticket on hold."
    assert shop.given_back == []


@pytest.mark.parametrize(
    ("status", "page"),
    [
        (OrderStatus.CANCELED, f"/demo/checkout?order_id={ORDER_ID.hex_digits}"),
        (OrderStatus.PAID, SUCCESS),
        (OrderStatus.PAID_UNFULFILLED, SUCCESS),
    ],
)
async def test_a_ticket_is_given_back_by_a_plain_form_unless_it_was_paid_meanwhile(
    client: Client, shop: FakeShop, status: OrderStatus, page: str
) -> None:
    shop.ends_as = status
    remember(client)
    form = {"order_id": ORDER_ID.hex_digits}
    response = await client.post("/demo/checkout/give-back", data=form, follow_redirects=False)
    assert (response.status_code, response.headers["location"]) == (303, page)
    told = await client.post("/demo/checkout/give-back", data=form, headers=SCRIPT)
    assert (told.status_code, told.json()) == (200, {"status": status})
    assert shop.given_back == [ORDER_ID] * 2


async def test_a_ticket_that_cannot_be_given_back_now_stays_on_hold(
    client: Client, shop: FakeShop
) -> None:
    shop.holds, shop.ends_as = [on_hold()], UnavailableError()
    remember(client)
    response = await client.post("/demo/checkout/give-back", data={"order_id": ORDER_ID.hex_digits})
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    page = Page(response.text)
    assert "You have a ticket on hold" in page.text
    assert page.message.startswith(str(UnavailableError()))


async def test_who_is_refused_because_of_a_hold_of_their_own_is_told_so(
    client: Client, shop: FakeShop
) -> None:
    shop.holds, shop.error = [on_hold()], AllOnHoldError()
    form = {"cls": "A", "customer_email": "ada@example.com", "idempotency_key": "k1"}
    sentence = "You have a ticket on hold yourself: go on with it, or give it back."
    assert sentence not in Page((await client.post("/demo/checkout", data=form)).text).message
    remember(client)
    page = Page((await client.post("/demo/checkout", data=form)).text)
    assert page.message == f"{AllOnHoldError()} {sentence}"
    assert "Go on to the payment" in page.text


async def test_a_script_hears_of_the_holds_of_its_browser_the_oldest_first(
    client: Client, shop: FakeShop
) -> None:
    other = OrderId(b"\0" + bytes(range(2, 17)))
    first = OpenHold(
        structs.replace(PENDING, id=other), "/mockpay/psid-2", PAID_AT - timedelta(minutes=1)
    )
    shop.holds = [on_hold(), first]
    for order_id in (ORDER_ID, other, OrderId.new()):
        remember(client, order_id)
    response = await client.get("/demo/checkout/held", headers=SCRIPT)
    assert response.headers["cache-control"] == "no-store"
    told = response.json()
    assert [hold["redirect_url"] for hold in told] == ["/mockpay/psid-2", "/mockpay/psid-1"]
    assert told[1] == {
        "order_id": ORDER_ID.hex_digits,
        "qty": 1,
        "class_name": "Premium",
        "amount": "€65.00",
        "email": "ada@example.org",
        "redirect_url": "/mockpay/psid-1",
        "expires_at": "2026-11-22T12:02:51Z",
    }


async def test_without_its_stores_the_checkout_shows_no_hold_and_still_sells(
    client: Client, shop: FakeShop
) -> None:
    shop.holds, shop.stock_error = [on_hold()], UnavailableError()
    shop.found, shop.error = PENDING, UnavailableError()
    remember(client)
    page = await get(client, f"/demo/checkout?order_id={ORDER_ID.hex_digits}")
    assert "Hold my ticket" in page.text


def part(name: bytes, value: bytes, encoding: bytes = b"") -> bytes:
    """A multipart form of one field."""
    head = b'Content-Disposition: form-data; name="%s"\r\nContent-Type: text/plain%s' % (
        name,
        encoding,
    )
    return b"--b\r\n%s\r\n\r\n%s\r\n--b--\r\n" % (head, value)


async def test_a_form_with_nothing_in_it_is_the_shops_to_refuse(
    client: Client, shop: FakeShop
) -> None:
    shop.error = InvalidRequestError("Please choose ticket class A or B.")
    files = {"cls": ("a.txt", b"A", "text/plain")}
    for response in (
        await client.post("/demo/checkout"),
        await client.post("/demo/checkout", files=files),
    ):
        assert response.status_code == 400
        assert "Please choose" in Page(response.text).text
    assert shop.checkouts == [("", ""), ("", "")]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data; boundary=b", part(b"cls", b"\xff")),
        ("multipart/form-data; boundary=b", part(b"cls", b"A", b"; charset=none")),
        ("multipart/form-data", part(b"cls", b"A")),
        ("text/plain", b"\xff"),
        ("application/x-www-form-urlencoded", b"\xff=\xff&%ff=%ff&;"),
    ],
)
async def test_what_no_page_of_ours_sends_is_an_empty_form(
    client: Client, shop: FakeShop, content_type: str, body: bytes
) -> None:
    shop.error = InvalidRequestError("Please choose ticket class A or B.")
    response = await client.post(
        "/demo/checkout", content=body, headers={"Content-Type": content_type}
    )
    assert response.status_code == 400
    assert "Please choose" in Page(response.text).text
    assert shop.checkouts == [("", "")]


# --- Payment ---------------------------------------------------------------------------------


async def test_the_payment_page_says_what_is_paid_and_how_long_it_is_held(
    client: Client, shop: FakeShop
) -> None:
    shop.found, shop.session = PENDING, session_of(PENDING, 275)
    page = await get(client, "/mockpay/psid-1")
    assert "€65.00" in page.text
    assert "Premium ticket" in page.text
    assert "a…@example.org" in page.text
    assert re.search(r"Your ticket is held for 4:3\d", page.text)
    [form] = page.all("form")
    assert (form["method"], form["action"]) == ("post", "/mockpay/psid-1/emit")
    buttons = [b["value"] for b in page.all("button") if b.get("name") and "hidden" not in b]
    assert buttons == ["succeeded", "failed", "canceled"]


async def test_a_hostile_email_is_text_on_the_payment_page(client: Client, shop: FakeShop) -> None:
    shop.found = structs.replace(PENDING, email=HOSTILE_EMAIL)
    shop.session = session_of(shop.found, 275)
    page = await get(client, "/mockpay/psid-1")
    assert f"{HOSTILE_EMAIL[0]}…@" in page.text
    assert not any(image["src"] == "x" for image in page.all("img"))


@pytest.mark.parametrize("status", [OrderStatus.PENDING, OrderStatus.EXPIRED])
async def test_an_expired_hold_can_still_be_paid_and_says_what_that_means(
    client: Client, shop: FakeShop, status: OrderStatus
) -> None:
    shop.found = structs.replace(PENDING, status=status)
    shop.session = session_of(shop.found, -1)
    text = (await get(client, "/mockpay/psid-1")).text
    assert "Your hold has expired" in text
    assert "Pay €65.00 anyway" in text
    assert "held for" not in text


async def test_a_finished_payment_has_no_buttons(client: Client, shop: FakeShop) -> None:
    shop.found, shop.session = PAID, session_of(PAID, 100)
    page = await get(client, "/mockpay/psid-1")
    assert "This payment is finished" in page.text
    assert not page.all("button")
    assert {"href": SUCCESS} in page.all("a")


async def test_an_unknown_payment_is_a_404_with_a_page(client: Client) -> None:
    page = await get(client, "/mockpay/nobody", status=404)
    assert "We know of no such payment." in page.text


# --- The order -------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "headline"), HEADLINES)
async def test_every_state_of_an_order_has_its_own_words(
    client: Client, shop: FakeShop, status: OrderStatus, headline: str
) -> None:
    shop.found = structs.replace(PAID, status=status)
    response = await client.get(SUCCESS)
    assert f"<title>{headline} · Lakeside</title>" in response.text
    text = Page(response.text).text
    assert [words for _, words in HEADLINES if words in text] == [headline]


@pytest.mark.parametrize("status", [OrderStatus.EXPIRED, OrderStatus.FAILED, OrderStatus.CANCELED])
async def test_an_order_that_ended_unpaid_says_that_a_payment_still_counts(
    client: Client, shop: FakeShop, status: OrderStatus
) -> None:
    shop.found = structs.replace(PENDING, status=status)
    text = (await get(client, SUCCESS)).text
    assert "wait before you buy again: this page keeps looking" in text


@pytest.mark.parametrize("status", OrderStatus)
async def test_an_unpaid_order_whose_money_takes_days_says_what_becomes_of_it(
    client: Client, shop: FakeShop, status: OrderStatus
) -> None:
    shop.found, shop.is_under_way = structs.replace(PAID, status=status), True
    page = await get(client, SUCCESS)
    is_said = status in MAY_BE_UNDER_WAY
    assert ("your bank takes some days" in page.text) == is_said
    assert ("Your payment is under way" in page.text) == is_said
    if is_said:
        refreshes = [m["content"] for m in page.all("meta") if m.get("http-equiv") == "refresh"]
        assert refreshes == [str(REFRESH_SECONDS)]
        for elsewhere in ("went back on sale", "Waiting for your payment", "wait before you buy"):
            assert elsewhere not in page.text


async def test_a_page_helps_where_nobody_knows_whether_the_money_is_under_way(
    client: Client, shop: FakeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def is_away(_: OrderId) -> bool:
        raise UnavailableError

    monkeypatch.setattr(shop, "payment_is_under_way", is_away)
    shop.found = PENDING
    assert "Waiting for your payment" in (await get(client, SUCCESS)).text


async def test_a_paid_order_is_a_ticket(client: Client, shop: FakeShop) -> None:
    shop.found = PAID
    page = await get(client, SUCCESS)
    for words in ("You are in", "Premium", "TF-7K3M-92QX-HD4W", "Paper whale included", "€65.00"):
        assert words in page.text
    assert "22 Nov 2026, 12:02:51 UTC" in page.text
    api = f"/api/orders/{ORDER_ID.hex_digits}"
    assert f"{api}/qr.svg" in [image.get("src") for image in page.all("img")]
    links = [link["href"] for link in page.all("a")]
    assert {f"{api}/ticket.png", f"{api}/ticket.pdf", f"{api}/ticket.ics"} <= set(links)


async def test_a_ticket_without_goodie_promises_none(client: Client, shop: FakeShop) -> None:
    shop.found = structs.replace(PAID, got_goodie=False)
    assert "Paper whale" not in (await get(client, SUCCESS)).text


@pytest.mark.parametrize("status", OrderStatus)
async def test_an_order_that_may_change_is_looked_at_again_without_a_script(
    client: Client, shop: FakeShop, status: OrderStatus
) -> None:
    shop.found = structs.replace(PAID, status=status)
    page = await get(client, SUCCESS)
    refreshes = [m["content"] for m in page.all("meta") if m.get("http-equiv") == "refresh"]
    after = str(AWAITED_REFRESH_SECONDS if status is OrderStatus.PENDING else REFRESH_SECONDS)
    assert refreshes == ([after] if status in MAY_CHANGE else [])
    assert ("Look again" in page.text) == (status in MAY_CHANGE)
    # The script is told by the same table.
    [told] = [a["data-may-change"] for _, a in page.tags if "data-may-change" in a]
    assert (told or "").split() == [*MAY_CHANGE]


async def test_an_order_that_is_unknown_is_not_looked_for_again(client: Client) -> None:
    page = await get(client, SUCCESS, status=404)
    assert not [m for m in page.all("meta") if "http-equiv" in m]


async def test_a_refund_that_was_made_says_when(client: Client, shop: FakeShop) -> None:
    shop.found = structs.replace(PENDING, status=OrderStatus.PAID_UNFULFILLED, refunded_at=PAID_AT)
    assert "sent back on 22 Nov 2026" in (await get(client, SUCCESS)).text


REFUNDED = structs.replace(
    PAID, status=OrderStatus.REFUNDED, refunded_at=PAID_AT, tickets_refunded_at=(PAID_AT,)
)
THREE = structs.replace(
    PAID,
    qty=3,
    amount_cents=3 * 6500,
    more_ticket_codes=("TF-2222-2222-2222", "TF-3333-3333-3333"),
)


async def test_a_refunded_order_has_no_code_and_says_when_the_money_went_back(
    client: Client, shop: FakeShop
) -> None:
    shop.found = REFUNDED
    page = await get(client, SUCCESS)
    assert "€65.00 went back through" in page.text
    assert "not valid any more" in page.text
    assert "You are in" not in page.text
    assert not [image for image in page.all("img") if "qr" in (image.get("src") or "")]


async def test_an_order_whose_money_is_on_its_way_back_is_no_ticket_any_more(
    client: Client, shop: FakeShop
) -> None:
    shop.found = structs.replace(PAID, tickets_refunded_at=(PAID_AT,))
    page = await get(client, SUCCESS)
    assert "€65.00 is on the way back" in page.text
    assert "You are in" not in page.text


async def test_a_ticket_that_was_refunded_has_no_code_and_the_others_have_theirs(
    client: Client, shop: FakeShop
) -> None:
    shop.found = structs.replace(THREE, tickets_refunded_at=(None, PAID_AT, None))
    page = await get(client, SUCCESS)
    assert "This ticket is not valid any more." in page.text
    codes = [image["src"] for image in page.all("img") if "qr" in (image.get("src") or "")]
    assert [(code or "").rpartition("tickets/")[2] for code in codes] == ["0/qr.svg", "2/qr.svg"]


def refund_forms(page: Page) -> list[str]:
    """Where the forms of a page lead that give money back."""
    actions = [form["action"] or "" for form in page.all("form")]
    return [action for action in actions if action.endswith("/refund")]


async def test_a_story_offers_the_refund_of_all_tickets_or_of_one(
    client: Client, shop: FakeShop
) -> None:
    shop.story = replace(
        TOLD, order=structs.replace(THREE, tickets_refunded_at=(None, PAID_AT, None))
    )
    page = Page((await client.get(STORY, headers=OPERATOR)).text)
    assert "Give €130.00 back" in page.text
    assert refund_forms(page) == [
        f"{STORY}/refund",
        f"{STORY}/tickets/0/refund",
        f"{STORY}/tickets/2/refund",
    ]
    path = f"{STORY}/tickets/2/refund"
    answer = await client.post(path, headers=OPERATOR, follow_redirects=False)
    assert answer.status_code == 303
    assert shop.refunded == [(ORDER_ID, [2])]


@pytest.mark.parametrize("query", ["", "?order_id=", "?order_id=zz", f"?order_id={'0' * 32}"])
async def test_an_unknown_order_is_a_404_with_a_page(client: Client, query: str) -> None:
    page = await get(client, f"/demo/success{query}", status=404)
    assert "We do not know this order" in page.text


async def test_nobody_learns_the_buyers_email_from_an_order(client: Client, shop: FakeShop) -> None:
    shop.found, shop.session = PAID, session_of(PAID, 100)
    for path in (SUCCESS, "/mockpay/psid-1"):
        assert PAID.email not in (await client.get(path)).text
    shop.found, shop.session = PENDING, session_of(PENDING, 100)
    assert PENDING.email not in (await client.get("/mockpay/psid-1")).text


# --- Admin and errors ------------------------------------------------------------------------


async def test_the_admin_page_is_the_operators_alone(client: Client) -> None:
    response = await client.get("/admin", headers=OPERATOR)
    assert response.status_code == 200
    page = Page(response.text)
    assert "Box office" in page.text
    assert [m["data-orders-max"] for _, m in page.tags if "data-orders-max" in m] == ["200"]
    with pytest.raises(NotAuthorizedException):
        await client.get("/admin")


async def test_a_story_tells_each_chapter_with_its_time_and_transfer(
    client: Client, shop: FakeShop
) -> None:
    shop.story = TOLD
    page = Page((await client.get(STORY, headers=OPERATOR)).text)
    assert "2026-11-22 12:02:51.000 Ticket sold together with a goodie Ledger, transfer 01ab03" in (
        page.text
    )
    assert "Payment succeeded PostgreSQL" in page.text
    assert PAID.email in page.text
    with pytest.raises(NotAuthorizedException):
        await client.get(STORY)


async def test_a_storys_refund_is_a_plain_form(client: Client, shop: FakeShop) -> None:
    due = structs.replace(PENDING, status=OrderStatus.PAID_UNFULFILLED)
    shop.story = replace(TOLD, order=due)
    page = Page((await client.get(STORY, headers=OPERATOR)).text)
    assert refund_forms(page) == [f"{STORY}/refund"]
    assert {form["method"] for form in page.all("form")} == {"post"}
    assert "Refund €65.00 The money goes back to the buyer, for good. Give €65.00 back" in page.text
    answer = await client.post(f"{STORY}/refund", headers=OPERATOR, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, STORY)
    assert shop.refunded == [(ORDER_ID, None)]


async def test_a_refund_is_offered_to_those_alone_who_may_make_it(
    client: Client, shop: FakeShop
) -> None:
    shop.story = replace(TOLD, order=structs.replace(PENDING, status=OrderStatus.PAID_UNFULFILLED))
    page = Page((await client.get(STORY, headers=OFFICE)).text)
    assert refund_forms(page) == []
    assert "Refund €" not in page.text


async def test_a_refund_that_was_made_is_not_offered_again(client: Client, shop: FakeShop) -> None:
    done = structs.replace(PENDING, status=OrderStatus.PAID_UNFULFILLED, refunded_at=PAID_AT)
    shop.story = replace(TOLD, order=done)
    page = Page((await client.get(STORY, headers=OPERATOR)).text)
    assert refund_forms(page) == []
    assert "Refunded" in page.text


@pytest.mark.parametrize("headers", [{}, OPERATOR | {"Sec-Fetch-Site": "cross-site"}])
async def test_nobody_elses_page_gives_refunds(
    client: Client, shop: FakeShop, headers: dict[str, str]
) -> None:
    with pytest.raises((NotAuthorizedException, PermissionDeniedException)):
        await client.post(f"{STORY}/refund", headers=headers)
    assert shop.refunded == []


async def test_a_story_names_who_is_away(client: Client, shop: FakeShop) -> None:
    shop.story = Story(None, [], [Place.POSTGRESQL, Place.REDIS])
    page = Page((await client.get(STORY, headers=OPERATOR)).text)
    assert "PostgreSQL and Redis do not answer right now" in page.text
    assert "Nothing is known." in page.text


@pytest.mark.parametrize("path", ["/admin/orders/zz", f"/admin/orders/{'f' * 30}00"])
async def test_a_story_that_nobody_knows_is_a_404(
    client: Client, shop: FakeShop, path: str
) -> None:
    shop.story = TOLD
    assert (await client.get(path, headers=OPERATOR)).status_code == 404


async def test_a_page_that_cannot_be_made_now_asks_again_by_itself(
    client: Client, shop: FakeShop
) -> None:
    shop.error = UnavailableError("Orders are away.")
    response = await client.get(SUCCESS)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    page = Page(response.text)
    assert "tries again by itself" in page.text
    # What an answer to a program tells it to do, the page does.
    assert "Orders are away." not in page.text
    assert {"http-equiv": "refresh", "content": "1"} in page.all("meta")


def error_page(renderer: Renderer, method: str, status: int, detail: str, **headers: str) -> Page:
    scope: Any = {"type": "http", "method": method, "headers": []}
    response = renderer.error_page(Request(scope), status, detail, headers)
    assert response.status_code == status
    assert response.headers["Content-Security-Policy"]
    return Page(response.content)


def test_a_post_that_failed_is_not_repeated_behind_the_buyers_back(renderer: Renderer) -> None:
    page = error_page(renderer, "POST", 503, "Busy.", **{"Retry-After": "1"})
    assert not [m for m in page.all("meta") if "http-equiv" in m]
    assert "Please go back and try once more." in page.text


def test_an_error_page_speaks_its_own_words_where_the_framework_has_none(
    renderer: Renderer,
) -> None:
    text = error_page(renderer, "GET", 404, "Not Found").text
    assert "There is nothing here" in text
    assert "Not Found" not in text
    assert "Something went wrong" in error_page(renderer, "GET", 500, "We are on it.").text


@pytest.mark.parametrize(
    ("accept", "expected"),
    [("text/html,*/*", True), ("*/*", False), ("application/json", False), ("", False)],
)
def test_only_a_browser_that_goes_somewhere_gets_a_page(accept: str, expected: bool) -> None:
    scope: Any = {"type": "http", "headers": [(b"accept", accept.encode())]}
    assert wants_page(Request(scope)) is expected


# --- Static files and words ------------------------------------------------------------------


async def test_a_static_file_may_be_kept_for_ever_under_its_own_address(
    client: Client, renderer: Renderer
) -> None:
    address = renderer.static.url("style.css")
    response = await client.get(address)
    assert response.headers["cache-control"] == STATIC_CACHE_CONTROL
    assert response.headers["content-type"] == "text/css; charset=utf-8"
    assert response.headers["content-encoding"] == "gzip"
    source = (templates_directory() / "static" / "style.css").read_text()
    assert response.text == source
    plain = await client.get(address, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.text == source


async def test_a_static_file_asked_for_by_another_release_is_not_kept(client: Client) -> None:
    response = await client.get("/static/0123456789ab/js/api.js")
    assert response.status_code == 200
    assert response.headers["cache-control"] == STATIC_MISMATCH_CACHE_CONTROL
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"


@pytest.mark.parametrize("path", ["nothing.css", "../base.html", "%2e%2e/base.html", "js"])
async def test_nothing_but_the_static_files_is_served(
    client: Client, renderer: Renderer, path: str
) -> None:
    assert renderer.static.get(path) is None


async def test_a_static_file_is_not_packed_for_who_does_not_take_it(
    client: Client, renderer: Renderer
) -> None:
    address = renderer.static.url("style.css")
    response = await client.get(address, headers={"Accept-Encoding": "br, gzip;q=0"})
    assert "content-encoding" not in response.headers
    assert response.headers["vary"] == "Accept-Encoding"


def test_a_changed_file_changes_every_address(tmp_path: Path) -> None:
    (tmp_path / "static").mkdir()
    versions = set()
    for source in ("a{}", "b{}"):
        (tmp_path / "static" / "style.css").write_text(source)
        versions.add(Renderer(OFFER, tmp_path).static.version)
    assert len(versions) == 2
    with pytest.raises(KeyError, match=r"nothing\.css"):
        Renderer(OFFER, tmp_path).static.url("nothing.css")


def test_the_first_view_of_every_page_stays_small() -> None:
    """All scripts, styles and pictures there are, compressed, are far from 100 KB; what only the
    door has stays on its devices.
    """
    static = templates_directory() / "static"
    files = [path.relative_to(static) for path in static.rglob("*") if path.is_file()]
    size = {path: len(gzip.compress((static / path).read_bytes())) for path in files}
    doors = {path for path in files if "door" in path.parts or path.name.startswith("door")}
    assert sum(size[path] for path in files if path not in doors) < 70_000
    assert sum(size[path] for path in doors) < 30_000


def test_scripts_import_only_what_is_there_and_never_turn_text_into_markup() -> None:
    scripts = templates_directory() / "static" / "js"
    for script in scripts.rglob("*.js"):
        source = script.read_text()
        for imported in re.findall(r'from "(\.[^"]+)"', source):
            assert (script.parent / imported).is_file()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write", source)


@pytest.mark.parametrize(
    ("cents", "currency", "text"),
    [
        (6500, "eur", "€65.00"),
        (5, "eur", "€0.05"),
        (123456789, "usd", "$1,234,567.89"),
        (1500, "jpy", "¥1,500"),
        (1500, "kwd", "KWD\xa01.500"),
        (3500, "chf", "CHF\xa035.00"),
    ],
)
def test_money_reads_the_same_everywhere(cents: int, currency: str, text: str) -> None:
    assert money(cents, currency) == text


def test_times_and_durations_read_as_people_say_them() -> None:
    assert [duration(seconds) for seconds in (300, 60)] == ["5 minutes", "1 minute"]
    assert [duration(seconds) for seconds in (90, 1)] == ["90 seconds", "1 second"]
    assert moment(PAID_AT) == "22 Nov 2026, 12:02:51 UTC"
    assert instant(PAID_AT.replace(microsecond=4999)) == "2026-11-22 12:02:51.004"
