"""Every page in every state: accessible, at home on narrow windows, light, and at rest."""

from collections.abc import Iterator
from typing import Any, Final, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.browser.box_office import BoxOffice
from tests.browser.conftest import OPERATOR_LOGIN, OpenTab, watch
from tests.browser.scenes import SCENES, Late, Stage
from tests.browser.stripe_office import StripeOffice

FIRST_VIEW_BYTES_MAX = 100_000
# What a window of 1280 pixels shows to a reader who zooms to 400 %.
NARROW: Final[ViewportSize] = {"width": 320, "height": 640}
PHONE: Final[ViewportSize] = {"width": 390, "height": 844}
WIDE: Final[ViewportSize] = {"width": 1280, "height": 800}

REPORT = {"resultTypes": ["violations"]}
# Nothing else differs between the two schemes.
SCHEMES: Final[tuple[tuple[Literal["light", "dark"], dict[str, Any]], ...]] = (
    ("light", {}),
    ("dark", {"runOnly": ["color-contrast"]}),
)

RECORD_SHIFTS = """
    window.shifts = 0;
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) window.shifts += entry.value;
    }).observe({ type: "layout-shift", buffered: true });
"""


@pytest.fixture(scope="module")
def stage(patient: BoxOffice, brief: BoxOffice, late: Late, stripe_office: StripeOffice) -> Stage:
    return Stage(patient, brief, late, stripe_office)


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Page]:
    """One tab for all scenes, in which axe-core may run whatever the page's policy says."""
    faults: list[str] = []
    with browser.new_context(
        http_credentials=OPERATOR_LOGIN, reduced_motion="reduce", bypass_csp=True
    ) as context:
        tab = context.new_page()
        watch(tab, faults)
        yield tab
    assert not faults


def expect_to_fit_into_a_narrow_window(tab: Page) -> None:
    """What draws itself does so again a moment after the window has changed."""
    tab.set_viewport_size(NARROW)
    tab.wait_for_function(
        "width => document.documentElement.scrollWidth <= width", arg=NARROW["width"]
    )


@pytest.mark.parametrize("name", SCENES)
def test_a_page_is_accessible_in_both_schemes_and_on_narrow_windows(
    tab: Page, stage: Stage, name: str
) -> None:
    scene = SCENES[name]
    tab.set_viewport_size(WIDE)
    stage.show(tab, scene)
    expect(tab.get_by_text(scene.words).filter(visible=True).first).to_be_visible()
    for scheme, options in SCHEMES:
        tab.emulate_media(color_scheme=scheme)
        results = Axe().run(tab, options=REPORT | options)
        assert not results.violations_count, results.generate_report()
    expect_to_fit_into_a_narrow_window(tab)


@pytest.mark.parametrize("name", ["landing", "checkout", "payment", "order-ticket"])
def test_a_first_view_is_light_and_nothing_moves(
    open_tab: OpenTab,
    patient: BoxOffice,
    stage: Stage,
    name: str,
) -> None:
    # Elsewhere than the server, so that the script has times to change.
    tab = open_tab(patient, timezone_id="America/New_York")
    tab.add_init_script(RECORD_SHIFTS)
    protocol = tab.context.new_cdp_session(tab)
    protocol.send("Network.enable")
    sizes: list[float] = []
    protocol.on("Network.loadingFinished", lambda load: sizes.append(load["encodedDataLength"]))
    tab.goto(stage.url(SCENES[name]), wait_until="networkidle")
    assert 0 < sum(sizes) < FIRST_VIEW_BYTES_MAX
    assert tab.evaluate("window.shifts") == 0
    tab.set_viewport_size(PHONE)
    tab.reload(wait_until="networkidle")
    assert tab.evaluate("window.shifts") == 0
