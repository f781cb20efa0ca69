"""Nobody else gets to the ledger's file while it is open, whatever was done to its folder before.

SQLite's own lock keeps every program from the file; the ledger's second one, on the folder, keeps
other ledgers from it even where the first is lost.
"""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.ledger.by_hand import BUDGET, SOLD, account, hold
from tests.ledger.test_embedded_backup import copier
from tests.ledger.test_replay import RECORDING
from tigerfans.doctor.machine import read_disk
from tigerfans.ledger.base import LedgerOpenError, LedgerUnavailableError
from tigerfans.ledger.embedded import BACKUP_NAME, EmbeddedLedger, open_embedded
from tigerfans.ledger.replay import read_recording, replay_all
from tigerfans.ledger.store import CHECKPOINT_PAGES, FILE_NAME
from tigerfans.ledger.wire import AccountFilter, AccountFilterFlags, Operation, u128

SCENARIOS = read_recording(RECORDING)[:1]

# Another process: a program that reads the file, and another ledger.
_INTRUDE = """
import asyncio, pathlib, sqlite3, sys
from tigerfans.ledger.base import LedgerOpenError
from tigerfans.ledger.embedded import open_embedded
from tigerfans.ledger.store import FILE_NAME

folder = pathlib.Path(sys.argv[1])

async def open_as_a_ledger():
    await (await open_embedded(folder)).close()

def read_with_sqlite():
    db = sqlite3.connect(folder / FILE_NAME, timeout=0)
    try:
        db.execute("SELECT count(*) FROM transfers")
    finally:
        db.close()

for intrude in (lambda: asyncio.run(open_as_a_ledger()), read_with_sqlite):
    try:
        intrude()
    except (LedgerOpenError, sqlite3.OperationalError) as error:
        print(error)
    else:
        print("got in")
"""


async def intruders(folder: Path) -> list[str]:
    """What another ledger, and then another program, is told in a process of its own."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _INTRUDE, str(folder)), stdout=subprocess.PIPE
    )
    said, _ = await child.communicate()
    return said.decode().splitlines()


def kept_out(folder: Path) -> list[str]:
    return [f"{folder / FILE_NAME} is in use by another process.", "database is locked"]


async def create(ledger: EmbeddedLedger, *ids: int) -> None:
    events = b"".join(hold(id_).pack() for id_ in ids)
    await ledger.submit(Operation.CREATE_TRANSFERS, events)


async def look_up(ledger: EmbeddedLedger, folder: Path) -> None:
    await ledger.submit(Operation.LOOKUP_ACCOUNTS, u128(BUDGET))
    await ledger.submit(Operation.LOOKUP_TRANSFERS, u128(100))
    everything = AccountFilter(SOLD, 0, 0, 10, AccountFilterFlags.CREDITS).pack()
    await ledger.submit(Operation.GET_ACCOUNT_TRANSFERS, everything)


async def put_the_log_into_the_file(ledger: EmbeddedLedger, folder: Path) -> None:
    for start in range(1000, 1000 + 8 * CHECKPOINT_PAGES, 1000):
        await create(ledger, *range(start, start + 1000))


async def back_up(ledger: EmbeddedLedger, folder: Path) -> None:
    await ledger.backup()


async def fail_to_back_up(ledger: EmbeddedLedger, folder: Path) -> None:
    (folder / BACKUP_NAME).mkdir()
    with pytest.raises(LedgerUnavailableError):
        await ledger.backup()


async def give_up_a_backup(ledger: EmbeddedLedger, folder: Path) -> None:
    with copier(folder.parent) as started:
        backup = asyncio.create_task(ledger.backup())
        await started()
        backup.cancel()
        with suppress(asyncio.CancelledError):
            await backup


async def open_it_again(ledger: EmbeddedLedger, folder: Path) -> None:
    with pytest.raises(LedgerOpenError):
        await open_embedded(folder)


async def replay_a_recording(ledger: EmbeddedLedger, folder: Path) -> None:
    assert await replay_all(ledger, SCENARIOS, lambda _: None) == 0


async def measure_the_disk(ledger: EmbeddedLedger, folder: Path) -> None:
    disk = read_disk(folder)
    assert disk is not None
    assert disk.free_bytes > 0


@pytest.mark.parametrize(
    "touch",
    [
        look_up,
        put_the_log_into_the_file,
        back_up,
        fail_to_back_up,
        give_up_a_backup,
        open_it_again,
        replay_a_recording,
        measure_the_disk,
    ],
)
async def test_nobody_gets_in_after_whatever_touched_the_folder(
    tmp_path: Path, touch: Callable[[EmbeddedLedger, Path], Awaitable[None]]
) -> None:
    folder = tmp_path / "ledger"
    ledger = await open_embedded(folder)
    accounts = account(BUDGET).pack() + account(SOLD).pack()
    await ledger.submit(Operation.CREATE_ACCOUNTS, accounts)
    await create(ledger, 100)
    await touch(ledger, folder)
    assert await intruders(folder) == kept_out(folder)
    await ledger.close()
    assert await intruders(folder) == ["got in", "got in"]


async def test_another_ledger_is_kept_out_even_where_sqlites_lock_is_lost(tmp_path: Path) -> None:
    ledger = await open_embedded(tmp_path)
    (tmp_path / FILE_NAME).read_bytes()
    with pytest.raises(LedgerOpenError, match="in use by another process"):
        await open_embedded(tmp_path)
    assert (await intruders(tmp_path))[0] == kept_out(tmp_path)[0]
    await ledger.close()
