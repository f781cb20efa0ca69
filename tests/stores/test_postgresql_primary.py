"""The primary among several hosts, with real ones: it is killed, isolated, and comes back."""

import asyncio
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import Mock
from uuid import uuid4

import asyncpg
import pytest

from tests.harness.needs import ROOT
from tests.harness.patience import PATIENCE_SECONDS, until
from tests.harness.ports import HOST, free_port
from tests.servers import PASSWORD, PASSWORD_IN_URL, PostgresHost, postgres_url, run
from tests.stack.running_shop import environment, free_addresses, tigerfans
from tests.stores.test_orders import paid_order
from tigerfans.doctor.postgresql import check_postgresql
from tigerfans.errors import UnavailableError
from tigerfans.payments.outbox import Outbox, Webhook
from tigerfans.payments.unmatched import Misfit, UnmatchedPayment, UnmatchedPayments
from tigerfans.settings.settings import Settings, StoreSettings
from tigerfans.settings.store_urls import Host
from tigerfans.stack import postgres
from tigerfans.stores import postgresql_primary
from tigerfans.stores.database import DEADLINE_SECONDS, Database
from tigerfans.stores.orders import Orders
from tigerfans.stores.postgresql_primary import NoPrimaryError, Primary, State, _Candidate
from tigerfans.stores.schema import migrate

PORT = "SELECT inet_server_port()"
HUNG = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@dataclass
class Pair:
    primary: PostgresHost
    standby: PostgresHost

    @property
    def url(self) -> str:
        """With the one that is the primary now in the second place."""
        return postgres_url([self.standby, self.primary])

    async def make_whole(self) -> None:
        """A primary with the shop's tables, and a standby that has all of it."""
        if not self.primary.is_running:
            await self.primary.start()
        if self.standby.is_running and not await self.standby.is_standby():
            self.standby.kill()
        if not self.standby.is_running:
            await self.standby.follow(self.primary)
        await self.standby.catch_up(self.primary)

    async def fail_over(self) -> None:
        """The primary dies, and the standby takes its place."""
        self.primary.kill()
        await self.promote()

    async def promote(self) -> None:
        await self.standby.promote()
        self.primary, self.standby = self.standby, self.primary


@pytest.fixture(scope="module")
def servers() -> Iterator[Pair]:
    folder = Path(tempfile.mkdtemp(prefix="tigerfans-hosts-"))
    folder.chmod(0o755)
    primary, standby = (PostgresHost(folder / name, HOST, free_port()) for name in "ab")
    try:
        run(primary.found())
        run(migrate(postgres_url([primary])))
        yield Pair(primary, standby)
    finally:
        primary.kill()
        standby.kill()
        shutil.rmtree(folder)


@pytest.fixture
async def pair(servers: Pair, outlives_the_test: None, monkeypatch: pytest.MonkeyPatch) -> Pair:
    # Asked anew at once: how long it is kept has a test of its own.
    monkeypatch.setattr(postgresql_primary, "PAUSE_SECONDS", 0)
    # As long as the shop waits for PostgreSQL at all: the machine may be busy.
    monkeypatch.setattr(postgresql_primary, "HOST_SECONDS_MAX", DEADLINE_SECONDS)
    await servers.make_whole()
    return servers


@pytest.fixture
async def database(pair: Pair) -> AsyncIterator[Database]:
    database = await Database.connect(pair.url)
    yield database
    await database.close()


@pytest.fixture
async def orders(database: Database) -> AsyncIterator[Orders]:
    orders = Orders(database)
    yield orders
    await orders.close()


@pytest.fixture
def black_hole() -> Iterator[str]:
    """A host that takes connections and says nothing on them, ever."""
    with socket.create_server((HOST, 0)) as listener:
        yield f"{HOST}:{listener.getsockname()[1]}"


async def port(primary: Primary) -> int:
    connection = await primary.connect()
    try:
        return int(await connection.fetchval(PORT))
    finally:
        await connection.close()


async def test_the_primary_is_found_wherever_it_stands(pair: Pair) -> None:
    for hosts in ([pair.primary, pair.standby], [pair.standby, pair.primary]):
        assert await port(Primary(postgres_url(hosts))) == pair.primary.port
    await migrate(pair.url)


async def test_after_a_failover_every_connection_goes_on_by_itself(
    pair: Pair, database: Database, orders: Orders, caplog: pytest.LogCaptureFixture
) -> None:
    order, later = paid_order(), paid_order()
    await orders.record(order)
    await pair.standby.catch_up(pair.primary)
    await database.ping()

    pair.primary.kill()
    for ask in (database.ping, lambda: orders.record(later), lambda: orders.find(order.id)):
        with pytest.raises(UnavailableError, match="PostgreSQL"):
            await ask()
    [gone] = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert "PostgreSQL is away" in gone

    await pair.promote()
    assert (await orders.record(later)).is_new
    assert await orders.find(order.id) == order
    await database.ping()
    assert await port(database.primary) == pair.primary.port


