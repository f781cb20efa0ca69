"""TigerBench in a browser: results are read as text, drawn, and said in sentences."""

import csv
import io
from collections.abc import Iterable
from typing import Any, Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, FilePayload, Page, Route, expect

from tests.browser.box_office import BoxOffice
from tests.browser.test_quality import REPORT, SCHEMES, expect_to_fit_into_a_narrow_window
from tigerfans.http.pages.bench_page import RESULTS_BYTES_MAX

CONCURRENCIES: Final = (10, 60)
THROUGHPUT: Final = {"reserve": 4000, "checkout": 2000, "purchase": 600}


def rows(ledger: str = "embedded") -> Iterable[dict[str, Any]]:
    """A run with two configurations: twice the workers do half as much again, in larger batches."""
    common = {"timestamp": "2026-11-22T12:00:00+00:00", "machine": "2 cores", "errors": 0}
    for workers, factor in ((1, 1.0), (2, 1.5)):
        for concurrency in CONCURRENCIES:
            place = {"config": f"workers-{workers}", "concurrency": concurrency}
            yield common | place | {"phase": "yardstick", "ledger": "none", "throughput": 16000}
            for phase, throughput in THROUGHPUT.items():
                yield (
                    common
                    | place
                    | {
                        "git_revision": "abc1234567",
                        "ledger": ledger,
                        "workers": workers,
                        "phase": phase,
                        "ok": 10_000,
                        "throughput": throughput * factor,
                        "p50_ms": 4.5,
                        "p99_ms": 21.5,
                        "average_batch": 8 * workers,
                        "cpu_seconds": "client=5.00 sequencer=0.20 worker-1=3.00",
                        "failure": "",
                    }
                )


def to_csv(measurements: Iterable[dict[str, Any]]) -> bytes:
    measurements = list(measurements)
    columns = dict.fromkeys(column for row in measurements for column in row)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), restval="")
    writer.writeheader()
    writer.writerows(measurements)
    return text.getvalue().encode()


def open_file(tab: Page, content: bytes, name: str = "mine.csv") -> None:
    tab.goto("/bench")
    file: FilePayload = {"name": name, "mimeType": "text/csv", "buffer": content}
    tab.get_by_label("Or a CSV file of your own").set_input_files(file)


def chart(tab: Page, name: str) -> Any:
    return tab.locator(f"[data-chart={name}]")


def test_a_file_of_ones_own_is_drawn_and_every_chart_says_what_it_means(tab: Page) -> None:
    sent: list[str] = []
    open_file(tab, to_csv(rows()))
    tab.on("request", lambda request: sent.append(request.url))
    expect(chart(tab, "overview").locator("canvas").first).to_be_visible()
    sentences = {
        "overview": "With 60 connections, the shop does 900 whole purchases a second (2 workers)."
        " The reference's author published 135 (4 vCPU).",
        "workers": "From 1 worker to 2 workers, with 60 connections, the rate of whole purchases"
        " grows by 50 %: 600 a second, then 900.",
        "concurrency": "The most whole purchases are done with 10 connections and 2 workers:"
        " 900 a second.",
        "batches": "From 1 worker to 2 workers the average batch grows 2-fold: 8 transfers,"
        " then 16.",
        "latency": "With 60 connections and 2 workers, half of all whole purchases are answered"
        " within 4.5 ms, and 99 of 100 within 21.5 ms.",
        "cpu": "With 2 workers, one whole purchase costs 320 µs of CPU in all of the shop's"
        " processes, 300 of them in the workers, 20 of them in the sequencer.",
    }
    for name, sentence in sentences.items():
        expect(chart(tab, name).locator("figcaption p")).to_have_text(sentence)
        expect(chart(tab, name).get_by_role("img")).to_have_accessible_name(
            f"{chart(tab, name).locator('h3').inner_text()}. {sentence}"
        )
    expect(chart(tab, "stages")).to_be_hidden()
    assert not sent


def test_what_was_chosen_last_is_shown_however_late_the_one_before_arrives(tab: Page) -> None:
    late: list[Route] = []
    tab.route("**/bench/results/*", lambda route: late.append(route), times=1)
    open_file(tab, to_csv(rows()))
    revision = tab.locator("[data-revision]")
    expect(revision).to_have_text("abc1234567")
    (shipped,) = late
    with tab.expect_response(shipped.request.url) as answered:
        shipped.continue_()
    answered.value.finished()
    # Whoever waited for that answer has had it once another one was read.
    tab.evaluate("url => fetch(url).then((answer) => answer.text())", shipped.request.url)
    expect(revision).to_have_text("abc1234567")


