"""The host of `DATABASE_URL` that takes writes: every connection to the orders is made here.

Of one host it is that one, and nothing is asked before. Of several, all are asked at once, each
under a deadline of its own, so that one that swallows everything costs no more than that. The one
that takes writes is taken; of two that do, the one on the newest timeline: PostgreSQL counts one
further whenever a standby is promoted, so the other is a primary of before, which came back or was
never told. One that is older than what this process has found before is not taken, whoever else is
silent.
"""

import asyncio
import time
from collections.abc import Collection
from functools import partial
from typing import Any, Final, NamedTuple

import asyncpg

from tigerfans.settings.store_urls import DatabaseUrl, Host, read_database_url
from tigerfans.stores.away_postgresql import POSTGRESQL_AWAY

# What one of several hosts has to let us in and say what it is. A batch of orders has 1.5 s for
# that and for its query.
HOST_SECONDS_MAX: Final = 0.7
# For how long what was found is the answer for all who ask, where no host takes writes: to ask two
# standbys costs 6 ms of CPU, and a rush would do nothing else.
PAUSE_SECONDS: Final = 0.25
# How long an older primary is read from at most, where its connections work and nobody writes.
LOOK_SECONDS: Final = 10.0

# A primary's timeline, 8 hex digits; of a standby, and of what takes no writes, the reason.
_STATE: Final = """
    SELECT CASE
        WHEN pg_is_in_recovery() THEN 'is a standby'
        WHEN current_setting('transaction_read_only') = 'on' THEN 'takes no writes for now'
    END, CASE
        WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)
    END
"""


# Whoever writes would wait for a standby that is not there. One that is being made, by a base
# backup, confirms nothing for as long as it is copied.
_IS_LONELY: Final = """
    SELECT current_setting('synchronous_standby_names') <> ''
        AND current_setting('synchronous_commit') NOT IN ('off', 'local')
        AND NOT EXISTS (
            SELECT FROM pg_stat_replication
            WHERE application_name IS DISTINCT FROM 'pg_basebackup'
        )
"""
_LONELY: Final = (
    "The primary confirms nothing before a standby has it, and none follows it: start one."
)
_SUPERSEDED: Final = "DATABASE_URL names a primary of before: a newer one was found just now."


class NoPrimaryError(ConnectionError):
    """None of the hosts takes writes, or none of those that do may be used."""


class State(NamedTuple):
    """What a host is: why it takes no writes, empty where it does; and its `timeline`, 0 then."""

    refusal: str
    timeline: int


class _Candidate(NamedTuple):
    host: Host
    connection: asyncpg.Connection
    state: State


