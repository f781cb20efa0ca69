"""The operator's page: who may see it, that it lives, and what is found there."""

import csv
import re
from typing import Final

import httpx
from playwright.sync_api import ViewportSize, expect

from tests.browser.box_office import BoxOffice
from tests.browser.conftest import OPERATOR_LOGIN, OpenTab
from tests.browser.scenes import NEXT_VERSION, SILENT_HOST, add_hosts

SHOWN_ID_DIGITS = 18
PHONE: Final[ViewportSize] = {"width": 390, "height": 844}
WIDE: Final[ViewportSize] = {"width": 1280, "height": 800}
HOSTILE = "<img src=x onerror=alert(1)>"


def test_only_the_operator_gets_in(patient: BoxOffice) -> None:
    for auth, status in ((None, 401), (("admin", "wrong"), 401)):
        answer = httpx.get(f"{patient.url}/admin", auth=auth, trust_env=False)
        assert answer.status_code == status


def test_orders_appear_while_the_operator_looks(patient: BoxOffice, open_tab: OpenTab) -> None:
    tab = open_tab(patient, http_credentials=OPERATOR_LOGIN)
    tab.goto("/admin")
    expect(tab.get_by_role("status").filter(has_text="Live")).to_be_visible()
    held = patient.hold()
    shown = held.order_id[:SHOWN_ID_DIGITS]
    expect(tab.locator("[data-table=sessions]").get_by_role("link", name=shown)).to_be_visible()
    patient.end(held, "succeeded")
    row = tab.locator("[data-table=orders] tr").filter(has_text=shown)
    expect(row).to_contain_text("Paid")
    expect(row.get_by_role("link", name=shown)).to_be_visible()


def test_an_order_is_found_taken_along_and_told(patient: BoxOffice, open_tab: OpenTab) -> None:
    tab = open_tab(patient, http_credentials=OPERATOR_LOGIN)
    bought = patient.buy(email="found@example.org")
    tab.goto("/admin")
    search, orders = tab.get_by_role("searchbox"), tab.locator("[data-table=orders]")
    search.fill("nobody@")
    tab.get_by_role("button", name="Search").click()
    expect(orders.get_by_text("No such order.")).to_be_visible()
    search.fill("found@")
    search.press("Enter")
    expect(orders.locator("tbody tr")).to_have_count(1)
    with tab.expect_download() as export:
        tab.get_by_role("link", name="Download CSV").click()
    (row,) = csv.DictReader(export.value.path().read_text("utf-8-sig").splitlines())
    assert (row["order_id"], row["email"]) == (bought.order_id, "found@example.org")
    orders.get_by_role("link", name=bought.order_id[:SHOWN_ID_DIGITS]).click()
    for event, purpose in (("Ticket held", "00"), ("Ticket sold", "")):
        told = tab.get_by_role("listitem").filter(has_text=event)
        expect(told).to_contain_text(f"transfer {bought.order_id[:-2]}{purpose}")
    tab.go_back()
    expect(search).to_have_value("found@")
    expect(orders.locator("tbody tr")).to_have_count(1)


