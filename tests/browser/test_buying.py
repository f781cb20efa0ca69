"""Buying a ticket, in each of the ways a buyer may go about it."""

import re
from typing import Literal

import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from tests.booking.test_email_typos import AS_LIKELY_AS_ANY, MEANT
from tests.browser.box_office import EMAIL, BoxOffice
from tests.browser.conftest import OPERATOR_LOGIN, OpenTab
from tests.stack.running_shop import until
from tigerfans.booking import ticket_sheet
from tigerfans.booking.email_address import read_email
from tigerfans.booking.email_typos import DOMAINS, likely_meant
from tigerfans.booking.scan_texts import signed_order
from tigerfans.door.pictures import read_picture

PAYMENT_URL = re.compile(r"/mockpay/\w+$")
TICKET_CODE = re.compile(r"^TF(-[0-9A-Z]{4}){3}$")
HOSTILE_EMAIL = '"<img src=x onerror=alert(1)><script>alert(2)</script>"@example.org'
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def check_out(tab: Page, email: str = EMAIL, payment_url: re.Pattern[str] = PAYMENT_URL) -> None:
    """From the filled form to the payment's page."""
    tab.get_by_label("Email").fill(email)
    tab.get_by_role("button", name="Hold my ticket").click()
    expect(tab).to_have_url(payment_url)


def expect_ticket(tab: Page) -> None:
    """The ticket, after a press on "Pay"; one more press where the page asks for it: a store may be
    late on a machine without time.
    """
    paid = tab.get_by_role("heading", name="You are in")
    busy = tab.get_by_role("heading", name="The shop is busy")

    def is_answered() -> bool:
        expect(paid.or_(busy)).to_be_visible()
        if paid.is_visible():
            return True
        tab.go_back()
        tab.get_by_role("button", name=re.compile("^Pay ")).click()
        return False

    until(is_answered)
    expect(tab.locator(".ticket-code code")).to_have_text(TICKET_CODE)
    assert tab.get_by_role("img", name="QR code").evaluate("picture => picture.decode()") is None


def is_wider_than_its_window(tab: Page) -> bool:
    width: int = tab.evaluate("document.documentElement.scrollWidth")
    shown: int = tab.evaluate("innerWidth")
    return width > shown


def test_from_the_landing_page_to_the_ticket(patient: BoxOffice, tab: Page) -> None:
    tab.goto("/")
    tab.get_by_role("link", name="Choose Premium").click()
    expect(tab.get_by_role("radio", name="Premium")).to_be_checked()
    check_out(tab)
    expect(tab.get_by_role("timer")).to_have_text(re.compile(r"^(60|59|58):\d\d$"))
    tab.get_by_role("button", name="Pay €65.00").click()
    expect_ticket(tab)
    expect(tab).to_have_title("You are in · Lakeside")


