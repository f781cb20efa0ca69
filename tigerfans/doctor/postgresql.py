"""PostgreSQL: does what it confirms survive a power failure, and is there room for every worker
and clerk?

What several hosts of it are to each other is looked at in `replication`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from tigerfans.doctor.findings import Findings, reason
from tigerfans.doctor.machine import judge_disk, read_disk
from tigerfans.doctor.replication import (
    CLOCK_SECONDS_MAX,
    judge_hosts,
    judge_replication,
    read_clock_ahead,
    read_hosts,
)
from tigerfans.settings.settings import Settings
from tigerfans.stores.away_postgresql import NO_ANSWER
from tigerfans.stores.migration import SchemaVersion, read_version
from tigerfans.stores.postgresql_primary import NoPrimaryError, Primary, check_takes_writes
from tigerfans.stores.schema import MIGRATIONS

AREA: Final = "PostgreSQL"

VERSION_MIN: Final = 15
SECONDS_MAX: Final = 5.0

_SETTINGS: Final = (
    "server_version_num",
    "fsync",
    "full_page_writes",
    "synchronous_commit",
    "data_checksums",
    "server_encoding",
    "max_connections",
    "superuser_reserved_connections",
    "synchronous_standby_names",
)


@dataclass(frozen=True, slots=True)
class PostgresqlFacts:
    """`settings` as pg_settings shows them, `data` where it is on this machine and may be known,
    `clock_ahead_seconds` of ours. `followers` is the number of standbys that are connected.
    """

    settings: Mapping[str, str]
    schema_version: SchemaVersion
    data: Path | None
    clock_ahead_seconds: float
    followers: int = 0


async def read_postgresql(url: str) -> PostgresqlFacts:
    """Raises `OSError` (a timeout is one) or what asyncpg raises where it cannot be asked."""
    async with asyncio.timeout(SECONDS_MAX):
        connection = await Primary(url).connect()
        try:
            await check_takes_writes(connection)
            rows = await connection.fetch(
                "SELECT name, setting FROM pg_settings WHERE name = ANY($1)", _SETTINGS
            )
            return PostgresqlFacts(
                {row["name"]: row["setting"] for row in rows},
                await read_version(connection),
                await _data_directory(connection),
                await read_clock_ahead(connection),
                await connection.fetchval("SELECT count(*) FROM pg_stat_replication"),
            )
        finally:
            await connection.close(timeout=SECONDS_MAX)


async def _data_directory(connection: asyncpg.Connection) -> Path | None:
    try:
        path = Path(await connection.fetchval("SHOW data_directory"))
    except asyncpg.InsufficientPrivilegeError:
        return None
    return path if await asyncio.to_thread(path.is_dir) else None


async def check_postgresql(settings: Settings, processes_by_host: Sequence[int] = ()) -> Findings:
    """`processes_by_host` counts workers and clerks of each other host of the shop."""
    findings = Findings(AREA, settings.environment)
    url = settings.stores.database_url
    if url is None:
        findings.bad("DATABASE_URL", "not set", "Set it, or start the shop with `tigerfans up`.")
        return findings
    hosts = await read_hosts(url)
    judge_hosts(hosts, findings)
    try:
        facts = await read_postgresql(url)
    except NoPrimaryError as error:
        advice = "Bring the primary back, or promote a standby: until then no payment is confirmed."
        findings.bad("primary", str(error), advice)
        return findings
    except NO_ANSWER as error:
        advice = "Start it, let this user in, or correct DATABASE_URL."
        findings.bad("answers", f"no: {reason(error)}", advice)
        return findings
    findings += judge_postgresql(facts, settings, processes_by_host)
    if hosts:
        judge_replication(facts.settings, facts.followers, hosts, findings)
    if facts.data and (disk := await asyncio.to_thread(read_disk, facts.data)):
        judge_disk(disk, findings)
    return findings


def judge_postgresql(
    facts: PostgresqlFacts, settings: Settings, processes_by_host: Sequence[int] = ()
) -> Findings:
    findings = Findings(AREA, settings.environment)
    _judge_version(facts, findings)
    _judge_durability(facts, findings)
    _judge_connections(facts, settings, processes_by_host, findings)
    encoding = facts.settings["server_encoding"]
    if encoding == "UTF8":
        findings.good("encoding", encoding)
    else:
        advice = "Make a database with `createdb --encoding=UTF8 --template=template0`."
        findings.bad("encoding", encoding, advice)
    _judge_schema(facts.schema_version, findings)
    ahead = facts.clock_ahead_seconds
    findings.required(
        "clock",
        abs(ahead) <= CLOCK_SECONDS_MAX,
        f"{ahead:+.1f} s off this machine's",
        "Let NTP keep both clocks right.",
    )
    return findings


def _judge_version(facts: PostgresqlFacts, findings: Findings) -> None:
    major, minor = divmod(int(facts.settings["server_version_num"]), 10_000)
    if major < VERSION_MIN:
        findings.bad("version", f"{major}.{minor}", f"Use PostgreSQL {VERSION_MIN} or newer.")
    else:
        findings.good("version", f"{major}.{minor}")


def _judge_durability(facts: PostgresqlFacts, findings: Findings) -> None:
    for name, why in (
        ("fsync", "without it, a power failure loses orders that were confirmed"),
        ("full_page_writes", "without it, a power failure can tear pages apart"),
    ):
        value = facts.settings[name]
        if value == "on":
            findings.good(name, value)
        else:
            findings.bad(name, value, f"Set {name} = on: {why}.")
    commit = facts.settings["synchronous_commit"]
    if commit == "off":
        advice = "Set synchronous_commit = on: a webhook is confirmed only once its order is safe."
        findings.bad("synchronous_commit", commit, advice)
    else:
        findings.good("synchronous_commit", commit)
    checksums = facts.settings["data_checksums"]
    if checksums == "on":
        findings.good("data_checksums", checksums)
    else:
        advice = "Stop it and run `pg_checksums --enable`: a failing disk is noticed sooner."
        findings.warn("data_checksums", checksums, advice)


def _judge_connections(
    facts: PostgresqlFacts, settings: Settings, processes_by_host: Sequence[int], findings: Findings
) -> None:
    allowed = int(facts.settings["max_connections"])
    free = allowed - int(facts.settings["superuser_reserved_connections"])
    # This host's workers, and its clerk.
    hosts = (settings.http.workers + 1, *processes_by_host)
    # One more process of each host runs during a reload.
    needed = sum(processes + 1 for processes in hosts) * settings.stores.database_connections
    whose = f"{sum(hosts)} workers and clerks"
    whose += f" of {len(hosts)} hosts" if processes_by_host else ""
    findings.required(
        "max_connections",
        free >= needed,
        f"{allowed}",
        f"Allow {needed + allowed - free} at least, for {whose}.",
    )


def _judge_schema(version: SchemaVersion, findings: Findings) -> None:
    newest, number = len(MIGRATIONS), version.number
    if number == 0:
        findings.bad("schema", "none yet", "Run `tigerfans migrate`: no worker starts without it.")
    elif version.suits(newest):
        newer = "" if number == newest else ", of a newer release that this one works beside"
        findings.good("schema", f"version {number}{newer}")
    elif number > newest:
        advice = f"Install the newer release that made it: this one knows up to {newest}."
        findings.bad("schema", f"version {number}", advice)
    else:
        advice = f"Run `tigerfans migrate`: a worker needs version {newest}."
        findings.bad("schema", f"version {number}", advice)
