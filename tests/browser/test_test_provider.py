"""The hosted page of the provider to test against, as a newcomer meets it in a browser."""

from collections.abc import Iterator

import pytest
import stripe
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.browser.test_quality import REPORT, SCHEMES, expect_to_fit_into_a_narrow_window
from tests.harness.ports import free_port
from tests.stripe_server.process import StripeProcess, running
from tests.stripe_server.server import TEST_KEY
from tests.stripe_server.shopping import session_params

PHONE: ViewportSize = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def provider(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StripeProcess]:
    with running(StripeProcess(tmp_path_factory.mktemp("provider"), free_port())) as process:
        yield process


@pytest.fixture
def client(
    provider: StripeProcess, monkeypatch: pytest.MonkeyPatch
) -> Iterator[stripe.StripeClient]:
    monkeypatch.setattr(stripe, "enable_telemetry", False)
    by_requests = stripe.RequestsClient()
    yield stripe.StripeClient(
        TEST_KEY, base_addresses={"api": provider.url}, http_client=by_requests
    )
    by_requests.close()  # type: ignore[no-untyped-call]


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    with browser.new_context(viewport=PHONE, java_script_enabled=False) as context:
        yield context.new_page()


def opened(client: stripe.StripeClient, provider: StripeProcess) -> stripe.checkout.Session:
    """A session that leads back to the provider's own first page, since there is no shop."""
    params = session_params("one") | {
        "success_url": f"{provider.url}/?session={{CHECKOUT_SESSION_ID}}",
        "cancel_url": f"{provider.url}/?canceled",
    }
    return client.v1.checkout.sessions.create(params)  # type: ignore[arg-type]


def test_a_buyer_is_declined_tries_again_and_pays_on_a_phone_without_a_script(
    tab: Page, client: stripe.StripeClient, provider: StripeProcess
) -> None:
    session = opened(client, provider)
    tab.goto(str(session.url))
    expect(tab.get_by_text("No money moves.")).to_be_visible()
    tab.get_by_role("button", name="Try a card that is declined").click()
    expect(tab.get_by_role("alert")).to_contain_text("Your card was declined.")
    tab.get_by_role("button", name="Pay 65.00 EUR").click()
    expect(tab).to_have_url(f"{provider.url}/?session={session.id}")
    assert client.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"


def test_a_bank_decides_later_and_who_cancels_is_led_back(
    tab: Page, client: stripe.StripeClient, provider: StripeProcess
) -> None:
    canceled = opened(client, provider)
    tab.goto(str(canceled.url))
    tab.get_by_role("link", name="Cancel, back to the shop").click()
    expect(tab).to_have_url(f"{provider.url}/?canceled")
    assert client.v1.checkout.sessions.retrieve(canceled.id).status == "open"
    session = opened(client, provider)
    tab.goto(str(session.url))
    tab.get_by_role("button", name="Pay by bank debit, which takes days").click()
    tab.goto(str(session.url))
    tab.get_by_role("button", name="The bank refuses").click()
    assert client.v1.checkout.sessions.retrieve(session.id).payment_status == "unpaid"


def test_the_page_can_be_read_by_everybody_in_both_schemes(
    browser: Browser, client: stripe.StripeClient, provider: StripeProcess
) -> None:
    session = opened(client, provider)
    with browser.new_context(viewport=PHONE) as context:
        tab = context.new_page()
        tab.goto(str(session.url))
        tab.get_by_role("button", name="Try a card without enough money").click()
        expect(tab.get_by_role("alert")).to_be_visible()
        for scheme, options in SCHEMES:
            tab.emulate_media(color_scheme=scheme)
            results = Axe().run(tab, options=REPORT | options)
            assert not results.violations_count, results.generate_report()
        expect_to_fit_into_a_narrow_window(tab)
