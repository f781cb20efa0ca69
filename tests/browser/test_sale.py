"""A sale that begins and ends while somebody watches, in a shop of its own."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.box_office import BoxOffice, open_box_office
from tests.browser.conftest import OPERATOR_LOGIN, OpenTab
from tests.offers import OFFER_FILE

# Long enough to start the shop and look at it before, short enough to wait for.
OPENS_IN = timedelta(seconds=25)


@pytest.fixture
def shop(browser: object, tmp_path: Path) -> Iterator[BoxOffice]:
    """Class A comes on sale while the test waits, and the sale of class B is over."""
    opens_at = datetime.now(UTC) + OPENS_IN
    closed_at = datetime.now(UTC) - timedelta(hours=1)
    head, first, second = OFFER_FILE.read_text().split("[[class]]")
    offer = tmp_path / "offer.toml"
    offer.write_text(
        f"{head}[[class]]\non_sale_from = {opens_at:%Y-%m-%dT%H:%M:%SZ}{first}"
        f"[[class]]\non_sale_until = {closed_at:%Y-%m-%dT%H:%M:%SZ}{second}"
    )
    with open_box_office(tmp_path, WORKERS=1, OFFER=offer) as office:
        yield office


def test_a_page_counts_down_and_sells_when_the_time_has_come(
    shop: BoxOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(shop)
    tab.goto("/")
    choose = tab.get_by_role("link", name="Choose Premium")
    premium = tab.locator("article[data-class=A]")
    expect(premium).to_contain_text(re.compile(r"On sale from .* CES?T, in \d+ seconds?"))
    expect(choose).to_be_hidden()
    expect(tab.locator("article[data-class=B]")).to_contain_text("The sale has ended")
    expect(tab.get_by_role("link", name="Choose Standard")).to_be_hidden()
    expect(choose).to_be_visible()
    choose.click()
    expect(tab.get_by_role("radio", name="Premium")).to_be_enabled()
    expect(tab.get_by_role("radio", name="Standard")).to_be_disabled()


def test_the_box_office_says_what_is_on_sale(shop: BoxOffice, open_tab: OpenTab) -> None:
    tab = open_tab(shop, http_credentials=OPERATOR_LOGIN)
    tab.goto("/admin")
    expect(tab.locator("[data-inventory=B]")).to_contain_text("The sale has ended")
    expect(tab.locator("[data-inventory=B]").get_by_text("The sale has ended")).to_be_visible()
    expect(tab.locator("[data-inventory=A]").get_by_text("On sale", exact=True)).to_be_visible()
