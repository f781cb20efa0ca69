"""The auto-batcher: one rule for the ledger, Redis and PostgreSQL, and no timers.

While a batch is in flight, gather; when its reply lands, send all that was gathered. Alone, an
item leaves at once; in a rush, batches grow by themselves, because the longer a round trip takes
the more gathers behind it.

`Batcher` is the rule. `BatchedCalls` puts a future in front of it, for callers that await their
own result. A batch belongs to the batcher's own task: a waiter that is cancelled takes nothing
with it, and after a failure each waiter of that batch gets the failure, never a result of
another batch.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Output = TypeVar("Output")


class QueueFullError(Exception):
    """The queue is at its bound; nothing was queued."""


class ClosedError(Exception):
    """The batcher is closed; nothing was queued."""


class Batcher(Generic[Item]):
    """Gathers items while `send` is busy and hands it everything gathered since.

    `send` answers its own items, failures included; an exception that leaves it is a bug, which
    the event loop's exception handler hears of, and the next batch goes out all the same. A batch
    carries at most `batch_max` of weight and never splits an item; the queue holds at most
    `queue_max`. `batch_max` may change at any time: what became too heavy while it was queued
    goes out alone, and it is for `send` to refuse it.
    """

    def __init__(
        self,
        name: str,
        send: Callable[[list[Item]], Awaitable[None]],
        *,
        batch_max: int,
        queue_max: int,
        weigh: Callable[[Item], int] | None = None,
    ) -> None:
        self.name = name
        self.batch_max = batch_max
        self.queue_max = queue_max
        self._send = send
        self._weigh = weigh
        self._queue: list[Item] = []
        self._queued = 0
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        # Kept: before Python 3.12 to ask for it is a system call each time.
        self._loop = asyncio.get_running_loop()

    def __repr__(self) -> str:
        state = "in flight" if self._task else "idle"
        return f"<Batcher {self.name}: {self._queued} queued, {state}>"

    @property
    def queued(self) -> int:
        """The weight that waits for the next batch."""
        return self._queued

    def put(self, item: Item) -> None:
        """Queues one item; raises `QueueFullError` or `ClosedError` at once."""
        weight = self._weigh(item) if self._weigh else 1
        if weight > self.batch_max:
            raise ValueError(f"{self.name} sends at most {self.batch_max} at once, not {weight}")
        if self._closed:
            raise ClosedError(f"{self.name} is closed")
        if self._queued + weight > self.queue_max:
            raise QueueFullError(f"{self.name} holds {self._queued} of {self.queue_max}")
        self._queue.append(item)
        self._queued += weight
        if self._task is None:
            self._task = self._loop.create_task(self._run(), name=f"batcher {self.name}")

    async def drain(self) -> None:
        """Waits until nothing is queued or in flight."""
        while self._task is not None:
            await asyncio.shield(self._task)

    async def close(self) -> None:
        """Takes no more items, and waits for those it has."""
        self._closed = True
        await self.drain()

    async def _run(self) -> None:
        try:
            while self._queue:
                try:
                    await self._send(self._take())
                except Exception as error:
                    self._loop.call_exception_handler(
                        {"message": f"{self!r} lost a batch", "exception": error}
                    )
        finally:
            self._task = None

    def _take(self) -> list[Item]:
        if self._queued <= self.batch_max:
            batch, self._queue, self._queued = self._queue, [], 0
            return batch
        weight = end = 0
        for item in self._queue:
            item_weight = self._weigh(item) if self._weigh else 1
            if end and weight + item_weight > self.batch_max:
                break
            weight += item_weight
            end += 1
        batch, self._queue = self._queue[:end], self._queue[end:]
        self._queued -= weight
        return batch


class BatchedCalls(Generic[Item, Output]):
    """Calls that leave together: `call` gives a future, `send` gets many items and answers each.

    `send` returns one output for each item, in order.
    """

    def __init__(
        self,
        name: str,
        send: Callable[[list[Item]], Awaitable[Sequence[Output]]],
        *,
        batch_max: int,
        queue_max: int,
    ) -> None:
        self._send_items = send
        self._loop = asyncio.get_running_loop()
        self._batcher = Batcher[tuple[Item, asyncio.Future[Output]]](
            name, self._send, batch_max=batch_max, queue_max=queue_max
        )

    def __repr__(self) -> str:
        return f"<BatchedCalls {self._batcher!r}>"

    @property
    def queued(self) -> int:
        return self._batcher.queued

    def call(self, item: Item) -> asyncio.Future[Output]:
        """The future output for `item`; raises `QueueFullError` or `ClosedError` at once."""
        future: asyncio.Future[Output] = self._loop.create_future()
        self._batcher.put((item, future))
        return future

    async def close(self) -> None:
        await self._batcher.close()

    async def _send(self, batch: list[tuple[Item, asyncio.Future[Output]]]) -> None:
        try:
            outputs = await self._send_items([item for item, _ in batch])
            if len(outputs) != len(batch):
                raise RuntimeError(f"{len(outputs)} outputs for a batch of {len(batch)}")
        except Exception as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), output in zip(batch, outputs, strict=True):
            if not future.done():
                future.set_result(output)
