"""A ticket that one's own browser has on hold: going on with it, and giving it back."""

from playwright.sync_api import Page, expect

from tests.browser.box_office import BoxOffice, Held
from tests.browser.conftest import OpenTab
from tests.browser.test_buying import PAYMENT_URL, check_out, expect_ticket

TYPO = "eda@example.org"
ON_HOLD = {"detail": "All on hold.", "state": "on_hold"}


def held_by(tab: Page) -> Held:
    """The order whose payment the tab shows."""
    path = tab.url[tab.url.index("/mockpay/") :]
    return Held(path.rpartition("_")[2], path)


def come_back(tab: Page) -> None:
    """By the browser's button, to a page that it kept as it was left."""
    tab.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")


def test_who_mistyped_the_email_gives_the_ticket_back_without_a_script(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(patient, java_script_enabled=False)
    before = patient.available("A")
    tab.goto("/demo/checkout?cls=A")
    check_out(tab, TYPO)
    mistyped = held_by(tab)
    tab.go_back()
    card = tab.get_by_role("form", name="Your ticket on hold")
    expect(card).to_contain_text(f"Premium, €65.00, for {TYPO}.")
    expect(tab.get_by_label("Email")).to_have_value(TYPO)
    card.get_by_role("button", name="Give it back").click()
    expect(tab.get_by_text("the ticket went back on sale").filter(visible=True)).to_be_visible()
    expect(card).to_have_count(0)
    expect(tab.get_by_label("Email")).to_have_value(TYPO)
    assert patient.status(mistyped) == "CANCELED"
    assert patient.available("A") == before
    check_out(tab)
    # The other way: on with what is on hold.
    tab.go_back()
    card.get_by_role("link", name="Go on to the payment").click()
    expect(tab).to_have_url(PAYMENT_URL)
    tab.get_by_role("button", name="Pay €65.00").click()
    expect(tab.get_by_role("heading", name="You are in")).to_be_visible()
    # What was paid is on hold no more.
    tab.goto("/demo/checkout")
    expect(card).to_have_count(0)


def test_who_is_refused_for_a_hold_of_their_own_is_led_to_it_and_keeps_what_was_typed(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(patient)
    tab.goto("/demo/checkout?cls=A")
    # Another tab, which was open before anything was held.
    other = tab.context.new_page()
    other.goto("/demo/checkout?cls=A")
    check_out(other, TYPO)
    tab.route("**/api/checkout", lambda route: route.fulfill(status=409, json=ON_HOLD))
    tab.get_by_label("Email").fill("ada@example.com")
    tab.get_by_role("button", name="Hold my ticket").click()
    expect(tab.get_by_role("alert")).to_contain_text("You have a ticket on hold yourself")
    card = tab.get_by_role("form", name="Your ticket on hold")
    expect(card).to_be_focused()
    expect(card).to_contain_text(f"Premium, €65.00, for {TYPO}.")
    card.get_by_role("button", name="Give it back").click()
    expect(tab.get_by_role("alert")).to_contain_text("Your ticket went back on sale")
    expect(card).to_have_count(0)
    expect(tab.get_by_label("Email")).to_be_focused()
    expect(tab.get_by_label("Email")).to_have_value("ada@example.com")
    assert patient.status(held_by(other)) == "CANCELED"
    tab.unroute_all()
    check_out(tab, "ada@example.com")


def test_a_page_that_the_browser_kept_shows_what_is_on_hold_now(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(patient)
    tab.goto("/demo/checkout")
    card = tab.get_by_role("form", name="Your ticket on hold")
    other = tab.context.new_page()
    other.goto("/demo/checkout?cls=A")
    check_out(other)
    held = held_by(other)
    come_back(tab)
    expect(card).to_be_visible()
    patient.end(held, "succeeded")
    # Before it knows of the payment, it gives nothing back.
    card.get_by_role("button", name="Give it back").click()
    expect_ticket(tab)
    tab.go_back()
    come_back(tab)
    expect(card).to_have_count(0)
