"""Keeps all duties going, and ends them in order.

A store that is away costs a round, and is told where its presence is watched. A mistake in one duty
is logged, and ends neither that duty nor another one.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from tigerfans.batching import QueueFullError
from tigerfans.clerk.duties import Desk, Duty, Round
from tigerfans.errors import UnavailableError
from tigerfans.ledger.base import LEDGER_AWAY
from tigerfans.telemetry.counters import RoundEnd

# After a round that failed by a mistake, which the next one may well repeat.
FAILED_PAUSE_SECONDS: Final = 30.0
# From being told to stop on. Whoever started this process waits for longer.
FINISH_SECONDS_MAX: Final = 2.5

logger = logging.getLogger(__name__)


class Rounds:
    """Rounds of every duty, from `run` until `stop`; a duty that cannot begin raises at once."""

    def __init__(self, desk: Desk, duties: Sequence[Duty]) -> None:
        begun = [(duty, duty.begin(desk)) for duty in duties]
        self._rounds = [(duty, do_round) for duty, do_round in begun if do_round is not None]
        self._counts = desk.opened.shop.counters.rounds
        self._stopping = asyncio.Event()
        self._deadline = asyncio.timeout(None)

    async def run(self) -> None:
        """Returns once it was told to stop, and the rounds under way are over.

        One that takes longer than `FINISH_SECONDS_MAX` is cut off: its leases run out.
        """
        try:
            async with self._deadline, asyncio.TaskGroup() as tasks:
                for duty, do_round in self._rounds:
                    tasks.create_task(self._keep_at(duty, do_round), name=duty.name)
        except TimeoutError:
            logger.info("stopped in the middle of a round: what was under way comes back")

    def stop(self) -> None:
        """Begins no more rounds."""
        if not self._stopping.is_set():
            self._stopping.set()
            ends_at = asyncio.get_running_loop().time() + FINISH_SECONDS_MAX
            self._deadline.reschedule(ends_at)

    async def _keep_at(self, duty: Duty, do_round: Round) -> None:
        while not self._stopping.is_set():
            pause_seconds = await self._pause_after(duty, do_round)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_seconds):
                    await self._stopping.wait()

    async def _pause_after(self, duty: Duty, do_round: Round) -> float:
        """Does one round; how long to wait until the next."""
        try:
            is_more_due = await do_round()
        except (UnavailableError, QueueFullError, *LEDGER_AWAY):
            self._counts[duty.name, RoundEnd.AWAY] += 1
            return duty.pause_seconds
        except Exception:
            self._counts[duty.name, RoundEnd.FAILED] += 1
            logger.exception("a round of the %s failed", duty.name)
            return FAILED_PAUSE_SECONDS
        self._counts[duty.name, RoundEnd.DONE] += 1
        return 0.0 if is_more_due else duty.pause_seconds
