"""The door in a browser: what is scanned or typed goes one way, and what is decided shows.

Tickets get in at the shop itself; its answers are made up only where it gives none, or a rare one.
"""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.box_office import BoxOffice, Held
from tests.browser.chromium import browser_with_camera
from tests.browser.conftest import OPERATOR_LOGIN, OpenTab, new_context, watch
from tests.browser.scenes import STAYING

SCANS: Final = "**/api/door/scans"
PHONE: Final = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
# Whoever types while this clock stands types as fast as a hand scanner.
STANDING_CLOCK: Final = "performance.now = () => 0"
# Of a ticket that there is not.
NO_CODE: Final = "TF-0000-0000-0000"


def qr_picture(office: BoxOffice, held: Held) -> Image.Image:
    answer = office.client.get(f"/api/orders/{held.order_id}/qr.png").raise_for_status()
    return Image.open(io.BytesIO(answer.content)).convert("RGB")


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


class Answers:
    """Stands in for the shop's answers to scans, and keeps what was asked; None is no answer."""

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


# --- Who gets in -----------------------------------------------------------------------------


def test_a_ticket_gets_in_once_by_its_code_in_any_form_and_again_after_an_undo(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    code = patient.ticket_code(patient.buy(email="zoe@example.org"))
    tab = open_tab(patient, http_credentials=OPERATOR_LOGIN, **PHONE)
    open_door(tab)
    tab.evaluate(STAYING)
    # As somebody reads it off a phone.
    typed = code.removeprefix("TF-").replace("-", " ").replace("0", "O").lower()
    tab.get_by_label("Ticket code").fill(f" {typed} ")
    tab.get_by_role("button", name="Check").click()
    expect_verdict(tab, "Come in")
    expect(tab.get_by_text("Email begins with Z").first).to_be_visible()

    other = open_tab(patient, http_credentials=OPERATOR_LOGIN)
    open_door(other, "South")
    # A hand scanner that types as an English keyboard does, into a German computer.
    scan(other, code.replace("-", "ß").translate(str.maketrans("YZ", "ZY")))
    expect_verdict(other, "Already inside")
    expect(other.get_by_text("at North").first).to_be_visible()

    verdict = tab.get_by_label("Verdict")
    verdict.get_by_role("button", name="Undo").click()
    verdict.get_by_role("button", name="Really undo").click()
    expect_verdict(tab, "Taken back")
    other.keyboard.press("Escape")
    scan(other, code)
    expect_verdict(other, "Come in")
    expect(other.locator("[data-gates] li").filter(has_text="South")).to_be_visible()

    plain = open_tab(patient, http_credentials=OPERATOR_LOGIN, java_script_enabled=False)
    plain.goto("/door")
    plain.get_by_label("Where are you?").fill("East")
    plain.get_by_label("Ticket code").fill(code)
    plain.get_by_role("button", name="Check").click()
    expect_verdict(plain, "Already inside")
    expect(plain.get_by_text("at South")).to_be_visible()
    expect(plain.get_by_role("button", name="Start the camera")).to_be_hidden()


def test_a_camera_lets_a_ticket_in_by_what_the_shop_or_the_browser_reads(
    patient: BoxOffice, browser: Browser, tmp_path: Path
) -> None:
    pytest.importorskip("zxingcpp")
    first, second = (patient.buy(email=f"{name}@example.org") for name in ("first", "second"))
    film = tmp_path / "camera.mjpeg"
    picture = Image.new("RGB", (1280, 720), (150, 150, 150))
    held_up = qr_picture(patient, first).resize((420, 420))
    picture.paste(held_up.rotate(7, expand=True, fillcolor=(150, 150, 150)), (430, 120))
    picture.save(film, "JPEG")
    # What the browser would read, where it has what reads: first two tickets at once.
    texts = [ticket_text(patient, each) for each in (second, first)]
    detector = f"""
        window.BarcodeDetector = class {{
            static async getSupportedFormats() {{ return ["qr_code"]; }}
            async detect(video) {{
                const texts = {json.dumps(texts)}.slice(0, window.inView ?? 2);
                return video.videoWidth ? texts.map((rawValue) => ({{ rawValue }})) : [];
            }}
        }};
    """
    faults: list[str] = []
    with browser_with_camera(browser, film) as with_camera:
        for script, initial in (("", "F"), (detector, "S")):
            with new_context(with_camera, patient, http_credentials=OPERATOR_LOGIN) as context:
                tab = context.new_page()
                watch(tab, faults)
                tab.add_init_script(script)
                open_door(tab)
                tab.get_by_role("button", name="Start the camera").click()
                if script:
                    expect(tab.get_by_text("one at a time, please")).to_be_visible()
                    tab.evaluate("window.inView = 1")
                expect_verdict(tab, "Come in")
                expect(tab.get_by_text(f"Email begins with {initial}").first).to_be_visible()
                # It is in view still, and was scanned once.
                tab.keyboard.press("Escape")
                tab.get_by_role("button", name="Stop the camera").click()
                expect(tab.get_by_text("The camera is off.")).to_be_visible()
                expect(tab.locator("[data-last] li")).to_have_count(1)
    assert not faults


def ticket_text(office: BoxOffice, held: Held) -> str:
    """What its QR code says."""
    import zxingcpp

    [code] = zxingcpp.read_barcodes(qr_picture(office, held))
    text: str = code.text
    return text


# --- What is scanned -------------------------------------------------------------------------


def test_a_hand_scanner_types_wherever_the_focus_is(patient: BoxOffice, open_tab: OpenTab) -> None:
    tab = open_tab(patient, http_credentials=OPERATOR_LOGIN)
    tab.add_init_script(STANDING_CLOCK)
    answers = Answers(tab, *[{"result": "admitted"}] * 4)
    open_door(tab)
    scanned = tab.locator("[data-last] li")
    tab.get_by_role("button", name="Start the camera").focus()
    scan(tab, NO_CODE)
    expect_verdict(tab, "Come in")
    # The verdict's button has the focus, and is not pressed by the scanner's Enter.
    scan(tab, NO_CODE)
    expect(scanned).to_have_count(2)
    tab.keyboard.press("Escape")
    tab.get_by_role("button", name="Change").click()
    tab.get_by_label("Where are you?").fill("South")
    scan(tab, NO_CODE)
    expect(scanned).to_have_count(3)
    expect(tab.get_by_label("Where are you?")).to_have_value("South")
    tab.keyboard.press("Escape")
    # One that pauses in the middle.
    tab.get_by_role("button", name="Start the camera").focus()
    tab.keyboard.type(NO_CODE[:3])
    tab.evaluate("performance.now = () => 1_000")
    scan(tab, NO_CODE[3:])
    expect(scanned).to_have_count(4)
    assert [(asked["text"], asked["gate"]) for asked in answers.asked] == [
        (NO_CODE, "North"),
        (NO_CODE, "North"),
        (NO_CODE, "South"),
        (NO_CODE, "South"),
    ]


def test_a_scan_without_an_answer_is_asked_about_again_under_its_id(
    patient: BoxOffice, open_tab: OpenTab
) -> None:
    tab = open_tab(patient, http_credentials=OPERATOR_LOGIN)
    answers = Answers(tab, None, None, None, {"result": "admitted", "undone": True})
    open_door(tab)
    scan(tab, NO_CODE)
    expect_verdict(tab, "Cannot be checked")
    scan(tab, NO_CODE)
    # It was let in, and out again, before the answer got here.
    expect_verdict(tab, "Taken back")
    assert len({asked["scan_id"] for asked in answers.asked}) == 1


# --- What is shown ---------------------------------------------------------------------------

VERDICTS: Final[Sequence[tuple[dict[str, Any], str]]] = [
    ({"result": "admitted", "goodie": "Tiger", "class_name": "Premium"}, "Hand over: Tiger"),
    ({"result": "admitted", "verdict": "checked_offline"}, "Checked offline"),
    ({"result": "hall_full", "ticket": 2, "tickets": 4}, "Ticket 2 of 4"),
    ({"result": "invalid", "detail": "A gate has a name."}, "A gate has a name."),
    ({"result": "unknown", "text": "x" * 500}, "Not one of our tickets"),
]


def test_a_verdict_is_accessible_and_fits_whatever_it_says(
    patient: BoxOffice, browser: Browser
) -> None:
    options = {"bypass_csp": True, "http_credentials": OPERATOR_LOGIN}
    with new_context(browser, patient, **options) as context:
        tab = context.new_page()
        tab.set_viewport_size({"width": 320, "height": 480})
        Answers(tab, *(answer for answer, _ in VERDICTS))
        open_door(tab)
        tab.evaluate(STAYING)
        checked: set[str | None] = set()
        for _, words in VERDICTS:
            scan(tab, NO_CODE)
            expect(tab.get_by_label("Verdict").get_by_text(words)).to_be_visible()
            if (kind := tab.get_by_label("Verdict").get_attribute("data-kind")) not in checked:
                results = Axe().run(tab, options={"runOnly": ["color-contrast"]})
                assert not results.violations_count, results.generate_report()
            checked.add(kind)
            next_ticket = tab.get_by_role("button", name="Next ticket")
            box = next_ticket.bounding_box()
            assert box is not None
            assert box["height"] >= 64
            assert tab.evaluate("document.documentElement.scrollWidth") == 320
            next_ticket.click()


REASONS: Final = {
    "NotAllowedError": "is not allowed here",
    "NotFoundError": "This device has no camera",
    "NotReadableError": "The camera is busy",
}


def test_why_there_is_no_camera_is_said(patient: BoxOffice, open_tab: OpenTab) -> None:
    tab = open_tab(patient, http_credentials=OPERATOR_LOGIN)
    tab.goto("/door")
    for name, words in REASONS.items():
        tab.evaluate(
            """name => {
                navigator.mediaDevices.getUserMedia =
                    () => Promise.reject(new DOMException("", name));
            }""",
            name,
        )
        tab.get_by_role("button", name="Start the camera").click()
        expect(tab.get_by_text(words)).to_be_visible()
    tab.add_init_script("Object.defineProperty(window, 'isSecureContext', { value: false })")
    tab.reload()
    expect(tab.get_by_text("The camera needs HTTPS or localhost")).to_be_visible()
    expect(tab.get_by_role("button", name="Start the camera")).to_be_hidden()
