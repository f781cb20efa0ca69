"""Writes a picture of every page, in both colour schemes, to docs/images/: `make screenshots`.

The shop in the pictures is a real one, and busy: others buy from before the first picture until
after the last. The box office comes last, two minutes later, so that it has something to draw.
TigerBench shows the results that are in bench/results, and has no picture where there are none.

`python -m tests.browser.screenshots NAME…` takes some pictures only.
"""

import argparse
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
from tests.browser.stripe_office import open_stripe_office
from tigerfans.http.pages.bench_page import results_directory

IMAGES: Final = Path(__file__).parents[2] / "docs" / "images"
WIDE: Final[ViewportSize] = {"width": 1280, "height": 800}
PHONE: Final[ViewportSize] = {"width": 390, "height": 844}
BENCH: Final = "bench"
ON_A_PHONE: Final = (
    "admin-door",
    "landing",
    "payment",
    "payment-line",
    "order-ticket",
    "door",
    "door-in",
    "door-inside",
)
PICTURES: Final = (
    {name: (scene, WIDE) for name, scene in SCENES.items()}
    | {BENCH: (Scene("/bench", "Every operation"), WIDE)}
    | {f"{name}-phone": (SCENES[name], PHONE) for name in ON_A_PHONE}
)
DOOR: Final = "admin-door"
# They draw the last minutes; the one with more hosts comes after the one without.
BOX_OFFICE: Final = ("admin", "admin-hosts")
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
COLOURS_MAX: Final = 256
TIMEOUT_MS: Final = 60_000

BUYERS: Final = ("ada", "alan", "barbara", "edsger", "frances", "grace", "leslie", "radia", "tony")
BUYERS_AT_ONCE: Final = 8
BURST_MAX: Final = 12
BURST_PAUSE_SECONDS: Final = 1.3
# How long others have bought before the first picture, and before that of the box office.
HEAD_START_SECONDS: Final = 15
PAST_SECONDS: Final = 120
PAID: Final[Outcome] = "succeeded"
GUESTS: Final = 160
GATES: Final = ("North", "North", "North", "South", "South", "East", "Side entrance")
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


def arrive(office: BoxOffice) -> None:
    """Guests come through the gates, as if over the last hour."""
    chance = random.Random(2027)
    for _ in range(GUESTS):
        gate = chance.choice(GATES)
        held = office.buy(chance.choice("AAB"), f"{chance.choice(BUYERS)}@example.org")
        office.scan(gate, office.ticket_code(held), device=f"phone at {gate}")
    # Most come in the middle of it.
    office.change_database("""
        UPDATE door_scans SET admitted_at = now() - (random() + random()) * interval '30 minutes'
        WHERE attempt IS NOT NULL AND device LIKE 'phone at %'
    """)


def open_tab(browser: Browser) -> Page:
    username, password = OPERATOR
    tab = browser.new_page(
        reduced_motion="reduce",
        http_credentials={"username": username, "password": password},
    )
    tab.set_default_timeout(TIMEOUT_MS)
    return tab


def photograph(tab: Page, stage: Stage, scene: Scene, stem: Path) -> None:
    """Writes a picture of one page in each scheme; `stem` is its path up to the scheme."""
    stage.show(tab, scene)
    expect(tab.get_by_text(scene.words).filter(visible=True).first).to_be_visible()
    # Where figures are live, they are there.
    expect(tab.locator("[data-live]:not([data-state=live])")).to_have_count(0)
    tab.evaluate("Promise.all([...document.images].map((image) => image.decode().catch(() => {})))")
    for scheme in SCHEMES:
        tab.emulate_media(color_scheme=scheme)
        path = stem.with_name(f"{stem.name}-{scheme}.png")
        # A verdict is over the window, not over the page.
        save_small(tab.screenshot(full_page=not scene.scanned), path)
        print(f"{path}  {path.stat().st_size // 1024} KB")


def save_small(png: bytes, path: Path) -> None:
    """Our pages have few colours: a palette of them is enough, and a third of the size."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(COLOURS_MAX, dither=Image.Dither.NONE).save(path, optimize=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.browser.screenshots", description="Writes pictures of the pages."
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"by default all: {', '.join(PICTURES)}"
    )
    parser.add_argument("--to", type=Path, default=IMAGES, help="the folder (docs/images)")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - PICTURES.keys():
        parser.error(f"there is no picture called {', '.join(sorted(unknown))}")
    return arguments


def all_names() -> list[str]:
    """Every picture there is something to show on."""
    has_results = any(results_directory().glob("*.csv"))
    return [name for name in PICTURES if has_results or name != BENCH]


def main() -> int:
    arguments = parse_arguments()
    names = arguments.names or all_names()
    try:
        executable = find_chromium(os.environ)
    except NoChromiumError as error:
        print(f"Screenshots need Chromium: {error}.", file=sys.stderr)
        return 2
    arguments.to.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tigerfans-")))
        (root / "patient").mkdir()
        (root / "brief").mkdir()
        patient = stack.enter_context(
            open_patient(root / "patient", OFFER="", TICKETS_A=500, TICKETS_B=900)
        )
        brief = stack.enter_context(open_brief(root / "brief", OFFER=""))
        by_stripe = stack.enter_context(open_stripe_office(root / "stripe", OFFER=""))
        stage = Stage(patient, brief, make_late(brief), by_stripe)
        if any(name.startswith(DOOR) for name in names):
            arrive(patient)
        tab = open_tab(stack.enter_context(running_browser(executable)))
        stack.enter_context(bustle(patient))
        started = time.monotonic()
        for name in sorted(names, key=lambda name: name in BOX_OFFICE):
            wait = PAST_SECONDS if name in BOX_OFFICE else HEAD_START_SECONDS
            time.sleep(max(0.0, started + wait - time.monotonic()))
            scene, size = PICTURES[name]
            tab.set_viewport_size(size)
            photograph(tab, stage, scene, arguments.to / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
