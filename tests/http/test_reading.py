"""The patience with which a body is waited for."""

import asyncio

import pytest

from tigerfans.errors import SlowRequestError
from tigerfans.http.reading import Patience


async def wait_for_ever(patience: Patience) -> None:
    with patience:
        await asyncio.Event().wait()


async def test_who_takes_too_long_is_told_so() -> None:
    patience = Patience(0.01)
    outcomes = await asyncio.gather(
        *[wait_for_ever(patience) for _ in range(3)], return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [SlowRequestError] * 3


async def test_who_comes_in_time_goes_on() -> None:
    patience = Patience(60.0)
    with patience:
        await asyncio.sleep(0)


async def test_one_who_is_late_ends_nobody_else() -> None:
    patience = Patience(0.05)
    came = asyncio.Event()

    async def come_later() -> str:
        with patience:
            await came.wait()
        return "here"

    late = asyncio.create_task(wait_for_ever(patience))
    await asyncio.wait([late])
    later = asyncio.create_task(come_later())
    await asyncio.sleep(0)
    came.set()
    assert await later == "here"
    assert isinstance(late.exception(), SlowRequestError)


async def test_a_task_that_others_cancel_is_cancelled_and_not_late() -> None:
    task = asyncio.create_task(wait_for_ever(Patience(60.0)))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_what_goes_wrong_in_time_is_heard_as_it_is() -> None:
    with pytest.raises(KeyError), Patience(60.0):
        raise KeyError


async def test_patience_is_there_again_for_the_next_after_a_pause() -> None:
    patience = Patience(0.01)
    for _ in range(2):
        with pytest.raises(SlowRequestError):
            await wait_for_ever(patience)
