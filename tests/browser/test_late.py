"""Holds that run out: the countdown, and payments that come after it."""

import re

from playwright.sync_api import Page, expect

from tests.browser.box_office import EMAIL, BoxOffice
from tests.browser.conftest import OPERATOR_LOGIN, OpenTab
from tests.browser.scenes import Late
from tests.browser.test_buying import PAYMENT_URL, check_out


def expect_heading(tab: Page, words: str) -> None:
    expect(tab.get_by_role("heading", name=words)).to_be_visible()


def test_the_countdown_warns_of_the_last_minute_and_of_the_end(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(patient)
    held = patient.hold()
    tab.clock.install()
    tab.goto(held.payment_path)
    tab.clock.run_for(1_000)
    tab.clock.fast_forward("59:20")
    expect(tab.get_by_role("timer")).to_have_text(re.compile(r"^0:[2-4]\d$"))
    expect(tab.get_by_role("status")).to_have_text("One minute left to pay.")
    tab.clock.fast_forward("01:00")
    expect_heading(tab, "Your hold has expired")
    expect(tab.get_by_role("status")).to_contain_text("Your hold has expired")
    expect(tab.get_by_role("timer")).to_be_hidden()


def test_a_hold_expires_while_the_buyer_looks_and_can_be_paid_while_tickets_are_left(
    brief: BoxOffice, tab: Page
) -> None:
    held = brief.hold("B")
    tab.goto(brief.url + held.payment_path)
    expect_heading(tab, "Your hold has expired")
    expect(tab.get_by_role("button", name="Pay €35.00", exact=True)).to_be_hidden()
    # The safe way is the large one.
    safe, late = tab.get_by_role("link", name="Start again"), tab.get_by_text("Pay €35.00 anyway")
    safe_box, late_box = safe.bounding_box(), late.bounding_box()
    assert safe_box is not None
    assert late_box is not None
    assert safe_box["height"] > late_box["height"]
    assert safe_box["y"] < late_box["y"]
    late.click()
    expect_heading(tab, "You are in")


def test_who_comes_back_from_a_payment_finds_class_and_email_as_they_were(
    brief: BoxOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(brief)
    tab.goto("/demo/checkout?cls=B")
    check_out(tab)
    expect_heading(tab, "Your hold has expired")
    for way_back in (
        tab.get_by_role("link", name="Start again"),
        tab.get_by_role("button", name="Let it fail"),
        tab.get_by_role("button", name="Cancel"),
    ):
        way_back.click()
        expect(tab.get_by_role("radio", name="Standard")).to_be_checked()
        expect(tab.get_by_label("Email")).to_have_value(EMAIL)
        tab.get_by_role("button", name="Hold my ticket").click()
        expect(tab).to_have_url(PAYMENT_URL)


def test_an_expired_order_becomes_the_ticket_when_its_payment_comes_after_all(
    brief: BoxOffice, tab: Page
) -> None:
    held = brief.hold("B")
    tab.goto(brief.url + held.order_path)
    expect_heading(tab, "Your hold has expired")
    brief.end(held, "succeeded")
    expect_heading(tab, "You are in")


def test_a_payment_after_the_last_ticket_went_is_given_back_by_the_operator(
    brief: BoxOffice, late: Late, tab: Page, open_tab: OpenTab
) -> None:
    tab.goto(brief.url + late.doomed.payment_path)
    expect_heading(tab, "Your hold has expired")
    tab.get_by_role("button", name="Pay €65.00 anyway").click()
    expect_heading(tab, "Paid, but sold out")

    office = open_tab(brief, http_credentials=OPERATOR_LOGIN)
    office.goto("/admin")
    due = office.locator("[data-table=refunds] tr").filter(has_text=late.doomed.order_id[:18])
    give_back = due.get_by_role("button", name="Give €65.00 back")
    expect(give_back).to_be_hidden()
    due.get_by_text("Refund", exact=True).click()
    give_back.click()
    expect(due).to_have_count(0)

    tab.reload()
    expect(tab.get_by_text("It was sent back on")).to_be_visible()
