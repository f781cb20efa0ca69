"""What runs on the hosts: a replica of TigerBeetle, Redis, and the shop by its own commands.

PostgreSQL is `tests.servers.PostgresHost`. Each part is a host's own, with its data in a folder of
the host's, and is killed, started again and made anew there.
"""

import asyncio
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.harness.patience import PATIENCE_SECONDS, until
from tests.hosts.namespaces import Host
from tests.hosts.processes import Daemon, Unit
from tests.servers import PASSWORD, PASSWORD_IN_URL
from tests.stack.running_shop import environment
from tests.tigerbeetle_server import DEVELOPMENT
from tigerfans.stack import redis
from tigerfans.stack.programs import launch_command

CLUSTER_ID: Final = 7
OTHER_CLUSTER_ID: Final = 8
REPLICA_PORT: Final = 3000
SHOP_PORT: Final = 8000
METRICS_PORT: Final = 8001
REDIS_PORT: Final = 6379
WORKERS: Final = 2

_VIEW: Final = re.compile(r"info\(replica\): \d+n: .*\bview=(?:\d+\.\.)?(\d+)")
_TAKES_PART: Final = ": transition_to_normal_from_"


class Replica:
    """One replica of the cluster, `number` counted from 0."""

    def __init__(self, host: Host, binary: Path, number: int, addresses: str, folder: Path) -> None:
        self.host = host
        self._number = number
        self._count = addresses.count(",") + 1
        self._file = folder / "data.tigerbeetle"
        self._binary = str(binary)
        self._addresses = f"--addresses={addresses}"
        argv = [self._binary, "start", *DEVELOPMENT, self._addresses, str(self._file)]
        self._daemon = Daemon(host, "tigerbeetle", argv, folder)
        # How long its log was then.
        self._started_at = 0

    def form(self) -> None:
        """Formats its file, for a new cluster."""
        self._command("format", *self._who())

    def start(self) -> None:
        self._started_at = len(self._log())
        self._daemon.start()

    def kill(self) -> None:
        self._daemon.kill()

    def lose_file(self) -> None:
        self._file.unlink()

    async def recover(self) -> None:
        """Makes its file anew, by what the other replicas know."""
        await asyncio.to_thread(self._command, "recover", *self._who(), self._addresses)

    async def until_it_is_back(self) -> None:
        """Once it takes part again after its latest start: until then no other one may go.

        One that only listens does not count for a majority yet.
        """

        async def is_back() -> bool:
            # What it said before its latest start says nothing of this one.
            return self._daemon.is_running and _TAKES_PART in self._log()[self._started_at :]

        await until(is_back)

    @property
    def view(self) -> int:
        """The latest that it has taken part in."""
        views = _VIEW.findall(self._log())
        return int(views[-1]) if views else 0

    def tell(self) -> str:
        return self._daemon.tell()

    def _log(self) -> str:
        log = self._daemon.log
        return log.read_text(errors="replace") if log.exists() else ""

    def _who(self) -> Sequence[str]:
        replica = f"--replica={self._number}", f"--replica-count={self._count}"
        return f"--cluster={CLUSTER_ID}", *replica, *DEVELOPMENT

    def _command(self, name: str, *options: str) -> None:
        command = [*self.host.prefix, self._binary, name, *options, str(self._file)]
        subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_SECONDS)


