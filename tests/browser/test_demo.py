"""A shop that says it is a demonstration, in a real browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from tests.browser.box_office import BoxOffice, open_box_office
from tests.browser.test_quality import NARROW, REPORT, SCHEMES, WIDE

SENTENCE = "This shop is a demonstration: no money is taken."
BLACK = "rgb(0, 0, 0)"


@pytest.fixture
def demonstration(tmp_path: Path) -> Iterator[BoxOffice]:
    with open_box_office(tmp_path, WORKERS=1, DEMO=1) as office:
        yield office


def test_before_they_choose_and_before_they_pay_buyers_read_that_no_money_is_taken(
    browser: Browser, demonstration: BoxOffice
) -> None:
    held = demonstration.hold()
    with browser.new_context(base_url=demonstration.url, bypass_csp=True) as context:
        tab = context.new_page()
        for path in ("/", "/demo/checkout?cls=A", held.payment_path):
            tab.set_viewport_size(WIDE)
            tab.goto(path)
            expect(tab.get_by_text(SENTENCE)).to_be_in_viewport()
            for scheme, options in SCHEMES:
                tab.emulate_media(color_scheme=scheme)
                results = Axe().run(tab, options=REPORT | options)
                assert not results.violations_count, results.generate_report()
            tab.set_viewport_size(NARROW)
            expect(tab.get_by_text(SENTENCE)).to_be_in_viewport()
            assert tab.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
        # What is printed has no background.
        tab.emulate_media(media="print")
        expect(tab.get_by_text(SENTENCE)).to_be_visible()
        assert tab.get_by_text(SENTENCE).evaluate("e => getComputedStyle(e).color") == BLACK
