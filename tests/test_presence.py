"""A store's going and coming are told once each, however much fails and works in between."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from tests.clock import Clock
from tests.servers import redis_server
from tests.stores.test_orders import paid_order
from tests.stores.test_sessions import a_session
from tigerfans import presence as presence_module
from tigerfans.errors import UnavailableError
from tigerfans.presence import SETTLE_SECONDS, Presence, watch
from tigerfans.stores.database import Database
from tigerfans.stores.orders import Orders
from tigerfans.stores.sessions import Sessions


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def presence(clock: Clock) -> Presence:
    return Presence("redis", "Redis", clock)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == presence_module.__name__]


def test_a_store_that_always_answers_is_not_worth_a_line(
    presence: Presence, caplog: pytest.LogCaptureFixture
) -> None:
    presence.answered()
    assert (presence.is_up, presence.outages, lines(caplog)) == (True, 0, [])


def test_of_a_thousand_failures_the_first_is_told_with_its_reason(
    presence: Presence, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(1_000):
        presence.failed(ConnectionRefusedError("nobody listens\nDETAIL: fan@example.org"))
    assert (presence.is_up, presence.outages) == (False, 1)
    assert lines(caplog) == ["Redis is away: ConnectionRefusedError: nobody listens"]


def test_a_store_is_back_once_nothing_has_failed_for_a_while(
    presence: Presence, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    presence.failed(TimeoutError())
    presence.answered()
    clock.seconds += SETTLE_SECONDS
    # What was asked before the store came back.
    presence.failed(TimeoutError())
    presence.answered()
    clock.seconds += SETTLE_SECONDS
    presence.answered()
    presence.answered()
    assert (presence.is_up, presence.outages) == (True, 1)
    assert lines(caplog) == ["Redis is away: TimeoutError", "Redis answers again."]


def test_a_full_store_that_is_read_and_not_written_is_away_all_the_while(
    presence: Presence, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(100):
        presence.failed("no room")
        clock.seconds += SETTLE_SECONDS / 2
        presence.answered()
    assert lines(caplog) == ["Redis is away: no room"]


def test_each_outage_is_told(
    presence: Presence, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        presence.failed("hung up")
        clock.seconds += SETTLE_SECONDS
        presence.answered()
    assert presence.outages == 3
    assert lines(caplog) == ["Redis is away: hung up", "Redis answers again."] * 3


@pytest.mark.parametrize(
    ("error", "is_up"),
    [(None, True), (UnavailableError(), True), (PermissionError("not for you"), False)],
)
async def test_a_store_that_nobody_needs_is_asked_all_the_same(
    presence: Presence, monkeypatch: pytest.MonkeyPatch, error: Exception | None, is_up: bool
) -> None:
    monkeypatch.setattr(presence_module, "WATCH_SECONDS", 0)
    asked = asyncio.Queue[None]()

    async def ask() -> None:
        asked.put_nowait(None)
        if error:
            raise error

    watching = asyncio.create_task(watch(presence, ask), name="watch")
    for _ in range(3):
        await asked.get()
    watching.cancel()
    assert presence.is_up is is_up


async def test_redis_goes_and_comes_in_one_line_each(
    tmp_path_factory: pytest.TempPathFactory,
    server_folder: Path,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = server_folder / "presence"
    folder.mkdir()
    loop = asyncio.get_running_loop()
    server = redis_server(folder)
    url = await loop.run_in_executor(None, server.__enter__)
    sessions = Sessions.connect(url, "0123abcd")
    sessions.presence._clock = clock
    try:
        await use(sessions)
        await loop.run_in_executor(None, server.__exit__, None, None, None)
        for _ in range(5):
            await use(sessions)
        server = redis_server(folder)
        await loop.run_in_executor(None, server.__enter__)
        await use(sessions)
        clock.seconds += SETTLE_SECONDS
        await use(sessions)
    finally:
        await sessions.close()
        await loop.run_in_executor(None, server.__exit__, None, None, None)
    gone, back = lines(caplog)
    assert gone.startswith("Redis is away: ConnectionError: ")
    assert back == "Redis answers again."
    assert [record.name for record in caplog.records] == [presence_module.__name__] * 2


async def use(sessions: Sessions) -> None:
    """All that buyers do at once; what it comes to is the presence's to tell."""
    session = a_session()
    sessions.finish(session, b"{}")
    await asyncio.gather(
        *(sessions.save(session) for _ in range(20)),
        *(sessions.find(session.order_id) for _ in range(20)),
        sessions.pending(1),
        sessions.ping(),
        return_exceptions=True,
    )
    await sessions._finishes.drain()


