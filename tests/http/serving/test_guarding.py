"""A worker looks again whose ledger it is, whenever its connection to the sequencer is new."""

import asyncio

import pytest

from tigerfans.errors import UnavailableError
from tigerfans.http.serving import guarding
from tigerfans.http.serving.guarding import stay_on_own_ledger
from tigerfans.ledger.base import LedgerTimeoutError
from tigerfans.settings.settings import SettingsError


class Ledgers:
    """Connections, one after the other, each with what a check there says in turn."""

    def __init__(self, *connections: list[Exception | None]) -> None:
        self._connections = list(connections)
        self._answers: list[Exception | None] = []
        self.all_are_checked = asyncio.Event()

    async def new_connection(self) -> None:
        assert not self._answers
        if not self._connections:
            self.all_are_checked.set()
            await asyncio.Event().wait()
        self._answers = self._connections.pop(0)

    async def check(self) -> None:
        answer = self._answers.pop(0)
        if answer:
            raise answer


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarding, "PAUSE_SECONDS", 0)


async def test_every_new_connection_is_checked_until_the_stores_answer() -> None:
    ledgers = Ledgers([None], [LedgerTimeoutError(), UnavailableError(), None], [None])
    guarding_task = asyncio.create_task(stay_on_own_ledger(ledgers.new_connection, ledgers.check))
    await ledgers.all_are_checked.wait()
    assert not guarding_task.done()
    guarding_task.cancel()
    await asyncio.wait([guarding_task])


async def test_the_ledger_of_another_shop_ends_it() -> None:
    ledgers = Ledgers([None], [LedgerTimeoutError(), SettingsError("another's")])
    with pytest.raises(SettingsError, match="another's"):
        await stay_on_own_ledger(ledgers.new_connection, ledgers.check)