class RedisServer:
    """The one Redis; nothing in it has to survive."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host = host
        self.url = f"redis://:{PASSWORD_IN_URL}@{host.address}:{REDIS_PORT}/0"
        self._data = folder / "redis"
        argv = redis.program(self._data, folder / "redis.sock").argv
        options = ["--bind", host.address, "--port", str(REDIS_PORT), "--requirepass", PASSWORD]
        self._daemon = Daemon(host, "redis", [*argv, *options], folder)

    async def start(self) -> None:
        """Starts it; it answers when this returns."""
        self._data.mkdir(exist_ok=True)
        self._daemon.start()

        async def answers() -> bool:
            client = Redis.from_url(self.url)
            try:
                return bool(await client.ping())
            except (OSError, RedisError):
                return False
            finally:
                await client.aclose()

        await until(answers)

    def lose(self) -> None:
        """Kills it, and all it knew goes with it."""
        self.kill()
        shutil.rmtree(self._data)

    def kill(self) -> None:
        self._daemon.kill()

    def tell(self) -> str:
        return self._daemon.tell()


class ShopHost:
    """A sequencer, workers and a clerk, kept running as the units of ops/systemd keep them.

    `release` is the folder of the source that they are run from; None is this checkout.
    """

    def __init__(
        self, host: Host, folder: Path, settings: Mapping[str, str], release: Path | None = None
    ) -> None:
        self.host = host
        self.socket = folder / "sequencer.sock"
        self._folder = folder
        self._settings = {
            "TIGERFANS_HOST": host.address,
            "TIGERFANS_PORT": str(SHOP_PORT),
            "TIGERFANS_METRICS_ADDRESS": f"127.0.0.1:{METRICS_PORT}",
            "TIGERFANS_SEQUENCER_SOCKET": str(self.socket),
            "TIGERFANS_PIN_WORKERS": "0",
            **settings,
        }
        self.settings_of(release)
        self._sequencer = Unit(self.daemon("sequencer", "sequencer"))
        self._workers = [self._worker(number) for number in range(1, WORKERS + 1)]
        self._clerks: list[Unit] = []
        # The last release has none: its workers do what can wait.
        if release is None:
            self._hire_clerk()

    @property
    def failed(self) -> list[str]:
        """Those of its units that gave up, and why."""
        return [unit.failed for unit in self.units if unit.failed]

    @property
    def units(self) -> list[Unit]:
        return [self._sequencer, *self._workers, *self._clerks]

    @property
    def release_folder(self) -> Path | None:
        return self._release

    def settings_of(self, release: Path | None) -> None:
        """What is started from now on comes from that release."""
        self._release = release
        own = {} if release is None else {"PYTHONPATH": str(release)}
        self._environment = environment(self._folder / "data", self._settings | own)

    def start(self) -> None:
        for unit in self.units:
            unit.start()

    async def kill(self) -> None:
        """As a host that loses its power does."""
        await asyncio.gather(*(unit.kill() for unit in self.units))

    async def stop(self) -> list[str]:
        """Ends it in order, the sequencer last; what is wrong with that."""
        codes = [(unit, await unit.stop()) for unit in reversed(self.units)]
        return [f"{unit.daemon.name} stopped with exit code {code}" for unit, code in codes if code]

    async def upgrade(self) -> None:
        """To this checkout: the sequencer, then one worker after the other, then a clerk."""
        self.settings_of(None)
        for unit in self.units:
            await unit.stop()
            for daemon in unit.daemons:
                daemon.environment = self._environment
            unit.start()
        if not self._clerks:
            self._hire_clerk()
            self._clerks[0].start()

    async def tigerfans(
        self, *arguments: str, settings: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Runs a command of the shop on this host, with `settings` in place of its own."""
        command = [*self.host.prefix, *launch_command(_command(*arguments))]
        return await asyncio.to_thread(
            subprocess.run,
            command,
            env=self._environment | dict(settings or {}),
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )

    def daemon(
        self, name: str, *arguments: str, settings: Mapping[str, str] | None = None
    ) -> Daemon:
        """A command of the shop that runs on this host, with `settings` in place of its own."""
        environ = self._environment | dict(settings or {})
        return Daemon(self.host, name, _command(*arguments), self._folder, environ)

    def logs(self) -> list[Path]:
        return sorted(self._folder.glob("*.log"))

    def tell(self) -> str:
        return "\n".join(unit.daemon.tell() for unit in self.units)

    def _hire_clerk(self) -> None:
        self._clerks.append(self._with_migration("clerk-1", "clerk", "--number", "1"))

    def _worker(self, number: int) -> Unit:
        return self._with_migration(f"worker-{number}", "worker", "--number", str(number))

    def _with_migration(self, name: str, *arguments: str) -> Unit:
        before = self.daemon(f"{name}-migrate", "migrate")
        return Unit(self.daemon(name, *arguments), before=before)


def _command(*arguments: str) -> list[str]:
    # -P: the installed package, or the release's, whatever lies in the current folder.
    return [sys.executable, "-P", "-m", "tigerfans", *arguments]
