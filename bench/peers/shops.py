"""The shops that are compared, each with all of its processes: what they use, and how they are
killed.

A peer runs as the shop does, by the same hands: the same PostgreSQL and Redis with the same
settings, in a folder of its own on the same disk, and each process is started again when it dies.
"""

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import psutil

from bench.config import Config
from bench.http_client import Address, Connection, HttpError
from bench.machine import ROOT
from bench.measurement import WORKER, WORKERS
from bench.stack import (
    HOST,
    OFFER_FILE,
    Stack,
    StackError,
    clean_environment,
    data_folder,
    process_cpu_seconds,
    running_in,
)
from tigerfans.settings.folder import DataFolder, state_file
from tigerfans.settings.located import database_url, postgres_sockets, redis_socket, redis_url
from tigerfans.stack import postgres, redis, state
from tigerfans.stack.ports import free_port
from tigerfans.stack.process import Process
from tigerfans.stack.programs import Program
from tigerfans.stack.service import Service

POSTGRES_CONNECTIONS_MAX: Final = 100
BACKLOG: Final = 2048
STOP_SECONDS_MAX: Final = 5.0
# Redis syncs its append-only file so often, with `appendfsync everysec`.
UNSYNCED_SECONDS: Final = 1.0
DEATH_PAUSE_SECONDS: Final = 0.001
CONFIG: Final = Config.read(ROOT / "ops" / "workers-2.env")


@dataclass(frozen=True, slots=True)
class Demand:
    """What every shop is started with: tickets of each class, how long a hold lasts, workers."""

    tickets: int
    hold_seconds: int
    workers: int = 2


class Shop(Protocol):
    """A shop that runs."""

    url: str
    folder: DataFolder

    def cpu_seconds(self) -> dict[str, float]:
        """What each kind of process has used so far."""

    def pid(self, part: str) -> int:
        """Of a process that can be killed; raises `StackError` where there is none now."""

    def hold_back(self, is_held: bool) -> None:
        """Starts nothing again for a while."""


def kill(shop: Shop, part: str) -> None:
    """Kills a process at once; it is started again."""
    os.kill(shop.pid(part), signal.SIGKILL)


async def lose_power(shop: Shop) -> None:
    """Kills Redis, and takes from its file what it need not have synced yet.

    That is what a machine loses that loses power; a killed process leaves it to the kernel.
    """
    folder = shop.folder.redis
    synced = {path: path.stat().st_size for path in folder.rglob("*.aof")}
    await asyncio.sleep(UNSYNCED_SECONDS)
    process = psutil.Process(shop.pid("redis"))
    shop.hold_back(True)
    try:
        process.kill()
        # Nothing else of ours runs meanwhile, and so nothing is started again.
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(DEATH_PAUSE_SECONDS)  # noqa: ASYNC251
        for path, size in synced.items():
            os.truncate(path, size)
    finally:
        shop.hold_back(False)


class OurShop:
    """TigerFans as `tigerfans up` runs it."""

    def __init__(self, stack: Stack) -> None:
        self.url = stack.url
        self.folder = DataFolder(stack.data)
        self._stack = stack

    def cpu_seconds(self) -> dict[str, float]:
        kinds: dict[str, float] = {}
        for name, seconds in self._stack.cpu_seconds().items():
            kind = WORKERS if name.startswith(WORKER) else name.partition("-")[0]
            kinds[kind] = kinds.get(kind, 0.0) + seconds
        return kinds

    def pid(self, part: str) -> int:
        name = f"{WORKER}1" if part == "worker" else part
        running = state.read_running(state_file(self.folder.root))
        pids = (p.pid for p in running.processes if p.name == name) if running else iter(())
        return _one(part, pids)

    def hold_back(self, is_held: bool) -> None:
        self._stack.process.send_signal(signal.SIGSTOP if is_held else signal.SIGCONT)


@asynccontextmanager
async def our_shop(demand: Demand, *, embedded: bool = False) -> AsyncIterator[Shop]:
    with data_folder() as data, _offer(demand.tickets) as offer:
        variables = {
            **CONFIG.variables,
            "TIGERFANS_OFFER": str(offer),
            "TIGERFANS_HOLD_SECONDS": str(demand.hold_seconds),
            "TIGERFANS_WORKERS": str(demand.workers),
        }
        config = replace(CONFIG, variables=variables, workers=demand.workers)
        with running_in(data, config, embedded=embedded) as stack:
            yield OurShop(stack)


@contextmanager
def _offer(tickets: int) -> Iterator[Path]:
    """The benchmarks' offer with so many tickets of each class."""
    with tempfile.TemporaryDirectory(prefix="tigerfans-bench-") as folder:
        path = Path(folder, "offer.toml")
        path.write_text(OFFER_FILE.read_text().replace("= 5_000_000", f"= {tickets}"))
        yield path


