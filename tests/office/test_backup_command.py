"""`tigerfans ledger backup` beside a sequencer in a process of its own."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.offers import catalog_with
from tests.sequencer.process import sequencer_process, settings_in
from tests.servers import run
from tigerfans.booking.ids import OrderId
from tigerfans.booking.outcomes import SaleOutcome, decode_sale
from tigerfans.booking.transfers import Booking
from tigerfans.ipc.client import SequencerClient
from tigerfans.ledger.store import FILE_NAME
from tigerfans.ledger.wire import ID_SIZE, Operation
from tigerfans.office import backup_command
from tigerfans.settings.settings import Settings, SettingsError

BOOKING = Booking(catalog_with({"A": 10}, goodies=1), hold_seconds=300)

# What somebody does who wonders what is in the ledger, whether or not that is allowed.
LOOK = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=0)
db.execute("SELECT count(*) FROM transfers")
db.close()
"""


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[Settings]:
    """A sequencer as systemd starts it: its socket is not in the data folder."""
    settings = replace(settings_in(tmp_path), data=tmp_path / "data")
    settings.data.mkdir()
    with sequencer_process(settings) as process:
        process.wait_ready()
        yield settings


def test_a_copy_is_checked_and_put_where_it_was_asked_for(
    deployed: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy.sqlite"
    assert backup_command.run(deployed, copy) == 0
    assert "0 transfers" in capsys.readouterr().err
    with pytest.raises(SettingsError, match="does not replace another one"):
        backup_command.run(deployed, copy)
    assert [path.name for path in (tmp_path / "ledger").glob("*backup*")] == []


def test_the_data_folder_of_a_deployment_is_left_as_it_is(
    deployed: Settings, tmp_path: Path
) -> None:
    backup_command.run(deployed, tmp_path / "copy.sqlite")
    assert list(deployed.data.iterdir()) == []


def test_a_sale_after_a_backup_outlives_a_kill_whoever_looked_at_the_file(
    tmp_path: Path,
) -> None:
    settings = settings_in(tmp_path)
    order_id = OrderId.new()
    with sequencer_process(settings) as process:
        process.wait_ready()
        backup_command.run(settings, tmp_path / "copy.sqlite")
        ledger = tmp_path / "ledger" / FILE_NAME
        looked = subprocess.run(
            [sys.executable, "-c", LOOK, ledger], capture_output=True, text=True, check=False
        )
        assert "database is locked" in looked.stderr
        assert run(sell(settings, order_id)) is SaleOutcome.SOLD_WITH_GOODIE
        process.send(signal.SIGKILL)
        process.wait_exit()
    with sequencer_process(settings) as process:
        process.wait_ready()
        assert run(is_on_the_ledger(settings, order_id))


async def sell(settings: Settings, order_id: OrderId) -> SaleOutcome:
    client = await SequencerClient.connect(settings.sequencer.socket, name="worker-1")
    create = Operation.CREATE_TRANSFERS
    try:
        await client.submit(Operation.CREATE_ACCOUNTS, BOOKING.accounts())
        await client.submit(create, BOOKING.funding())
        await client.submit(create, BOOKING.hold(order_id, "A", bytes(16)))
        outcome, _ = decode_sale(await client.submit(create, BOOKING.sale(order_id, "A")))
    finally:
        await client.close()
    return outcome


async def is_on_the_ledger(settings: Settings, order_id: OrderId) -> bool:
    client = await SequencerClient.connect(settings.sequencer.socket, name="worker-1")
    sale_id = BOOKING.sale(order_id, "A")[:ID_SIZE]
    try:
        return bool(await client.submit(Operation.LOOKUP_TRANSFERS, sale_id))
    finally:
        await client.close()
