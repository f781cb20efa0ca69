"""The description of the interface in a browser: Swagger UI, and the list where it is not."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.box_office import BoxOffice
from tests.browser.test_quality import REPORT, SCHEMES, expect_to_fit_into_a_narrow_window


def test_the_interface_can_be_read_and_tried_and_nothing_comes_from_elsewhere(
    tab: Page, patient: BoxOffice
) -> None:
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto("/schema")
    expect(tab.get_by_role("heading", name="TigerFans")).to_be_visible()
    expect(tab.locator("[data-list]")).to_be_hidden()
    show = tab.locator("#operations-buying-getShow")
    show.get_by_role("button").first.click()
    show.get_by_role("button", name="Try it out").click()
    show.get_by_role("button", name="Execute").click()
    expect(show.locator(".live-responses-table")).to_contain_text('"price": 6500')
    assert {url for url in asked if not url.startswith((f"{patient.url}/", "data:"))} == set()


def test_without_the_viewer_its_operations_are_a_list(browser: Browser, patient: BoxOffice) -> None:
    with browser.new_context(base_url=patient.shop.url, bypass_csp=True) as context:
        tab = context.new_page()
        tab.route("**/schema/viewer/**", lambda route: route.abort())
        tab.goto("/schema")
        expect(tab.locator("[data-list]")).to_contain_text("POST /api/checkout")
        expect(tab.locator("[data-list]")).to_contain_text(
            "Hold one ticket for a while, or several."
        )
        for scheme, options in SCHEMES:
            tab.emulate_media(color_scheme=scheme)
            results = Axe().run(tab, options=REPORT | options)
            assert not results.violations_count, results.generate_report()
        expect_to_fit_into_a_narrow_window(tab)
