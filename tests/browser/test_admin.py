"""The operator's page: who may see it, and that it lives."""

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
