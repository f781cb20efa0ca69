"""TigerBench's page, results and scripts, over folders of these tests' own."""

import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from bench.measurement import read_results
from tests.http.pages.test_shop_pages import Page
from tests.offers import OFFER
from tigerfans.http.pages.bench_page import (
    CHARTS,
    CHARTS_HEADERS,
    LIBRARY_SCRIPTS,
    RESULTS_BYTES_MAX,
    RESULTS_FILES_MAX,
    bench_router,
    find_charts,
    results_directory,
)
from tigerfans.http.pages.beside import (
    BESIDE,
    MACHINE,
    OTHERS,
    PURCHASES,
    PURCHASES_PUBLISHED,
    VERSIONS,
)
from tigerfans.http.pages.packaged import Packaged
from tigerfans.http.pages.rendering import SECURITY_HEADERS, STATIC_CACHE_CONTROL, Renderer

Client = AsyncTestClient[Litestar]

RESULTS = "phase,throughput\nreserve,1000\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


@pytest.fixture
def charts(tmp_path: Path) -> Packaged:
    for name in LIBRARY_SCRIPTS:
        (tmp_path / name).write_text(f"// {name}" * 100)
    return Packaged(CHARTS, "1.2.3", tmp_path, LIBRARY_SCRIPTS)


async def open_client(folder: Path, charts: Packaged | None) -> AsyncIterator[Client]:
    renderer = Renderer(OFFER)
    routes = [bench_router(renderer, folder=folder, charts=charts), renderer.static.router()]
    async with AsyncTestClient(
        Litestar(routes, openapi_config=None, logging_config=None)
    ) as client:
        yield client


@pytest.fixture
async def client(folder: Path, charts: Packaged) -> AsyncIterator[Client]:
    async for client in open_client(folder, charts):
        yield client


@pytest.fixture
async def plain_client(folder: Path) -> AsyncIterator[Client]:
    """Where no chart library is installed."""
    async for client in open_client(folder, None):
        yield client


def test_what_was_measured_beside_others_is_the_same_wherever_it_is_said() -> None:
    root = Path(__file__).parents[3]
    readme = (root / "README.md").read_text()
    answers = (root / "docs" / "performance.md").read_text()
    notebook = (root / "docs" / "performance-notebook.md").read_text()
    for row in BESIDE:
        name = f"{row.operation.lower()} | {row.connections}"
        figures = f"{row.reference_2:,} | {row.ours_2:,} | {row.times:.1f}"
        assert f"| {name} | {figures} |" in answers
        assert re.search(
            rf"\| {re.escape(name)} \| {row.reference_1:,}, .+ \| {row.reference_2:,}, .+"
            rf" \| {row.ours_2:,}, .+; {row.times:.1f} \|",
            notebook,
        )
    for other in OTHERS:
        assert other.row in readme
        assert other.row in notebook
    for words in (VERSIONS, MACHINE):
        for page in (readme, notebook):
            assert words in " ".join(page.split())
    for figure in (*PURCHASES, PURCHASES_PUBLISHED):
        assert f"{figure:,}" in answers.split("##")[0]


async def test_the_first_view_compares_two_workers_with_two_without_a_script(
    client: Client,
) -> None:
    text = (await client.get("/bench")).text
    lead, beside, others, recorded = (
        text.index(words)
        for words in (f"{PURCHASES[0]:,} to", "times as many", "pretix", "<noscript>")
    )
    assert lead < beside < others < recorded
    for row in BESIDE:
        assert f"{row.ours_2:,}" in text
        assert f"{row.reference_2:,}" in text


def test_every_shipped_file_of_results_is_one_that_the_page_reads() -> None:
    assert read_results(sorted(results_directory().glob("*.csv")))


def names(page: Page) -> list[str | None]:
    return [option["value"] for option in page.all("option")]


async def page_of(client: Client, address: str = "/bench") -> Page:
    response = await client.get(address)
    assert response.status_code == 200
    return Page(response.text)


async def test_the_newest_results_are_chosen_unless_others_are_asked_for(
    client: Client, folder: Path
) -> None:
    for day in (20, 22, 21):
        (folder / f"202611{day}T120000Z.csv").write_text(RESULTS)
    page = await page_of(client)
    assert names(page) == [f"202611{day}T120000Z.csv" for day in (22, 21, 20)]
    chosen = "20261120T120000Z.csv"
    for address, expected in (
        ("/bench", "20261122T120000Z.csv"),
        (f"/bench?results={chosen}", chosen),
        ("/bench?results=nothing.csv", "20261122T120000Z.csv"),
    ):
        options = (await page_of(client, address)).all("option")
        assert [o["value"] for o in options if "selected" in o] == [expected]