def test_the_references_figures_stand_beside_the_shops(tab: Page) -> None:
    open_file(tab, to_csv(rows()))
    tab.get_by_label("Operation", exact=True).select_option("Reserve")
    expect(chart(tab, "workers")).to_contain_text(
        "The reference's author published 977 with 1 worker and 770 with 3."
    )
    expect(chart(tab, "batches")).to_contain_text(
        "The reference's author published 5.3 with 1 worker and 2.9 with 3."
    )
    chart(tab, "workers").get_by_role("button", name="Enlarge").click()
    table = tab.get_by_role("dialog").get_by_role("table")
    assert table.locator("tr").all_inner_texts() == [
        "HTTP workers\t10 connections\t60 connections\tReference, published by its author"
        "\tReference, measured on 2 cores",
        "1\t4,000\t4,000\t977\t1,240–3,675",
        "2\t6,000\t6,000\t966\t1,880–3,831",
        "3\t–\t–\t770\t–",
    ]
    tab.keyboard.press("Escape")
    # What was measured of the reference was measured with 60 connections only.
    tab.get_by_label("Connections at a time", exact=True).select_option("10")
    expect(chart(tab, "workers").get_by_role("listitem")).to_have_text(
        ["●10 connections", "■60 connections", "╍╍Reference, published by its author"]
    )


def test_where_more_workers_sell_less_the_number_that_sells_the_most_is_named(tab: Page) -> None:
    slower = [
        row | {"throughput": row["throughput"] / row.get("workers", 1) ** 2} for row in rows()
    ]
    open_file(tab, to_csv(slower))
    expect(chart(tab, "workers").locator("figcaption p")).to_have_text(
        "With 60 connections, the most whole purchases are done with 1 worker: 600 a second."
    )


def test_a_chart_is_enlarged_by_the_keyboard_and_gives_the_focus_back(tab: Page) -> None:
    open_file(tab, to_csv(rows()))
    button = chart(tab, "batches").get_by_role("button", name="Enlarge")
    button.focus()
    tab.keyboard.press("Enter")
    dialog = tab.get_by_role("dialog", name="Whole purchase: average batch at the ledger")
    expect(dialog.locator("canvas").first).to_be_visible()
    tab.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(button).to_be_focused()


def test_a_point_says_its_figure_when_it_is_pointed_at(tab: Page) -> None:
    open_file(tab, to_csv(rows()))
    canvas = chart(tab, "overview").locator("[data-canvas]")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    # The bar of one worker's reservations, half way up.
    tooltip = tab.locator(".bk-Tooltip")
    for share in (0.14, 0.16, 0.18, 0.2):
        tab.mouse.move(box["x"] + share * box["width"], box["y"] + 0.75 * box["height"])
        if tooltip.count():
            break
    expect(tooltip.first).to_contain_text("4,000 per second")


def test_failed_phases_are_in_the_table_with_their_reason_and_not_in_the_charts(tab: Page) -> None:
    reason = 'Only 3 of 5 "tickets", they say,\nwere sold.'
    failed = {"config": "workers-2", "workers": 2, "concurrency": 60, "phase": "commit"}
    measurements = [
        *rows(),
        failed | {"ledger": "unknown", "machine": "2 cores", "failure": reason},
    ]
    open_file(tab, to_csv(measurements))
    expect(tab.locator("[data-failed]")).to_have_text("1; the table says why")
    row = tab.locator("[data-measurements] tr").filter(has_text="Commit")
    expect(row).to_contain_text("1, 1 failed")
    expect(row).to_contain_text("were sold.")
    share = tab.locator("[data-measurements] tr").filter(has_text="Reserve").first
    expect(share).to_contain_text("25 %")


def test_repeats_count_with_their_median(tab: Page) -> None:
    base = next(row for row in rows() if row["phase"] == "reserve")
    measurements = [base | {"throughput": value} for value in (100, 900, 200)]
    open_file(tab, to_csv(measurements))
    cells = tab.locator("[data-measurements] tbody td").all_inner_texts()
    assert cells[:4] == ["Reserve", "1 worker", "10", "200"]
    assert cells[9] == "3"


def test_ledgers_are_compared_with_themselves_only(tab: Page) -> None:
    open_file(tab, to_csv([*rows("tigerbeetle"), *rows("embedded")]))
    setups = tab.get_by_label("Machine and ledger")
    expect(setups.get_by_role("option")).to_have_text(
        ["2 cores · tigerbeetle ledger", "2 cores · embedded ledger"]
    )
    expect(tab.locator("[data-measurements] tbody tr")).to_have_count(12)


