"""Real servers for tests: PostgreSQL and Redis from the wheels, on Unix sockets in a folder of
their own. They end with the test run, also when that is killed.

Durability is off: a test that needs it starts the whole stack.
"""

import asyncio
import subprocess
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tests.harness.patience import PATIENCE_SECONDS, patience
from tigerfans.settings import located
from tigerfans.stack import postgres, redis
from tigerfans.stack.programs import Program, launch_command
from tigerfans.stack.readiness import Asking

CONNECTIONS_MAX = 100

Result = TypeVar("Result")


@contextmanager
def running(program: Program, log_path: Path, extra: Sequence[str] = ()) -> Iterator[None]:
    """Runs a server until the block ends; `extra` arguments go after its own."""
    command = launch_command([*program.argv, *extra], program.user, program.end_signal)
    with log_path.open("ab") as log:
        child = subprocess.Popen(
            command, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
        )
    try:
        run(_until_ready(program, child, log_path))
        yield
    finally:
        child.send_signal(program.stop_signal)
        try:
            child.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            child.send_signal(program.end_signal)
            child.wait()


def run(coroutine: Coroutine[None, None, Result]) -> Result:
    """Runs a coroutine to its end, outside of any event loop.

    asyncio.run would take away the loop that the asynchronous tests run on.
    """
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


async def _until_ready(program: Program, child: subprocess.Popen[bytes], log_path: Path) -> None:
    probe = program.probe
    assert probe is not None

    async def alive_and_ready() -> bool:
        if child.poll() is not None:
            raise RuntimeError(f"{program.name} did not start; see {log_path}")
        return await probe()

    async with patience():
        await Asking(alive_and_ready).wait()


@contextmanager
def postgres_server(folder: Path) -> Iterator[Path]:
    """A PostgreSQL server in `folder`; gives the folder of its socket."""
    data, sockets = folder / "postgres", folder / "pg"
    user = postgres.choose_user(data, sockets)
    postgres.initialise(data, user)
    postgres.own_folder(sockets, user)
    program = postgres.program(data, sockets, user, connections_max=CONNECTIONS_MAX)
    with running(program, folder / "postgres.log", ["-c", "fsync=off"]):
        yield sockets


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """A Redis server in `folder`; gives its URL."""
    socket = folder / "redis.sock"
    with running(redis.program(folder, socket), folder / "redis.log", ["--appendonly", "no"]):
        yield located.redis_url(socket)
