"""`tigerfans ledger backup FILE`: copies the embedded ledger while the shop sells, and checks it.

The sequencer has the copy made, because it alone knows when the ledger's file holds still; here it
is checked and put where it was asked for. What `FILE` holds is a ledger: as `ledger.sqlite` in an
empty folder, `TIGERFANS_LEDGER=embedded:FOLDER` opens it.
"""

import asyncio
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from tigerfans.ipc.backup import request_backup
from tigerfans.ipc.frames import FrameError
from tigerfans.ledger.base import LedgerError
from tigerfans.settings.folder import DataFolder
from tigerfans.settings.located import located
from tigerfans.settings.settings import Settings, SettingsError


def run(settings: Settings, file: Path) -> int:
    """Makes the copy; raises `SettingsError` where that is not possible."""
    if file.exists():
        raise SettingsError(f"{file} is there already; a backup does not replace another one.")
    if not file.absolute().parent.is_dir():
        raise SettingsError(f"{file} cannot be written: there is no such folder.")
    # What a shop of `tigerfans up` has there; another one's folder is left as it is.
    if (settings.data / "run").is_dir():
        settings = located(settings, DataFolder(settings.data))
    try:
        copy = asyncio.run(request_backup(settings.sequencer.socket))
        transfers = _checked(copy)
        shutil.move(copy, file)
    except (OSError, FrameError, LedgerError, sqlite3.Error) as error:
        raise SettingsError(f"The ledger was not copied: {error}") from error
    print(f"{file}: {transfers:,} transfers, {file.stat().st_size:,} bytes.", file=sys.stderr)
    return 0


def _checked(copy: Path) -> int:
    """How many transfers are in a copy; raises `sqlite3.Error` where it is damaged."""
    with closing(
        sqlite3.connect(f"{copy.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    ) as db:
        (verdict,) = db.execute("PRAGMA integrity_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(f"the copy is damaged: {verdict}")
        (transfers,) = db.execute("SELECT count(*) FROM transfers").fetchone()
        return int(transfers)
