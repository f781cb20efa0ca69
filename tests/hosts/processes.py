"""One process on a host: started, killed, stopped, and kept running as systemd keeps a unit."""

import asyncio
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.harness.patience import PATIENCE_SECONDS, PAUSE_SECONDS
from tests.hosts.namespaces import Host
from tigerfans.stack.programs import launch_command

# As in ops/systemd.
RESTART_SECONDS: Final = 0.2
EXIT_SETTINGS: Final = 2
LOG_LINES: Final = 15


class Daemon:
    """Runs `argv` on a host, under `environment` alone where there is one."""

    def __init__(
        self,
        host: Host,
        name: str,
        argv: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = f"{host.name} {name}"
        self.argv = argv
        self.environment = environment
        self.log = folder / f"{name}.log"
        self._host = host
        self._folder = folder
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                [*self._host.prefix, *launch_command(self.argv)],
                cwd=self._folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def wait(self) -> int:
        """Its exit code, once it has ended."""
        assert self._child is not None
        # No thread for each: asyncio has few of them, and they are all of its commands'.
        while (code := self._child.poll()) is None:  # noqa: ASYNC110
            await asyncio.sleep(PAUSE_SECONDS)
        return code

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    def terminate(self) -> None:
        """Asks it to stop."""
        if self._child is not None:
            self._child.send_signal(signal.SIGTERM)

    async def stop(self) -> int:
        self.terminate()
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.wait()

    def tell(self) -> str:
        """What it said last."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join([f"--- {self.name}", *lines[-LOG_LINES:]])


class Unit:
    """A daemon that is started again whenever it ends, and before it each time what has to run
    before, as systemd does by ops/systemd; `failed` says why it gave up.
    """

    def __init__(self, daemon: Daemon, before: Daemon | None = None) -> None:
        self.daemon = daemon
        self.failed = ""
        self._before = before
        self._is_wanted = False
        self._task: asyncio.Task[None] | None = None

    @property
    def daemons(self) -> list[Daemon]:
        return [self.daemon] if self._before is None else [self._before, self.daemon]

    def start(self) -> None:
        self._is_wanted = True
        self._task = asyncio.create_task(self._keep(), name=self.daemon.name)

    async def stop(self) -> int:
        """Asks it to stop; the exit code of the last process."""
        self._is_wanted = False
        code = await self.daemon.stop()
        await self._end()
        return code

    async def kill(self) -> None:
        """Ends it at once, and starts it no more."""
        self._is_wanted = False
        if self._before is not None:
            self._before.kill()
        self.daemon.kill()
        await self._end()

    def crash(self) -> None:
        """Ends its process at once; the unit starts another one."""
        self.daemon.kill()

    async def _keep(self) -> None:
        while self._is_wanted:
            if self._before is None or await self._run_before():
                self.daemon.start()
                code = await self.daemon.wait()
                if self._is_wanted and code == EXIT_SETTINGS:
                    said = self.daemon.tell()
                    self.failed = f"{self.daemon.name} does not start any more.\n{said}"
                    return
            if self._is_wanted:
                await asyncio.sleep(RESTART_SECONDS)

    async def _run_before(self) -> bool:
        assert self._before is not None
        self._before.start()
        return await self._before.wait() == 0 and self._is_wanted

    async def _end(self) -> None:
        if self._task is not None:
            await asyncio.wait([self._task])
            self._task.result()
            self._task = None
