"""A sale that begins and ends while somebody watches, and an order of several tickets in it: in a
shop of its own, which all of these tests share.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.browser.box_office import EMAIL, BoxOffice, open_box_office
from tests.browser.conftest import OPERATOR_LOGIN, OpenTab
from tests.browser.test_buying import PAYMENT_URL, PHONE, TICKET_CODE, is_wider_than_its_window
from tests.offers import OFFER_FILE

# Long enough to start the shop and look at it before, short enough to wait for.
OPENS_IN = timedelta(seconds=25)


@pytest.fixture(scope="module")
def shop(browser: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BoxOffice]:
    """Class A comes on sale while a test waits, and the sale of class B is over."""
    root = tmp_path_factory.mktemp("sale")
    opens_at = datetime.now(UTC) + OPENS_IN
    closed_at = datetime.now(UTC) - timedelta(hours=1)
    head, first, second = OFFER_FILE.read_text().split("[[class]]")
    offer = root / "offer.toml"
    offer.write_text(
        f"{head}[limits]\ntickets_per_order = 4\n\n"
        f"[[class]]\non_sale_from = {opens_at:%Y-%m-%dT%H:%M:%SZ}{first}"
        f"[[class]]\non_sale_until = {closed_at:%Y-%m-%dT%H:%M:%SZ}{second}"
    )
    with open_box_office(root, WORKERS=1, OFFER=offer) as office:
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
    # Those of the class whose sale is over cannot be got.
    expect(tab.locator("[data-total]")).to_have_text("5,000,000")
    choose.click()
    expect(tab.get_by_role("radio", name="Premium")).to_be_enabled()
    expect(tab.get_by_role("radio", name="Standard")).to_be_disabled()


def test_a_long_price_stays_on_its_card(shop: BoxOffice, open_tab: OpenTab) -> None:
    tab = open_tab(shop, **PHONE)
    tab.goto("/")
    price = tab.locator(".offer .price").first
    price.evaluate("(price) => { price.textContent = 'CHF\u00a011,248.50'; }")
    inside, card = price.bounding_box(), tab.locator(".offer").first.bounding_box()
    assert inside is not None
    assert card is not None
    assert inside["x"] + inside["width"] <= card["x"] + card["width"]


def test_the_box_office_says_what_is_on_sale(shop: BoxOffice, open_tab: OpenTab) -> None:
    tab = open_tab(shop, http_credentials=OPERATOR_LOGIN)
    tab.goto("/admin")
    expect(tab.locator("[data-inventory=B]")).to_contain_text("The sale has ended")
    expect(tab.locator("[data-inventory=B]").get_by_text("The sale has ended")).to_be_visible()
    expect(tab.locator("[data-inventory=A]").get_by_text("On sale", exact=True)).to_be_visible()


# --- Several tickets -------------------------------------------------------------------------


def hold_three(tab: Page) -> None:
    """Up to the payment, once the class is on sale."""
    tab.goto("/demo/checkout?cls=A")
    premium = tab.get_by_role("radio", name="Premium")
    expect(premium).to_be_enabled()
    premium.check()
    tab.get_by_label("How many?").select_option("3")
    tab.get_by_label("Email").fill(EMAIL)


def expect_three_tickets(tab: Page) -> None:
    codes = tab.locator(".ticket-code code")
    expect(codes).to_have_text(3 * [TICKET_CODE])
    assert len(set(codes.all_inner_texts())) == 3
    for picture in tab.get_by_role("img", name="QR code").all():
        picture.evaluate("picture => picture.decode()")


def test_three_tickets_are_held_paid_and_shown_together(shop: BoxOffice, open_tab: OpenTab) -> None:
    tab = open_tab(shop, **PHONE)
    hold_three(tab)
    assert not is_wider_than_its_window(tab)
    tab.get_by_role("button", name="Hold my 3 tickets · €195.00").click()
    expect(tab).to_have_url(PAYMENT_URL)
    expect(tab.get_by_text("3 × Premium")).to_be_visible()
    tab.goto("/demo/checkout")
    expect(tab.get_by_role("heading", name="You have 3 tickets on hold")).to_be_visible()
    tab.get_by_role("link", name="Go on to the payment").click()
    tab.get_by_role("button", name="Pay €195.00").click()
    expect_three_tickets(tab)
    assert not is_wider_than_its_window(tab)
    with tab.expect_download() as pages:
        tab.get_by_role("link", name="Download all as PDF").click()
    assert pages.value.path().read_bytes().count(b"/Type /Page\n") == 3


def test_a_page_that_waits_for_three_tickets_turns_into_them(
    shop: BoxOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(shop)
    hold_three(tab)
    tab.get_by_role("button", name="Hold my 3 tickets").click()
    expect(tab).to_have_url(PAYMENT_URL)
    payment = tab.url
    waiting = tab.context.new_page()
    waiting.goto(f"/demo/success?order_id={payment.rpartition('_')[2]}")
    expect(waiting.get_by_role("heading", name="Waiting for your payment")).to_be_visible()
    tab.get_by_role("button", name="Pay €195.00").click()
    expect_three_tickets(waiting)
    expect(waiting.locator("[data-field=amount]")).to_have_text(3 * ["€65.00"])


def test_three_tickets_on_hold_are_given_back_together(shop: BoxOffice, open_tab: OpenTab) -> None:
    tab = open_tab(shop)
    hold_three(tab)
    tab.get_by_role("button", name="Hold my 3 tickets").click()
    expect(tab).to_have_url(PAYMENT_URL)
    tab.go_back()
    tab.get_by_role("button", name="Give them back").click()
    expect(tab.get_by_text("Your tickets went back on sale")).to_be_visible()


def test_without_a_script_three_tickets_are_bought_by_forms(
    shop: BoxOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(shop, java_script_enabled=False)
    hold_three(tab)
    tab.get_by_role("button", name="Hold my tickets").click()
    expect(tab).to_have_url(PAYMENT_URL)
    tab.get_by_role("button", name="Pay €195.00").click()
    expect(tab.locator(".ticket-code code")).to_have_text(3 * [TICKET_CODE])
