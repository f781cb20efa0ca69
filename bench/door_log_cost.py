"""What the box office's page of the door costs PostgreSQL, over many scans.

    python -m bench.door_log_cost                  a million scans at 50 gates, by 200 devices
    python -m bench.door_log_cost --scans 100000

Starts a PostgreSQL of its own and fills its tables as two hours at the doors would: a hundredth of
the admissions was undone, a tenth of the scans let nobody in, a thousand are incidents. Of several
rounds, the median of the processor time that each question takes PostgreSQL.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import asyncpg
import psutil

from bench.errors import BenchError
from tigerfans.booking.ids import OrderId
from tigerfans.office.door_log import DoorLog
from tigerfans.settings.located import database_url
from tigerfans.stack import postgres
from tigerfans.stack.programs import Program, launch_command
from tigerfans.stack.readiness import Asking
from tigerfans.stores.database import Database
from tigerfans.stores.door_scans import DoorScans
from tigerfans.stores.schema import migrate

SCANS_MAX: Final = 5_000_000
GATES: Final = 50
DEVICES: Final = 200
ROUNDS: Final = 5
LISTED: Final = 100
NAME: Final = "door"
CONNECTIONS_MAX: Final = 20

# Over the two hours before now.
_FILL: Final = f"""
    INSERT INTO door_gates SELECT n, 'Gate ' || n FROM generate_series(1, {GATES}) AS n;
    INSERT INTO door_scans (scan_id, order_id, ticket, cls, gate, device, who, scanned_at,
                            received_at, changed_at, offline, result, attempt, admitted_at,
                            other_gate, other_at, is_incident, undone_at, undone_by)
    SELECT gen_random_uuid(), lpad(to_hex(n), 32, '0')::uuid, 0,
           CASE n % 3 WHEN 0 THEN 'A' ELSE 'B' END,
           1 + n % {GATES}, 'device ' || n % {DEVICES}, 'gate ' || n % {GATES}, at, at, at, false,
           CASE WHEN n % 10 = 7 THEN 'already_inside' ELSE 'admitted' END,
           CASE WHEN n % 10 <> 7 THEN 0 END, CASE WHEN n % 10 <> 7 THEN at END,
           CASE WHEN n % 10 = 7 THEN 1 END, CASE WHEN n % 10 = 7 THEN at END,
           n % 10 = 7 AND n % ({{scans}} / 1000) < 10, CASE WHEN n % 100 = 1 THEN at END, ''
    FROM generate_series(1, {{scans}}) AS n,
         LATERAL (SELECT now() - n * interval '2 hours' / {{scans}} AS at) AS moments;
"""  # noqa: S608


async def measure(program: Program, server: psutil.Process, sockets: Path, scans: int) -> None:
    if program.probe is None:
        raise BenchError("There is no way to tell that PostgreSQL answers.")
    await Asking(program.probe).wait()
    connection = await asyncpg.connect(database_url(sockets, "postgres"))
    await connection.execute(f"CREATE DATABASE {NAME}")
    await connection.execute(f"ALTER DATABASE {NAME} SET max_parallel_workers_per_gather = 0")
    await connection.close()
    url = database_url(sockets, NAME)
    await migrate(url)
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(_FILL.format(scans=scans))
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()
    database = await Database.connect(url)
    try:
        await _ask_all(database, server)
    finally:
        await database.close()


async def _ask_all(database: Database, server: psutil.Process) -> None:
    log, stored = DoorLog(database), DoorScans(database)
    order_ids = [OrderId(number.to_bytes(16, "little")) for number in range(1, 201)]

    async def export() -> int:
        rows = 0
        async for batch in log.export():
            rows += len(batch)
        return rows

    questions: dict[str, Callable[[], Awaitable[Any]]] = {
        "what each gate did": stored.figures,
        "who came in by the minute": log.minutes,
        "incidents": lambda: log.incidents(LISTED),
        "devices": lambda: log.devices(LISTED),
        "admissions undone": lambda: log.undone(LISTED),
        "who of 200 orders is inside": lambda: log.inside(order_ids),
        "one order's scans": lambda: stored.of(order_ids[0]),
        "the export's rows": export,
    }
    for words, ask in questions.items():
        seconds = []
        for _ in range(ROUNDS):
            before = _cpu_seconds(server)
            await ask()
            seconds.append(_cpu_seconds(server) - before)
        print(f"{words:30}{median(seconds) * 1_000:8,.0f} ms", flush=True)
    await stored.close()


def _cpu_seconds(server: psutil.Process) -> float:
    """Of the server's processes, which all go on: a question has no workers of its own."""
    times = [child.cpu_times() for child in server.children(recursive=True)]
    seconds: float = sum(each.user + each.system for each in times)
    return seconds


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measures the questions of the door's page.")
    parser.add_argument("--scans", type=int, default=1_000_000, help="how many (%(default)s)")
    options = parser.parse_args(arguments)
    if not 10_000 <= options.scans <= SCANS_MAX:
        parser.error(f"--scans takes 10,000 to {SCANS_MAX:,}.")
    with tempfile.TemporaryDirectory(prefix="tigerfans-") as root:
        folder = Path(root)
        data, sockets = folder / "postgres", folder / "pg"
        user = postgres.choose_user(data, sockets)
        postgres.initialise(data, user)
        postgres.own_folder(sockets, user)
        program = postgres.program(data, sockets, user, connections_max=CONNECTIONS_MAX)
        command = launch_command(program.argv, program.user, program.end_signal)
        with (folder / "postgres.log").open("ab") as log:
            server = subprocess.Popen(command, cwd="/", stdout=log, stderr=log, process_group=0)
        try:
            asyncio.run(measure(program, psutil.Process(server.pid), sockets, options.scans))
        finally:
            server.send_signal(program.stop_signal)
            server.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