def test_the_ticket_goes_along_as_a_picture_a_calendar_entry_and_on_paper(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(patient)
    tab.goto(patient.buy().order_path)
    code = tab.locator(".ticket-code code").inner_text()
    with tab.expect_download() as picture:
        tab.get_by_role("link", name="Download PNG").click()
    assert picture.value.suggested_filename == "tigerfans-ticket.png"
    with Image.open(picture.value.path()) as drawn:
        assert drawn.size == ticket_sheet.SIZE
    (door_code,) = read_picture(picture.value.path().read_bytes())
    assert signed_order(door_code) is not None
    assert read_picture(tab.screenshot(full_page=True)) == [door_code]
    with tab.expect_download() as page:
        tab.get_by_role("link", name="Download PDF").click()
    assert page.value.suggested_filename == "tigerfans-ticket.pdf"
    assert page.value.path().read_bytes().startswith(b"%PDF-")
    with tab.expect_download() as entry:
        tab.get_by_role("link", name="Add to calendar").click()
    assert entry.value.suggested_filename == "tigerfans.ics"
    assert code in entry.value.path().read_text()
    tab.evaluate("window.print = () => document.body.setAttribute('data-printed', '')")
    tab.get_by_role("button", name="Print").click()
    expect(tab.locator("body[data-printed]")).to_be_visible()
    tab.emulate_media(media="print")
    for on_screen_only in ("banner", "contentinfo", "button", "link"):
        assert not tab.get_by_role(on_screen_only).filter(visible=True).count()
    expect(tab.locator(".ticket-code code")).to_be_visible()
    assert read_picture(tab.screenshot(full_page=True)) == [door_code]
    assert tab.pdf().count(b"/Type /Page\n") == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_door_reads_the_ticket_from_a_telephone_in_both_schemes(
    patient: BoxOffice, open_tab: OpenTab, scheme: Literal["light", "dark"]
) -> None:
    bought = patient.buy()
    tab = open_tab(patient, color_scheme=scheme, **PHONE)
    tab.goto(bought.order_path)
    assert not is_wider_than_its_window(tab)
    (door_code,) = read_picture(tab.screenshot(full_page=True))
    order_id = signed_order(door_code)
    assert order_id is not None
    assert order_id.hex_digits == bought.order_id


@pytest.mark.parametrize(
    ("button", "headline", "status"),
    [
        ("Let it fail", "The payment failed", "FAILED"),
        ("Cancel", "You canceled the payment", "CANCELED"),
    ],
)
def test_a_payment_that_comes_to_nothing_leads_back_to_the_checkout(
    patient: BoxOffice, tab: Page, button: str, headline: str, status: str
) -> None:
    held = patient.hold()
    tab.goto(held.payment_path)
    tab.get_by_role("button", name=button).click()
    expect(tab.get_by_role("heading", name=headline)).to_be_visible()
    assert patient.status(held) == status
    tab.get_by_role("link", name=held.order_id).click()
    expect(tab.get_by_role("heading", name=headline)).to_be_visible()
    tab.go_back()
    check_out(tab)


def test_the_page_that_waits_turns_into_the_ticket_by_itself(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(patient)
    held = patient.hold()
    # The stream alone is enough.
    tab.route(f"**/api/orders/{held.order_id}", lambda route: route.abort())
    tab.goto(held.order_path)
    expect(tab.get_by_role("heading", name="Waiting for your payment")).to_be_visible()
    patient.end(held, "succeeded")
    expect_ticket(tab)
    expect(tab.get_by_role("status").filter(has_text="You are in.")).to_have_count(1)
    expect(tab).to_have_title("You are in · Lakeside")


def test_every_time_names_its_zone(patient: BoxOffice, open_tab: OpenTab) -> None:
    """The show's is where it takes place, others are the reader's."""
    tab = open_tab(patient, timezone_id="America/New_York")
    tab.goto(patient.buy().order_path)
    facts = tab.locator(".ticket .facts")
    expect(facts).to_contain_text("Friday 19 June 2099, 20:00 CEST")
    expect(facts.locator("time")).to_have_text(
        re.compile(r"\d\d:\d\d:\d\d GMT" "\N{MINUS SIGN}[45]$")
    )
    for path in ("/", "/demo/checkout"):
        tab.goto(path)
        expect(tab.locator("main")).to_contain_text("Friday 19 June 2099, 20:00 CEST")


@pytest.mark.parametrize("wish", ["reduce", "no-preference"])
def test_nothing_moves_where_less_motion_is_asked_for(
    patient: BoxOffice, tab: Page, wish: Literal["reduce", "no-preference"]
) -> None:
    tab.emulate_media(reduced_motion=wish)
    tab.goto(patient.hold().order_path)
    moving = tab.locator(".spinner").evaluate("spinner => spinner.getAnimations().length")
    assert moving == (wish == "no-preference")
    tab.emulate_media(reduced_motion="reduce")


def test_where_no_stream_can_be_had_the_page_asks(patient: BoxOffice, tab: Page) -> None:
    held = patient.hold()
    tab.route("**/events", lambda route: route.fulfill(status=503))
    tab.goto(held.order_path)
    patient.end(held, "succeeded")
    expect_ticket(tab)


def test_without_a_script_the_forms_do_it(patient: BoxOffice, open_tab: OpenTab) -> None:
    tab = open_tab(patient, java_script_enabled=False)
    tab.goto("/")
    tab.get_by_role("link", name="Get your ticket").click()
    tab.get_by_role("radio", name="Premium").check()
    check_out(tab)
    tab.get_by_role("button", name="Pay €65.00").click()
    expect(tab.get_by_role("heading", name="You are in")).to_be_visible()
    expect(tab.locator(".ticket-code code")).to_have_text(TICKET_CODE)


def test_without_a_script_a_phone_shows_what_the_form_was_answered(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    """Though it stands far below the head of a new page."""
    phone = open_tab(
        patient, java_script_enabled=False, viewport={"width": 390, "height": 664}, has_touch=True
    )
    press = phone.get_by_role("button", name="Hold my ticket")
    for email, selector, words in (
        ("ada", "[data-email-problem]", "does not look like an email address"),
        ("ada@gmial.com", "[data-email-meant]", "Did you mean ada@gmail.com?"),
    ):
        phone.goto("/demo/checkout")
        phone.get_by_label("Email").fill(email)
        press.click()
        expect(phone.locator(selector)).to_contain_text(words)
        expect(phone.locator(selector)).to_be_in_viewport(ratio=1)
    phone.goto("/demo/checkout?cls=A")
    phone.get_by_label("Email").fill(EMAIL)
    phone.get_by_role("radio", name="Premium").evaluate("radio => (radio.value = 'Z')")
    press.click()
    expect(phone.get_by_text("Please choose ticket class A or B.")).to_be_in_viewport(ratio=1)


def test_without_a_script_the_page_that_waits_looks_again(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(patient, java_script_enabled=False)
    held = patient.hold()
    tab.goto(held.order_path)
    expect(tab.get_by_role("link", name="Look again")).to_be_visible()
    patient.end(held, "succeeded")
    expect(tab.get_by_role("heading", name="You are in")).to_be_visible()


def test_a_phone_shows_each_page_at_its_width(patient: BoxOffice, open_tab: OpenTab) -> None:
    tab = open_tab(patient, **PHONE)
    tab.goto("/")
    assert not is_wider_than_its_window(tab)
    tab.get_by_role("link", name="Choose Premium").tap()
    expect(tab.get_by_role("radio", name="Premium")).to_be_checked()
    assert not is_wider_than_its_window(tab)
    check_out(tab)
    assert not is_wider_than_its_window(tab)
    tab.get_by_role("button", name="Pay €65.00").tap()
    expect_ticket(tab)
    assert not is_wider_than_its_window(tab)


def test_the_keyboard_is_enough_and_shows_where_it_is(patient: BoxOffice, tab: Page) -> None:
    tab.goto("/demo/checkout")

    def press(key: str) -> None:
        tab.keyboard.press(key)
        assert tab.evaluate(
            """() => {
                const focused = document.activeElement;
                // A choice is a card, and its label goes all around it.
                const label = focused.matches("[type=radio]") ? focused.labels[0] : null;
                const ring = label ? getComputedStyle(label, "::after") : getComputedStyle(focused);
                return ring.outlineStyle === "solid";
            }"""
        )

    press("Tab")
    expect(tab.get_by_role("link", name="Skip to the content")).to_be_focused()
    tab.keyboard.press("Enter")
    press("Tab")
    expect(tab.get_by_role("radio", name="Premium")).to_be_focused()
    press("Tab")
    expect(tab.get_by_label("Email")).to_be_focused()
    tab.keyboard.type(EMAIL)
    press("Tab")
    expect(tab.get_by_role("button", name="Hold my ticket")).to_be_focused()
    tab.keyboard.press("Enter")
    expect(tab).to_have_url(PAYMENT_URL)
    pay = tab.get_by_role("button", name="Pay €65.00")
    while not pay.evaluate("button => button === document.activeElement"):
        press("Tab")
    tab.keyboard.press("Enter")
    expect_ticket(tab)


def test_a_wrong_email_is_said_beside_where_it_is_typed(patient: BoxOffice, tab: Page) -> None:
    tab.goto("/demo/checkout")
    field = tab.get_by_label("Email", exact=True)
    for email, complaint in (
        ("", "Please enter your email address"),
        ("ada@nowhere", "does not look like an email"),
        ("a\u202eda@example.org", "cannot be seen"),
        ("a" * 300 + "@example.org", "has at most 254 characters; this one has 312"),
    ):
        field.fill(email)
        tab.get_by_role("button", name="Hold my ticket").click()
        expect(tab.locator("[data-email-problem]")).to_contain_text(complaint)
        expect(field).to_be_focused()
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(tab.locator("[data-message]")).to_be_empty()
    check_out(tab, " \xa0ada@example.org\u200b")


@pytest.mark.parametrize("has_scripts", [True, False])
def test_a_likely_typo_is_asked_about_once(
    patient: BoxOffice, open_tab: OpenTab, has_scripts: bool
) -> None:
    tab = open_tab(patient, java_script_enabled=has_scripts)
    held = tab.get_by_text("a…@")
    for ticked, domain in ((True, "example.com"), (False, "exmaple.con")):
        tab.goto("/demo/checkout")
        field = tab.get_by_label("Email", exact=True)
        field.fill("ada@exmaple.con")
        tab.get_by_role("button", name="Hold my ticket").click()
        expect(tab.get_by_text("Did you mean ada@example.com?")).to_be_visible()
        if ticked:
            tab.get_by_role("checkbox").click()
        if ticked and has_scripts:
            expect(field).to_have_value("ada@example.com")
            expect(tab.get_by_text("Did you mean")).to_be_hidden()
        tab.get_by_role("button", name="Hold my ticket").click()
        expect(tab).to_have_url(PAYMENT_URL)
        expect(held).to_have_text(f"a…@{domain}")


def test_the_script_asks_of_the_same_typos_as_the_server(patient: BoxOffice, tab: Page) -> None:
    tab.goto("/demo/checkout")
    ask = """async (emails) => {
        const script = document.querySelector("script[src*=checkout]").src;
        const { likelyMeant } = await import(script.replace("checkout", "email"));
        const tables = document.querySelector("[data-email-typos]").dataset.emailTypos;
        return emails.map((email) => likelyMeant(email, JSON.parse(tables)));
    }"""
    emails = [*MEANT, *AS_LIKELY_AS_ANY, *(f"ada@{domain}" for domain in DOMAINS)]
    assert tab.evaluate(ask, emails) == [likely_meant(email) for email in emails]


@pytest.mark.parametrize("has_scripts", [True, False])
@pytest.mark.parametrize("email", ["अजय@डाटा.भारत", "jürgen@mu\u0308ller.de", "ผู้ใช้@ตัวอย่าง.ไทย"])
def test_an_address_of_any_script_is_taken(
    patient: BoxOffice, open_tab: OpenTab, email: str, has_scripts: bool
) -> None:
    tab = open_tab(patient, java_script_enabled=has_scripts)
    tab.goto("/demo/checkout")
    check_out(tab, email)
    masked = f"{email[0]}…@{read_email(email).partition('@')[2]}"
    expect(tab.locator("bdi", has_text=masked)).to_be_visible()


def test_a_hostile_email_is_text_wherever_it_shows(patient: BoxOffice, open_tab: OpenTab) -> None:
    tab = open_tab(patient, http_credentials=OPERATOR_LOGIN)
    tab.goto("/demo/checkout")
    tab.get_by_label("Email").fill(HOSTILE_EMAIL)
    tab.get_by_role("button", name="Hold my ticket").click()
    expect(tab.get_by_text(f"{HOSTILE_EMAIL[0]}…@")).to_be_visible()
    payment_url = tab.url
    tab.goto("/admin")
    expect(tab.get_by_text(HOSTILE_EMAIL).first).to_be_visible()
    tab.goto(payment_url)
    tab.get_by_role("button", name="Pay €65.00").click()
    expect_ticket(tab)
    tab.goto("/admin")
    expect(tab.get_by_text(HOSTILE_EMAIL).first).to_be_visible()
    assert not tab.locator("img[src=x]").count()


def test_a_key_whose_order_has_ended_is_left_for_a_new_one(patient: BoxOffice, tab: Page) -> None:
    keys: list[str] = []

    def answer(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) > 1:
            return route.continue_()
        return route.fulfill(status=409, json={"detail": "It has expired.", "new_key_needed": True})

    tab.goto("/demo/checkout")
    tab.route("**/api/checkout", answer)
    key = tab.locator("[name=idempotency_key]").input_value()
    check_out(tab)
    assert keys[0] == key
    assert len(set(keys)) == 2