def test_a_search_of_parameters_that_nobody_knows_shows_nobody_and_says_so(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(patient, http_credentials=OPERATOR_LOGIN)
    patient.buy()
    tab.goto("/admin?text=anna")
    orders = tab.locator("[data-table=orders]")
    expect(orders.get_by_role("alert")).to_contain_text("There is no parameter 'text'.")
    expect(orders.locator("tbody tr")).to_have_count(0)


def test_the_box_office_works_where_its_address_has_the_login_in_it(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(patient)
    patient.buy()
    user, password = OPERATOR_LOGIN["username"], OPERATOR_LOGIN["password"]
    tab.goto(patient.url.replace("://", f"://{user}:{password}@") + "/admin")
    expect(tab.get_by_role("status").filter(has_text="Live")).to_be_visible()
    expect(tab.locator("[data-table=orders] tbody tr").first).to_be_visible()
    tab.get_by_role("searchbox").fill("nobody@")
    tab.get_by_role("button", name="Search").click()
    expect(tab.get_by_text("No such order.")).to_be_visible()


def test_on_a_phone_the_orders_come_first(patient: BoxOffice, open_tab: OpenTab) -> None:
    tab = open_tab(patient, http_credentials=OPERATOR_LOGIN, viewport=PHONE)
    tab.goto("/admin")
    headings = ("Orders", "Now", "The last minutes")

    def shown_in_this_order() -> list[str]:
        shown = tab.get_by_role("heading", level=2).evaluate_all(
            """shown => shown
                .sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)
                .map((heading) => heading.firstChild.textContent.trim())"""
        )
        return [words for words in shown if words in headings]

    assert shown_in_this_order() == ["Orders", "Now", "The last minutes"]
    tab.set_viewport_size(WIDE)
    assert shown_in_this_order() == ["Now", "The last minutes", "Orders"]


def test_a_payment_that_fits_no_order_is_given_back_or_dismissed(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(patient, http_credentials=OPERATOR_LOGIN)
    held = patient.hold()
    patient.tell_unmatched(held.order_id)
    patient.tell_unmatched("no order", currency="doubloons", customer_email=HOSTILE)
    patient.tell_unmatched_body(HOSTILE.encode())
    tab.goto("/admin")
    rows = tab.locator("[data-table=unmatched] tbody tr")
    expect(rows).to_have_count(3)
    expect(tab.locator("[data-unmatched-total]")).to_have_text("3")
    wrong, stranger, unread = (rows.nth(number) for number in range(3))
    expect(wrong).to_contain_text("€1.00")
    expect(wrong.get_by_role("link", name=held.order_id[:SHOWN_ID_DIGITS])).to_be_visible()
    for words in ("100 doubloons", "no order", HOSTILE, "It names no order."):
        expect(stranger).to_contain_text(words)
    expect(unread.get_by_text("Refund", exact=True)).to_be_hidden()
    unread.get_by_text("What was told").click()
    expect(unread.get_by_text(HOSTILE)).to_be_visible()

    expect(wrong.get_by_role("button")).to_have_count(0)
    wrong.get_by_text("Refund", exact=True).click()
    wrong.get_by_role("button", name="Give €1.00 back").click()
    expect(rows).to_have_count(2)
    for left, words in ((1, "Dismiss, and keep 100 doubloons"), (0, "Dismiss it")):
        rows.first.get_by_text("Dismiss", exact=True).click()
        rows.first.get_by_role("button", name=words).click()
        expect(rows).to_have_count(left)
    expect(tab.get_by_text("Every payment is an order’s.")).to_be_visible()
    tab.goto(f"/admin/orders/{held.order_id}")
    expect(tab.get_by_text("Payment that does not fit refunded")).to_be_visible()


def test_a_webhook_that_nobody_confirmed_waits_in_sight(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    """The shop's own answer is that none does, unless something is broken."""
    tab = open_tab(patient, http_credentials=OPERATOR_LOGIN)
    tab.goto("/admin")
    expect(tab.get_by_text("The shop has been told of every payment.")).to_be_visible()
    webhook = {
        "order_id": "0" * 32,
        "type": "payment.succeeded",
        "created_at_iso": "2026-11-22T12:00:00+00:00",
        "next_attempt_at_iso": "2026-11-22T12:05:00+00:00",
        "attempts": 7,
        "last_error": "503 Service Unavailable",
    }
    answer = {"items": [webhook], "total": 1}
    tab.route("**/api/admin/webhooks", lambda route: route.fulfill(json=answer))
    row = tab.locator("[data-table=webhooks] tbody tr")
    expect(row).to_contain_text("payment.succeeded")
    expect(row).to_contain_text("503 Service Unavailable")
    expect(tab.locator("[data-webhooks-total]")).to_have_text("1")


def test_one_host_is_no_table_and_of_several_each_is_told_with_what_is_wrong(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(patient, http_credentials=OPERATOR_LOGIN)
    tab.goto("/admin")
    expect(tab.get_by_role("status").filter(has_text="Live")).to_be_visible()
    hosts = tab.locator("[data-hosts]")
    expect(hosts).to_be_hidden()
    add_hosts(patient)
    try:
        rows = hosts.locator("tbody tr")
        expect(rows).to_have_count(3)
        own, other, silent = (rows.nth(number) for number in range(3))
        expect(own).to_contain_text("Selling")
        for words in ("tickets-2", "Selling", NEXT_VERSION, "5.8", "4.6", "1.7 ms", "+2.4 s"):
            expect(other).to_contain_text(words)
        for words in (SILENT_HOST, "Silent", "min ago"):
            expect(silent).to_contain_text(words)
        for told in (
            re.compile(rf"{SILENT_HOST} was heard \d+ min ago"),
            "Different versions run",
            "The clock of tickets-2 is +2.4 s off",
        ):
            expect(hosts.get_by_role("listitem").filter(has_text=told)).to_be_visible()
        # The charts are the shop's sums: of two workers here, and two there.
        expect(tab.locator("[data-figure=workers]")).to_have_text("4")
        expect(tab.locator("[data-figure=clerks]")).to_have_text("2")
    finally:
        patient.forget_hosts()
    expect(hosts).to_be_hidden()
