"""What a process that serves asks of Python's garbage collector and of the kernel's scheduler."""

import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

# Python's own is 700: a rush makes so many objects within some requests, nearly all of them gone
# by the next tick.
YOUNG_OBJECTS_MAX: Final = 50_000
# A process as nice as that gets a third of what another one gets, where both want a core.
NICENESS: Final = 5


def settle_down() -> None:
    """Leaves what was made so far out of every collection, and collects less often.

    Walking over the framework's objects, which live as long as the process, again and again was
    5 % of a worker's CPU in a rush.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS_MAX)


def let_others_finish(pid: int = 0) -> None:
    """Has a process, this one or a child that was just started, wait for a processor until whoever
    runs there rests (SCHED_BATCH).

    A worker's threads hand each request on to one another, and by default each of them interrupts
    the one before it. With this, a thread finds more to do whenever it runs: a reserve cost two
    workers 78 µs of CPU and not 87, a checkout 157 and not 191, at the same throughput and latency.
    The same goes for the sequencer, TigerBeetle and Redis, which the workers wake: a whole purchase
    cost all processes 7 to 11 % less CPU at 200 connections once they let the workers finish, and 2
    to 7 % at 60. PostgreSQL does not: at 60 connections buyers then waited for it.
    """
    if sys.platform == "linux":
        # Where a sandbox forbids it, its own settings are the place to say so.
        with suppress(PermissionError, ProcessLookupError):
            os.sched_setscheduler(pid, os.SCHED_BATCH, os.sched_param(0))


def give_way() -> None:
    """Has this process, which does what can wait, leave the processors to whoever serves."""
    let_others_finish()
    # As above.
    with suppress(PermissionError):
        os.nice(NICENESS)


def stay_on_one_core(number: int, workers: int) -> None:
    """Has worker `number` of `workers`, counted from 1, run on one core alone.

    Its threads take turns at Python's lock anyway. On one core they hand a request on without
    waking another core, and find it in that core's cache: with two workers on two cores a request
    cost all processes 5 to 15 % less CPU, and there were 14 % more checkouts a second, 19 % more
    webhooks and 22 % more answers to who asks for an order.
    """
    if sys.platform == "linux":
        # Where a sandbox forbids it, the kernel goes on choosing.
        with suppress(OSError):
            core = core_of(number, workers, sorted(os.sched_getaffinity(0)))
            if core is not None:
                os.sched_setaffinity(0, {core})


def core_of(number: int, workers: int, cores: Sequence[int]) -> int | None:
    """A worker's core, of those that this process may use; None where they cannot be shared evenly.

    Workers that are fewer than the cores are put far apart: neighbours may be halves of one core.
    """
    if workers > len(cores) and workers % len(cores):
        return None
    return cores[(number - 1) % workers * len(cores) // workers]
