"""PostgreSQL on several hosts: which is the primary, who follows it, what would a failover lose?

All of it is asked in ways that the shop's own user may ask, who sees no more of a standby in
`pg_stat_replication` than that it is there. So each host is asked itself.
"""

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from tigerfans.doctor.findings import Findings, reason
from tigerfans.settings.store_urls import DatabaseUrl, Host, read_database_url
from tigerfans.stores.away_postgresql import NO_ANSWER
from tigerfans.stores.postgresql_primary import HOST_SECONDS_MAX, connect_to, read_state

CLOCK_SECONDS_MAX: Final = 1.0
# How much of what was written a standby may still have to take over.
LAG_BYTES_MAX: Final = 16 << 20

# How many have to have what is confirmed, as in "ANY 1 (…)"; a list alone means one.
_QUORUM: Final = re.compile(r"\s*(?:ANY|FIRST)?\s*(\d+)\s*\(", re.IGNORECASE)
_LOCAL_COMMITS: Final = frozenset({"off", "local"})

_POSITION: Final = """
    SELECT (CASE
        WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn()
    END - '0/0'::pg_lsn)::bigint
"""


@dataclass(frozen=True, slots=True)
class HostFacts:
    """One of several hosts. `away` says why it does not answer, and the rest is nothing then;
    `refusal` why it takes no writes; `position` is up to where it has what was written, in bytes.
    """

    name: str
    away: str = ""
    refusal: str = ""
    timeline: int = 0
    position: int = 0
    clock_ahead_seconds: float = 0.0


async def read_hosts(url: str) -> Sequence[HostFacts]:
    """Each host of a database of several, none where it has one."""
    database = read_database_url(url)
    if len(database.hosts) < 2:
        return ()
    return await asyncio.gather(*(_read_host(host, database) for host in database.hosts))


async def _read_host(host: Host, database: DatabaseUrl) -> HostFacts:
    try:
        # No longer than a worker would wait for it.
        async with asyncio.timeout(HOST_SECONDS_MAX):
            connection = await connect_to(host, database)
            try:
                refusal, timeline = await read_state(connection)
                position = await connection.fetchval(_POSITION) or 0
                ahead = await read_clock_ahead(connection)
            finally:
                connection.terminate()
    except NO_ANSWER as error:
        return HostFacts(str(host), away=reason(error))
    return HostFacts(str(host), "", refusal, timeline, position, ahead)


async def read_clock_ahead(connection: asyncpg.Connection) -> float:
    """By how many seconds its clock is ahead of ours."""
    asked = time.time()
    clock = await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())")
    # Half of the round trip had passed when it looked at its clock.
    return round(float(clock) - (asked + time.time()) / 2, 1) + 0.0


def judge_hosts(hosts: Sequence[HostFacts], findings: Findings) -> None:
    """What each of them is, and whether it may be that."""
    primaries = [host for host in hosts if not host.away and not host.refusal]
    # Of those on the newest timeline the first, as the shop chooses.
    primary = max(primaries, key=lambda host: host.timeline, default=None)
    for host in hosts:
        subject = f"host {host.name}"
        if host.away:
            advice = "Start it, or take it out of DATABASE_URL: it could not be promoted now."
            findings.bad(subject, f"does not answer: {host.away}", advice)
        elif host is primary:
            findings.good(subject, f"the primary, timeline {host.timeline}")
        elif host in primaries:
            found = f"takes writes as well, timeline {host.timeline}"
            advice = "Stop it, and make it a standby of the primary: it is one of before."
            findings.bad(subject, found, advice)
        else:
            _judge_standby(host, primary, findings)
        if abs(host.clock_ahead_seconds) > CLOCK_SECONDS_MAX:
            found = f"{host.clock_ahead_seconds:+.1f} s off this machine's"
            findings.bad(f"clock of {host.name}", found, "Let NTP keep both clocks right.")


def _judge_standby(host: HostFacts, primary: HostFacts | None, findings: Findings) -> None:
    subject, what = f"host {host.name}", host.refusal.removeprefix("is ")
    if primary is None:
        findings.good(subject, what)
        return
    lag = max(0, primary.position - host.position)
    found = f"{what}, {lag >> 10:,} KiB behind"
    if lag > LAG_BYTES_MAX:
        advice = (
            "See its log, its disk and its network: a failover to it waits for that, or loses it."
        )
        findings.warn(subject, found, advice)
    else:
        findings.good(subject, found)


def judge_replication(
    settings: Mapping[str, str], followers: int, hosts: Sequence[HostFacts], findings: Findings
) -> None:
    """Does what the primary confirms outlive it? `followers` is how many are connected to it."""
    names = settings["synchronous_standby_names"]
    standbys = len(hosts) - 1
    follow = f"{followers} of {standbys} standbys follow"
    if not names or settings["synchronous_commit"] in _LOCAL_COMMITS:
        findings.warn(
            "replication",
            f"asynchronous, {follow}",
            "Set synchronous_standby_names = 'ANY 1 (…)': a failover can lose orders that were"
            " confirmed; `tigerfans reconcile --repair` makes them again from the ledger.",
        )
        return
    quorum = _QUORUM.match(names)
    found = f"synchronous ({names}), {follow}"
    if followers < (int(quorum[1]) if quorum else 1):
        advice = "Start one, or shorten synchronous_standby_names: no payment is confirmed now."
        findings.bad("replication", found, advice)
    elif followers < standbys:
        advice = "See the log of the one that does not: it could not be promoted now."
        findings.warn("replication", found, advice)
    else:
        findings.good("replication", found)
