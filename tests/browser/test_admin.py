"""The operator's page: who may see it, that it lives, and what is found there."""

import csv

import httpx
from playwright.sync_api import expect

from tests.browser.box_office import BoxOffice
from tests.browser.conftest import OPERATOR_LOGIN, OpenTab

SHOWN_ID_DIGITS = 18


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
    (row,) = csv.DictReader(export.value.path().read_text().splitlines())
    assert (row["order_id"], row["email"]) == (bought.order_id, "found@example.org")
    orders.get_by_role("link", name=bought.order_id[:SHOWN_ID_DIGITS]).click()
    for event, purpose in (("Ticket held", "00"), ("Ticket sold", "")):
        told = tab.get_by_role("listitem").filter(has_text=event)
        expect(told).to_contain_text(f"transfer {bought.order_id[:-2]}{purpose}")
    tab.go_back()
    expect(search).to_have_value("found@")
    expect(orders.locator("tbody tr")).to_have_count(1)


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
