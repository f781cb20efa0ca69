import asyncio
from typing import Any

import pytest

from tigerfans.batching import BatchedCalls, Batcher, ClosedError, QueueFullError


class Sink:
    """Collects batches; each stays in flight until `release` is called for it."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.error: Exception | None = None
        self._gates: asyncio.Queue[asyncio.Event] = asyncio.Queue()

    async def send(self, batch: list[Any]) -> None:
        self.batches.append(batch)
        gate = asyncio.Event()
        self._gates.put_nowait(gate)
        await gate.wait()
        if self.error:
            raise self.error

    async def in_flight(self) -> asyncio.Event:
        """Waits for the next batch; the event lets it land."""
        return await self._gates.get()

    async def release(self) -> None:
        (await self.in_flight()).set()


class Doubler:
    """Answers each number with its double; each batch stays in flight until it is released."""

    def __init__(self) -> None:
        self.sink = Sink()

    async def send(self, numbers: list[int]) -> list[int]:
        await self.sink.send(numbers)
        return [2 * number for number in numbers]


@pytest.fixture
def sink() -> Sink:
    return Sink()


def batcher(sink: Sink, **options: Any) -> Batcher[Any]:
    return Batcher("test", sink.send, **{"batch_max": 4, "queue_max": 8} | options)


async def test_alone_an_item_leaves_at_once(sink: Sink) -> None:
    items = batcher(sink)
    items.put("a")
    await sink.release()
    await items.drain()
    assert sink.batches == [["a"]]


async def test_what_comes_in_one_tick_leaves_together(sink: Sink) -> None:
    items = batcher(sink)
    items.put("a")
    items.put("b")
    await sink.release()
    await items.drain()
    assert sink.batches == [["a", "b"]]


async def test_items_gather_while_a_batch_is_in_flight(sink: Sink) -> None:
    items = batcher(sink)
    items.put("a")
    first = await sink.in_flight()
    items.put("b")
    items.put("c")
    assert repr(items) == "<Batcher test: 2 queued, in flight>"
    first.set()
    await sink.release()
    await items.drain()
    assert sink.batches == [["a"], ["b", "c"]]
    assert repr(items) == "<Batcher test: 0 queued, idle>"


async def test_a_batch_carries_no_more_than_its_limit(sink: Sink) -> None:
    items = batcher(sink, batch_max=3)
    for item in "abcdefg":
        items.put(item)
    for _ in range(3):
        await sink.release()
    await items.drain()
    assert sink.batches == [["a", "b", "c"], ["d", "e", "f"], ["g"]]


async def test_weights_are_counted_and_no_item_is_split(sink: Sink) -> None:
    items = batcher(sink, batch_max=4, weigh=len)
    for item in ("aaa", "bb", "cc", "d"):
        items.put(item)
    assert items.queued == 8
    for _ in range(3):
        await sink.release()
    await items.drain()
    assert sink.batches == [["aaa"], ["bb", "cc"], ["d"]]


async def test_at_the_bound_the_answer_is_busy_at_once(sink: Sink) -> None:
    items = batcher(sink, batch_max=2, queue_max=3, weigh=len)
    items.put("aa")
    with pytest.raises(QueueFullError, match="test holds 2 of 3"):
        items.put("bb")
    items.put("c")
    await sink.release()
    await sink.release()
    await items.drain()
    assert sink.batches == [["aa"], ["c"]]


async def test_an_item_that_no_batch_can_carry_is_refused(sink: Sink) -> None:
    items = batcher(sink, batch_max=2, weigh=len)
    with pytest.raises(ValueError, match="at most 2 at once, not 3"):
        items.put("aaa")
    assert repr(items) == "<Batcher test: 0 queued, idle>"


async def test_an_item_that_became_too_heavy_in_the_queue_goes_out_alone(sink: Sink) -> None:
    items = batcher(sink, batch_max=4, weigh=len)
    items.put("aaaa")
    first = await sink.in_flight()
    for item in ("b", "cccc", "d", "e"):
        items.put(item)
    items.batch_max = 2
    first.set()
    for _ in range(3):
        await sink.release()
    await items.drain()
    assert sink.batches == [["aaaa"], ["b"], ["cccc"], ["d", "e"]]


async def test_closing_waits_for_what_is_queued_and_takes_no_more(sink: Sink) -> None:
    items = batcher(sink)
    items.put("a")
    first = await sink.in_flight()
    items.put("b")
    closing = asyncio.create_task(items.close())
    first.set()
    last = await sink.in_flight()
    with pytest.raises(ClosedError):
        items.put("c")
    assert not closing.done()
    last.set()
    await closing
    assert sink.batches == [["a"], ["b"]]


async def test_closing_what_is_idle_returns(sink: Sink) -> None:
    await batcher(sink).close()


async def test_a_cancelled_drain_does_not_cancel_the_batch(sink: Sink) -> None:
    items = batcher(sink)
    items.put("a")
    first = await sink.in_flight()
    draining = asyncio.create_task(items.drain())
    await asyncio.sleep(0)
    draining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await draining
    items.put("b")
    first.set()
    await sink.release()
    await items.drain()
    assert sink.batches == [["a"], ["b"]]


async def test_a_bug_in_send_is_heard_of_and_the_next_batch_still_goes_out(sink: Sink) -> None:
    reports: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
    items = batcher(sink)
    sink.error = RuntimeError("a bug")
    items.put("a")
    first = await sink.in_flight()
    items.put("b")
    first.set()
    second = await sink.in_flight()
    assert [report["exception"] for report in reports] == [sink.error]
    sink.error = None
    second.set()
    await items.drain()
    assert sink.batches == [["a"], ["b"]]


async def test_each_call_gets_its_own_output() -> None:
    doubler = Doubler()
    calls = BatchedCalls("test", doubler.send, batch_max=4, queue_max=8)
    futures = [calls.call(number) for number in (1, 2, 3)]
    assert repr(calls) == "<BatchedCalls <Batcher test: 3 queued, in flight>>"
    await doubler.sink.release()
    assert await asyncio.gather(*futures) == [2, 4, 6]
    await calls.close()


async def test_a_cancelled_waiter_does_not_cancel_the_batch() -> None:
    doubler = Doubler()
    calls = BatchedCalls("test", doubler.send, batch_max=4, queue_max=8)
    cancelled, kept = calls.call(1), calls.call(2)
    landing = await doubler.sink.in_flight()
    cancelled.cancel()
    landing.set()
    assert await kept == 4
    await calls.close()


async def test_after_a_failure_each_waiter_of_that_batch_gets_it_and_no_other() -> None:
    doubler = Doubler()
    calls = BatchedCalls("test", doubler.send, batch_max=4, queue_max=8)
    failed = [calls.call(1), calls.call(2)]
    landing = await doubler.sink.in_flight()
    served = calls.call(3)
    doubler.sink.error = ConnectionError("lost")
    landing.set()
    assert await asyncio.gather(*failed, return_exceptions=True) == [doubler.sink.error] * 2
    doubler.sink.error = None
    await doubler.sink.release()
    assert await served == 6
    await calls.close()


async def test_a_send_that_answers_too_few_fails_the_batch() -> None:
    async def send(numbers: list[int]) -> list[int]:
        return numbers[1:]

    calls = BatchedCalls("test", send, batch_max=4, queue_max=8)
    futures = [calls.call(1), calls.call(2)]
    for future in futures:
        with pytest.raises(RuntimeError, match="1 outputs for a batch of 2"):
            await future
    await calls.close()


async def test_a_full_queue_refuses_the_call_and_leaves_no_future_behind() -> None:
    doubler = Doubler()
    calls = BatchedCalls("test", doubler.send, batch_max=4, queue_max=1)
    first = calls.call(1)
    with pytest.raises(QueueFullError):
        calls.call(2)
    assert calls.queued == 1
    await doubler.sink.release()
    assert await first == 2
    await calls.close()
