"""Writes a picture of every page, in both colour schemes, to docs/images/: `make screenshots`.

The shop in the pictures is a real one, and busy: others buy for two minutes before the first
picture is taken, so that the box office has something to draw, and go on until the last.
"""

import io
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Literal

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.browser.box_office import OPERATOR, BoxOffice, Outcome, open_brief, open_patient
from tests.browser.chromium import NoChromiumError, find_chromium, running_browser
from tests.browser.scenes import SCENES, Scene, Stage, make_late

IMAGES: Final = Path(__file__).parents[2] / "docs" / "images"
WIDE: Final[ViewportSize] = {"width": 1280, "height": 800}
PHONE: Final[ViewportSize] = {"width": 390, "height": 844}
ON_A_PHONE: Final = ("landing", "order-ticket")
PICTURES: Final = SCENES | {"bench": Scene("/bench", "TigerBench")}
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
COLOURS_MAX: Final = 256
TIMEOUT_MS: Final = 60_000

BUYERS: Final = ("ada", "alan", "barbara", "edsger", "frances", "grace", "leslie", "radia", "tony")
BUYERS_AT_ONCE: Final = 8
BURST_MAX: Final = 30
BURST_PAUSE_SECONDS: Final = 1.3
PAST_SECONDS: Final = 120
PAID: Final[Outcome] = "succeeded"
OUTCOMES: Final[tuple[Outcome | None, ...]] = (*[PAID] * 17, "failed", "canceled", None)


@contextmanager
def bustle(office: BoxOffice) -> Iterator[None]:
    """Others buy, in bursts, until the block ends."""
    chance = random.Random(2027)
    over = threading.Event()

    def buy(cls: str, email: str, outcome: Outcome | None) -> None:
        held = office.hold(cls, email)
        if outcome is not None:
            office.end(held, outcome)

    def come_and_go() -> None:
        with ThreadPoolExecutor(BUYERS_AT_ONCE) as pool:
            while not over.wait(BURST_PAUSE_SECONDS):
                for _ in range(chance.randint(1, BURST_MAX)):
                    email = f"{chance.choice(BUYERS)}@example.org"
                    pool.submit(buy, chance.choice("AABBB"), email, chance.choice(OUTCOMES))

    crowd = threading.Thread(target=come_and_go, name="bustle")
    crowd.start()
    try:
        yield
    finally:
        over.set()
        crowd.join()


def open_tab(browser: Browser, size: ViewportSize) -> Page:
    username, password = OPERATOR
    tab = browser.new_page(
        viewport=size,
        reduced_motion="reduce",
        http_credentials={"username": username, "password": password},
    )
    tab.set_default_timeout(TIMEOUT_MS)
    return tab


def photograph(tab: Page, url: str, words: str, stem: str) -> None:
    """Writes a picture of one page in each scheme."""
    tab.goto(url)
    expect(tab.get_by_text(words).filter(visible=True).first).to_be_visible()
    # Where figures are live, they are there.
    tab.wait_for_function("!document.querySelector('[data-live]:not([data-state=live])')")
    tab.evaluate("Promise.all([...document.images].map((image) => image.decode().catch(() => {})))")
    for scheme in SCHEMES:
        tab.emulate_media(color_scheme=scheme)
        path = IMAGES / f"{stem}-{scheme}.png"
        save_small(tab.screenshot(full_page=True), path)
        print(f"{path}  {path.stat().st_size // 1024} KB")


def save_small(png: bytes, path: Path) -> None:
    """Our pages have few colours: a palette of them is enough, and a third of the size."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(COLOURS_MAX, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> int:
    try:
        executable = find_chromium(os.environ)
    except NoChromiumError as error:
        print(f"Screenshots need Chromium: {error}.", file=sys.stderr)
        return 2
    IMAGES.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tigerfans-")))
        (root / "patient").mkdir()
        (root / "brief").mkdir()
        patient = stack.enter_context(
            open_patient(root / "patient", TICKETS_A=2000, TICKETS_B=5000)
        )
        brief = stack.enter_context(open_brief(root / "brief"))
        stage = Stage(patient, brief, make_late(brief))
        stack.enter_context(bustle(patient))
        print(f"Letting others buy for {PAST_SECONDS} seconds …", flush=True)
        time.sleep(PAST_SECONDS)
        browser = stack.enter_context(running_browser(executable))
        tab, phone = open_tab(browser, WIDE), open_tab(browser, PHONE)
        for name in ON_A_PHONE:
            photograph(phone, stage.url(PICTURES[name]), PICTURES[name].words, f"{name}-phone")
        for name, scene in PICTURES.items():
            photograph(tab, stage.url(scene), scene.words, name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
