"""The scripts, driven by the real wrk against a shop that the test plays."""

import asyncio
from pathlib import Path

import pytest

from bench import wrk_run
from bench.errors import BenchError
from bench.wrk_run import Figures
from tests.bench.fake_shop import Answer, FakeShop
from tests.harness.needs import needs_wrk

REPORT = (
    '{"requests": 10, "seconds": 2.0, "status_errors": 1, "socket_errors": 2, '
    '"p50_ms": 1.5, "p99_ms": 9.5, "ran_out": false}'
)


def test_the_report_is_the_last_line_that_wrk_prints() -> None:
    figures = wrk_run.parse(f"Running 2s test\n  1 threads\n{REPORT}\n", 0.5)
    assert figures == Figures(12, 9, 2.0, 1.5, 9.5, 0.5)
    assert figures.throughput == 4.5


def test_what_else_wrk_says_is_why_it_failed() -> None:
    with pytest.raises(BenchError, match="unable to connect"):
        wrk_run.parse("unable to connect to 127.0.0.1:1 Connection refused\n", 0.0)


def test_a_missing_wrk_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BenchError, match="wrk is not installed"):
        wrk_run.find()


async def run(script: str, url: str, requests: Path | None = None) -> Figures:
    return await asyncio.to_thread(wrk_run.run, script, url, 2, 1, requests)


def write(folder: Path, *lines: str) -> Path:
    path = folder / "requests.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@needs_wrk
@pytest.mark.parametrize(
    ("script", "method", "path"),
    [
        ("report", "GET", "/"),
        ("reserve", "GET", "/api/accounting/reserve"),
        ("checkout", "POST", "/api/checkout"),
    ],
)
async def test_a_script_asks_for_the_same_over_and_over(
    shop: FakeShop, script: str, method: str, path: str
) -> None:
    shop.answers("/", Answer())
    figures = await run(script, shop.url)
    assert {(request.method, request.path) for request in shop.requests} == {(method, path)}
    assert 1 < figures.ok == figures.total <= len(shop.requests)


@needs_wrk
async def test_each_checkout_has_a_key_of_its_own(shop: FakeShop) -> None:
    shop.answers("/", Answer())
    for _ in range(2):
        await run("checkout", shop.url)
    keys = [request.headers["idempotency-key"] for request in shop.requests]
    assert len(set(keys)) == len(keys) > 2
    assert {len(key) for key in keys} == {32}
    assert {request.body for request in shop.requests} == {
        b'{"cls":"A","customer_email":"fan@example.org"}'
    }


@needs_wrk
async def test_each_webhook_is_sent_once_with_its_signature(shop: FakeShop, tmp_path: Path) -> None:
    shop.answers("/payments/webhook", Answer())
    lines = [f'signature-{n} {{"order_id": "{n}", "note": "a b"}}' for n in range(50)]
    figures = await run("webhook", shop.url, write(tmp_path, *lines))
    sent = [f"{r.headers['x-mockpay-signature']} {r.body.decode()}" for r in shop.requests]
    assert sorted(sent) == sorted(lines)
    # The run ends where they run out, before its time; an answer may then still be under way.
    assert figures.seconds < 1
    assert 48 <= figures.ok <= 50


@needs_wrk
async def test_each_hold_is_sold_once(shop: FakeShop, tmp_path: Path) -> None:
    shop.answers("/api/accounting/commit", Answer())
    lines = [f"/api/accounting/commit?tb_transfer_id={n}" for n in range(20)]
    await run("commit", shop.url, write(tmp_path, *lines))
    assert sorted(request.path for request in shop.requests) == sorted(lines)


@needs_wrk
async def test_orders_are_asked_for_again_and_again(shop: FakeShop, tmp_path: Path) -> None:
    shop.answers("/api/orders/", Answer())
    await run("status", shop.url, write(tmp_path, "a", "b"))
    assert {request.path for request in shop.requests} == {"/api/orders/a", "/api/orders/b"}
    assert len(shop.requests) > 2


@needs_wrk
async def test_an_answer_that_is_not_a_success_is_an_error(shop: FakeShop) -> None:
    shop.answers("/", Answer(503))
    figures = await run("report", shop.url)
    assert figures.total > 0
    assert figures.ok == 0


@needs_wrk
async def test_a_shop_that_is_not_there_is_said_in_a_sentence() -> None:
    with pytest.raises(BenchError, match="unable to connect"):
        await run("report", "http://127.0.0.1:1")
