"""What a buyer sees while parts of the shop, all of it, or the network are away."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, expect

from tests.browser.box_office import EMAIL, BoxOffice
from tests.browser.conftest import OpenTab
from tests.browser.test_buying import PAYMENT_URL, expect_ticket
from tests.stack.running_shop import RunningShop, until
from tigerfans.booking.ids import OrderIds
from tigerfans.settings.settings import DEFAULT_TICKET_SECRET

# The form tries again somewhat earlier.
RETRY_PAUSE_MS = 4_000
# One that the shop may have made: others it knows without asking the ledger.
UNKNOWN_ORDER = OrderIds(DEFAULT_TICKET_SECRET, are_checked=True).new().hex_digits


@contextmanager
def silenced(shop: RunningShop, name: str) -> Iterator[None]:
    """One of the shop's processes answers nobody until the block ends."""
    pid = shop.pid_of(name)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_busy_shop_is_asked_again_until_it_holds_the_ticket(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    form, page = open_tab(patient), open_tab(patient)
    form.goto("/demo/checkout")
    form.get_by_label("Email").fill(EMAIL)
    with silenced(patient.shop, "sequencer"):
        form.get_by_role("button", name="Hold my ticket").click()
        page.goto(f"/demo/success?order_id={UNKNOWN_ORDER}")
        expect(page.get_by_role("heading", name="The shop is busy")).to_be_visible()
        expect(page.get_by_text("This page tries again by itself")).to_be_visible()
        expect(form.get_by_role("alert")).to_contain_text("The shop is busy. We try again")
    expect(form).to_have_url(PAYMENT_URL)
    expect(page.get_by_role("heading", name="We do not know this order")).to_be_visible()


def test_workers_that_die_take_no_order_with_them(patient: BoxOffice, tab: Page) -> None:
    held = patient.hold()
    tab.goto(held.order_path)
    expect(tab.get_by_role("heading", name="Waiting for your payment")).to_be_visible()
    for name in ("worker-1", "worker-2"):
        os.kill(patient.shop.pid_of(name), signal.SIGKILL)
    until(patient.shop.is_ready)
    patient.end(held, "succeeded")
    expect_ticket(tab)


@pytest.mark.usefixtures("outlives_the_test")
def test_pages_outlast_a_shop_that_is_closed_for_a_while(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    form, waiting = open_tab(patient), open_tab(patient)
    form.goto("/demo/checkout")
    form.get_by_label("Email").fill(EMAIL)
    held = patient.hold()
    waiting.goto(held.order_path)
    patient.shut()
    form.get_by_role("button", name="Hold my ticket").click()
    expect(form.get_by_role("alert")).to_contain_text("We cannot reach the shop. We keep trying")
    expect(form.locator("[data-stock=A]")).to_contain_text("Live count not available")
    expect(waiting.get_by_text("We cannot reach the shop right now")).to_be_visible()
    patient.open()
    expect(form).to_have_url(PAYMENT_URL)
    form.get_by_role("button", name=re.compile("^Pay")).click()
    expect_ticket(form)
    patient.end(held, "succeeded")
    expect_ticket(waiting)


def test_a_browser_without_network_holds_one_ticket_when_it_is_back(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(patient)
    tab.clock.install()
    tab.goto("/demo/checkout")
    tab.get_by_label("Email").fill(EMAIL)
    available = patient.available("A")
    tab.context.set_offline(True)
    tab.get_by_role("button", name="Hold my ticket").click()
    expect(tab.get_by_role("alert")).to_contain_text("We cannot reach the shop")
    tab.context.set_offline(False)
    tab.clock.run_for(RETRY_PAUSE_MS)
    expect(tab).to_have_url(PAYMENT_URL)
    assert patient.available("A") == available - 1


def test_without_a_script_three_presses_hold_one_ticket(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(patient, java_script_enabled=False)
    tab.goto("/demo/checkout")
    tab.get_by_label("Email").fill(EMAIL)
    before = patient.available("A")
    with silenced(patient.shop, "sequencer"):
        for _ in range(3):
            with tab.expect_request("**/demo/checkout"):
                tab.get_by_role("button", name="Hold my ticket").click(no_wait_after=True)
    expect(tab).to_have_url(PAYMENT_URL)
    until(lambda: patient.available("A") < before)
    assert patient.available("A") == before - 1


def test_who_holds_as_much_as_one_may_is_told_so_at_once(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(patient)
    sentence = "Only 20 tickets at a time can be on hold from one network address."
    tab.route(
        "**/api/checkout",
        lambda route: route.fulfill(
            status=429, headers={"Retry-After": "240"}, json={"detail": sentence}
        ),
    )
    tab.goto("/demo/checkout")
    tab.get_by_label("Email").fill(EMAIL)
    tab.get_by_role("button", name="Hold my ticket").click()
    expect(tab.get_by_role("alert")).to_have_text(sentence)
