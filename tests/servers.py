"""Real servers for tests: PostgreSQL and Redis from the wheels, on Unix sockets in a folder of
their own. They end with the test run, also when that is killed.

Durability is off: a test that needs it starts the whole stack.

`PostgresHost` and `RedisHost` are for what happens between hosts: each is one server of several,
which is found by its address, needs a password, and can be killed, promoted and joined again.
"""

import asyncio
import shutil
import subprocess
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGINT, SIGQUIT
from typing import Any, Final, TypeVar

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.harness.patience import PATIENCE_SECONDS, patience, until
from tigerfans.settings import located
from tigerfans.stack import postgres, redis
from tigerfans.stack.programs import Program, launch_command
from tigerfans.stack.readiness import Asking

CONNECTIONS_MAX = 100
# Of everything that several hosts talk by; it has what an address has to have percent-encoded.
PASSWORD: Final = "p@ss:w/rd"
PASSWORD_IN_URL: Final = "p%40ss%3Aw%2Frd"

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


@dataclass
class PostgresHost:
    """One of the hosts of a database: a primary, or a standby that follows one.

    `prefix` is what its commands begin with, such as `ip netns exec NAME`. With `is_synchronous`
    nothing is confirmed before a standby has it.
    """

    folder: Path
    address: str
    port: int
    prefix: Sequence[str] = ()
    is_synchronous: bool = False
    _server: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(mode=0o755, exist_ok=True)
        self._data, self._sockets = self.folder / "data", self.folder / "pg"
        self._user = postgres.choose_user(self._data, self._sockets)
        postgres.own_folder(self._sockets, self._user)

    @property
    def name(self) -> str:
        """What DATABASE_URL and the shop's messages call it."""
        return f"{self.address}:{self.port}"

    @property
    def is_running(self) -> bool:
        return self._server is not None

    async def is_standby(self) -> bool:
        return bool(await self.execute("SELECT pg_is_in_recovery()"))

    async def found(self) -> None:
        """Makes it a primary with an empty database, and starts it."""
        postgres.initialise(self._data, self._user)
        rules = "\n".join(f"host {what} all all scram-sha-256" for what in ("all", "replication"))
        # By its Unix socket everybody comes in.
        (self._data / "pg_hba.conf").write_text(f"local all all trust\n{rules}\n")
        with (self._data / "postgresql.conf").open("a") as settings:
            # What a rewind looks for; in the file, for it starts the server by itself.
            settings.write("wal_log_hints = on\nwal_keep_size = 128MB\n")
        await self.start()
        await self.execute(f"ALTER ROLE {located.ROLE} PASSWORD '{PASSWORD}'")
        await self.execute(f"CREATE DATABASE {located.DATABASE}")

    async def follow(self, *hosts: "PostgresHost") -> None:
        """Makes it a standby of whichever of them is the primary, now and after a failover, with a
        copy of that, and starts it.
        """
        shutil.rmtree(self._data, ignore_errors=True)
        postgres.own_folder(self._data, self._user)
        source = f"{_primary_url(hosts)}&application_name=port{self.port}"
        copy = ["--checkpoint=fast", "--no-sync", "--write-recovery-conf", f"--dbname={source}"]
        self._run("pg_basebackup", f"--pgdata={self._data}", *copy)
        await self.start()

    async def rejoin(self, *hosts: "PostgresHost") -> None:
        """Makes what was a primary before a standby of today's, one of `hosts`: what it has too
        much is undone.
        """
        source = f"--source-server={_primary_url(hosts)}"
        self._run(
            "pg_rewind",
            f"--target-pgdata={self._data}",
            source,
            "--write-recovery-conf",
            "--no-sync",
        )
        await self.start()

    async def start(self) -> None:
        """Starts it as what it was; it answers when this returns."""
        program = postgres.program(
            self._data, self._sockets, self._user, connections_max=CONNECTIONS_MAX
        )
        options = {
            "fsync": "off",
            "listen_addresses": self.address,
            "port": str(self.port),
            "synchronous_standby_names": "ANY 1 (*)" if self.is_synchronous else "",
            "wal_retrieve_retry_interval": "100ms",
        }
        arguments = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        command = launch_command([*program.argv, *arguments], self._user, program.end_signal)
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
                [*self.prefix, *command],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )
        await self._until_it_answers()

    async def catch_up(self, primary: "PostgresHost") -> None:
        """Returns once the standby has all that `primary` has now."""
        position = await primary.execute("SELECT pg_current_wal_lsn()::text")

        async def has_it() -> object:
            return await self.execute(
                "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", position
            )

        await until(has_it)

    async def promote(self) -> None:
        """Makes the standby a primary; it is one when this returns."""
        await self.execute("SELECT pg_promote()")

    def kill(self) -> None:
        """Ends it at once, with nothing more written to its disk."""
        self._end(SIGQUIT)

    def stop(self) -> None:
        self._end(SIGINT)

    async def execute(self, sql: str, *arguments: object) -> object:
        """One value of what the query gives, by its Unix socket; waits for no standby."""
        connection = await asyncpg.connect(
            host=str(self._sockets),
            port=self.port,
            user=located.ROLE,
            database="postgres",
            server_settings={"synchronous_commit": "local"},
        )
        try:
            return await connection.fetchval(sql, *arguments)
        finally:
            await connection.close()

    async def _until_it_answers(self) -> None:
        async def answers() -> bool:
            if self._server is None or self._server.poll() is not None:
                raise RuntimeError(f"PostgreSQL did not start; see {self.folder / 'log'}")
            try:
                await self.execute("SELECT 1")
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                return False
            return True

        async with patience():
            await Asking(answers).wait()

    def _end(self, number: int) -> None:
        if self._server is not None:
            self._server.send_signal(number)
            self._server.wait(PATIENCE_SECONDS)
            self._server = None

    def _run(self, command: str, *arguments: str) -> None:
        launched = launch_command([str(postgres.binaries() / command), *arguments], self._user)
        with (self.folder / "log").open("ab") as log:
            subprocess.run([*self.prefix, *launched], check=True, cwd="/", stdout=log, stderr=log)


