"""One browser and three shops for all of these tests.

Most of them share one tab, `tab`, because a new one costs half a second; what the shop keeps in a
browser, one test does not leave to the next. `open_tab` is for those that need another browser, or
more than one.

The shop called `patient` holds a ticket for an hour and has a goodie for nearly everybody; in
`brief` holds expire while a test waits for it; `stripe_office` sells by Stripe. Tests share their
tickets, so each looks at its own orders, or at a class that no other test buys.
"""

import os
from collections.abc import Iterator
from typing import Any, Protocol

import pytest
from playwright.sync_api import Browser, BrowserContext, HttpCredentials, Page, expect

from tests.browser.box_office import OPERATOR, BoxOffice, open_brief, open_patient
from tests.browser.chromium import NoChromiumError, find_chromium, running_browser
from tests.browser.scenes import Late, make_late
from tests.browser.stripe_office import StripeOffice, open_stripe_office
from tests.harness.needs import NO_CHROMIUM

# Only failures take so long; a machine that is busy with other things may need some of it.
TIMEOUT_MS = 60_000
# As Playwright takes it.
OPERATOR_LOGIN: HttpCredentials = {"username": OPERATOR[0], "password": OPERATOR[1]}


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    try:
        executable = find_chromium(os.environ)
    except NoChromiumError:
        pytest.skip(NO_CHROMIUM)
    expect.set_options(timeout=TIMEOUT_MS)
    with running_browser(executable) as browser:
        yield browser


@pytest.fixture(scope="package")
def patient(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BoxOffice]:
    """Has plenty of class A, and three tickets of class B for the one test that sells out."""
    root = tmp_path_factory.mktemp("patient")
    with open_patient(root, HOLD_SECONDS=3600, TICKETS_A=1000, TICKETS_B=3, GOODIES=100) as office:
        yield office


@pytest.fixture(scope="package")
def brief(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BoxOffice]:
    with open_brief(tmp_path_factory.mktemp("brief")) as office:
        yield office


@pytest.fixture(scope="package")
def stripe_office(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StripeOffice]:
    """Sells by Stripe, that is by the provider to test against."""
    with open_stripe_office(tmp_path_factory.mktemp("stripe")) as office:
        yield office


@pytest.fixture(scope="package")
def late(brief: BoxOffice) -> Late:
    return make_late(brief)


@pytest.fixture(scope="package")
def shared_tab(browser: Browser, patient: BoxOffice) -> Iterator[tuple[Page, list[str]]]:
    """A tab, and what went wrong in it."""
    faults: list[str] = []
    with new_context(browser, patient) as context:
        tab = context.new_page()
        watch(tab, faults)
        yield tab, faults


@pytest.fixture
def tab(shared_tab: tuple[Page, list[str]]) -> Iterator[Page]:
    """A tab at the patient shop; in none may a script or the policy fail."""
    tab, faults = shared_tab
    yield tab
    tab.unroute_all()
    tab.goto("about:blank")
    tab.context.clear_cookies()
    noted = faults.copy()
    faults.clear()
    assert not noted


class OpenTab(Protocol):
    def __call__(self, office: BoxOffice, **options: Any) -> Page: ...


@pytest.fixture
def open_tab(browser: Browser) -> Iterator[OpenTab]:
    """Opens tabs, each of a browser of its own; in none may a script or the policy fail."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def open_one(office: BoxOffice, **options: Any) -> Page:
        context = new_context(browser, office, **options)
        contexts.append(context)
        tab = context.new_page()
        watch(tab, faults)
        return tab

    yield open_one
    for context in contexts:
        context.close()
    assert not faults


def new_context(browser: Browser, office: BoxOffice, **options: Any) -> BrowserContext:
    context = browser.new_context(base_url=office.url, reduced_motion="reduce", **options)
    context.set_default_timeout(TIMEOUT_MS)
    return context


def watch(tab: Page, faults: list[str]) -> None:
    """Notes what must not happen: an error in a script, a blocked resource, a pop-up."""
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on("dialog", lambda dialog: faults.append(dialog.message))
    tab.on(
        "console",
        lambda message: (
            faults.append(message.text)
            if message.type == "error" and not message.text.startswith("Failed to load resource")
            else None
        ),
    )