class PeerShop:
    """A peer under uvicorn, and the servers that it needs."""

    def __init__(self, url: str, folder: DataFolder, services: Mapping[str, Service]) -> None:
        self.url = url
        self.folder = folder
        self._services = services

    def cpu_seconds(self) -> dict[str, float]:
        return {name: process_cpu_seconds(self._pid(name)) for name in self._services}

    def pid(self, part: str) -> int:
        if part != "worker":
            return self._pid(part)
        children = psutil.Process(self._pid(WORKERS)).children()
        # The other child keeps a list of what is shared.
        forked = (c.pid for c in children if "spawn_main" in " ".join(c.cmdline()))
        return _one(part, forked)

    def hold_back(self, is_held: bool) -> None:
        """Services are ours to start, and we are here."""

    def _pid(self, name: str) -> int:
        return _one(name, (process.pid for process in self._services[name].states()))


def _one(part: str, pids: Iterator[int | None]) -> int:
    pid = next(pids, None)
    if pid is None:
        raise StackError(f"There is no {part} now.")
    return pid


@asynccontextmanager
async def peer_shop(
    demand: Demand, *, module: str, appendfsync: str | None = None
) -> AsyncIterator[Shop]:
    """A peer by its module; without `appendfsync` it needs no Redis. Raises `ServiceError`."""
    with data_folder() as data:
        folder = DataFolder(data)
        port = free_port(HOST)
        with folder.locked():
            programs = {"postgres": _postgres(folder)}
            if appendfsync is not None:
                programs["redis"] = _redis(folder, appendfsync)
            programs[WORKERS] = _uvicorn(module, folder, port, demand)
            launch = partial(Process.start, folder=folder, environ=clean_environment())
            services = {
                name: Service(program, launch, _say_nothing, _do_nothing, _always)
                for name, program in programs.items()
            }
            keeping = []
            try:
                for name, service in services.items():
                    await service.start()
                    keep = service.keep_running()
                    keeping.append(asyncio.create_task(keep, name=f"keep {name} running"))
                yield PeerShop(f"http://{HOST}:{port}", folder, services)
            finally:
                for task in keeping:
                    task.cancel()
                await asyncio.gather(*keeping, return_exceptions=True)
                for service in reversed(services.values()):
                    await service.stop()


def _postgres(folder: DataFolder) -> Program:
    data, sockets = folder.postgres, postgres_sockets(folder)
    user = postgres.choose_user(data, sockets)
    postgres.initialise(data, user)
    postgres.own_folder(sockets, user)
    return postgres.program(data, sockets, user, connections_max=POSTGRES_CONNECTIONS_MAX)


def _redis(folder: DataFolder, appendfsync: str) -> Program:
    program = redis.program(folder.redis, redis_socket(folder))
    return replace(program, argv=(*program.argv, "--appendfsync", appendfsync))


def _uvicorn(module: str, folder: DataFolder, port: int, demand: Demand) -> Program:
    options = {
        "workers": demand.workers,
        "loop": "uvloop",
        "http": "httptools",
        "host": HOST,
        "port": port,
        "backlog": BACKLOG,
        "log-level": "warning",
        "app-dir": ROOT,
    }
    arguments = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    uvicorn = (sys.executable, "-m", "uvicorn", "--factory", f"bench.peers.{module}:create")
    return Program(
        name=WORKERS,
        argv=(*uvicorn, "--no-access-log", *arguments),
        environment={
            "PEER_DATABASE_URL": database_url(postgres_sockets(folder)),
            "PEER_REDIS_URL": redis_url(redis_socket(folder)),
            "PEER_TICKETS": str(demand.tickets),
            "PEER_HOLD_SECONDS": str(demand.hold_seconds),
        },
        stop_timeout_s=STOP_SECONDS_MAX,
        probe=partial(_sells, Address(HOST, port)),
    )


async def _sells(address: Address) -> bool:
    """Whether a peer tells its stock."""
    with suppress(OSError, HttpError):
        connection = await Connection.open(address)
        try:
            request = f"GET /api/inventory HTTP/1.1\r\nhost: {address}\r\n\r\n"
            return (await connection.request(request.encode())).status == 200
        finally:
            connection.close()
    return False


def _say_nothing(_: str) -> None:
    """That a process dies is what was asked for."""


def _do_nothing() -> None:
    """Nobody asks for the state of it."""


def _always() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Contender:
    """A shop of the comparison, and the parts of it that are killed."""

    name: str
    start: Callable[[Demand], AbstractAsyncContextManager[Shop]]
    parts: Sequence[str]


POWER: Final = "redis, a second lost"
CONTENDERS: Final = {
    contender.name: contender
    for contender in (
        Contender(
            "tigerfans",
            our_shop,
            ("worker", "sequencer", "tigerbeetle", "postgres", "redis", POWER),
        ),
        Contender("hot_row", partial(peer_shop, module="hot_row"), ("worker", "postgres")),
        Contender("ticket_rows", partial(peer_shop, module="ticket_rows"), ("worker", "postgres")),
        Contender(
            "redis_stock",
            partial(peer_shop, module="redis_stock", appendfsync="everysec"),
            ("worker", "postgres", "redis", POWER),
        ),
        Contender(
            "redis_stock_always",
            partial(peer_shop, module="redis_stock", appendfsync="always"),
            ("worker", "postgres", "redis"),
        ),
    )
}
