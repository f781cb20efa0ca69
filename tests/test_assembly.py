"""A shop is opened over a ledger that is not there yet, or is late with its first answers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tigerfans import assembly
from tigerfans.ledger.base import (
    RECORDS_MAX,
    LedgerBusyError,
    LedgerError,
    LedgerTimeoutError,
    LedgerUnavailableError,
)
from tigerfans.ledger.embedded import EmbeddedLedger, open_in_memory
from tigerfans.ledger.wire import Operation
from tigerfans.sequencer.listener import bound_socket
from tigerfans.sequencer.sequencer import Sequencer
from tigerfans.settings.settings import SequencerSettings, Settings, StoreSettings

Open = Callable[[], Awaitable[None]]


class SlowStarter:
    """Fails its first submissions; where the outcome is unknown, they were done all the same."""

    kind = "embedded"
    records_max = RECORDS_MAX

    def __init__(self, ledger: EmbeddedLedger) -> None:
        self._ledger = ledger
        self.failures: list[LedgerError] = []

    async def submit(self, operation: Operation, events: bytes) -> bytes:
        failure = self.failures.pop(0) if self.failures else None
        if not isinstance(failure, LedgerTimeoutError | None):
            raise failure
        answer = await self._ledger.submit(operation, events)
        if failure:
            raise failure
        return answer

    async def close(self) -> None:
        await self._ledger.close()


@pytest.fixture
async def ledger() -> AsyncIterator[SlowStarter]:
    ledger = SlowStarter(await open_in_memory())
    yield ledger
    await ledger.close()


@pytest.fixture
async def open_shop(
    ledger: SlowStarter, tmp_path: Path, database_url: str, redis_url: str
) -> AsyncIterator[Open]:
    """Opens a shop as a worker does, and closes it again."""
    sequencer = Sequencer(ledger)
    settings = Settings(
        sequencer=SequencerSettings(socket=tmp_path / "sequencer.sock"),
        stores=StoreSettings(database_url=database_url, redis_url=redis_url),
    )

    async def open_once() -> None:
        async with AsyncExitStack() as stack:
            await assembly.open_shop(stack, settings, "worker-1")

    with bound_socket(settings.sequencer.socket) as bound:
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(sequencer.connect, sock=bound)
        yield open_once
        server.close()
        await sequencer.drain(1.0)
        await sequencer.hang_up()


@pytest.mark.parametrize("failure", [LedgerTimeoutError, LedgerBusyError, LedgerUnavailableError])
async def test_a_shop_opens_as_soon_as_its_ledger_answers(
    ledger: SlowStarter, open_shop: Open, failure: type[LedgerError]
) -> None:
    for failures in range(1, 4):
        ledger.failures = [failure() for _ in range(failures)]
        await open_shop()
        assert ledger.failures == []


async def test_a_ledger_that_stays_late_is_waited_for_no_longer_than_the_bound(
    ledger: SlowStarter, open_shop: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembly, "LEDGER_SECONDS_MAX", 0.2)
    ledger.failures = [LedgerTimeoutError("It is late.")] * 1000
    with pytest.raises(LedgerTimeoutError, match="It is late"):
        await open_shop()
