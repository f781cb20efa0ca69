"""Buying at a shop that sells by Stripe: to its page and back, in each of the ways that can go."""

import re
from typing import Final

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.box_office import EMAIL, Held
from tests.browser.conftest import OPERATOR_LOGIN, OpenTab
from tests.browser.stripe_office import HOLD_SECONDS, StripeOffice
from tests.browser.test_buying import check_out, is_wider_than_its_window
from tests.browser.test_late import expect_heading
from tests.stack.running_shop import until

PHONE: Final[ViewportSize] = {"width": 390, "height": 844}
SESSION_URL: Final = re.compile("/c/pay/")


def to_the_provider(tab: Page) -> str:
    """From the shop's checkout to the provider's page; the order's id."""
    tab.goto("/demo/checkout")
    with tab.expect_request(re.compile(r"/pay/\w+$")) as led:
        check_out(tab, payment_url=SESSION_URL)
    return led.value.url.rpartition("/")[2]


def pay(tab: Page) -> None:
    tab.get_by_role("button", name="Pay 65.00 EUR").click()


@pytest.mark.parametrize("has_scripts", [True, False])
def test_from_the_checkout_by_a_declined_card_to_the_ticket_on_a_phone(
    stripe_office: StripeOffice, open_tab: OpenTab, has_scripts: bool
) -> None:
    tab = open_tab(stripe_office, viewport=PHONE, java_script_enabled=has_scripts)
    order_id = to_the_provider(tab)
    expect(tab.get_by_text("1 × Premium, Night of the Whales")).to_be_visible()
    tab.get_by_role("button", name="Try a card that is declined").click()
    expect(tab.get_by_role("alert")).to_contain_text("Your card was declined.")
    pay(tab)
    expect_heading(tab, "You are in")
    expect(tab).to_have_url(f"{stripe_office.url}/demo/success?order_id={order_id}")
    payment = stripe_office.payment_of(Held(order_id, f"/pay/{order_id}"))
    assert (payment["charged"], payment["refunded"]) == (6500, 0)


