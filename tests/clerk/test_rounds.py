"""The rounds of a clerk's duties: what one does to the others, and how all of them end."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from tests.clerk.desk import desk_of
from tests.harness.patience import patience
from tigerfans.clerk import rounds as rounds_module
from tigerfans.clerk.duties import Desk, Duty, Round
from tigerfans.clerk.rounds import Rounds
from tigerfans.errors import UnavailableError
from tigerfans.ledger.base import LedgerTimeoutError
from tigerfans.settings.settings import SettingsError
from tigerfans.shop.shop import Shop
from tigerfans.telemetry.counters import RoundEnd

Do = Callable[[], Awaitable[bool]]
LONG_SECONDS = 3_600.0


def duty(name: str, do: Do, pause_seconds: float = LONG_SECONDS) -> Duty:
    return Duty(name, pause_seconds, lambda _: do)


class Work:
    """What a round does; `answers` are what the first ones say or raise, the last one for ever."""

    def __init__(self, *answers: bool | Exception) -> None:
        self._answers = list(answers)
        self.done = 0
        self.is_done = asyncio.Event()

    async def __call__(self) -> bool:
        self.done += 1
        if len(self._answers) > 1:
            answer = self._answers.pop(0)
        else:
            answer = self._answers[0]
            self.is_done.set()
        if isinstance(answer, Exception):
            raise answer
        return answer


@asynccontextmanager
async def at_work(shop: Shop, duties: Sequence[Duty]) -> AsyncIterator[Rounds]:
    """A clerk with these duties, which is told to stop in the end, and has to."""
    rounds = Rounds(desk_of(shop), duties)
    running = asyncio.create_task(rounds.run())
    async with patience():
        yield rounds
        rounds.stop()
        await running


async def test_a_round_that_leaves_nothing_is_followed_after_a_pause(shop: Shop) -> None:
    work = Work(False)
    async with at_work(shop, [duty("work", work)]):
        await work.is_done.wait()
    assert work.done == 1
    assert shop.counters.rounds == {("work", RoundEnd.DONE): 1}


async def test_a_round_after_which_more_is_due_is_followed_at_once(shop: Shop) -> None:
    work = Work(True, True, False)
    async with at_work(shop, [duty("work", work)]):
        await work.is_done.wait()
    assert work.done == 3


@pytest.mark.parametrize("error", [UnavailableError(), LedgerTimeoutError()])
async def test_a_store_that_is_away_costs_a_round_and_no_line(
    shop: Shop, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    work = Work(error, False)
    async with at_work(shop, [duty("work", work, 0.0)]):
        await work.is_done.wait()
    assert shop.counters.rounds["work", RoundEnd.AWAY] == 1
    assert shop.counters.rounds["work", RoundEnd.DONE] > 0
    assert caplog.records == []


async def test_a_mistake_in_one_duty_is_logged_and_ends_no_other(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    broken, other = Work(ZeroDivisionError("oh")), Work(True, True, False)
    async with at_work(shop, [duty("broken", broken), duty("other", other)]):
        await broken.is_done.wait()
        await other.is_done.wait()
    assert shop.counters.rounds["broken", RoundEnd.FAILED] == 1
    [record] = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "a round of the broken failed")
    assert "ZeroDivisionError: oh" in caplog.text


async def test_what_failed_is_tried_again_after_a_pause(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds_module, "FAILED_PAUSE_SECONDS", 0.0)
    work = Work(ZeroDivisionError(), False)
    async with at_work(shop, [duty("work", work)]):
        await work.is_done.wait()
    assert shop.counters.rounds == {("work", RoundEnd.FAILED): 1, ("work", RoundEnd.DONE): 1}


async def test_a_duty_that_a_shop_does_not_have_is_left_out(shop: Shop) -> None:
    none: Round | None = None
    work = Work(False)
    duties = [Duty("none", 0.0, lambda _: none), duty("work", work)]
    async with at_work(shop, duties):
        await work.is_done.wait()
    assert {name for name, _ in shop.counters.rounds} == {"work"}


async def test_a_duty_that_cannot_begin_ends_the_clerk_before_it_says_that_it_is_ready(
    shop: Shop,
) -> None:
    def refuse(_: Desk) -> Round:
        raise SettingsError("no such mail server")

    with pytest.raises(SettingsError, match="no such mail server"):
        Rounds(desk_of(shop), [Duty("refuses", LONG_SECONDS, refuse)])


async def test_a_round_under_way_is_finished_by_a_clerk_that_is_told_to_stop(shop: Shop) -> None:
    began, may_end = asyncio.Event(), asyncio.Event()
    other = Work(False)

    async def slow() -> bool:
        began.set()
        await may_end.wait()
        # More is due, and left to the next clerk.
        return True

    async with at_work(shop, [duty("slow", slow), duty("other", other)]) as rounds:
        await began.wait()
        await other.is_done.wait()
        rounds.stop()
        rounds.stop()
        may_end.set()
    assert shop.counters.rounds["slow", RoundEnd.DONE] == 1
    assert other.done == 1


async def test_a_round_that_does_not_end_is_cut_off(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds_module, "FINISH_SECONDS_MAX", 0.0)
    began, cut_off = asyncio.Event(), asyncio.Event()

    async def endless() -> bool:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cut_off.set()
        return False

    async with at_work(shop, [duty("endless", endless)]):
        await began.wait()
    assert cut_off.is_set()