class Primary:
    """The primary of one database, as one process knows it.

    `timeline` is the newest that was found, 0 where nobody had to look; whenever it grows, and
    whenever the primary was left, so does `generation`: connections of an earlier one are not to be
    used any more.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._database = read_database_url(url)
        # The one that was found last; nobody looks for the only one.
        self.host = self._database.hosts[0] if self._database.hosts else None
        self.timeline = 0
        self.generation = 0
        # Those that said nothing the last time, for which nobody waits who has found a primary.
        self._silent: set[Host] = set()
        self._looked_at = time.monotonic()
        # What was found where there is none, and until when nobody looks again.
        self._none = ""
        self._none_until = 0.0
        self._lonely_until = 0.0

    def leave(self) -> None:
        """It takes no writes any more."""
        self.generation += 1

    async def connect(self, *, writes: bool = False, **options: Any) -> asyncpg.Connection:
        """A connection to it, made with asyncpg's own `options`.

        One that `writes` again and again is not made where each write would wait for a standby that
        is not there: it goes on waiting in the server when its client has left, and must not be
        canceled, for then it would be confirmed to whoever tries again, though no standby has it.
        Raises `NoPrimaryError`, and what asyncpg raises where the only host is away.
        """
        if writes:
            self.check_not_lonely()
        connection, timeline = await self._connect(options)
        try:
            if writes:
                await self.check_confirms(connection)
            if timeline < self.timeline:
                # Found by another call meanwhile, whose generation this one would pass for.
                raise NoPrimaryError(_SUPERSEDED)
        except BaseException:
            connection.terminate()
            raise
        return connection

    def check_not_lonely(self) -> None:
        """Raises `NoPrimaryError` where it was found to confirm nothing a moment ago."""
        if time.monotonic() < self._lonely_until:
            raise NoPrimaryError(_LONELY)

    async def check_confirms(self, connection: asyncpg.Connection) -> None:
        """Raises `NoPrimaryError` where each write would wait for a standby that is not there."""
        if await connection.fetchval(_IS_LONELY):
            self._lonely_until = time.monotonic() + PAUSE_SECONDS
            raise NoPrimaryError(_LONELY)

    async def _connect(self, options: dict[str, Any]) -> tuple[asyncpg.Connection, int]:
        """With the timeline that it is on; 0 of the only host, which nobody asks."""
        if len(self._database.hosts) < 2:
            try:
                return await asyncpg.connect(self._url, **options), 0
            except asyncpg.TargetServerAttributeNotMatched:
                raise _refused("takes no writes") from None
        if time.monotonic() < self._none_until:
            raise NoPrimaryError(self._none)
        return await self._find(options, not_waited_for=self._silent)

    async def look(self) -> None:
        """Finds out now and then whether there is a newer primary, where there are several hosts.

        A process that only reads would not notice: a primary of before answers as well as ever.
        """
        if len(self._database.hosts) < 2 or time.monotonic() - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = time.monotonic()
        try:
            connection, _ = await self._find({}, not_waited_for=())
        except NoPrimaryError:
            # Whatever is needed next says so.
            return
        connection.terminate()

    async def _find(
        self, options: dict[str, Any], not_waited_for: Collection[Host]
    ) -> tuple[asyncpg.Connection, int]:
        asking = {
            host: asyncio.create_task(self._ask(host, options), name=f"asking {host}")
            for host in self._database.hosts
        }
        chosen: _Candidate | None = None
        try:
            heard = [task for host, task in asking.items() if host not in not_waited_for]
            if heard:
                await asyncio.wait(heard)
            chosen = self._choose(asking)
            if chosen is None:
                await asyncio.wait(asking.values())
                chosen = self._choose(asking)
            self._silent = {host for host, task in asking.items() if _is_silent(task)}
            if chosen is None:
                raise self._no_primary(asking)
            if chosen.state.timeline > self.timeline:
                self.generation += bool(self.timeline)
                self.timeline = chosen.state.timeline
            self.host = chosen.host
            return chosen.connection, chosen.state.timeline
        finally:
            for task in asking.values():
                task.cancel()
                task.add_done_callback(partial(_give_up, chosen))
            try:
                await asyncio.wait(asking.values())
            except BaseException:
                if chosen is not None:
                    chosen.connection.terminate()
                raise

    async def _ask(self, host: Host, options: dict[str, Any]) -> _Candidate:
        async with asyncio.timeout(HOST_SECONDS_MAX):
            connection = await connect_to(host, self._database, **options)
            try:
                return _Candidate(host, connection, await read_state(connection))
            except BaseException:
                connection.terminate()
                raise

    def _choose(self, asking: dict[Host, asyncio.Task[_Candidate]]) -> _Candidate | None:
        """Of those on the newest timeline the first that is named, so that all choose the same."""
        candidates = [candidate for task in asking.values() if (candidate := _candidate(task))]
        usable = [each for each in candidates if self._why_not(each.state) == ""]
        return max(usable, key=lambda each: each.state.timeline, default=None)

    def _why_not(self, state: State) -> str:
        if state.refusal:
            return state.refusal
        if state.timeline < self.timeline:
            return (
                f"is a primary of before (timeline {state.timeline}, and {self.timeline} is used)"
            )
        return ""

    def _no_primary(self, asking: dict[Host, asyncio.Task[_Candidate]]) -> BaseException:
        said = []
        for host, task in asking.items():
            error = task.exception()
            if error is None:
                said.append(f"{host} {self._why_not(task.result().state)}")
            elif isinstance(error, POSTGRESQL_AWAY):
                said.append(f"{host} does not answer ({_reason(error)})")
            else:
                # Ours, and to be seen as it is.
                return error
        self._none = (
            f"DATABASE_URL names no PostgreSQL that takes writes: {', '.join(said)}. Bring the"
            " primary back, promote a standby, or name the host that is missing."
        )
        self._none_until = time.monotonic() + PAUSE_SECONDS
        return NoPrimaryError(self._none)


async def connect_to(host: Host, database: DatabaseUrl, **options: Any) -> asyncpg.Connection:
    """A connection to one of the hosts, whatever it is."""
    return await asyncpg.connect(
        database.rest, host=host.name, port=host.port, target_session_attrs="any", **options
    )


async def read_state(connection: asyncpg.Connection) -> State:
    """What the host behind a connection is."""
    refusal, timeline = await connection.fetchrow(_STATE)
    return State(refusal or "", int(timeline or "0", 16))


async def check_takes_writes(connection: asyncpg.Connection) -> None:
    """Raises `NoPrimaryError` where it does not: of a single host, nobody has looked before."""
    state = await read_state(connection)
    if state.refusal:
        raise _refused(state.refusal)


def _refused(refusal: str) -> NoPrimaryError:
    return NoPrimaryError(
        f"DATABASE_URL names a PostgreSQL that {refusal}: name the primary, or all hosts of the"
        " database."
    )


def _candidate(task: asyncio.Task[_Candidate]) -> _Candidate | None:
    """What a host answered, if it did."""
    if not task.done() or task.cancelled() or task.exception() is not None:
        return None
    return task.result()


def _give_up(chosen: _Candidate | None, task: asyncio.Task[_Candidate]) -> None:
    """Ends what was not chosen, whenever it comes."""
    candidate = _candidate(task)
    if candidate is not None and candidate is not chosen:
        candidate.connection.terminate()


def _is_silent(task: asyncio.Task[_Candidate]) -> bool:
    return not task.done() or isinstance(task.exception(), TimeoutError)


def _reason(error: BaseException) -> str:
    first, _, _ = str(error).partition("\n")
    return f"{type(error).__name__}: {first}".removesuffix(": ")
