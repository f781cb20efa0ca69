"""`tigerfans offer take`: from now on the shop sells what the event's file says.

The file is read as a whole, and compared with what was sold; then it is copied into the data
folder, where every process of the shop reads it when it starts (`offer.taken`). Where anything is
wrong the copy stays as it was.
"""

import asyncio
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from tigerfans.errors import UnavailableError
from tigerfans.ipc.client import SequencerClient
from tigerfans.ledger.base import LEDGER_AWAY
from tigerfans.offer.file import OfferError, demo
from tigerfans.offer.taken import TakenOffer, find_taken
from tigerfans.settings.folder import DataFolder
from tigerfans.settings.located import located
from tigerfans.settings.settings import DATABASE_CONNECTIONS_MIN, Settings
from tigerfans.shop.classes import check_classes
from tigerfans.stores.database import Database
from tigerfans.stores.ticket_classes import drop_classes, find_classes

EXIT_TAKEN: Final = 0
EXIT_AWAY: Final = 1
EXIT_USAGE: Final = 2


def run(environ: Mapping[str, str]) -> int:
    """Takes over the file that is named, or else the one that was taken over before.

    1 where PostgreSQL or the ledger does not answer. Raises `SettingsError` where the file takes
    away what was sold, or no shop may start with it.
    """
    # Whatever is wrong with what was sold until now, it can be replaced.
    folder = DataFolder(Settings.unchecked(environ, lambda name, data: demo()).data)
    before = find_taken(folder.root)
    name = environ.get("TIGERFANS_OFFER") or (before.path if before else "")
    if not name:
        print("TIGERFANS_OFFER names no file: the shop sells the demonstration.")
        return EXIT_TAKEN
    try:
        taken = TakenOffer.of(Path(name).absolute())
        offer = taken.offer()
    except OfferError as error:
        for sentence in error.sentences:
            print(sentence, file=sys.stderr)
        return EXIT_USAGE
    settings = Settings.from_environment(environ, lambda name, data: offer)
    if taken == before:
        print(f"{taken.path} is what the shop sells already.")
        return EXIT_TAKEN
    # A first worker looks by itself, and there may be no database yet.
    if before:
        try:
            asyncio.run(_check(located(settings, folder)))
        except (UnavailableError, *LEDGER_AWAY) as error:
            sentence = f"Nothing was taken over, for nobody says what was sold: {error}"
            print(sentence, file=sys.stderr)
            return EXIT_AWAY
    folder.keep_offer(taken)
    print(f"{taken.path} was taken over: what starts from now on sells it.")
    return EXIT_TAKEN


async def _check(settings: Settings) -> None:
    """Raises `SettingsError` where the offer takes something away that was sold."""
    async with AsyncExitStack() as stack:
        url = settings.stores.database_url or ""
        database = await Database.connect(url, DATABASE_CONNECTIONS_MIN)
        stack.push_async_callback(database.close)
        ledger = await SequencerClient.connect(settings.sequencer.socket, name="offer take")
        stack.push_async_callback(ledger.close)
        catalog = settings.build_catalog()
        await check_classes(await find_classes(database), catalog, ledger.submit)
        # From here on it is decided, whoever buys one from a worker that still has it.
        await drop_classes(database, [each.code for each in catalog.classes])
