"""What the HTTP server itself costs a request: the floor below every figure of the shop.

    python -m bench.server_cost

Serves applications that do next to nothing, as many workers as the shop has, each as a worker
serves: the same server in the same event loop. One answers at once, one waits for 2 ms first, as
if for the ledger, and one reads a body before it waits. Prints requests a second, and the servers'
CPU for each.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import psutil
import uvloop

from bench import wrk_run, yardstick
from bench.errors import BenchError
from bench.machine import ROOT, describe_machine
from bench.stack import HOST
from tigerfans.http.serving.server import build_server
from tigerfans.process.runtime import let_others_finish, settle_down, stay_on_one_core
from tigerfans.settings.settings import HttpSettings
from tigerfans.stack.ports import free_port

WORKERS: Final = 2
CONNECTIONS: Final = 60
SECONDS: Final = 4.0
WARM_UP_SECONDS: Final = 1.0
WAIT_SECONDS: Final = 0.002
START_SECONDS_MAX: Final = 20.0

# What an application does before it answers, and the script of wrk that asks it.
KINDS: Final = {"answers": "report", "waits": "report", "reads and waits": "checkout"}


class Batch:
    """All who wait go on together, every `WAIT_SECONDS`: as a batch of the ledger's answers."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    def next(self) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_later(WAIT_SECONDS, self._answer)
        self._waiting.append(loop.create_future())
        return self._waiting[-1]

    def _answer(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


def application(kind: str) -> Callable[..., Any]:
    batch = Batch()

    async def answers(scope: Any, receive: Any, send: Any) -> None:
        await yardstick.app(scope, receive, send)

    async def waits(scope: Any, receive: Any, send: Any) -> None:
        await batch.next()
        await yardstick.app(scope, receive, send)

    async def reads_and_waits(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await batch.next()
        await yardstick.app(scope, receive, send)

    return {"answers": answers, "waits": waits, "reads and waits": reads_and_waits}[kind]


async def serve(kind: str, port: int) -> None:
    server = build_server(application(kind), HttpSettings(host=HOST, port=port))
    settle_down()
    await server.serve()


@contextmanager
def serving(kind: str, port: int) -> Iterator[list[psutil.Process]]:
    """Serves in `WORKERS` processes, which end with the block; raises `BenchError`."""
    command = [sys.executable, "-m", "bench.server_cost", kind, str(port)]
    children = [
        subprocess.Popen([*command, str(number)], cwd=ROOT) for number in range(1, WORKERS + 1)
    ]
    try:
        processes = [psutil.Process(child.pid) for child in children]
        deadline = time.monotonic() + START_SECONDS_MAX
        while not all(_listens(process, port) for process in processes):
            if time.monotonic() > deadline:
                raise BenchError("The server did not start.")
            time.sleep(0.02)
        yield processes
    finally:
        for child in children:
            child.kill()
            child.wait()


def _listens(process: psutil.Process, port: int) -> bool:
    return any(
        c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in process.net_connections()
    )


def _cpu_seconds(processes: list[psutil.Process]) -> float:
    return float(sum(sum(process.cpu_times()[:2]) for process in processes))


def measure(kind: str) -> str:
    port = free_port(HOST)
    url, script = f"http://{HOST}:{port}", KINDS[kind]
    with serving(kind, port) as processes:
        wrk_run.run(script, url, CONNECTIONS, WARM_UP_SECONDS)
        before = _cpu_seconds(processes)
        figures = wrk_run.run(script, url, CONNECTIONS, SECONDS)
        each_us = (_cpu_seconds(processes) - before) / figures.total * 1e6
    return f"{kind:>15}  {figures.total / figures.seconds:8,.0f}/s  {each_us:5.1f} µs"


def main() -> int:
    if len(sys.argv) > 1:
        let_others_finish()
        stay_on_one_core(int(sys.argv[3]), WORKERS)
        uvloop.run(serve(sys.argv[1], int(sys.argv[2])))
        return 0
    try:
        print(f"{describe_machine()}; {WORKERS} workers, {CONNECTIONS} connections")
        for kind in KINDS:
            print(measure(kind), flush=True)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