def test_columns_that_lack_cost_their_charts_and_nothing_else(tab: Page) -> None:
    open_file(tab, b"phase,throughput,workers\r\nreserve,4000,1\r\nreserve,6000,2\r\n")
    expect(chart(tab, "workers")).to_contain_text("grows by 50 %: 4,000 a second, then 6,000.")
    for name in ("batches", "latency", "cpu", "stages"):
        expect(chart(tab, name)).to_be_hidden()


def test_stage_timings_are_drawn_where_there_are_some(tab: Page) -> None:
    timed = [row | {"stage_ms": "ledger=2.50 session=0.80"} for row in rows()]
    open_file(tab, to_csv(timed))
    expect(chart(tab, "stages")).to_contain_text(
        "a whole purchase waits longest for the ledger: 2.5 ms on average each time."
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "There is no measurement in this file yet."),
        (b"phase,throughput\n", "There is no measurement in this file yet."),
        (b"a,b\n1,2\n", "These are no results of python -m bench"),
        (b'phase,throughput\n"reserve,1\n', "This is not a CSV file: A quote is out of place"),
        (b"1" * (RESULTS_BYTES_MAX + 1), "results have at most 2,097,152."),
        (b"phase,throughput\n" + b"x,1\n" * 20_001, "A file may have 20,000 rows, not 20,001."),
        (b"\xff\xfe\x00\x01", "There is no measurement in this file yet."),
    ],
)
def test_what_holds_no_results_is_refused_with_a_sentence(
    tab: Page, content: bytes, sentence: str
) -> None:
    open_file(tab, content)
    expect(tab.locator("[data-problem]")).to_contain_text(sentence)


def test_what_stands_in_a_file_is_text_and_never_markup(tab: Page) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    measurements = [row | {"config": hostile, "machine": hostile} for row in rows()]
    open_file(tab, to_csv(measurements), name=f"{hostile}.csv")
    expect(tab.locator("[data-machine]")).to_have_text(hostile)
    expect(tab.locator("[data-measurements]")).to_contain_text(hostile)
    canvas = chart(tab, "workers").locator("[data-canvas]")
    expect(canvas.locator("canvas").first).to_be_visible()
    canvas.hover()
    assert tab.locator("img[src=x]").count() == 0


def test_shipped_results_are_offered_and_one_that_is_gone_is_said_to_be(tab: Page) -> None:
    tab.route("**/bench/results/**", lambda route: route.fulfill(status=404))
    tab.goto("/bench")
    tab.evaluate(
        "document.querySelector('[data-files]').append(new Option('gone.csv', 'gone.csv'))"
    )
    shipped = tab.get_by_label("Recorded results")
    shipped.evaluate("select => { select.disabled = false; select.value = ''; }")
    shipped.select_option("gone.csv")
    expect(tab.locator("[data-problem]")).to_have_text("The results gone.csv cannot be loaded.")
    tab.unroute("**/bench/results/**")
    tab.route("**/bench/results/**", lambda route: route.fulfill(body=to_csv(rows())))
    shipped.evaluate("select => { select.selectedIndex = -1; }")
    shipped.select_option("gone.csv")
    expect(chart(tab, "overview")).to_be_visible()
    expect(tab.locator("[data-problem]")).to_be_empty()


@pytest.mark.parametrize("has_charts", [True, False])
def test_the_page_is_accessible_in_both_schemes_on_narrow_windows_and_enlarged(
    browser: Browser, patient: BoxOffice, has_charts: bool
) -> None:
    with browser.new_context(
        base_url=patient.shop.url, reduced_motion="reduce", bypass_csp=True
    ) as context:
        tab = context.new_page()
        if not has_charts:
            tab.route("**/bench/charts/**", lambda route: route.fulfill(body=""))
        open_file(tab, to_csv(rows()))
        shown = "canvas" if has_charts else "table"
        expect(chart(tab, "cpu").locator(shown).first).to_be_visible()
        for scheme, options in SCHEMES:
            tab.emulate_media(color_scheme=scheme)
            results = Axe().run(tab, options=REPORT | options)
            assert not results.violations_count, results.generate_report()
        expect_to_fit_into_a_narrow_window(tab)
        if has_charts:
            chart(tab, "overview").get_by_role("button", name="Enlarge").click()
            expect(tab.get_by_role("dialog").locator("canvas").first).to_be_visible()
            results = Axe().run(tab, options=REPORT)
            assert not results.violations_count, results.generate_report()
