"""The server in a process of its own: for what kills it, and for tests without an event loop."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.harness.patience import until
from tests.stripe_server.server import HOST
from tests.stripe_server.wire import NO_AUTHORITIES
from tigerfans.stack.programs import launch_command

ROOT = Path(__file__).parents[2]


@dataclass
class StripeProcess:
    """`start`, `kill` and `start` it as often as wanted: what it has is in a file of `folder`.

    `arguments` are those of the command, besides the port and the file.
    """

    folder: Path
    port: int
    arguments: Sequence[str] = ()
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """It answers when this returns."""
        self.begin()
        await self.until_it_answers()

    def begin(self) -> None:
        command = [sys.executable, "-m", "tests.stripe_server", "--port", str(self.port)]
        command += ["--file", str(self.folder / "stripe.sqlite"), *self.arguments]
        with (self.folder / "stripe.log").open("ab") as log:
            # It ends with the tests, also where these are killed.
            self._process = subprocess.Popen(
                launch_command(command), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    async def until_it_answers(self) -> None:
        async with httpx.AsyncClient(verify=NO_AUTHORITIES, trust_env=False) as client:

            async def answers() -> bool:
                if self._process is None or self._process.poll() is not None:
                    raise RuntimeError(f"It did not start; see {self.folder / 'stripe.log'}")
                try:
                    return (await client.get(self.url)).is_success
                except httpx.HTTPError:
                    return False

            await until(answers)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """As its user would; ends it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None


@contextmanager
def running(process: StripeProcess) -> Iterator[StripeProcess]:
    """For tests without an event loop of their own, or with one that is not theirs."""
    process.begin()
    try:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: asyncio.run(process.until_it_answers())).result()
        yield process
    finally:
        process.kill()