def test_who_goes_back_finds_the_ticket_on_hold_and_pays_at_the_same_session(
    stripe_office: StripeOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(stripe_office)
    to_the_provider(tab)
    session_url = tab.url
    # By the browser's button, and by the provider's link.
    for go_back in (tab.go_back, tab.get_by_role("link", name="Cancel, back to the shop").click):
        go_back()
        expect_heading(tab, "You have a ticket on hold")
        tab.get_by_role("link", name="Go on to the payment").click()
        expect(tab).to_have_url(session_url)
    pay(tab)
    expect_heading(tab, "You are in")
    # And once more, after it is paid.
    tab.go_back()
    expect(tab.get_by_text("This payment is finished.")).to_be_visible()
    tab.get_by_role("link", name="Back to the shop").click()
    expect_heading(tab, "You are in")


def test_two_tabs_on_one_order_pay_once(stripe_office: StripeOffice, open_tab: OpenTab) -> None:
    tab = open_tab(stripe_office)
    order_id = to_the_provider(tab)
    held = Held(order_id, f"/pay/{order_id}")
    second = tab.context.new_page()
    second.goto(held.payment_path)
    expect(second).to_have_url(tab.url)
    follower = tab.context.new_page()
    follower.goto(held.order_path)
    expect_heading(follower, "Waiting for your payment")
    pay(second)
    expect_heading(second, "You are in")
    expect_heading(follower, "You are in")
    # The first one still has the button, and the provider takes it for one that is paid.
    pay(tab)
    expect_heading(tab, "You are in")
    assert stripe_office.payment_of(held)["charged"] == 6500


def test_a_debit_is_under_way_until_the_bank_has_sent_the_money_days_after_the_hold(
    stripe_office: StripeOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(stripe_office, viewport=PHONE)
    order_id = to_the_provider(tab)
    held = Held(order_id, f"/pay/{order_id}")
    tab.get_by_role("button", name="Pay by bank debit, which takes days").click()
    expect_heading(tab, "Your payment is under way")
    assert not is_wider_than_its_window(tab)
    stripe_office.end_hold(held)
    # While its reader looks, and for who comes later.
    expect(tab.locator("[data-order]")).to_have_attribute("data-state", "EXPIRED")
    for _ in range(2):
        expect_heading(tab, "Your payment is under way")
        words = tab.get_by_text("please do not buy again").filter(visible=True)
        expect(words).to_have_count(1)
        tab.reload()
    session_id = stripe_office.payment_of(held)["session"]
    stripe_office.tell("settle", session_id=session_id, outcome="succeeded")
    expect_heading(tab, "You are in")
    # Its address leads there from now on.
    tab.goto(held.payment_path)
    expect_heading(tab, "You are in")


def test_a_debit_that_the_bank_refuses_is_a_payment_that_failed(
    stripe_office: StripeOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(stripe_office)
    held = stripe_office.hold()
    session_id = stripe_office.attempt(held, "debit")
    tab.goto(held.order_path)
    expect_heading(tab, "Your payment is under way")
    stripe_office.tell("settle", session_id=session_id, outcome="failed")
    expect_heading(tab, "The payment failed")


def test_who_comes_to_a_session_that_has_expired_is_led_back_and_can_start_again(
    stripe_office: StripeOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(stripe_office, viewport=PHONE)
    held, session_url = stripe_office.open_late()
    tab.goto(session_url)
    # A clerk learns that nobody paid, and ends the session.
    until(lambda: stripe_office.payment_of(held)["status"] == "expired")
    tab.reload()
    expect(tab.get_by_text("This payment page has expired. Nothing was paid.")).to_be_visible()
    tab.get_by_role("link", name="Back to the shop").click()
    expect_heading(tab, "Your hold has expired")
    assert not is_wider_than_its_window(tab)
    tab.goto(held.payment_path)
    expect_heading(tab, "Your hold has expired")
    tab.get_by_role("link", name="Hold another one").click()
    check_out(tab, payment_url=SESSION_URL)


def test_a_refund_of_the_box_office_stands_on_the_ticket_and_in_the_books_of_the_provider(
    stripe_office: StripeOffice, open_tab: OpenTab
) -> None:
    held = stripe_office.hold()
    stripe_office.attempt(held)
    payment = stripe_office.payment_of(held)
    office = open_tab(stripe_office, http_credentials=OPERATOR_LOGIN)
    office.goto(f"/admin/orders/{held.order_id}")
    expect(office.get_by_text(payment["payment_intent"]).first).to_be_visible()
    office.get_by_text("Refund €65.00").first.click()
    office.get_by_role("button", name="Give €65.00 back").click()
    tab = open_tab(stripe_office)
    tab.goto(held.order_path)
    expect_heading(tab, "This order was refunded")
    until(lambda: stripe_office.payment_of(held)["refunded"] == 6500)
    tab.reload()
    expect(tab.get_by_text("€65.00 went back through Stripe on")).to_be_visible()


@pytest.mark.parametrize("has_scripts", [True, False])
def test_who_waits_in_the_line_is_told_for_how_long_and_goes_on_by_the_page(
    stripe_office: StripeOffice, open_tab: OpenTab, has_scripts: bool
) -> None:
    tab = open_tab(stripe_office, viewport=PHONE, java_script_enabled=has_scripts)
    held = stripe_office.hold()
    stripe_office.put_far_back(held)
    tab.goto(held.payment_path)
    expect_heading(tab, "Your ticket is yours")
    expect(tab.get_by_role("status")).to_contain_text(
        re.compile(r"The payment opens in about [34] minutes")
    )
    assert not is_wider_than_its_window(tab)
    stripe_office.put_far_back(held, 3)
    tab.reload()
    expect(tab).to_have_url(SESSION_URL)
    pay(tab)
    expect_heading(tab, "You are in")


def is_let_in(tab: Page) -> bool:
    """Whether a checkout holds a ticket, and does not come back to its form."""
    tab.get_by_label("Email").fill(EMAIL)
    tab.get_by_role("button", name="Hold my ticket").click()
    return "/demo/checkout" not in tab.url


def test_the_box_office_says_how_long_the_line_is_and_who_could_not_pay_in_time_is_told_so(
    stripe_office: StripeOffice, open_tab: OpenTab
) -> None:
    operator = open_tab(stripe_office, http_credentials=OPERATOR_LOGIN)
    wait_max = HOLD_SECONDS // 2
    with stripe_office.line_of(wait_max + 600):
        operator.goto("/admin")
        line = operator.locator("[data-line]")
        expect(line).to_contain_text(re.compile(r"2,[34]\d\d s until a payment opens"))
        expect(line).to_contain_text(f"{wait_max:,} s at most")
        tab = open_tab(stripe_office, viewport=PHONE, java_script_enabled=False)
        tab.goto("/demo/checkout")
        assert not is_let_in(tab)
        expect(tab.get_by_text("it could not be paid in time")).to_be_visible()
        assert not is_wider_than_its_window(tab)
    # There is room again, which a worker knows that has not read just before that there is none.
    until(lambda: is_let_in(tab))
    expect(tab).to_have_url(SESSION_URL)
    expect(operator.locator("[data-line-wait]")).to_have_text("0")


def test_the_address_of_a_payment_opens_nothing_but_what_can_be_paid(
    stripe_office: StripeOffice, open_tab: OpenTab
) -> None:
    """It shows whoever has it no email, and is as secret as the order's id."""
    tab = open_tab(stripe_office, viewport=PHONE)
    for unknown in ("0" * 30 + "00", "nothing", "%3Cb%3E"):
        answer = tab.goto(f"/pay/{unknown}")
        assert answer is not None
        assert answer.status == 404
        assert not is_wider_than_its_window(tab)
    paid = stripe_office.hold()
    stripe_office.attempt(paid)
    tab.goto(paid.payment_path)
    expect_heading(tab, "You are in")
    # Of somebody else it opens the payment, and no more: there is a friend who pays.
    tab.goto(stripe_office.hold(email="eda@example.org").payment_path)
    expect(tab).to_have_url(SESSION_URL)
