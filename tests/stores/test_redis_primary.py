"""The Redis that Sentinels know, with real ones: it dies, another is promoted, it comes back."""

import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import RedisError

from tests.harness.patience import until
from tests.harness.ports import HOST, free_port
from tests.servers import PASSWORD, PASSWORD_IN_URL, RedisHost, run, sentinel_url
from tests.stores.test_sessions import a_session
from tigerfans.errors import UnavailableError
from tigerfans.settings.store_urls import Host
from tigerfans.stores import redis_primary
from tigerfans.stores.redis_primary import NoSentinelError, Sentinels, States, connect_redis
from tigerfans.stores.sessions import Sessions

NAME = "tickets"


@dataclass
class Watched:
    primary: RedisHost
    replica: RedisHost
    sentinel: RedisHost

    async def make_whole(self) -> None:
        """Each at its place, with a replica that the Sentinel would promote."""
        for host in (self.primary, self.replica, self.sentinel):
            host.kill()
        await self.primary.start()
        await self.replica.start(self.primary)
        await self.sentinel.watch(self.primary, NAME)

        async def is_whole() -> bool:
            replicas = await self.sentinel.execute("SENTINEL SLAVES", NAME)
            said = [(each["flags"], each["master-link-status"]) for each in replicas]
            return said == [("slave", "ok")]

        await until(is_whole)


@pytest.fixture(scope="module")
def servers() -> Iterator[Watched]:
    folder = Path(tempfile.mkdtemp(prefix="tigerfans-redis-"))
    primary, replica, sentinel = (RedisHost(folder / name, HOST, free_port()) for name in "abc")
    watched = Watched(primary, replica, sentinel)
    try:
        run(watched.make_whole())
        yield watched
    finally:
        for host in (primary, replica, sentinel):
            host.kill()
        shutil.rmtree(folder)


@pytest.fixture
def black_hole() -> Iterator[str]:
    """A host that takes connections and says nothing on them, ever."""
    with socket.create_server((HOST, 0)) as listener:
        yield f"{HOST}:{listener.getsockname()[1]}"


@pytest.fixture
async def url(servers: Watched) -> str:
    return sentinel_url([servers.sentinel], NAME)


@pytest.fixture
async def sessions(url: str) -> AsyncIterator[Sessions]:
    sessions = Sessions.connect(url, "0123abcd")
    yield sessions
    await sessions.close()


async def test_the_primary_is_found_and_another_sentinel_need_not_answer(
    servers: Watched, url: str, black_hole: str
) -> None:
    nobody = f"{HOST}:{free_port()}"
    for hosts in ("", f"{black_hole},", f"{nobody},", f"{black_hole},{nobody},"):
        async with connect_redis(url.replace("@", f"@{hosts}", 1), decode_responses=True) as redis:
            assert (await redis.info("server"))["tcp_port"] == servers.primary.port


async def test_a_name_that_no_sentinel_knows_is_said(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    sessions = Sessions.connect(url.replace(f"/{NAME}/", "/tigers/"), "0123abcd")
    with pytest.raises(UnavailableError, match="Redis"):
        await sessions.save(a_session())
    with pytest.raises(UnavailableError, match="Redis"):
        await sessions.ping()
    await sessions.close()
    [said] = [record.message for record in caplog.records]
    assert "REDIS_URL names tigers, which its Sentinels do not know: name one of tickets." in said


async def test_sentinels_that_do_not_answer_are_named(
    servers: Watched, black_hole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_primary, "SENTINEL_SECONDS_MAX", 0.05)
    nobody = f"{HOST}:{free_port()}"
    # One is no Sentinel at all.
    hosts = f"{black_hole},{nobody},{servers.primary.name}"
    url = f"redis+sentinel://:{PASSWORD_IN_URL}@{hosts}/{NAME}?sentinel_password={PASSWORD_IN_URL}"
    async with connect_redis(url) as redis:
        with pytest.raises(NoSentinelError) as raised:
            await redis.ping()
    message = str(raised.value)
    assert message.startswith("REDIS_URL names no Sentinel that answers: ")
    assert all(host in message for host in (black_hole, nobody, servers.primary.name))
    assert PASSWORD not in message


async def test_after_a_failover_every_connection_goes_on_by_itself(
    servers: Watched, url: str, sessions: Sessions, outlives_the_test: None
) -> None:
    session, later = a_session(), a_session()
    await sessions.save(session)
    await sessions.ping()

    async def is_replicated() -> object:
        return await servers.replica.execute(
            "EXISTS", f"0123abcd:order:{session.order_id.hex_digits}"
        )

    await until(is_replicated)
    servers.primary.kill()
    for ask in (
        lambda: sessions.save(later),
        lambda: sessions.find(session.order_id),
        sessions.ping,
    ):
        with pytest.raises(UnavailableError, match="Redis"):
            await ask()

    await until(answered(partial(sessions.save, later)))
    entry = await sessions.find(session.order_id)
    assert entry
    assert entry.session == session
    await sessions.ping()
    assert (await servers.replica.execute("INFO", "replication"))["role"] == "master"

    # What was the primary comes back, empty, and takes writes until the Sentinel has noticed.
    await servers.primary.start()
    assert (await servers.primary.execute("INFO", "replication"))["role"] == "master"
    newcomer = Sessions.connect(url, "0123abcd")
    try:
        for each in (sessions, newcomer):
            assert await each.find(later.order_id)
            await each.save(a_session())
    finally:
        await newcomer.close()
    assert await servers.primary.execute("DBSIZE") == 0


def answered(ask: Callable[[], Any]) -> Callable[[], Any]:
    async def is_answered() -> bool:
        try:
            await ask()
        except (UnavailableError, RedisError):
            return False
        return True

    return is_answered


# --- What Sentinels say, without any -----------------------------------------------------------


def state(ip: str, epoch: int, *flags: str) -> dict[str, Any]:
    return {
        "ip": ip,
        "port": 6379,
        "config-epoch": epoch,
        "num-other-sentinels": 2,
        **{f"is_{name}": name in flags for name in ("sdown", "odown")},
        "is_master": True,
    }


@pytest.mark.parametrize(
    ("states", "found"),
    [
        ([state("old", 1), state("new", 2), state("new", 2)], "new"),
        ([state("new", 2), None, None], "new"),
        ([state("one", 1, "sdown"), state("one", 1), None], "one"),
        # Of the newest nobody says that it answers: one of before is none.
        ([state("old", 1), state("new", 2, "sdown"), state("new", 2, "sdown", "odown")], None),
        ([None, None, None], None),
    ],
)
async def test_the_sentinel_with_the_newest_configuration_is_believed(
    states: list[dict[str, Any] | None], found: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentinels = Sentinels([Host(name, 1) for name in "abc"])
    said = iter([States({} if each is None else {NAME: each}) for each in states])

    async def tell(_: object) -> States:
        return next(said)

    monkeypatch.setattr(redis_primary, "_states", tell)
    if found is None:
        with pytest.raises(NoSentinelError):
            await sentinels.discover_master(NAME)
    else:
        assert await sentinels.discover_master(NAME) == (found, 6379)
