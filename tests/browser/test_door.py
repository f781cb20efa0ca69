"""The door in a browser: what is scanned or typed goes one way, and what is decided shows."""

import json
from typing import Any, Final

from playwright.sync_api import Page, Route, expect

from tests.browser.box_office import BoxOffice
from tests.browser.conftest import OPERATOR_LOGIN, OpenTab

SCANS: Final = "**/api/door/scans"
UNDO: Final = "**/api/door/undo"
# Whoever types while this clock stands types as fast as a hand scanner.
STANDING_CLOCK: Final = "performance.now = () => 0"
SHORT_CODE: Final = "TF-7K3M-92QX-HD4W"
ADMITTED: Final = {"result": "admitted", "class_name": "Premium", "ticket": 2, "tickets": 4}


class Shop:
    """Stands in for the shop's answers, and keeps what it was asked."""

    def __init__(self, tab: Page, *answers: dict[str, Any] | None) -> None:
        self.asked: list[dict[str, Any]] = []
        self._answers = list(answers)
        tab.route(SCANS, self._answer)

    def _answer(self, route: Route) -> None:
        [scan] = json.loads(route.request.post_data or "")
        self.asked.append(scan)
        answer = self._answers.pop(0)
        if answer is None:
            route.abort()
        else:
            route.fulfill(json=[{"scan_id": scan["scan_id"], **answer}])

    @property
    def texts(self) -> list[str]:
        return [scan["text"] for scan in self.asked]


def open_door(tab: Page, gate: str = "North") -> None:
    tab.goto("/door")
    tab.get_by_label("Where are you?").fill(gate)
    tab.get_by_label("Where are you?").press("Tab")
    expect(tab.get_by_text(f"Gate {gate}")).to_be_visible()


def expect_verdict(tab: Page, words: str) -> None:
    expect(tab.get_by_label("Verdict").get_by_role("heading", name=words)).to_be_visible()


def scan(tab: Page, text: str) -> None:
    tab.keyboard.type(text)
    tab.keyboard.press("Enter")


def test_a_hand_scanner_types_wherever_the_focus_is(patient: BoxOffice, open_tab: OpenTab) -> None:
    tab = open_tab(patient, http_credentials=OPERATOR_LOGIN)
    tab.add_init_script(STANDING_CLOCK)
    shop = Shop(tab, ADMITTED, ADMITTED, ADMITTED)
    open_door(tab)
    tab.get_by_role("button", name="Start the camera").focus()
    scan(tab, SHORT_CODE)
    expect_verdict(tab, "Come in")
    # The verdict's button has the focus, and is not pressed by the scanner's Enter.
    scan(tab, SHORT_CODE)
    expect(tab.locator("[data-last] li")).to_have_count(2)
    tab.keyboard.press("Escape")
    tab.get_by_role("button", name="Change").click()
    tab.get_by_label("Where are you?").fill("South")
    scan(tab, SHORT_CODE)
    expect(tab.locator("[data-last] li")).to_have_count(3)
    expect(tab.get_by_label("Where are you?")).to_have_value("South")
    assert shop.texts == [SHORT_CODE] * 3


def test_a_scan_without_an_answer_is_asked_about_again_under_its_id(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(patient, http_credentials=OPERATOR_LOGIN)
    shop = Shop(tab, None, ADMITTED, *[None] * 3, ADMITTED)
    open_door(tab)
    scan(tab, SHORT_CODE)
    expect_verdict(tab, "Come in")
    scan(tab, "TF-0000-0000-0000")
    expect_verdict(tab, "No answer")
    scan(tab, "TF-0000-0000-0000")
    expect_verdict(tab, "Come in")
    ids = [scan["scan_id"] for scan in shop.asked]
    assert len(set(ids[:2])) == 1
    assert len(set(ids[2:])) == 1
    assert ids[1] != ids[2]


def test_an_admission_is_taken_back_when_it_was_asked_once(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(patient, http_credentials=OPERATOR_LOGIN)
    shop = Shop(tab, ADMITTED)
    undone: list[dict[str, Any]] = []

    def undo(route: Route) -> None:
        undone.append(json.loads(route.request.post_data or ""))
        route.fulfill(json={})

    tab.route(UNDO, undo)
    open_door(tab)
    scan(tab, SHORT_CODE)
    expect_verdict(tab, "Come in")
    tab.get_by_label("Verdict").get_by_role("button", name="Undo").click()
    tab.get_by_label("Verdict").get_by_role("button", name="Really undo").click()
    expect_verdict(tab, "Taken back")
    [asked] = shop.asked
    assert undone == [{"scan_id": asked["scan_id"], "device": asked["device"]}]
    expect(tab.get_by_role("button", name="Undo")).to_have_count(0)
