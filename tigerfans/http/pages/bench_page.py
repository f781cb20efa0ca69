"""TigerBench: what `python -m bench` has measured, in the browser.

The page's script reads results as CSV text, those that ship with the shop or a file of the
reader's own, which never leaves the browser. Here is only what the script asks for: the page, the
results, and the chart library, whose script comes out of an installed package.

The library is optional (the extra `bench`): without it the page shows its tables.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from litestar import Request, Response, Router, get
from litestar.di import NamedDependency, Provide
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery, SkipValidation

import tigerfans
from tigerfans.http.pages.beside import (
    BESIDE,
    MACHINE,
    OTHERS,
    PURCHASES,
    PURCHASES_PUBLISHED,
    VERSIONS,
    figure,
    times_by_noun,
)
from tigerfans.http.pages.packaged import Packaged
from tigerfans.http.pages.rendering import (
    CONTENT_SECURITY_POLICY,
    Renderer,
    StaticFile,
    policy_header,
)

# The full matrix, measured three times over, is a tenth of this.
RESULTS_BYTES_MAX: Final = 2 * 1024 * 1024
RESULTS_FILES_MAX: Final = 100
# A run that goes on writes its file row by row.
RESULTS_CACHE_CONTROL: Final = "no-cache"

CHARTS: Final = "/bench/charts"
LIBRARY: Final = "bokeh"
# What draws, and what lets a script say what to draw.
LIBRARY_SCRIPTS: Final = ("bokeh.min.js", "bokeh-api.min.js")

# Bokeh styles its charts with <style> elements that it writes itself, hundreds of them. Nothing
# else is opened: its scripts are files of ours, and no text becomes markup or code.
_CHARTS_POLICY: Final[Mapping[str, str]] = {
    **CONTENT_SECURITY_POLICY,
    "style-src": "'self' 'unsafe-inline'",
}
CHARTS_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": policy_header(_CHARTS_POLICY)
}

_RESULTS_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.csv")


def results_directory() -> Path:
    """The folder of the shipped results, in an installed wheel or in a checkout."""
    package = Path(tigerfans.__file__).parent
    installed = package / "bench_results"
    return installed if installed.is_dir() else package.parent / "bench" / "results"


def find_charts() -> Packaged | None:
    """The scripts of the chart library; None where it is not installed."""
    return Packaged.find(CHARTS, LIBRARY, "server/static/js", LIBRARY_SCRIPTS)


class Results:
    """The CSV files of a folder, looked at each time, because a run may be adding one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        """Newest first, by the time that `python -m bench` names its files after."""
        if not self._folder.is_dir():
            return []
        found = (path.name for path in self._folder.iterdir() if self._is_results(path))
        return sorted(found, reverse=True)[:RESULTS_FILES_MAX]

    def read(self, name: str) -> StaticFile:
        """Raises `NotFoundException` for whatever `names` would not list."""
        path = self._folder / name
        if not _RESULTS_NAME.fullmatch(name) or not self._is_results(path):
            raise NotFoundException("There are no such results.")
        return StaticFile.read(path)

    def _is_results(self, path: Path) -> bool:
        return (
            _RESULTS_NAME.fullmatch(path.name) is not None
            and path.is_file()
            and path.stat().st_size <= RESULTS_BYTES_MAX
        )


# The dependencies of every handler below, named for Litestar's injection. The handlers read files,
# so they run beside the event loop and not in it.
Pages = NamedDependency[SkipValidation[Renderer]]
Recorded = NamedDependency[SkipValidation[Results]]
Charts = NamedDependency[SkipValidation[Packaged | None]]


@get("/bench", sync_to_thread=True)
def bench_page(
    pages: Pages, recorded: Recorded, charts: Charts, results: FromQuery[str] = ""
) -> Response[str]:
    """The page; `results` names the file it opens with, by default the newest."""
    names = recorded.names()
    return pages.page(
        "bench.html",
        headers=CHARTS_HEADERS if charts else None,
        beside=BESIDE,
        times=times_by_noun(),
        others=OTHERS,
        figure=figure,
        machine=MACHINE,
        versions=VERSIONS,
        purchases=PURCHASES,
        purchases_published=PURCHASES_PUBLISHED,
        names=names,
        chosen=results if results in names else next(iter(names), ""),
        chart_scripts=charts.urls if charts else [],
        results_bytes_max=RESULTS_BYTES_MAX,
    )


@get("/bench/results/{name:str}", sync_to_thread=True)
def results_file(
    request: Request[Any, Any, Any], recorded: Recorded, name: FromPath[str]
) -> Response[bytes]:
    return recorded.read(name).response(request, RESULTS_CACHE_CONTROL)


def bench_router(
    renderer: Renderer, *, folder: Path | None = None, charts: Packaged | None = None
) -> Router:
    """The page and what it loads, with the results of `folder`, by default the shipped ones."""
    results = Results(folder or results_directory())
    return Router(
        "/",
        route_handlers=[bench_page, results_file, *([charts.route()] if charts else [])],
        dependencies={
            "pages": Provide(lambda: renderer, sync_to_thread=False),
            "recorded": Provide(lambda: results, sync_to_thread=False),
            "charts": Provide(lambda: charts, sync_to_thread=False),
        },
        include_in_schema=False,
    )
