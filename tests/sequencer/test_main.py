"""The sequencer's process, from start to end, however it ends."""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.ipc.peers import until
from tests.sequencer.gated_ledger import GatedLedger
from tests.sequencer.process import sequencer_process, settings_in
from tests.sequencer.records import created, transfer
from tigerfans.ipc.client import SequencerClient
from tigerfans.ledger.base import LedgerOpenError, LedgerTimeoutError, LedgerUnavailableError
from tigerfans.ledger.wire import Account, Operation, Result, Transfer, TransferStatus, u128
from tigerfans.sequencer import main, web
from tigerfans.sequencer.main import run
from tigerfans.settings.settings import Settings, SettingsError

CREATE = Operation.CREATE_TRANSFERS
ONLY_UVLOOP = pytest.mark.asyncio(loop_factories=["uvloop"])

# What happens while the sequencer serves; it ends when this returns, if not before.
Scenario = Callable[[GatedLedger], Awaitable[None]]
Serve = Callable[[Scenario], int]


def is_listening(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def sale(number: int) -> bytes:
    return Transfer(
        id=number, debit_account_id=1, credit_account_id=2, amount=1, ledger=1, code=1
    ).pack()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


@pytest.fixture
def serve(settings: Settings, monkeypatch: pytest.MonkeyPatch, outlives_the_test: None) -> Serve:
    """Runs the whole sequencer in this process over a gated ledger; returns its exit code.

    Granian keeps a server's socket for as long as the process lives.
    """

    def serve(scenario: Scenario) -> int:
        ledgers: list[GatedLedger] = []
        played: list[asyncio.Task[None]] = []

        async def open_ledger(address: str) -> GatedLedger:
            ledgers.append(GatedLedger())
            return ledgers[0]

        async def play() -> None:
            try:
                await scenario(ledgers[0])
            finally:
                os.kill(os.getpid(), signal.SIGTERM)

        def notify_ready() -> None:
            played.append(asyncio.get_running_loop().create_task(play()))

        monkeypatch.setattr(main, "open_ledger", open_ledger)
        monkeypatch.setattr(main, "notify_ready", notify_ready)
        exit_code = run(settings)
        assert ledgers[0].closed
        assert not settings.sequencer.socket.exists()
        played[0].result()
        return exit_code

    return serve


def test_a_signal_ends_it_in_order(settings: Settings, serve: Serve) -> None:
    async def scenario(ledger: GatedLedger) -> None:
        client = await SequencerClient.connect(settings.sequencer.socket, name="worker-1")
        assert Result.unpack_all(await client.submit(CREATE, transfer(1))) == created(1)
        await client.close()

    assert serve(scenario) == 0


def test_it_serves_while_its_ledger_is_away(settings: Settings, serve: Serve) -> None:
    async def scenario(ledger: GatedLedger) -> None:
        ledger.error = LedgerUnavailableError("away")
        client = await SequencerClient.connect(settings.sequencer.socket, name="worker-1")
        with pytest.raises(LedgerUnavailableError, match="away"):
            await client.submit(CREATE, transfer(1))
        ledger.error = None
        assert Result.unpack_all(await client.submit(CREATE, transfer(1))) == created(1)
        await client.close()

    assert serve(scenario) == 0


def test_what_is_queued_is_answered_before_it_ends(settings: Settings, serve: Serve) -> None:
    replies: list[list[Result]] = []

    async def scenario(ledger: GatedLedger) -> None:
        client = await SequencerClient.connect(settings.sequencer.socket, name="worker-1")
        ledger.hold()
        in_flight = client.submit(CREATE, transfer(1))
        await ledger.arrival()
        os.kill(os.getpid(), signal.SIGTERM)
        await until(lambda: not is_listening(settings.sequencer.socket))
        ledger.release()
        replies.append(Result.unpack_all(await in_flight))
        await client.close()

    assert serve(scenario) == 0
    assert replies == [created(1)]


def test_a_ledger_that_does_not_answer_does_not_keep_it_from_ending(
    settings: Settings,
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(main, "DRAIN_SECONDS_MAX", 0.05)

    async def scenario(ledger: GatedLedger) -> None:
        client = await SequencerClient.connect(settings.sequencer.socket, name="worker-1")
        ledger.hold()
        reply = client.submit(CREATE, transfer(1))
        await ledger.arrival()
        os.kill(os.getpid(), signal.SIGTERM)
        await until(lambda: not client.connected)
        await client.close()
        with suppress(LedgerTimeoutError):
            await reply

    assert serve(scenario) == 0
    assert "not all requests were answered" in caplog.text


def test_a_bug_in_a_batch_ends_it_loudly(
    settings: Settings, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(ledger: GatedLedger) -> None:
        client = await SequencerClient.connect(settings.sequencer.socket, name="worker-1")
        ledger.error = ZeroDivisionError("a bug")
        with pytest.raises(LedgerTimeoutError):
            await client.submit(CREATE, transfer(1))
        await client.close()

    assert serve(scenario) == 1
    assert "the sequencer stops: <Batcher create_transfers" in caplog.text


def test_if_the_metrics_server_dies_it_ends_loudly(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Dying:
        async def serve(self) -> None:
            raise ZeroDivisionError("a bug")

        def stop(self) -> None:
            pass

    async def scenario(ledger: GatedLedger) -> None:
        await until(lambda: "the metrics server died: a bug" in caplog.text)

    monkeypatch.setattr(web, "build_server", lambda *_: Dying())
    assert serve(scenario) == 1


def test_without_a_ledger_it_names_the_variable(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="needs TIGERFANS_LEDGER, such as"):
        run(replace(settings, ledger=None))
    assert not settings.sequencer.socket.exists()


def test_a_ledger_that_cannot_be_opened_is_told_with_its_variable(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def open_ledger(address: str) -> GatedLedger:
        raise LedgerOpenError("It is of another version.")

    monkeypatch.setattr(main, "open_ledger", open_ledger)
    with pytest.raises(SettingsError, match=r"TIGERFANS_LEDGER=embedded:.*: It is of another"):
        run(settings)


def test_a_ledger_that_has_no_room_to_open_ends_it_with_exit_code_1_and_not_2(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever started it does so again: no setting has to be changed first."""

    async def open_ledger(address: str) -> GatedLedger:
        raise LedgerUnavailableError("The disk is full.")

    monkeypatch.setattr(main, "open_ledger", open_ledger)
    assert run(settings) == 1
    assert "the sequencer cannot start: The disk is full." in caplog.text


def test_a_metrics_port_that_is_taken_is_told_with_its_variable(settings: Settings) -> None:
    with (
        socket.create_server(("127.0.0.1", settings.sequencer.metrics_port)),
        pytest.raises(SettingsError, match=r"TIGERFANS_METRICS_ADDRESS=.* it is taken"),
    ):
        run(settings)


def test_a_metrics_host_of_another_machine_is_told_with_its_variable(settings: Settings) -> None:
    elsewhere = replace(settings.sequencer, metrics_host="192.0.2.1")
    with pytest.raises(SettingsError, match=r"TIGERFANS_METRICS_ADDRESS=192\.0\.2\.1:.* cannot be"):
        run(replace(settings, sequencer=elsewhere))


def test_a_second_sequencer_on_the_same_socket_is_refused(settings: Settings) -> None:
    with sequencer_process(settings) as first:
        first.wait_ready()
        with pytest.raises(SettingsError, match="Another sequencer listens on"):
            run(settings)
        assert is_listening(settings.sequencer.socket)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_metrics_and_status_are_served_over_http(settings: Settings, host: str) -> None:
    settings = replace(settings, sequencer=replace(settings.sequencer, metrics_host=host))
    url = f"http://{host}:{settings.sequencer.metrics_port}"
    with sequencer_process(settings) as process, httpx.Client(base_url=url) as http:
        process.wait_ready()
        metrics = http.get("/metrics")
        assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert "tigerfans_sequencer_workers 0.0" in metrics.text
        status = http.get("/status")
        assert status.headers["content-type"] == "application/json"
        assert status.json()["workers"] == []
        assert http.get("/nowhere").status_code == 404
        assert http.post("/status").status_code == 405
        process.send(signal.SIGTERM)
        assert process.wait_exit() == 0
    assert not settings.sequencer.socket.exists()


@ONLY_UVLOOP
async def test_killed_under_traffic_and_started_again_it_answers_every_call(
    settings: Settings,
) -> None:
    numbers = range(1, 401)
    answers: dict[int, int] = {}

    async def sell(client: SequencerClient, numbers: range) -> None:
        for number in numbers:
            reply = await client.submit(CREATE, sale(number))
            answers[number] = Result.unpack_all(reply)[0].status

    async with asyncio.TaskGroup() as tasks:
        with sequencer_process(settings) as first:
            await asyncio.to_thread(first.wait_ready)
            clients = [
                await SequencerClient.connect(
                    settings.sequencer.socket, name=name, deadline_seconds=30.0
                )
                for name in ("worker-1", "worker-2")
            ]
            accounts = [Account(id=number, ledger=1, code=1).pack() for number in (1, 2)]
            await clients[0].submit(Operation.CREATE_ACCOUNTS, b"".join(accounts))
            for first_number in range(1, 401, 20):
                client = clients[first_number // 20 % 2]
                tasks.create_task(sell(client, range(first_number, first_number + 20)))
            await until(lambda: len(answers) > 100)
            first.send(signal.SIGKILL)
            await asyncio.to_thread(first.wait_exit)
        with sequencer_process(settings) as second:
            await asyncio.to_thread(second.wait_ready)
            await until(lambda: len(answers) == len(numbers))
            found = await clients[0].submit(
                Operation.LOOKUP_TRANSFERS, b"".join(map(u128, numbers))
            )
            for client in clients:
                await client.close()
    assert set(answers.values()) <= {TransferStatus.CREATED, TransferStatus.EXISTS}
    assert [record.id for record in Transfer.unpack_all(found)] == list(numbers)
