"""`tigerfans up`, in outline: take the data folder, plan, run, give it back."""

import asyncio
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import TextIO

from tigerfans.offer.file import OfferError
from tigerfans.offer.taken import TakenOffer
from tigerfans.process.notify import notify_ready
from tigerfans.settings.folder import DataFolder
from tigerfans.settings.settings import Settings, SettingsError
from tigerfans.stack import ledger_choice, ports, room, state
from tigerfans.stack.opening import banner, until_ready
from tigerfans.stack.plan import Plan, prepare
from tigerfans.stack.service import EXIT_SETTINGS, ServiceError
from tigerfans.stack.supervisor import Supervisor


def run(settings: Settings, environ: Mapping[str, str]) -> int:
    """Runs the shop until it is told to stop; returns the exit code.

    The programs inherit `environ`; TIGERBEETLE_BIN and PATH are looked up in it. Raises
    `SettingsError` before anything was started.
    """
    folder = DataFolder(settings.data)
    with folder.locked():
        for name in state.end_leftovers(folder.state):
            report(f"{name} was left over from a shop that was killed, and was ended.")
        folder.remove_remains()
        room.check(folder)
        ports.check(settings)
        _take_offer(settings, folder)
        plan = prepare(settings, folder, environ)
        with ExitStack() as listeners:
            for listener in plan.listeners:
                listeners.enter_context(listener)
            return asyncio.run(_serve(plan, environ))


def _take_offer(settings: Settings, folder: DataFolder) -> None:
    """Has the shop sell what the event's file says; its first worker looks whether that takes away
    what was sold.
    """
    path = settings.offer.path
    try:
        folder.keep_offer(None if path is None else TakenOffer.of(path))
    except OfferError as error:
        raise SettingsError(f"TIGERFANS_OFFER: {error}") from None


async def _serve(plan: Plan, environ: Mapping[str, str]) -> int:
    async def open_shop() -> None:
        await until_ready(plan.settings.http.url)
        try:
            ledger_choice.record(plan.ledger, plan.folder)
        except SettingsError as error:
            raise ServiceError(str(error), EXIT_SETTINGS) from error
        _say(banner(plan), sys.stdout)
        notify_ready()

    # That socket is for us; the programs get one of their own, or none.
    inherited = {name: value for name, value in environ.items() if name != "NOTIFY_SOCKET"}
    report(f"Starting; what each process says is in {plan.folder.logs}.")
    exit_code = await Supervisor(plan.fleet, plan.folder, inherited, open_shop, report).serve()
    report("Stopped.")
    return exit_code


def report(sentence: str) -> None:
    """Tells whoever started the stack something they should know."""
    _say(sentence, sys.stderr)


def _say(text: str, stream: TextIO) -> None:
    # A terminal that was closed is no reason to stop without order.
    with suppress(OSError):
        print(text, file=stream, flush=True)
