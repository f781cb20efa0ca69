"""The server as a process of its own: killed and started again, and what its command says."""

import io
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, redirect_stderr
from pathlib import Path

import pytest
import stripe

from tests.harness.ports import free_port
from tests.stripe_server.__main__ import SECRET, parse, serve
from tests.stripe_server.control import Control
from tests.stripe_server.process import StripeProcess
from tests.stripe_server.receiver import Receiver
from tests.stripe_server.server import TEST_KEY, Options
from tests.stripe_server.shopping import Library, session_params
from tests.stripe_server.webhooks import Manners


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


async def test_what_cannot_be_used_is_said_in_a_sentence(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        taken = Receiver(free_port())
        await taken.start()
        stack.push_async_callback(taken.stop)
        errors = io.StringIO()
        stack.enter_context(redirect_stderr(errors))
        assert await serve(Options(port=taken.port), [SECRET]) == 2
        nowhere = tmp_path / "missing" / "file"
        assert await serve(Options(port=free_port(), file=nowhere), [SECRET]) == 2
    port, file = errors.getvalue().splitlines()
    assert port == f"Port {taken.port} cannot be used: Address already in use."
    assert file == f"{nowhere} cannot be used: unable to open database file."


@pytest.mark.parametrize("number", ["-1", "nan", "inf", "many"])
def test_a_limit_that_is_none_is_refused(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        parse(["--requests-per-second", number])
    assert raised.value.code == 2
    assert f"{number} is no number from 0 on" in capsys.readouterr().err


def test_the_command_s_limits_can_be_taken_away() -> None:
    options, secrets = parse(["--requests-per-second", "0", "--requests-per-second-overall", "0"])
    assert (options.per_endpoint, options.overall) == (None, None)
    assert secrets == [SECRET]