async def test_results_that_a_run_has_just_begun_are_there_at_once(
    client: Client, folder: Path
) -> None:
    assert names(await page_of(client)) == [""]
    (folder / "new.csv").write_text(RESULTS)
    assert names(await page_of(client)) == ["new.csv"]
    response = await client.get("/bench/results/new.csv")
    assert response.text == RESULTS
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    (folder / "new.csv").write_text(RESULTS * 2)
    assert (await client.get("/bench/results/new.csv")).text == RESULTS * 2


@pytest.mark.parametrize(
    "name",
    [
        "nothing.csv",
        "notes.txt",
        "%2e%2e%2fsecret.csv",
        ".hidden.csv",
        "huge.csv",
        "new.csv/",
    ],
)
async def test_nothing_but_listed_results_is_served(
    client: Client, folder: Path, name: str
) -> None:
    (folder.parent / "secret.csv").write_text("secret")
    for stranger in ("notes.txt", ".hidden.csv"):
        (folder / stranger).write_text("secret")
    (folder / "huge.csv").write_bytes(b"1" * (RESULTS_BYTES_MAX + 1))
    (folder / "new.csv").mkdir()
    assert names(await page_of(client)) == [""]
    assert (await client.get(f"/bench/results/{name}")).status_code == 404


async def test_a_folder_full_of_results_shows_the_newest_of_them(
    client: Client, folder: Path
) -> None:
    for number in range(RESULTS_FILES_MAX + 5):
        (folder / f"{number:04}.csv").write_text(RESULTS)
    shown = names(await page_of(client))
    assert len(shown) == RESULTS_FILES_MAX
    assert shown[0] == f"{RESULTS_FILES_MAX + 4:04}.csv"


async def test_without_a_folder_the_page_still_reads_a_file_of_ones_own(folder: Path) -> None:
    async for client in open_client(folder / "nothing", None):
        page = await page_of(client)
        assert "None come with this shop" in page.text
        assert [i["accept"] for i in page.all("input") if i["type"] == "file"] == [".csv,text/csv"]


async def test_the_library_is_served_under_an_address_that_changes_with_its_release(
    client: Client, charts: Packaged
) -> None:
    page = await page_of(client)
    scripts = [s["src"] for s in page.all("script") if "defer" in s]
    assert scripts == charts.urls == [f"/bench/charts/1.2.3/{name}" for name in LIBRARY_SCRIPTS]
    for url, name in zip(charts.urls, LIBRARY_SCRIPTS, strict=True):
        response = await client.get(url, headers={"Accept-Encoding": "gzip"})
        assert response.text == (charts.folder / name).read_text()
        assert response.headers["content-encoding"] == "gzip"
        assert response.headers["content-type"] == "text/javascript; charset=utf-8"
        assert response.headers["cache-control"] == STATIC_CACHE_CONTROL


@pytest.mark.parametrize(
    "path", ["9.9.9/bokeh.min.js", "1.2.3/other.js", "1.2.3/..%2fresults%2fnew.csv"]
)
async def test_no_other_file_of_the_library_is_served(
    client: Client, folder: Path, path: str
) -> None:
    (folder.parent / "other.js").write_text("// not ours to serve")
    assert (await client.get(f"/bench/charts/{path}")).status_code == 404


async def test_only_styles_are_relaxed_and_only_where_there_are_charts(
    client: Client, plain_client: Client
) -> None:
    plain = (await plain_client.get("/bench")).headers
    for name, value in SECURITY_HEADERS.items():
        assert plain[name] == value
    relaxed = (await client.get("/bench")).headers["content-security-policy"]
    assert relaxed == CHARTS_HEADERS["Content-Security-Policy"]
    strict = plain["content-security-policy"].split("; ")
    assert set(relaxed.split("; ")) ^ set(strict) == {
        "style-src 'self'",
        "style-src 'self' 'unsafe-inline'",
    }


async def test_without_the_library_the_page_says_how_to_get_charts(plain_client: Client) -> None:
    page = await page_of(plain_client)
    assert "pip install 'tigerfans[bench]'" in page.text
    assert all((s["src"] or "").startswith("/static/") for s in page.all("script"))
    assert (await plain_client.get("/bench/charts/1.2.3/bokeh.min.js")).status_code == 404


def test_the_installed_library_has_the_scripts_and_they_stay_far_from_a_megabyte() -> None:
    charts = find_charts()
    assert charts is not None
    sizes = [len(gzip.compress(file.body)) for file in charts.files.values()]
    assert len(sizes) == len(LIBRARY_SCRIPTS)
    assert sum(sizes) < 500_000


def test_the_library_is_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tigerfans.http.pages.bench_page.LIBRARY", "no_such_library")
    assert find_charts() is None


def test_the_shipped_results_stand_in_the_repository() -> None:
    assert (results_directory() / "README.md").is_file()