async def test_postgresql_goes_and_comes_in_one_line_each(
    database_url: str, postgres_sockets: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    link = postgres_sockets.with_name("presence-pg")
    link.symlink_to(postgres_sockets)
    database = await Database.connect(database_url.replace(str(postgres_sockets), str(link)))
    database.presence._clock = clock
    orders = Orders(database)

    async def use_orders() -> None:
        order = paid_order()
        await asyncio.gather(
            *(orders.record(order) for _ in range(20)),
            *(orders.find(order.id) for _ in range(20)),
            orders.refunds_due(1),
            orders.ping(),
            return_exceptions=True,
        )

    try:
        await use_orders()
        async with cut_off(link, database_url):
            for _ in range(5):
                await use_orders()
        await use_orders()
        clock.seconds += SETTLE_SECONDS
        await use_orders()
    finally:
        await orders.close()
        await database.close()
    gone, back = lines(caplog)
    assert gone.startswith("PostgreSQL is away: ")
    assert back == "PostgreSQL answers again."
    assert [record.name for record in caplog.records] == [presence_module.__name__] * 2


async def test_a_postgresql_that_takes_no_writes_is_away_until_it_does(
    database_url: str, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    operator = await asyncpg.connect(database_url)
    name = await operator.fetchval("SELECT current_database()")
    database = await Database.connect(database_url)
    database.presence._clock = clock
    orders = Orders(database)
    try:
        await orders.ping()
        await operator.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        # As a failover ends them.
        await operator.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
        # The first may find no more than that its connection has ended.
        for _ in range(3):
            with pytest.raises(UnavailableError):
                await orders.record(paid_order())
            clock.seconds += SETTLE_SECONDS
            with pytest.raises(UnavailableError):
                await orders.ping()
        assert not database.presence.is_up
        await operator.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        clock.seconds += SETTLE_SECONDS
        await orders.ping()
    finally:
        await operator.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        await orders.close()
        await database.close()
        await operator.close()
    gone, back = lines(caplog)
    assert gone.startswith("PostgreSQL is away: ")
    assert back == "PostgreSQL answers again."


@asynccontextmanager
async def cut_off(link: Path, database_url: str) -> AsyncIterator[None]:
    """Ends every connection, and lets nobody connect who does so by the link."""
    target = await asyncio.to_thread(link.readlink)
    operator = await asyncpg.connect(database_url)
    await asyncio.to_thread(link.unlink)
    await operator.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    await operator.close()
    yield
    await asyncio.to_thread(link.symlink_to, target)


async def test_a_pool_that_is_all_in_use_is_busy_and_not_postgresql_being_away(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = await Database.connect(database_url, connections_max=3)
    try:
        async with database.connection(60):
            with pytest.raises(UnavailableError, match="busy"):
                async with database.connection(0.01):
                    pass
        await database.ping()
    finally:
        await database.close()
    assert lines(caplog) == []


async def test_a_long_read_that_is_read_slowly_is_not_postgresql_being_away(
    database_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await Database.connect(database_url)
    try:
        monkeypatch.setattr("tigerfans.stores.database.DEADLINE_SECONDS", 0.05)
        with pytest.raises(UnavailableError):
            async with database.snapshot(0.1):
                await asyncio.Event().wait()
    finally:
        await database.close()
    assert lines(caplog) == []


def test_a_line_is_an_error_when_it_goes_and_a_warning_when_it_is_back(
    presence: Presence, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    presence.failed("hung up")
    clock.seconds += SETTLE_SECONDS
    presence.answered()
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]
