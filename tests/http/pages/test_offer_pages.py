"""How the pages follow from an offer: its windows, and the look that its organiser gives them."""

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.http.pages.test_shop_pages import Client, FakeShop, Page, open_client
from tests.offers import OFFER, catalog_with, on_sale
from tigerfans.booking.inventory import Inventory
from tigerfans.http.pages.rendering import PICTURE_POLICY, Renderer, wait
from tigerfans.http.pages.shop_pages import Offer as Offered
from tigerfans.http.pages.shop_pages import overall_state
from tigerfans.offer.catalog import Catalog
from tigerfans.offer.offer import Logo, Offer

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HOUR = timedelta(hours=1)
PATHS = ["/", "/demo/checkout"]


def both(opens_at: datetime | None = None, closes_at: datetime | None = None) -> Offer:
    """The tests' show with the same window for all classes."""
    first = on_sale(opens_at, closes_at).listings[0]
    return replace(OFFER, listings=(first, replace(OFFER.listings[1], window=first.window)))


async def read(path: str, offer: Offer) -> Page:
    shop = FakeShop(catalog=Catalog.build(offer, {"A": 500, "B": 2000}, 100))
    async with open_client(shop, Renderer(offer)) as client:
        return await page_of(client, path)


async def page_of(client: Client, path: str) -> Page:
    response = await client.get(path, headers={"Accept": "text/html"})
    assert response.status_code == 200
    return Page(response.text)


@pytest.mark.parametrize("path", PATHS)
async def test_before_the_sale_a_page_counts_down_without_a_script_too(path: str) -> None:
    opens_at = datetime.now(UTC) + 3 * HOUR + timedelta(seconds=30)
    page = await read(path, both(opens_at))
    assert "On sale from" in page.text
    assert "in 3 hours" in page.text
    refreshes = [tag for tag in page.all("meta") if tag.get("http-equiv") == "refresh"]
    assert [tag["content"] for tag in refreshes] == ["60"]
    assert "Choose Premium" not in page.text
    assert all("disabled" in choice for choice in page.choices.values())


async def test_the_tickets_left_are_those_that_can_be_got() -> None:
    every = await read("/", both())
    some = await read("/", on_sale(None, datetime.now(UTC) - HOUR, "B"))
    [all_left], [left] = (re.findall(r"([\d,]+) tickets left", page.text) for page in (every, some))
    assert int(left.replace(",", "")) < int(all_left.replace(",", ""))


@pytest.mark.parametrize("path", PATHS)
async def test_after_the_sale_a_page_says_so_and_offers_nothing(path: str) -> None:
    page = await read(path, both(None, datetime.now(UTC) - HOUR))
    assert "The sale has ended" in page.text
    assert "Choose Premium" not in page.text
    assert "Get your ticket" not in page.text
    assert all("disabled" in choice for choice in page.choices.values())


async def test_one_class_may_be_on_sale_and_another_not_yet() -> None:
    offer = on_sale(datetime.now(UTC) + HOUR)
    page = await read("/demo/checkout?cls=A", offer)
    assert "Premium is not on sale yet. Please choose another ticket." in page.text
    assert "disabled" in page.choices["A"]
    assert "disabled" not in page.choices["B"]
    assert not [tag for tag in page.all("meta") if tag.get("http-equiv") == "refresh"]


@pytest.mark.parametrize(
    ("states", "overall"),
    [
        (["not_yet", "on_sale"], "on_sale"),
        (["not_yet", "sold_out"], "not_yet"),
        (["ended", "sold_out"], "ended"),
        (["sold_out", "sold_out"], "sold_out"),
        (["ended", "not_yet"], "not_yet"),
        (["not_yet", "unknown"], "unknown"),
        (["closed", "on_sale"], "on_sale"),
        (["closed", "not_yet"], "not_yet"),
        (["sold_out", "ended", "closed"], "closed"),
    ],
)
def test_the_best_that_there_is_stands_for_all(states: Sequence[str], overall: str) -> None:
    now = time.time()
    moments = {"not_yet": (now + 9, now + 99), "ended": (now - 99, now - 9)}
    closed = Inventory(2, 1, 1, parked=3, is_closed=True)
    stocks = {"sold_out": Inventory(5, 0, 5), "closed": closed, "unknown": None}
    ticket_class = catalog_with({"A": 5}).classes[0]
    offers = []
    for state in states:
        opens, closes = moments.get(state, (now - 9, now + 9))
        within = replace(ticket_class, opens=opens, closes=closes)
        offers.append(Offered(within, stocks.get(state, Inventory(5, 0, 1)), now))
    assert [offer.overall for offer in offers] == states
    assert overall_state(offers) == overall


async def test_a_rebrand_leaves_nothing_of_the_demonstration() -> None:
    look = replace(
        OFFER, accent="#1f5fbf", logo=Logo(".svg", SVG), links={"Terms": "https://example.org/t"}
    )
    shop = FakeShop(catalog=Catalog.build(look, {"A": 5, "B": 5}, 1))
    async with open_client(shop, Renderer(look)) as client:
        for path in ("/", "/demo/checkout", "/demo/success"):
            text = (await client.get(path)).text
            assert not [word for word in ("TigerFans", "Tiger pin", "systems") if word in text]
        page = await page_of(client, "/")
        (icon,) = (tag["href"] for tag in page.all("link") if tag.get("rel") == "icon")
        assert {str(tag["src"]) for tag in page.all("img")} == {icon}
        picture = await client.get(str(icon))
        assert (picture.content, picture.headers["content-type"]) == (SVG, "image/svg+xml")
        # By itself in a tab it runs nothing.
        assert picture.headers["content-security-policy"] == PICTURE_POLICY
        sheets = [str(tag["href"]) for tag in page.all("link") if tag.get("rel") == "stylesheet"]
        assert sheets[-1].endswith("/accent.css")
        styles = await client.get(sheets[-1])
        assert "--tiger: #1f5fbf;" in styles.text


async def test_a_show_without_a_picture_has_one_of_nobody() -> None:
    page = await read("/", OFFER)
    (icon,) = (str(tag["href"]) for tag in page.all("link") if tag.get("rel") == "icon")
    assert icon.endswith("/ticket.svg")
    assert not [tag for tag in page.all("link") if str(tag.get("href")).endswith("accent.css")]


def test_another_logo_changes_every_address() -> None:
    logos = (Logo(".svg", SVG), Logo(".svg", SVG + b"\n"), None)
    assert len({Renderer(replace(OFFER, logo=logo)).static.version for logo in logos}) == 3


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "1 second"),
        (59.2, "1 minute"),
        (61, "1 minute 1 second"),
        (3_600, "1 hour"),
        (7_260, "2 hours 1 minute"),
        (266_400, "3 days 2 hours"),
        (86_459, "1 day"),
    ],
)
def test_a_wait_is_said_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert wait(seconds) == words
