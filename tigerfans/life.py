"""The life of a process that has the shop open, a worker or a clerk: what runs beside its work, and
in which order it ends.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import uvloop

from tigerfans.assembly import Opened
from tigerfans.errors import ShopError
from tigerfans.ipc.guarding import stay_on_own_ledger
from tigerfans.ledger.base import LEDGER_AWAY
from tigerfans.presence import watch

logger = logging.getLogger(__name__)


def live(name: str, process: Coroutine[Any, Any, None]) -> int:
    """Runs the process called `name` until its end; the exit code.

    1 where the shop could not be opened; whoever started the process tries again. Raises
    `SettingsError` where it must not be opened with these settings, and what else ends a process.
    """
    try:
        uvloop.run(process)
    except (ShopError, *LEDGER_AWAY, OSError) as error:
        logger.error("%s cannot open the shop: %s", name, error)
        return 1
    return 0


def stay_open(opened: Opened) -> Sequence[asyncio.Task[None]]:
    """What keeps an open shop so: its connection to its own ledger, and an eye on each store.

    None of it ends by itself, unless it fails.
    """
    shop = opened.shop
    tasks = [
        asyncio.create_task(opened.ledger.watch(), name="connection to the sequencer"),
        asyncio.create_task(
            stay_on_own_ledger(opened.ledger, shop.check), name="identity of the ledger"
        ),
    ]
    for presence, ask in (
        (shop.sessions.presence, shop.sessions.ping),
        (shop.orders.database.presence, shop.orders.ping),
    ):
        name = f"watch over {presence.key}"
        tasks.append(asyncio.create_task(watch(presence, ask), name=name))
    return tasks


async def until_stopped(
    working: asyncio.Task[None],
    background: Sequence[asyncio.Task[None]],
    stop: Callable[[], None],
) -> None:
    """Returns when the work is done: a worker's server has answered all that it accepted, a clerk
    has finished what was under way. Nothing else runs any more then.

    Nothing in the background ends by itself: what it raised ends this process, loudly. But first
    the work is told to `stop`, as by SIGTERM, and what it uses meanwhile stays open.
    """
    await asyncio.wait([working, *background], return_when=asyncio.FIRST_COMPLETED)
    if not working.done():
        stop()
    await asyncio.wait([working])
    for task in background:
        task.cancel()
    await asyncio.wait(background)
    for task in background:
        if not task.cancelled():
            task.result()
    working.result()