async def test_a_primary_of_before_that_comes_back_is_not_used(pair: Pair) -> None:
    primary = Primary(pair.url)
    await port(primary)
    await pair.fail_over()
    assert await port(primary) == pair.primary.port

    # As it was, and so it takes writes as well.
    old = pair.standby
    await old.start()
    assert not await old.is_standby()
    assert await port(primary) == await port(Primary(pair.url)) == pair.primary.port

    pair.primary.kill()
    with pytest.raises(NoPrimaryError, match=rf"{old.name} is a primary of before"):
        await primary.connect()


async def test_who_was_on_the_way_to_a_primary_of_before_does_not_get_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its connection would pass for one to the primary that another call found meanwhile."""
    old, new = Host("old", 1), Host("new", 2)
    primary = Primary("postgresql://u@old:1,new:2/d")
    primary._silent = {new}
    is_promoted, may_go_on = asyncio.Event(), asyncio.Event()
    connections = {host: Mock() for host in (old, new)}

    async def ask(host: Host, _: object) -> _Candidate:
        if is_promoted.is_set():
            if host == old:
                raise OSError
            return _Candidate(host, connections[host], State("", 2))
        if host == new:
            try:
                await asyncio.Event().wait()
            finally:
                is_promoted.set()
                await may_go_on.wait()
        return _Candidate(host, connections[host], State("", 1))

    monkeypatch.setattr(primary, "_ask", ask)
    on_the_way = asyncio.create_task(primary.connect())
    await is_promoted.wait()
    assert await primary.connect() is connections[new]
    may_go_on.set()
    with pytest.raises(NoPrimaryError, match="a primary of before"):
        await on_the_way
    connections[old].terminate.assert_called_once()
    connections[new].terminate.assert_not_called()


async def test_who_only_reads_from_a_primary_of_before_leaves_it_too(
    pair: Pair, database: Database, orders: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await orders.find(paid_order().id) is None
    await database.ping()
    # Nobody has ended it.
    await pair.promote()
    order = paid_order()
    elsewhere = await Database.connect(pair.url)
    other = Orders(elsewhere)
    await other.record(order)
    await other.close()
    await elsewhere.close()
    await database.ping()
    assert await orders.find(order.id) is None
    monkeypatch.setattr(postgresql_primary, "LOOK_SECONDS", 0)
    await database.ping()
    assert await orders.find(order.id) == order
    async with database.connection() as connection:
        assert await connection.fetchval(PORT) == pair.primary.port


async def test_a_host_that_swallows_everything_costs_its_deadline_once(
    pair: Pair, black_hole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_primary, "HOST_SECONDS_MAX", 0.5)
    url = postgres_url([pair.primary]).replace("@", f"@{black_hole},", 1)
    database = await Database.connect(url)
    try:
        # Nobody waits for it again.
        monkeypatch.setattr(postgresql_primary, "HOST_SECONDS_MAX", PATIENCE_SECONDS)
        assert await port(database.primary) == pair.primary.port
    finally:
        await database.close()


async def test_a_host_that_is_named_twice_is_asked_once(pair: Pair) -> None:
    url = postgres_url([pair.primary, pair.standby, pair.primary])
    assert await port(Primary(url)) == pair.primary.port


async def test_a_search_that_is_cut_short_leaves_no_connection(pair: Pair, black_hole: str) -> None:
    hosts = postgres_url([pair.primary, pair.standby]).replace("@", f"@{black_hole},", 1)
    # With TLS, asyncpg leaves a future behind where it is cancelled between two of its own steps.
    url = f"{hosts}?sslmode=disable"
    # In the middle of whatever it is doing after so many turns of the loop.
    for turns in range(40):
        search = asyncio.create_task(Primary(url).connect(), name="search")
        for _ in range(turns):
            await asyncio.sleep(0)
        search.cancel()
        with suppress(asyncio.CancelledError):
            (await search).terminate()

    async def is_left() -> bool:
        return all([await is_alone(host) for host in (pair.primary, pair.standby)])

    await until(is_left)


async def is_alone(host: PostgresHost) -> bool:
    others = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
    return await host.execute(f"{others} AND pid <> pg_backend_pid()") == 0


async def test_where_none_takes_writes_nobody_looks_again_for_a_while(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_primary, "PAUSE_SECONDS", PATIENCE_SECONDS)
    primary = Primary(pair.url)
    pair.primary.kill()
    with pytest.raises(NoPrimaryError) as first:
        await primary.connect()
    await pair.promote()
    with pytest.raises(NoPrimaryError) as second:
        await primary.connect()
    assert str(second.value) == str(first.value)


@asynccontextmanager
async def lonely(pair: Pair) -> AsyncIterator[None]:
    """The primary confirms nothing before a standby has it, and there is none."""
    pair.standby.kill()
    pair.primary.stop()
    pair.primary.is_synchronous = True
    await pair.primary.start()
    try:
        yield
    finally:
        pair.primary.is_synchronous = False
        pair.primary.kill()


async def test_without_its_standby_a_synchronous_primary_is_asked_for_no_writes(
    pair: Pair, orders: Orders
) -> None:
    """One that is asked keeps a connection of the server for as long as no standby comes."""
    order, waiting = paid_order(), paid_order()
    await orders.record(order)
    async with lonely(pair):
        for _ in range(5):
            with pytest.raises(UnavailableError, match="PostgreSQL"):
                await orders.record(waiting)
        assert await pair.primary.execute(HUNG) == 0
        # What is only read is there.
        assert await orders.find(order.id) == order
        assert await orders.find(waiting.id) is None

        await pair.standby.follow(pair.primary)

        async def is_recorded() -> bool:
            with suppress(UnavailableError):
                return (await orders.record(waiting)).order == waiting
            return False

        await until(is_recorded)


async def test_a_standby_that_is_being_copied_is_none_yet(pair: Pair, orders: Orders) -> None:
    async with lonely(pair):
        copying = await asyncpg.connect(
            postgres_url([pair.primary]),
            server_settings={"replication": "true", "application_name": "pg_basebackup"},
        )
        try:
            assert await pair.primary.execute("SELECT count(*) FROM pg_stat_replication") == 1
            for _ in range(3):
                with pytest.raises(UnavailableError, match="PostgreSQL"):
                    await orders.record(paid_order())
            assert await pair.primary.execute(HUNG) == 0
        finally:
            copying.terminate()


async def test_nor_is_it_asked_to_keep_what_is_kept_beside_the_orders(
    pair: Pair, database: Database
) -> None:
    outbox, unmatched = Outbox(database), UnmatchedPayments(database)
    payment = UnmatchedPayment(uuid4().hex, Misfit.UNKNOWN_ORDER)

    async def is_new() -> bool | None:
        with suppress(UnavailableError):
            return await unmatched.add(payment)
        return None

    assert await outbox.lease(1) == []
    async with lonely(pair):
        for _ in range(3):
            assert await is_new() is None
            with pytest.raises(UnavailableError, match="PostgreSQL"):
                await outbox.add(Webhook(uuid4(), b"{}"), paid_order().id.hex_digits, "payment")
        assert await pair.primary.execute(HUNG) == 0
        assert await unmatched.waiting(1) == ([], 0)

        # A primary that is started again has what it confirmed to nobody, and so has no other.
        connection = await Primary(pair.url).connect()
        await connection.execute("SET synchronous_commit = local")
        await connection.execute(
            "INSERT INTO unmatched_payments (id, reason, currency, order_id, session_id, email)"
            " VALUES ($1, $2, '', '', '', '')",
            payment.id,
            payment.reason,
        )
        await connection.close()
        assert await is_new() is None

        await pair.standby.follow(pair.primary)

        async def is_kept() -> bool:
            return await is_new() is False

        await until(is_kept)


# --- A standby that was taken for the primary ---------------------------------------------------


@pytest.mark.parametrize("attributes", ["", "?target_session_attrs=read-write"])
async def test_a_standby_alone_is_refused_in_a_sentence(pair: Pair, attributes: str) -> None:
    url = f"{postgres_url([pair.standby])}{attributes}"
    for attempt in (Database.connect(url), migrate(url)):
        with pytest.raises(UnavailableError, match="DATABASE_URL names a PostgreSQL that"):
            await attempt


async def test_each_command_says_of_a_standby_what_to_do(pair: Pair, tmp_path: Path) -> None:
    """1: it is tried again, for a failover may be under way; 2 is for what only a person mends."""
    settings = free_addresses() | {
        "DATABASE_URL": postgres_url([pair.standby]),
        "REDIS_URL": f"redis://:{PASSWORD_IN_URL}@127.0.0.1:1/0",
        "TIGERFANS_LEDGER": "embedded:ledger",
    }
    environ = environment(tmp_path / "data", settings)
    codes = {"migrate": 1, "worker --number 1": 1, "clerk": 1, "reconcile": 2}
    for command, code in codes.items():
        run = tigerfans(*command.split(), environ=environ, cwd=tmp_path)
        assert run.returncode == code, run.stderr
        assert "DATABASE_URL names a PostgreSQL that is a standby: name the primary" in run.stderr
        for secret in ("Traceback", PASSWORD, PASSWORD_IN_URL):
            assert secret not in run.stderr


async def test_what_no_host_gives_is_said_of_each(
    pair: Pair, black_hole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_primary, "HOST_SECONDS_MAX", DEADLINE_SECONDS / 2)
    nobody = f"{HOST}:{free_port()}"
    url = postgres_url([pair.standby]).replace("@", f"@{nobody},{black_hole},", 1)
    with pytest.raises(UnavailableError) as raised:
        await Database.connect(url)
    message = str(raised.value)
    assert message.startswith("DATABASE_URL names no PostgreSQL that takes writes: ")
    assert f"{nobody} does not answer (ConnectionRefusedError" in message
    assert f"{black_hole} does not answer (TimeoutError)" in message
    assert f"{pair.standby.name} is a standby" in message
    assert PASSWORD not in message


async def test_a_wrong_password_is_said_and_not_shown(pair: Pair) -> None:
    url = pair.url.replace(PASSWORD_IN_URL, "wrong")
    with pytest.raises(NoPrimaryError, match="password authentication failed") as raised:
        await Primary(url).connect()
    assert "wrong" not in str(raised.value)


async def test_a_backup_is_of_the_primary(pair: Pair) -> None:
    found = with_orders(pair.url, "psql", "-Atc", PORT)
    assert (found.stdout, found.stderr) == (f"{pair.primary.port}\n", "")
    pair.primary.kill()
    missed = with_orders(pair.url, "psql", "-Atc", PORT)
    assert missed.returncode == 1
    assert missed.stderr.startswith("DATABASE_URL names no PostgreSQL that takes writes: ")
    for secret in ("Traceback", PASSWORD, PASSWORD_IN_URL):
        assert secret not in missed.stderr


def with_orders(url: str, program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT / "ops/with-orders"), str(postgres.binaries() / program)]
    environ = os.environ | {"DATABASE_URL": url}
    return subprocess.run(
        [*command, *arguments], env=environ, check=False, capture_output=True, text=True
    )


# --- What the doctor sees of them -----------------------------------------------------------------


async def seen(url: str) -> dict[str, tuple[str, str]]:
    """What the doctor finds of the hosts, as verdict and words by its subject."""
    findings = await check_postgresql(Settings(stores=StoreSettings(url)))
    subjects = ("host ", "clock of ", "replication", "primary", "answers")
    return {f.subject: (f.verdict, f.found) for f in findings if f.subject.startswith(subjects)}


async def test_the_doctor_says_who_is_the_primary_and_who_follows(pair: Pair) -> None:
    # As the shop's own user, who is told little of replication.
    role = f"CREATE ROLE plain LOGIN PASSWORD '{PASSWORD}' IN ROLE pg_read_all_data"
    await pair.primary.execute(role)
    await pair.standby.catch_up(pair.primary)
    url = pair.url.replace("tigerfans:", "plain:", 1)
    before = await Primary(url).connect()
    timeline = (await postgresql_primary.read_state(before)).timeline
    await before.close()
    standby, primary = f"host {pair.standby.name}", f"host {pair.primary.name}"
    try:
        assert await seen(url) == {
            standby: ("good", "a standby, 0 KiB behind"),
            primary: ("good", f"the primary, timeline {timeline}"),
            "replication": ("warning", "asynchronous, 1 of 1 standbys follow"),
        }
    finally:
        await pair.primary.execute("DROP ROLE plain")
    # Of one host there is nothing to say.
    assert await seen(postgres_url([pair.primary])) == {}

    await pair.promote()
    assert await seen(pair.url) == {
        primary: ("bad", f"takes writes as well, timeline {timeline}"),
        standby: ("good", f"the primary, timeline {timeline + 1}"),
        "replication": ("warning", "asynchronous, 0 of 1 standbys follow"),
    }


async def test_the_doctor_says_of_a_failover_under_way_what_to_do(pair: Pair) -> None:
    pair.primary.kill()
    found = await seen(pair.url)
    assert found.keys() == {f"host {pair.standby.name}", f"host {pair.primary.name}", "primary"}
    assert found[f"host {pair.standby.name}"] == ("good", "a standby")
    assert found[f"host {pair.primary.name}"][0] == found["primary"][0] == "bad"
    assert found["primary"][1].startswith("DATABASE_URL names no PostgreSQL that takes writes: ")
    alone = await seen(postgres_url([pair.standby]))
    assert alone.keys() == {"primary"}
    assert "that is a standby: name the primary" in alone["primary"][1]
    assert PASSWORD not in str((found, alone))
