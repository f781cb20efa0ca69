"""How many single transfers a second the sequencer takes over its real socket, and at what cost.

    python -m bench.sequencer_load                           a sequencer of its own
    python -m bench.sequencer_load --in-flight 4096 --total 1000000
    python -m bench.sequencer_load --socket data/run/sequencer.sock

Each process is a worker reduced to its socket: it keeps a window of single-transfer requests in
flight, reads replies and sends as many again. It costs as little as it can, because it shares the
cores with what it measures. A sequencer of its own gets the ledger that `TIGERFANS_LEDGER` names,
by default an embedded one in a temporary folder; with `--socket`, the running sequencer's numbers
are read from `TIGERFANS_METRICS_ADDRESS`. Every run uses accounts of its own, on a ledger number
of its own, so a ledger can be measured again and again.
"""

import argparse
import http.client
import json
import multiprocessing
import os
import secrets
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from struct import Struct
from typing import Any, Final

from tigerfans.ipc.frames import (
    CORRELATION_MAX,
    REQUESTS_IN_FLIGHT_MAX,
    Frame,
    FrameDecoder,
    FrameError,
    Hello,
    Status,
    decode_hello,
    decode_sentence,
    encode,
    encode_hello,
)
from tigerfans.ledger.wire import ID_SIZE, TRANSFER_SIZE, Account, Operation, Result, Transfer
from tigerfans.sequencer import main as sequencer_main
from tigerfans.settings.settings import SequencerSettings, Settings, SettingsError

PROCESSES_MAX: Final = 64
SECONDS_MAX: Final = 600.0
TOTAL_MAX: Final = 1_000_000_000
STARTUP_SECONDS_MAX: Final = 10.0
ANSWER_SECONDS_MAX: Final = 10.0
READ_SIZE: Final = 256 * 1024

CONTEXT: Final = multiprocessing.get_context("spawn")
# A single-transfer request: the frame's header, the transfer's id in two halves, the rest of it.
REQUEST: Final = Struct("<IIHHQQ112s")

# Where a result keeps its status, and what it is for a transfer that was created.
STATUS_IN_RESULT: Final = slice(8, 12)
CREATED: Final = b"\xff\xff\xff\xff"

# How many requests were answered, and of these how many other than with `created`, by answer.
Outcomes = Counter[str]
ANSWERED: Final = "answered"


class LoadError(Exception):
    """The measurement is not possible; the message is one sentence."""


@dataclass(frozen=True)
class Plan:
    """What one process does: until `seconds` have passed or `transfers` were sent."""

    socket: Path
    window: int
    seconds: float
    transfers: int
    # A transfer without its id.
    transfer_rest: bytes


class Worker:
    """A worker's socket, blocking, with a window of requests in flight."""

    def __init__(self, path: Path, name: str) -> None:
        self._decoder = FrameDecoder()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(ANSWER_SECONDS_MAX)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            raise LoadError(f"No sequencer listens on {path}: {error.strerror}.") from error
        self._socket.sendall(encode_hello(Hello(name)))
        self.ledger = decode_hello(self.read()[0]).name

    def read(self) -> list[Frame]:
        """The next frames, at least one."""
        while True:
            data = self._socket.recv(READ_SIZE)
            if not data:
                raise LoadError("The sequencer hung up.")
            if frames := self._decoder.feed(data):
                return frames

    def ask(self, operation: Operation, records: bytes) -> bytes:
        """One request and its reply."""
        self._socket.sendall(encode(1, operation, records))
        _, code, payload = self.read()[0]
        if code != Status.OK:
            raise LoadError(f"The sequencer refuses: {decode_sentence(payload)}")
        return payload

    def drive(self, plan: Plan) -> Outcomes:
        """Sends transfers, each with a new id, and counts what the replies say."""
        outcomes = Outcomes()
        id_high, rest = secrets.randbits(63), plan.transfer_rest
        pack, operation = REQUEST.pack, int(Operation.CREATE_TRANSFERS)
        deadline = time.monotonic() + plan.seconds
        sent = answered = 0
        room = plan.window
        while sent < plan.transfers and time.monotonic() < deadline:
            numbers = range(sent + 1, min(sent + room, plan.transfers) + 1)
            requests = [
                pack(TRANSFER_SIZE, number & CORRELATION_MAX, operation, 0, number, id_high, rest)
                for number in numbers
            ]
            self._socket.sendall(b"".join(requests))
            sent = numbers[-1]
            room = self._count(self.read(), outcomes)
            answered += room
        while answered < sent:
            answered += self._count(self.read(), outcomes)
        return outcomes

    def _count(self, frames: list[Frame], outcomes: Outcomes) -> int:
        for _, code, payload in frames:
            if code != Status.OK:
                outcomes[Status(code).name.lower()] += 1
            elif payload[STATUS_IN_RESULT] != CREATED:
                outcomes[f"transfer status {Result.unpack_all(payload)[0].status}"] += 1
        outcomes[ANSWERED] += len(frames)
        return len(frames)


def run_worker(number: int, plan: Plan, start: Event, reports: Connection) -> None:
    """The body of one process; reports what it measured, or the sentence why it could not."""
    try:
        worker = Worker(plan.socket, f"load-{number}")
        reports.send(None)
        start.wait()
        reports.send(worker.drive(plan))
    except (LoadError, FrameError, OSError) as error:
        reports.send(str(error) or type(error).__name__)


def create_accounts(worker: Worker) -> bytes:
    """Creates two accounts; returns the transfer between them, less its id."""
    ledger = 1 + secrets.randbits(31)
    debit_id, credit_id = secrets.randbits(127), secrets.randbits(127)
    accounts = [Account(id=key, ledger=ledger, code=1) for key in (debit_id, credit_id)]
    worker.ask(Operation.CREATE_ACCOUNTS, b"".join(account.pack() for account in accounts))
    transfer = Transfer(
        debit_account_id=debit_id, credit_account_id=credit_id, amount=1, ledger=ledger, code=1
    )
    return transfer.pack()[ID_SIZE:]


