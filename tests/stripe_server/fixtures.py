"""Fixtures for every test that wants a provider: `open_stripe_server`, and `stripe_server`, which
has no limits until it is asked for some.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.harness.ports import free_port
from tests.stripe_server.control import Control
from tests.stripe_server.server import Options, StripeServer

OpenStripeServer = Callable[..., Awaitable[Control]]


@pytest.fixture
async def open_stripe_server() -> AsyncIterator[OpenStripeServer]:
    """Starts servers in this process; takes what `Options` does, but for the port."""
    async with AsyncExitStack() as stack:

        async def open_one(**options: Any) -> Control:
            server = StripeServer(Options(port=free_port(), **options))
            await server.start()
            stack.push_async_callback(server.stop)
            return await stack.enter_async_context(Control(server.options.url))

        yield open_one


@pytest.fixture
async def stripe_server(open_stripe_server: OpenStripeServer) -> Control:
    return await open_stripe_server(per_endpoint=None, overall=None)
