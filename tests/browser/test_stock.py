"""What is left: counts that move, and pages that change as a class sells out."""

from typing import Final

from playwright.sync_api import Locator, Page, ViewportSize, expect

from tests.browser.box_office import BoxOffice
from tests.browser.conftest import OPERATOR_LOGIN, OpenTab
from tests.browser.test_buying import PAYMENT_URL, check_out, expect_ticket
from tests.stack.running_shop import until

# The pages ask for the stock somewhat more often.
STOCK_PAUSE_MS = 5_000
PHONE: Final[ViewportSize] = {"width": 390, "height": 844}
SOLD_OUT = {
    "capacity": 5,
    "sold": 5,
    "active_holds": 0,
    "available": 0,
    "state": "sold_out",
    "going_fast": False,
}
ON_HOLD = SOLD_OUT | {"sold": 4, "active_holds": 1, "state": "on_hold"}


def expect_soon(stock: Locator, words: str) -> None:
    """Lets the page's time run, whose clock has to be installed, until it has asked and knows."""

    def knows() -> bool:
        stock.page.clock.run_for(STOCK_PAUSE_MS)
        return words in stock.inner_text()

    until(knows)


def test_an_owner_closes_a_sale_on_a_phone_without_a_script_while_a_buyer_looks_at_it(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    buyer = open_tab(patient)
    buyer.clock.install()
    buyer.goto("/demo/checkout?cls=A")
    stock = buyer.locator("[data-stock=A]")
    expect(stock).to_contain_text("left")
    owner = open_tab(
        patient, http_credentials=OPERATOR_LOGIN, java_script_enabled=False, viewport=PHONE
    )
    owner.goto("/admin/stock")
    premium = owner.locator("#A")
    premium.get_by_label("How many of Premium").fill("5000")
    premium.get_by_role("button", name="Withdraw").click()
    expect(premium.get_by_role("alert")).to_contain_text("can be withdrawn")
    premium.locator("summary").click()
    premium.get_by_role("button", name="Close the sale of Premium").click()
    try:
        expect(premium.get_by_text("go on sale again")).to_be_visible()
        expect_soon(stock, "The sale is closed")
        expect(buyer.get_by_role("radio", name="Premium")).to_be_disabled()
    finally:
        premium.get_by_role("button", name="Open the sale").click()
    expect(premium.locator("summary")).to_be_visible()
    expect_soon(stock, "left")
    expect(buyer.get_by_role("radio", name="Premium")).to_be_enabled()


def test_a_class_sells_out_while_buyers_look_at_it(patient: BoxOffice, open_tab: OpenTab) -> None:
    """No other test buys class B of this shop."""
    tab = open_tab(patient)
    tab.clock.install()
    tab.goto("/demo/checkout?cls=B")
    choice = tab.get_by_role("radio", name="Standard")
    expect(choice).to_be_checked()
    stock = tab.locator("[data-stock=B]")
    expect_soon(stock, "3 left")

    orders = [patient.hold("B") for _ in range(3)]
    expect_soon(stock, "All on hold; unpaid ones come back")
    tab.get_by_label("Email").fill("late@example.org")
    tab.get_by_role("button", name="Hold my ticket").click()
    expect(tab.get_by_role("alert")).to_contain_text("Unpaid ones come back")

    patient.end(orders[0], "canceled")
    expect_soon(stock, "1 left")
    tab.get_by_role("button", name="Hold my ticket").click()
    expect(tab).to_have_url(PAYMENT_URL)

    # The last one is this buyer's own, with a mistyped email.
    tab.go_back()
    tab.get_by_label("Email").fill("last@example.org")
    tab.get_by_role("button", name="Hold my ticket").click()
    expect(tab.get_by_role("alert")).to_contain_text("You have a ticket on hold yourself")
    tab.get_by_role("button", name="Give it back").click()
    expect(tab.get_by_role("alert")).to_contain_text("Your ticket went back on sale")
    tab.get_by_role("button", name="Hold my ticket").click()
    expect(tab).to_have_url(PAYMENT_URL)
    expect(tab.get_by_text("l…@example.org")).to_be_visible()
    tab.get_by_role("button", name="Pay €35.00").click()
    expect_ticket(tab)

    other = open_tab(patient)
    other.clock.install()
    other.goto("/demo/checkout?cls=B")
    for order in orders[1:]:
        patient.end(order, "succeeded")
    expect_soon(other.locator("[data-stock=B]"), "Sold out, all 3")
    expect(other.get_by_role("radio", name="Standard")).to_be_disabled()
    expect(other.get_by_role("status")).to_contain_text("Standard is sold out.")
    # It is said by the button too, and nothing else is chosen unasked.
    expect(other.get_by_role("alert")).to_have_text(
        "Standard is sold out. Please choose another ticket."
    )
    expect(other.get_by_role("button", name="Hold my ticket")).to_have_text("Hold my ticket")
    other.get_by_role("radio", name="Premium").check()
    expect(other.get_by_role("alert")).to_be_empty()
    expect(other.get_by_role("button", name="Hold my ticket")).to_contain_text("€65.00")
    other.goto("/")
    expect(other.get_by_role("link", name="Choose Standard")).to_be_hidden()


def test_where_every_class_is_sold_the_form_makes_room_for_the_news(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(patient)
    tab.clock.install()
    tab.goto("/demo/checkout")
    tab.route("**/api/inventory", lambda route: route.fulfill(json={"A": SOLD_OUT, "B": SOLD_OUT}))
    expect_soon(tab.locator("[data-stock=A]"), "Sold out, all 5")
    expect(tab.get_by_role("heading", name="Every ticket is sold")).to_be_visible()
    expect(tab.get_by_role("button", name="Hold my ticket")).to_be_hidden()
    expect(tab.get_by_role("alert")).to_be_empty()
    tab.goto("/")
    whole = tab.locator("[data-overall]")
    expect_soon(whole, "Every ticket is sold")
    expect(tab.get_by_role("link", name="Get your ticket")).to_be_hidden()
    # What is sold out stays so while nobody can be asked.
    failed: list[str] = []
    tab.on("requestfailed", lambda request: failed.append(request.url))
    tab.unroute_all()
    tab.route("**/api/inventory", lambda route: route.abort())

    def has_asked_twice() -> bool:
        tab.clock.run_for(STOCK_PAUSE_MS)
        return len(failed) > 1

    until(has_asked_twice)
    expect(whole).to_contain_text("Every ticket is sold", use_inner_text=True)
    expect(whole).not_to_contain_text("tickets left", use_inner_text=True)


def test_while_the_last_tickets_are_on_hold_the_pages_say_that_some_may_come_back(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(patient)
    tab.clock.install()
    tab.route("**/api/inventory", lambda route: route.fulfill(json={"A": SOLD_OUT, "B": ON_HOLD}))
    tab.goto("/demo/checkout")
    expect_soon(tab.locator("[data-stock=B]"), "All on hold; unpaid ones come back")
    expect(tab.get_by_role("heading", name="All on hold right now")).to_be_visible()
    expect(tab.get_by_role("heading", name="Every ticket is sold")).to_be_hidden()
    expect(tab.get_by_role("button", name="Hold my ticket")).to_be_visible()
    expect(tab.get_by_role("radio", name="Standard")).to_be_enabled()
    tab.goto("/")
    expect_soon(tab.locator("[data-overall]"), "All on hold; unpaid ones come back")
    expect(tab.locator("[data-overall]")).not_to_contain_text("tickets left", use_inner_text=True)
    expect(tab.get_by_role("link", name="Choose Standard")).to_be_visible()
    expect(tab.get_by_role("link", name="Choose Premium")).to_be_hidden()


def test_the_last_goodie_is_on_the_ticket_and_the_next_ticket_has_none(
    patient: BoxOffice, tab: Page
) -> None:
    left = patient.goodies_left()
    assert left > 0
    for _ in range(left - 1):
        patient.buy()
    for has_goodie in (True, False):
        tab.goto("/demo/checkout?cls=A")
        check_out(tab)
        tab.get_by_role("button", name="Pay €65.00").click()
        expect_ticket(tab)
        expect(tab.get_by_text("Paper whale included")).to_be_visible(visible=has_goodie)
