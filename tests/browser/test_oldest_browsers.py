"""Browsers that lack what newer ones have, and scripts that fail: each page does its work all the
same, or leaves it to the server's plain one."""

import re
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.box_office import BoxOffice
from tests.browser.conftest import OPERATOR_LOGIN, OpenTab, new_context, watch
from tests.browser.oldest_browsers import NEWER_GRAMMAR, OLDEST, Uses, deletion, has, newer, uses_of
from tests.browser.test_buying import check_out, expect_ticket
from tests.browser.test_door import expect_verdict, open_door, scan
from tigerfans.process.packaged_files import templates_directory

TEMPLATES: Final = templates_directory()
SCRIPTS: Final = TEMPLATES / "static" / "js"
# A script that a page names; it imports the others.
NAMED: Final = re.compile(r"<script[^>]+static\('js/([^']+)'\)")
BOX_OFFICE: Final = frozenset({"admin.html", "admin_door.html", "admin_order.html"})
BENCH: Final = frozenset({"bench.html"})
DOOR: Final = frozenset({"door.html"})
BUYING: Final = {page.name for page in TEMPLATES.glob("*.html")} - BOX_OFFICE - BENCH - DOOR

# Of scripts that imports and arrows are unknown to.
LATER_THAN_ALL: Final = frozenset(
    {"arrow_function", "class_declaration", "import_statement", "lexical_declaration"}
    | {"optional_chain", "spread_element", "template_string", "??"}
)


@contextmanager
def without(tab: Page, *paths: str) -> Iterator[None]:
    """From its next page on the tab's browser lacks them, until the block ends."""
    protocol = tab.context.new_cdp_session(tab)
    protocol.send("Page.enable")
    source = "".join(map(deletion, paths))
    added = protocol.send("Page.addScriptToEvaluateOnNewDocument", {"source": source})
    yield
    assert not any(has(tab, path) for path in paths)
    protocol.send("Page.removeScriptToEvaluateOnNewDocument", added)
    protocol.detach()


def scripts_of(pages: Set[str]) -> dict[str, Uses]:
    texts = ((TEMPLATES / page).read_text() for page in pages)
    return uses_of(SCRIPTS, (name for text in texts for name in NAMED.findall(text)))


def newer_than_all(tab: Page, pages: Set[str]) -> list[str]:
    # A page from elsewhere, or from nowhere, has less.
    tab.goto("/")
    return newer(tab, scripts_of(pages).values())


def buy(tab: Page, waiting: Page) -> None:
    """Buys in one tab, while the order's page waits in another."""
    # Behind another tab a press of a button takes two seconds. Neither is hidden, by `document`.
    tab.bring_to_front()
    tab.goto("/demo/checkout?cls=A")
    check_out(tab)
    order_id = tab.locator(".facts code").inner_text()
    waiting.goto(f"/demo/success?order_id={order_id}")
    expect(waiting.get_by_role("heading", name="Waiting for your payment")).to_be_visible()
    tab.get_by_role("button", name="Pay €65.00").click()
    expect_ticket(tab)


def test_a_purchase_needs_nothing_that_the_oldest_browsers_lack(
    patient: BoxOffice, browser: Browser, subtests: pytest.Subtests
) -> None:
    faults: list[str] = []
    with new_context(browser, patient) as context:
        tab, waiting = context.new_page(), context.new_page()
        watch(tab, faults)
        watch(waiting, faults)
        lacking = newer_than_all(tab, BUYING)
        assert {"Iterator.map", "Navigator.locks"} < set(lacking)
        for path in lacking:
            with subtests.test(path), without(tab, path), without(waiting, path):
                buy(tab, waiting)
                expect_ticket(waiting)
                # No plain page had to stand in.
                noted = faults.copy()
                faults.clear()
                assert not noted


