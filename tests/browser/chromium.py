"""The browser of these tests: the Chromium or Chrome that this machine has, driven by Playwright.

Nothing is downloaded. `CHROMIUM_BIN` names the program where it is not on the PATH.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, sync_playwright

VARIABLE: Final = "CHROMIUM_BIN"
NAMES: Final = ("chromium", "chromium-browser", "google-chrome")

# It shows pages of our own only: the sandbox, which root and most containers lack, is not needed,
# and neither is anything that asks for other hosts.
_ARGUMENTS: Final = (
    "--no-sandbox",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class NoChromiumError(Exception):
    """There is no Chromium on this machine; the message says where it was looked for."""


def find_chromium(environ: Mapping[str, str]) -> str:
    """The program's path. What `CHROMIUM_BIN` names is taken at its word."""
    if named := environ.get(VARIABLE):
        return named
    for name in NAMES:
        if found := shutil.which(name, path=environ.get("PATH")):
            return found
    raise NoChromiumError(f"neither {' nor '.join(NAMES)} is on the PATH; {VARIABLE} may name it")


@contextmanager
def running_browser(executable: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(_ARGUMENTS))
        yield browser
        browser.close()


@contextmanager
def browser_with_camera(beside: Browser, film: Path) -> Iterator[Browser]:
    """Another browser beside a running one, whose camera sees `film`, a file of joined JPEGs."""
    arguments = (
        "--use-fake-device-for-media-stream",
        # Nobody is there to allow it.
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    )
    kind = beside.browser_type
    browser = kind.launch(executable_path=find_chromium(os.environ), args=[*_ARGUMENTS, *arguments])
    yield browser
    browser.close()