def postgres_url(hosts: Sequence[PostgresHost], database: str = located.DATABASE) -> str:
    """A DATABASE_URL that names them all."""
    names = ",".join(host.name for host in hosts)
    return f"postgresql://{located.ROLE}:{PASSWORD_IN_URL}@{names}/{database}"


def _primary_url(hosts: Sequence[PostgresHost]) -> str:
    return f"{postgres_url(hosts, 'postgres')}?target_session_attrs=read-write&connect_timeout=2"


@dataclass
class RedisHost:
    """A Redis, or a Sentinel, that needs a password; `prefix` is as of `PostgresHost`."""

    folder: Path
    address: str
    port: int
    prefix: Sequence[str] = ()
    _server: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def name(self) -> str:
        return f"{self.address}:{self.port}"

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD_IN_URL}@{self.name}/0"

    @property
    def is_running(self) -> bool:
        return self._server is not None

    async def start(self, primary: "RedisHost | None" = None) -> None:
        """Starts it empty, as a primary or as the replica of one; it answers when this returns."""
        options = {
            "bind": self.address,
            "port": str(self.port),
            "requirepass": PASSWORD,
            "masterauth": PASSWORD,
            "maxmemory-policy": "noeviction",
            "save": "",
        }
        if primary is not None:
            options["replicaof"] = f"{primary.address} {primary.port}"
        lines = "".join(f"{name} {_quoted(value)}\n" for name, value in options.items())
        await self._start("redis.conf", lines)

    async def watch(self, primary: "RedisHost", name: str) -> None:
        """Starts it as a Sentinel that needs nobody else to promote a replica of `primary`."""
        lines = f"""
            bind {self.address}
            port {self.port}
            requirepass "{PASSWORD}"
            sentinel monitor {name} {primary.address} {primary.port} 1
            sentinel auth-pass {name} "{PASSWORD}"
            sentinel down-after-milliseconds {name} 1000
            sentinel failover-timeout {name} 1000
        """
        await self._start("sentinel.conf", lines, "--sentinel")

    async def execute(self, *command: str) -> Any:
        async with Redis.from_url(self.url, decode_responses=True) as redis:
            return await redis.execute_command(*command)  # type: ignore[no-untyped-call]

    def kill(self) -> None:
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

    async def _start(self, name: str, lines: str, *options: str) -> None:
        self.folder.mkdir(exist_ok=True)
        configuration = self.folder / name
        configuration.write_text(f"dir {self.folder}\n{lines}")
        command = launch_command([str(redis.binary()), str(configuration), *options])
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
                [*self.prefix, *command],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )

        async def answers() -> bool:
            if self._server is None or self._server.poll() is not None:
                raise RuntimeError(f"Redis did not start; see {self.folder / 'log'}")
            try:
                return bool(await self.execute("PING"))
            except (OSError, RedisError):
                return False

        async with patience():
            await Asking(answers).wait()


def _quoted(value: str) -> str:
    return value if value and "#" not in value and " " in value else f'"{value}"'


def sentinel_url(sentinels: Sequence[RedisHost], name: str) -> str:
    """A REDIS_URL by Sentinels."""
    names = ",".join(sentinel.name for sentinel in sentinels)
    address = f"redis+sentinel://:{PASSWORD_IN_URL}@{names}/{name}/0"
    return f"{address}?sentinel_password={PASSWORD_IN_URL}"
