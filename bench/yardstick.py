"""The machine's own ceiling: what one worker of the same server answers that does nothing at all.

A raw ASGI callable with a fixed JSON, on Granian's command line. What the shop reaches is read as
a share of it, because that holds on other machines and other days, where no absolute figure does.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from bench.errors import BenchError
from bench.machine import ROOT
from bench.stack import HOST
from tigerfans.stack.ports import free_port

START_SECONDS_MAX: Final = 20.0
STOP_SECONDS_MAX: Final = 5.0

_BODY: Final = b'{"tb_transfer_id":"0","goodie_tb_transfer_id":"1"}'
_START: Final = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(_BODY)).encode()),
    ],
}
_END: Final = {"type": "http.response.body", "body": _BODY}


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[Any]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Answers everything with the same."""
    await send(_START)
    await send(_END)


@contextmanager
def running() -> Iterator[str]:
    """Serves the yardstick, and stops it in the end; gives its URL. Raises `BenchError`."""
    port = free_port(HOST)
    options = ("--interface", "asginl", "--workers", "1", "--http", "1", "--no-ws", "--no-log")
    address = ("--host", HOST, "--port", str(port))
    process = subprocess.Popen(
        [sys.executable, "-m", "granian", *options, *address, "bench.yardstick:app"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    try:
        _wait(process, port)
        yield f"http://{HOST}:{port}"
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.02)
    raise BenchError("The yardstick's server did not start.")
