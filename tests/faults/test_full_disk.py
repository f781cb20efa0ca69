"""A disk that is full, under the embedded ledger: what was told is kept, what failed was not done.

On a real file system of two megabytes, where this process may mount one. `make faults` does the
same to the whole shop, by a limit on the size of files, wherever it runs.
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.harness.needs import NO_MOUNT
from tigerfans.booking.ids import OrderId
from tigerfans.booking.outcomes import decode_hold
from tigerfans.booking.transfers import Booking
from tigerfans.ledger.base import Ledger, LedgerError
from tigerfans.ledger.embedded import open_embedded
from tigerfans.ledger.wire import Operation, Transfer
from tigerfans.offer.catalog import Catalog

FILE_SYSTEM_BYTES = 2 * 1024 * 1024
HOLDS_PER_BATCH = 100
BATCHES_MAX = 200
FINGERPRINT = bytes(16)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if mount is None or umount is None:
        pytest.skip(NO_MOUNT)
    mounted = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={FILE_SYSTEM_BYTES}", "tmpfs", folder],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip(NO_MOUNT)
    yield folder
    subprocess.run([umount, folder], check=True)


def fill(folder: Path) -> Path:
    """Takes all the room that is left; the file that holds it."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (64 * 1024, 4096, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
    return ballast


async def found(ledger: Ledger, order_ids: list[OrderId]) -> set[int]:
    """Those of the orders whose hold is on the ledger."""
    ids = set()
    for start in range(0, len(order_ids), HOLDS_PER_BATCH):
        asked = b"".join(order_ids[start : start + HOLDS_PER_BATCH])
        records = await ledger.submit(Operation.LOOKUP_TRANSFERS, asked)
        ids |= {transfer.id for transfer in Transfer.unpack_all(records)}
    return ids


async def test_a_full_disk_loses_nothing_that_was_told_and_does_nothing_that_failed(
    small_disk: Path,
) -> None:
    booking = Booking(Catalog.build({"A": 1_000_000}, goodies=0), hold_seconds=300)
    told: list[OrderId] = []
    refused: list[OrderId] = []
    ledger = await open_embedded(small_disk)
    await ledger.submit(Operation.CREATE_ACCOUNTS, booking.accounts())
    await ledger.submit(Operation.CREATE_TRANSFERS, booking.funding())

    async def hold(order_ids: list[OrderId]) -> None:
        events = b"".join(booking.hold(order_id, "A", FINGERPRINT) for order_id in order_ids)
        results = await ledger.submit(Operation.CREATE_TRANSFERS, events)
        assert {decode_hold(results[i : i + 16])[0].value for i in range(0, len(results), 16)} == {
            "held"
        }

    for _ in range(BATCHES_MAX):
        batch = [OrderId.new() for _ in range(HOLDS_PER_BATCH)]
        if len(told) == 2 * HOLDS_PER_BATCH:
            ballast = fill(small_disk)
        try:
            await hold(batch)
        except LedgerError:
            refused = batch
            break
        told += batch
    assert refused, "the disk was never full"
    assert await found(ledger, told + refused) == {int.from_bytes(i, "little") for i in told}

    # There is room again: the same ids go through, and all of it outlives the process.
    ballast.unlink()
    await hold(refused)
    await ledger.close()
    ledger = await open_embedded(small_disk)
    everything = told + refused
    assert await found(ledger, everything) == {int.from_bytes(i, "little") for i in everything}
    await ledger.close()
