"""A clerk: a process that has the shop open as a worker has, and serves nobody.

It does what can wait (`duties`), so that workers do nothing but answer. Without one the shop sells:
what is due waits until there is one again.
"""

import asyncio
import signal
from contextlib import AsyncExitStack

from tigerfans.assembly import open_shop
from tigerfans.clerk.duties import DUTIES, Desk
from tigerfans.clerk.rounds import Rounds
from tigerfans.life import live, stay_open, until_stopped
from tigerfans.process.notify import notify_ready
from tigerfans.process.runtime import give_way, settle_down
from tigerfans.settings.settings import Settings, clerk_name


def run(settings: Settings, number: int) -> int:
    """Works until SIGTERM or SIGINT, then finishes what is under way; the exit code.

    Raises `SettingsError` where the shop must not be opened with these settings.
    """
    give_way()
    name = clerk_name(number)
    return live(name, _work(settings, name))


async def _work(settings: Settings, name: str) -> None:
    async with AsyncExitStack() as stack:
        opened = await open_shop(stack, settings, name)
        rounds = Rounds(Desk(settings, opened, stack), DUTIES)
        working = asyncio.create_task(rounds.run(), name=f"duties of {name}")
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, rounds.stop)
        background = stay_open(opened)
        settle_down()
        notify_ready()
        await until_stopped(working, background, rounds.stop)
