"""The load client as it is run: a process of its own."""

import asyncio
import signal
import subprocess
import sys
from typing import Any, NamedTuple

import orjson
import pytest

from tests.bench.fake_shop import Answer, FakeShop, Request


class Finished(NamedTuple):
    exit_code: int | None
    output: str
    errors: str


def start(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "bench.load_client", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def finish(process: "subprocess.Popen[str]") -> Finished:
    # In a thread: the shop that it buys from is served here meanwhile.
    output, errors = await asyncio.to_thread(process.communicate)
    return Finished(process.returncode, output, errors)


async def run(*arguments: str) -> Finished:
    return await finish(start(*arguments))


async def test_figures_for_a_program_are_one_json_object(shop: FakeShop) -> None:
    shop.sells()
    finished = await run("--url", shop.url, "--total", "20", "--concurrency", "4", "--json")
    assert (finished.exit_code, finished.errors) == (0, "")
    figures: dict[str, Any] = orjson.loads(finished.output)
    assert figures["total"] == figures["ok"] == 20
    assert figures["outcomes"] == {"PAID": 20}
    assert set(figures["latencies_ms"]["purchase"]) == {"p50", "p90", "p99", "p100"}


async def test_the_options_of_the_reference_s_client_drive_it_too(shop: FakeShop) -> None:
    shop.sells()
    named = "--base", f"{shop.url}/", "--total", "2", "--concurrency", "1", "--ratio-a", "0"
    polled = "--poll-interval", "0.05", "--poll-timeout", "10"
    finished = await run(*named, *polled, "--fail-rate", "0", "--cancel-rate", "0", "--json")
    assert (finished.exit_code, finished.errors) == (0, "")
    bodies = [orjson.loads(r.body) for r in shop.requests if r.path == "/api/checkout"]
    assert [body["cls"] for body in bodies] == ["B", "B"]


async def test_orders_of_several_tickets_say_so(shop: FakeShop) -> None:
    shop.sells()
    asked = "--url", shop.url, "--total", "2", "--concurrency", "1", "--qty", "2", "--json"
    assert (await run(*asked)).exit_code == 0
    bodies = [orjson.loads(r.body) for r in shop.requests if r.path == "/api/checkout"]
    assert [body.get("qty", 1) for body in bodies] == [1, 2]


async def test_people_read_outcomes_and_latencies(shop: FakeShop) -> None:
    shop.sells()
    finished = await run("--url", shop.url, "--total", "10", "--rate", "1000")
    assert finished.exit_code == 0
    for word in ("PAID", "100.0%", "checkout", "p99 ms", "10 purchases"):
        assert word in finished.output


async def test_what_was_bought_until_a_signal_is_reported(shop: FakeShop) -> None:
    shop.sells()
    served = asyncio.Event()

    async def stall(_: Request) -> Answer:
        served.set()
        await asyncio.Event().wait()
        return Answer()

    shop.routes["/api/orders/"] = stall
    process = start("--url", shop.url, "--seconds", "60", "--concurrency", "1")
    await served.wait()
    process.send_signal(signal.SIGTERM)
    finished = await finish(process)
    assert finished.exit_code == 130
    assert "0 purchases" in finished.output


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--url", "http://127.0.0.1:1"], "No shop answers at http://127.0.0.1:1"),
        (["--url", "ftp://shop"], "URL"),
        (["--concurrency", "0"], "--concurrency"),
        (["--rate", "-1"], "--rate"),
        (["--qty", "65"], "--qty"),
        (["--fail-rate", "2"], "--fail-rate"),
        (["--poll-interval", "0"], "--poll-interval"),
        (["--fail-rate", "0.6", "--cancel-rate", "0.6"], "--cancel-rate"),
    ],
)
async def test_what_cannot_be_is_said_in_one_sentence(arguments: list[str], word: str) -> None:
    finished = await run(*arguments)
    assert finished.exit_code == 2
    assert word in finished.errors
    assert finished.errors.count("\n") == 1
