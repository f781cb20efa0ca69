"""A value that is read at most so often, however many ask for it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Cached(Generic[Value]):
    """Serves one read to all who ask while it is under way and for `seconds` after, or `rest` times
    as long as it took where that is longer.

    The read belongs to a task of its own: a caller that is cancelled leaves it to the others.
    A read that fails is told to those who waited for it, and forgotten.
    """

    def __init__(
        self, read: Callable[[], Awaitable[Value]], seconds: float, rest: float = 0
    ) -> None:
        self._read = read
        self._seconds = seconds
        self._rest = rest
        self._task: asyncio.Task[Value] | None = None
        self._expires_at = 0.0

    async def get(self) -> Value:
        if self._task is None or (self._task.done() and self._is_stale(self._task)):
            self._task = asyncio.create_task(self._timed_read(), name="cached read")
        return await asyncio.shield(self._task)

    def forget(self) -> None:
        """What was read is not true any more: the next who asks reads again.

        A read that is under way is served all the same, to whoever asks before it is done.
        """
        self._expires_at = 0.0

    def _is_stale(self, task: asyncio.Task[Value]) -> bool:
        failed = task.cancelled() or task.exception() is not None
        return failed or time.monotonic() >= self._expires_at

    async def _timed_read(self) -> Value:
        began = time.monotonic()
        value = await self._read()
        now = time.monotonic()
        self._expires_at = now + max(self._seconds, self._rest * (now - began))
        return value
