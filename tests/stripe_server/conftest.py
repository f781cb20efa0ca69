"""The unmodified library, which talks to the server of the test."""

from collections.abc import AsyncIterator

import pytest
import stripe

from tests.harness.ports import free_port
from tests.stripe_server.control import Control
from tests.stripe_server.receiver import Receiver
from tests.stripe_server.server import TEST_KEY
from tests.stripe_server.shopping import Library
from tests.stripe_server.webhooks import Endpoint, Manners

SECRETS = ("whsec_new", "whsec_old")
# The first attempt again after a hundredth of a second.
QUICK = Manners(pause_scale=0.01 / 60)


@pytest.fixture(autouse=True)
def no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the library writes an id into the home of whoever runs the tests."""
    monkeypatch.setattr(stripe, "enable_telemetry", False)


@pytest.fixture
async def library(stripe_server: Control) -> AsyncIterator[Library]:
    async with Library(stripe_server.url, TEST_KEY) as library:
        yield library


@pytest.fixture
async def receiver(stripe_server: Control) -> AsyncIterator[Receiver]:
    """Where the server's webhooks go, signed by two secrets."""
    receiver = Receiver(free_port())
    await receiver.start()
    await stripe_server.send_to(Endpoint(receiver.url, SECRETS))
    await stripe_server.behave(QUICK)
    yield receiver
    await receiver.stop()