def read_status(settings: SequencerSettings) -> dict[str, Any]:
    """The sequencer's `/status`."""
    connection = http.client.HTTPConnection(
        settings.metrics_host, settings.metrics_port, timeout=ANSWER_SECONDS_MAX
    )
    try:
        connection.request("GET", "/status")
        status: dict[str, Any] = json.loads(connection.getresponse().read())
    except (OSError, ValueError) as error:
        raise LoadError(
            f"No sequencer answers on TIGERFANS_METRICS_ADDRESS={settings.metrics_host}:"
            f"{settings.metrics_port}: {error}."
        ) from error
    finally:
        connection.close()
    return status


def run_sequencer(settings: Settings) -> None:
    try:
        sys.exit(sequencer_main.run(settings))
    except SettingsError as error:
        sys.exit(str(error))


@contextmanager
def own_sequencer(settings: Settings) -> Iterator[SequencerSettings]:
    """Starts a sequencer in a temporary folder, and stops it in the end."""
    with tempfile.TemporaryDirectory(prefix="tigerfans-load-") as folder:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        own = SequencerSettings(socket=Path(folder, "sequencer.sock"), metrics_port=port)
        settings = replace(
            settings, sequencer=own, ledger=settings.ledger or f"embedded:{folder}/ledger"
        )
        process = CONTEXT.Process(target=run_sequencer, args=(settings,))
        process.start()
        try:
            deadline = time.monotonic() + STARTUP_SECONDS_MAX
            while not is_listening(own.socket):
                if not process.is_alive() or time.monotonic() > deadline:
                    raise LoadError("The sequencer did not start.")
                time.sleep(0.05)
            yield own
        finally:
            process.terminate()
            process.join()


def is_listening(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def start_worker(number: int, plan: Plan, start: Event) -> Connection:
    """Starts one process; returns the pipe on which it says that it is ready, then its outcomes."""
    ours, theirs = CONTEXT.Pipe(duplex=False)
    CONTEXT.Process(target=run_worker, args=(number, plan, start, theirs), daemon=True).start()
    theirs.close()
    return ours


def receive(pipe: Connection) -> Outcomes:
    try:
        report = pipe.recv()
    except EOFError:
        raise LoadError("A load process died.") from None
    if isinstance(report, str):
        raise LoadError(report)
    return Outcomes(report)


def measure(sequencer: SequencerSettings, options: argparse.Namespace) -> str:
    """Drives the sequencer and returns a line that says how fast it was."""
    worker = Worker(sequencer.socket, "load")
    plan = Plan(
        socket=sequencer.socket,
        window=max(1, options.in_flight // options.processes),
        seconds=SECONDS_MAX if options.total else options.seconds,
        transfers=(options.total or TOTAL_MAX) // options.processes,
        transfer_rest=create_accounts(worker),
    )
    start = CONTEXT.Event()
    pipes = [start_worker(number, plan, start) for number in range(options.processes)]
    for pipe in pipes:
        receive(pipe)
    before, started = read_status(sequencer), time.monotonic()
    start.set()
    outcomes = sum(map(receive, pipes), Outcomes())
    seconds, after = time.monotonic() - started, read_status(sequencer)

    lane_before, lane = (status["operations"]["create_transfers"] for status in (before, after))
    batches = max(1, lane["batches"] - lane_before["batches"])
    answered = outcomes.pop(ANSWERED)
    cpu_seconds = after["cpu_seconds"] - before["cpu_seconds"]
    refused = ", ".join(f"{count} {answer}" for answer, count in outcomes.items()) or "none"
    return (
        f"{options.processes} processes, {options.in_flight} in flight, {worker.ledger} ledger:"
        f" {answered / seconds:,.0f} transfers/s"
        f", average batch {(lane['events'] - lane_before['events']) / batches:.1f}"
        f" ({(lane['batches_merged'] - lane_before['batches_merged']) / batches:.0%} merged)"
        f", sequencer CPU {cpu_seconds / answered * 1e6:.2f} µs per transfer"
        f", {answered:,} answered in {seconds:.1f} s, refused: {refused}"
    )


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How fast is the sequencer alone?")
    parser.add_argument("--processes", type=int, default=4, help="that drive it; default 4")
    parser.add_argument(
        "--in-flight", type=int, default=256, help="requests, of all processes; default 256"
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--seconds", type=float, default=5.0, help="default 5")
    length.add_argument("--total", type=int, help="transfers, in place of --seconds")
    parser.add_argument("--socket", type=Path, help="of a running sequencer")
    options = parser.parse_args()
    for name, value, most in (
        ("--processes", options.processes, PROCESSES_MAX),
        ("--in-flight", options.in_flight, options.processes * REQUESTS_IN_FLIGHT_MAX),
        ("--total", options.total or options.processes, TOTAL_MAX),
    ):
        least = 1 if name == "--processes" else options.processes
        if not least <= value <= most:
            raise LoadError(f"{name} must be from {least} to {most}, not {value}.")
    if not 0 < options.seconds <= SECONDS_MAX:
        raise LoadError(f"--seconds must be up to {SECONDS_MAX:g}, not {options.seconds:g}.")
    return options


def main() -> int:
    try:
        options = parse_options()
        settings = Settings.from_environment(os.environ)
        if options.socket:
            print(measure(replace(settings.sequencer, socket=options.socket), options))
        else:
            with own_sequencer(settings) as sequencer:
                print(measure(sequencer, options))
    except (LoadError, SettingsError, FrameError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