def test_a_search_in_the_box_office_needs_nothing_that_the_oldest_browsers_lack(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    patient.buy(email="old@browser.example")
    tab = open_tab(patient, http_credentials=OPERATOR_LOGIN)
    lacking = newer_than_all(tab, BOX_OFFICE)
    assert "URLSearchParams.size" in lacking
    with without(tab, *lacking):
        tab.goto("/admin")
        tab.get_by_role("searchbox").fill("old@")
        tab.get_by_role("searchbox").press("Enter")
        expect(tab.locator("[data-table=orders] tbody tr")).to_have_count(1)
        export = tab.get_by_role("link", name="Download CSV")
        expect(export).to_have_attribute("href", "/api/admin/orders.csv?q=old%40")


def test_a_scan_at_the_door_needs_nothing_that_the_oldest_browsers_lack(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(patient, http_credentials=OPERATOR_LOGIN)
    # Where there is none of these, nothing asks for them.
    lacking = [path for path in newer_than_all(tab, DOOR) if "rusted" not in path]
    assert "Crypto.randomUUID" in lacking
    with without(tab, *lacking):
        open_door(tab)
        scan(tab, "TF-7K3M-92QX-HD4W")
        expect_verdict(tab, "Not one of our tickets")


def test_recorded_results_need_nothing_that_the_oldest_browsers_lack(
    patient: BoxOffice, tab: Page
) -> None:
    with without(tab, *newer_than_all(tab, BENCH)):
        tab.goto("/bench")
        expect(tab.get_by_role("table", name="Every measurement")).to_be_visible()


def test_the_oldest_browsers_can_read_every_script() -> None:
    named = scripts_of(BUYING | BOX_OFFICE | BENCH | DOOR)
    assert named.keys() == {path.relative_to(SCRIPTS).as_posix() for path in SCRIPTS.rglob("*.js")}
    assert not [name for name, uses in named.items() if uses.grammar & NEWER_GRAMMAR]
    assert not named["retry.js"].grammar & LATER_THAN_ALL


@pytest.mark.parametrize(
    "script",
    ["await fetch('/');", "/(?<=a)b/.test(c);", "a ??= b;", "export * as a from './b.js';"],
)
def test_a_script_that_the_oldest_browsers_cannot_read_is_found(script: str) -> None:
    assert Uses(script.encode()).grammar & NEWER_GRAMMAR


def test_the_documentation_names_the_oldest_browsers() -> None:
    words = " ".join((Path(__file__).parents[2] / "docs" / "pages.md").read_text().split())
    assert (
        "Chrome and Edge from {chrome}, Firefox from {firefox}, and Safari from {safari}, "
        "on iOS from {safari_ios}"
    ).format(**OLDEST) in words


def test_what_a_script_uses_is_told_from_what_is_its_own() -> None:
    uses = Uses(
        b"""
        import { last } from "./lists.js";
        const { size, item: first = Map } = new URLSearchParams(location.search);
        for (const [i, { at }] of rows.entries()) last(i, root.dataset.when);
        root.onclick = ({ key }, ...rest) => key.at(-1) ?? rest;
        """
    )
    assert uses.members == {"search", "size", "item", "at", "entries", "dataset", "key"}
    assert uses.globals == {"Map", "URLSearchParams", "location", "rows", "root"}
    assert uses.imports == {"./lists.js"}


@pytest.mark.parametrize("lacking", ["fetch", "EventSource"])
def test_where_a_script_cannot_go_on_the_plain_page_does(
    patient: BoxOffice, browser: Browser, lacking: str
) -> None:
    with new_context(browser, patient) as context:
        tab, waiting = context.new_page(), context.new_page()
        with without(tab, f"Window.{lacking}"), without(waiting, f"Window.{lacking}"):
            buy(tab, waiting)
            expect_ticket(waiting)


def test_where_a_script_cannot_be_read_the_plain_page_does(
    patient: BoxOffice, browser: Browser
) -> None:
    with new_context(browser, patient) as context:
        tab, waiting = context.new_page(), context.new_page()
        context.route("**/format.js", lambda route: route.fulfill(body="no = script of !! ours"))
        buy(tab, waiting)
        expect_ticket(waiting)


@pytest.mark.parametrize("selector", [":has(", ":focus-visible"])
def test_the_keyboard_shows_its_choice_where_a_selector_is_unknown(
    patient: BoxOffice, tab: Page, selector: str
) -> None:
    def forget(route: Route) -> None:
        sheet = route.fetch().text()
        route.fulfill(
            content_type="text/css",
            body=re.sub(rf"[^{{}}]*{re.escape(selector)}[^{{}}]*{{[^}}]*}}", "", sheet),
        )

    tab.route("**/*.css", forget)
    tab.goto("/demo/checkout")
    choice = tab.get_by_role("radio", name="Premium")
    for _ in range(3):
        tab.keyboard.press("Tab")
    expect(choice).to_be_focused()
    assert choice.evaluate(
        """(choice) => [getComputedStyle(choice), getComputedStyle(choice.labels[0], "::after")]
            .some(({ outlineStyle }) => outlineStyle !== "none")"""
    )
