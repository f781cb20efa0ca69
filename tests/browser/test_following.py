"""Pages that follow an order: whatever it comes to, by whichever way the word gets there."""

from playwright.sync_api import Page, Route, expect

from tests.browser.box_office import BoxOffice, Held
from tests.browser.conftest import OpenTab
from tests.browser.test_buying import expect_ticket

# Over HTTP/1.1 a browser has so many connections to a host.
CONNECTIONS = 6
# By then one that has no stream has asked.
PAUSE_MS = 2_000
# By then a page has found its stream too silent, and asked.
SILENCE_MS = 5_000
# By then the page of a payment has looked at its order again.
LOOKED_AGAIN_MS = 15_000
HIDE = """
    Object.defineProperty(document, "hidden", { get: () => true });
    document.dispatchEvent(new Event("visibilitychange"));
"""


def expect_heading(tab: Page, words: str) -> None:
    expect(tab.get_by_role("heading", name=words)).to_be_visible()


def stream_path(held: Held) -> str:
    return f"/api/orders/{held.order_id}/events"


def test_a_payment_that_succeeds_after_it_failed_reaches_the_page_that_said_so(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    page, checkout = open_tab(patient), open_tab(patient)
    held = patient.end(patient.hold(), "failed")
    page.goto(held.order_path)
    checkout.goto(f"/demo/checkout?status=failed&order_id={held.order_id}")
    for tab in (page, checkout):
        expect_heading(tab, "The payment failed")
    patient.end(held, "succeeded")
    expect_ticket(page)
    expect_heading(checkout, "You are in")
    expect(checkout.get_by_role("status")).to_have_text("You are in.")
    checkout.get_by_role("link", name="Show my ticket").click()
    expect_ticket(checkout)


def test_a_canceled_payment_that_was_paid_in_another_tab_is_a_ticket(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(patient, java_script_enabled=False)
    held = patient.hold()
    tab.goto(held.payment_path)
    patient.end(held, "succeeded")
    tab.get_by_role("button", name="Cancel").click()
    expect_heading(tab, "You are in")
    expect(tab.get_by_text("Nothing was charged").filter(visible=True)).to_have_count(0)
    tab.get_by_role("link", name="Show my ticket").click()
    expect_heading(tab, "You are in")


def test_a_payment_that_is_open_in_two_tabs_is_finished_in_both(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(patient)
    other = tab.context.new_page()
    held = patient.hold()
    for each in (tab, other):
        each.goto(held.payment_path)
    tab.get_by_role("button", name="Pay €65.00").click()
    expect_ticket(tab)
    expect_heading(other, "This payment is finished")
    expect(other.get_by_role("button")).to_have_count(0)
    expect(other.get_by_role("status")).to_have_text("This payment is finished.")
    other.get_by_role("link", name="See how it ended").click()
    expect_ticket(other)


def test_a_payment_that_is_finished_in_another_browser_is_found_out(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(patient)
    held = patient.hold()
    tab.clock.install()
    tab.goto(held.payment_path)
    patient.end(held, "canceled")
    tab.clock.fast_forward(LOOKED_AGAIN_MS)
    expect_heading(tab, "This payment is finished")


def test_where_the_stream_is_silent_the_page_asks(patient: BoxOffice, open_tab: OpenTab) -> None:
    tab = open_tab(patient)
    held = patient.hold()
    # As by a proxy that collects what it passes on.
    held_back: list[Route] = []
    tab.route("**/events", lambda route: held_back.append(route))
    tab.clock.install()
    with tab.expect_request(f"**{stream_path(held)}"):
        tab.goto(held.order_path)
    patient.end(held, "succeeded")
    tab.clock.fast_forward(SILENCE_MS)
    expect_ticket(tab)
    for route in held_back:
        route.abort()


def test_the_tabs_of_a_browser_share_one_stream_and_a_hidden_one_leaves_it_to_the_others(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(patient)
    streams: list[str] = []
    tab.context.on(
        "request", lambda request: streams.append(request.url) if "/events" in request.url else None
    )
    orders = [patient.hold() for _ in range(CONNECTIONS + 1)]
    # However slow the machine is, no stream is taken for a silent one.
    tab.clock.install(time=0)
    tab.clock.pause_at(1)
    with tab.context.expect_event("request", lambda request: "/events" in request.url):
        tab.goto(orders[0].order_path)
    tabs = [tab, *(tab.context.new_page() for _ in orders[1:])]
    for each, held in zip(tabs[1:], orders[1:], strict=True):
        each.goto(held.order_path)
        expect_heading(each, "Waiting for your payment")
    assert streams == [patient.url + stream_path(orders[0])]
    with tab.context.expect_event("request", lambda request: "/events" in request.url):
        tab.evaluate(HIDE)
    patient.end(orders[-1], "succeeded")
    tab.clock.fast_forward(PAUSE_MS)
    expect_ticket(tabs[-1])
    assert len(streams) == 2
