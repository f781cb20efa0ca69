"""The server as a process of its own: killed and started again, and what its command says."""

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import stripe

from tests.harness.ports import free_port
from tests.stripe_server.__main__ import SECRET, parse
from tests.stripe_server.control import Control
from tests.stripe_server.process import ROOT, StripeProcess
from tests.stripe_server.receiver import Receiver
from tests.stripe_server.server import HOST, TEST_KEY
from tests.stripe_server.shopping import Library, session_params
from tests.stripe_server.webhooks import Manners
from tests.stripe_server.wire import HttpServer


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[StripeProcess]:
    process = StripeProcess(tmp_path, free_port())
    yield process
    process.kill()


async def test_a_killed_server_has_lost_nothing_and_sends_what_was_undelivered(
    process: StripeProcess,
) -> None:
    receiver = Receiver(free_port())
    await receiver.start()
    process.arguments = ("--webhook-url", receiver.url)
    params = session_params("one")
    async with Library(process.url, TEST_KEY) as library, Control(process.url) as control:
        await process.start()
        await control.behave(Manners(mode="held"))
        session = await library.open(key="one", **params)
        paid = await control.attempt(session.id)
        refund = await library.refund(paid["payment_intent"], amount=100, key="ticket 0")
        process.kill()
        await process.start()
        assert await library.open(key="one", **params) == session
        assert (await library.session(session.id)).payment_status == "paid"
        again = await library.refund(paid["payment_intent"], amount=100, key="ticket 0")
        assert again == refund
        assert (await control.money())["eur"] == {"charged": 6500, "refunded": 100, "left": 6400}
        await receiver.wait_for(6)
        process.stop()
    assert "checkout.session.completed" in receiver.types
    for request in receiver.received:
        assert stripe.WebhookSignature.verify_header(
            request.body, request.headers["stripe-signature"], SECRET, 300
        )
    await receiver.stop()


async def test_a_port_that_is_taken_is_said_in_a_sentence() -> None:
    async def nothing(_: object) -> None: ...

    taken = HttpServer(nothing)  # type: ignore[arg-type]
    port = free_port()
    await taken.start(HOST, port)
    command = [sys.executable, "-m", "tests.stripe_server", "--port", str(port)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: ASYNC221
    await taken.stop()
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"Port {port} cannot be used: Address already in use.\n"


def test_the_command_s_limits_can_be_taken_away() -> None:
    options, secrets = parse(["--requests-per-second", "0", "--requests-per-second-overall", "0"])
    assert (options.per_endpoint, options.overall) == (None, None)
    assert secrets == [SECRET]
