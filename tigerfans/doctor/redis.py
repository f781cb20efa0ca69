"""Redis: does it keep payment sessions for as long as they are of use?

Nothing is lost with it: a payment whose session is gone is completed from the ledger. So most of
what can be wrong here is a warning.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tigerfans.doctor.findings import Findings, reason
from tigerfans.doctor.machine import version_tuple
from tigerfans.doctor.sockets import SocketFacts, read_socket
from tigerfans.settings.settings import Settings, is_loopback
from tigerfans.settings.store_urls import Host, is_sentinel_url, read_sentinel_url
from tigerfans.stores.redis_primary import States, ask_sentinels, connect_redis

AREA: Final = "Redis"

VERSION_MIN: Final = "6.2"
SECONDS_MAX: Final = 5.0
CLOCK_SECONDS_MAX: Final = 1.0


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """`appendfsync` is None where the server does not tell."""

    version: str
    role: str
    is_append_only: bool
    is_append_failing: bool
    appendfsync: str | None
    eviction: str
    clock_ahead_seconds: float


async def read_redis(url: str) -> RedisFacts:
    """Raises `OSError` (a timeout is one) or `RedisError` where it cannot be asked."""
    async with asyncio.timeout(SECONDS_MAX), connect_redis(url, decode_responses=True) as redis:
        info: dict[str, Any] = await redis.info()
        asked = time.time()
        seconds, microseconds = await redis.time()
        ahead = round(seconds + microseconds / 1e6 - (asked + time.time()) / 2, 1) + 0.0
        return RedisFacts(
            version=str(info["redis_version"]),
            role=str(info["role"]),
            is_append_only=bool(info["aof_enabled"]),
            is_append_failing=info["aof_last_write_status"] != "ok",
            appendfsync=await _appendfsync(redis),
            eviction=str(info["maxmemory_policy"]),
            clock_ahead_seconds=ahead,
        )


async def _appendfsync(redis: Redis) -> str | None:
    try:
        return str((await redis.config_get("appendfsync"))["appendfsync"])
    except (RedisError, KeyError):  # hosted ones often refuse CONFIG
        return None


async def check_redis(settings: Settings) -> Findings:
    findings = Findings(AREA, settings.environment)
    url = settings.stores.redis_url
    if url is None:
        findings.bad("REDIS_URL", "not set", "Set it, or start the shop with `tigerfans up`.")
        return findings
    judge_sentinels(await ask_sentinels(url), findings)
    try:
        facts = await read_redis(url)
    except (OSError, ValueError, RedisError) as error:
        advice = "Start it, let this user in, or correct REDIS_URL."
        findings.bad("answers", f"no: {reason(error)}", advice)
        return findings
    path = urlsplit(url).path if url.startswith("unix:") else None
    socket = await asyncio.to_thread(read_socket, Path(path)) if path else None
    judge_access(url, socket, findings)
    findings += judge_redis(facts, settings)
    return findings


def judge_sentinels(answers: Mapping[Host, States], findings: Findings) -> None:
    """Are there enough to promote another Redis, which a majority of them has to want?"""
    for host, states in answers.items():
        if states:
            findings.good(f"Sentinel {host}", f"watches {', '.join(sorted(states))}")
        else:
            advice = "Start it: a majority of them has to see that the primary is gone."
            findings.bad(f"Sentinel {host}", f"does not answer: {states.reason}", advice)


def judge_access(url: str, socket: SocketFacts | None, findings: Findings) -> None:
    """Who else reads the buyers' email addresses? `socket` is for an address that is one."""
    if _has_password(url):
        findings.good("access", "by password")
    elif socket is not None:
        advice = "Set unixsocketperm 600, or 660 with a group for the workers."
        findings.required("access", not socket.is_open, f"{socket}, no password", advice)
    else:
        hosts = _hosts(url)
        is_local = all(map(is_loopback, hosts))
        found = f"{', '.join(hosts)}, no password"
        advice = "Set requirepass, and the password in REDIS_URL."
        findings.required("access", is_local, found, advice)


def _has_password(url: str) -> bool:
    if is_sentinel_url(url):
        return read_sentinel_url(url).password is not None
    address = urlsplit(url)
    return bool(address.password) or "password" in parse_qs(address.query)


def _hosts(url: str) -> Sequence[str]:
    if is_sentinel_url(url):
        return [host.name for host in read_sentinel_url(url).sentinels]
    return [urlsplit(url).hostname or "localhost"]


def judge_redis(facts: RedisFacts, settings: Settings) -> Findings:
    findings = Findings(AREA, settings.environment)
    if version_tuple(facts.version) < version_tuple(VERSION_MIN):
        findings.bad("version", facts.version, f"Use Redis {VERSION_MIN} or newer.")
    else:
        findings.good("version", facts.version)
    if facts.role != "master":
        findings.bad("role", facts.role, "Name the primary in REDIS_URL: sessions are written.")
    _judge_persistence(facts, findings)
    findings.required(
        "maxmemory-policy",
        facts.eviction == "noeviction",
        facts.eviction,
        "Set maxmemory-policy noeviction: others drop sessions that wait for their payment.",
    )
    ahead = facts.clock_ahead_seconds
    findings.required(
        "clock",
        abs(ahead) <= CLOCK_SECONDS_MAX,
        f"{ahead:+.1f} s off this machine's",
        "Let NTP keep both clocks right.",
    )
    return findings


def _judge_persistence(facts: RedisFacts, findings: Findings) -> None:
    if not facts.is_append_only:
        advice = "Set appendonly yes: with it, those who are paying outlive a restart."
        findings.warn("appendonly", "no", advice)
        return
    if facts.is_append_failing:
        advice = "See Redis' log: its append-only file cannot be written."
        findings.bad("appendonly", "the last write failed", advice)
    match facts.appendfsync:
        case None:
            findings.good("appendfsync", "not told")
        case "everysec" as value:
            findings.good("appendfsync", value)
        case "always" as value:
            advice = "everysec is enough: with always, each checkout waits for the disk."
            findings.warn("appendfsync", value, advice)
        case value:
            advice = "Set appendfsync everysec: a power failure costs a second then."
            findings.warn("appendfsync", value, advice)
