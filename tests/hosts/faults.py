"""What can happen to a shop on several hosts: each fault a row, with what it does and who acts.

A fault is over when its function returns: what it took away is back by then, and the run waits
until every worker of every host serves again.
"""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from tests.harness.needs import ROOT
from tests.hosts.namespaces import has_netem
from tests.hosts.parts import Replica
from tests.hosts.site import REPLICAS, Site

# The commit of the release before this one, which a host may still run.
LAST_RELEASE: Final = "0390435"
# How long what a fault takes away stays away.
AWAY_SECONDS: Final = 3.0
# A person is woken, looks, and acts: here at once.
PERSON_SECONDS: Final = 2.0
# Long enough for a process that used the old primary to meet it again.
OLD_PRIMARY_SECONDS: Final = 2.0
LOST_PERMILLE: Final = 50
NARROW_KBIT_PER_SECOND: Final = 500
DELAY_MS: Final = 50

NOBODY: Final = "nobody"


@dataclass(frozen=True, slots=True)
class Fault:
    """`acts` is who has to act, and what they do; `missing` says why it cannot strike here."""

    name: str
    does: str
    acts: str
    strike: Callable[[Site], Awaitable[None]]
    missing: Callable[[], str] = lambda: ""
    # The shop hosts run the last release until then.
    is_upgrade: bool = False


async def _replica_away(replica: Replica) -> None:
    replica.kill()
    await asyncio.sleep(AWAY_SECONDS)
    replica.start()
    await replica.until_it_is_back()


async def kill_primary(site: Site) -> None:
    await _replica_away(site.primary_replica)


async def kill_backup(site: Site) -> None:
    await _replica_away(site.backup_replica)


async def isolate_primary(site: Site) -> None:
    host = site.primary_replica.host
    site.street.isolate(host)
    await asyncio.sleep(AWAY_SECONDS)
    site.street.join(host)


async def lose_replica(site: Site) -> None:
    replica = site.backup_replica
    replica.kill()
    replica.lose_file()
    await asyncio.sleep(PERSON_SECONDS)
    await replica.recover()
    replica.start()
    await replica.until_it_is_back()


async def kill_shop(site: Site) -> None:
    shop = site.shops[0]
    await shop.kill()
    await asyncio.sleep(AWAY_SECONDS)
    shop.start()


async def isolate_shop(site: Site) -> None:
    host = site.shops[0].host
    site.street.isolate(host)
    await asyncio.sleep(AWAY_SECONDS)
    site.street.join(host)


async def kill_postgres(site: Site) -> None:
    site.primary.kill()
    await asyncio.sleep(PERSON_SECONDS)
    await site.promote()
    await site.until_ready()
    await site.standby.rejoin(site.primary)


async def isolate_postgres(site: Site) -> None:
    host = site.primary_host
    site.street.isolate(host)
    await asyncio.sleep(PERSON_SECONDS)
    await site.promote()
    await site.until_ready()
    # It comes back, and believes that it is the primary still.
    site.street.join(host)
    await asyncio.sleep(OLD_PRIMARY_SECONDS)
    site.standby.stop()
    await site.standby.rejoin(site.primary)


async def lose_redis(site: Site) -> None:
    site.redis.lose()
    await asyncio.sleep(AWAY_SECONDS)
    await site.redis.start()


async def isolate_redis(site: Site) -> None:
    site.street.isolate(site.redis.host)
    await asyncio.sleep(AWAY_SECONDS)
    site.street.join(site.redis.host)


async def isolate_machine(site: Site) -> None:
    hosts = [site.primary_replica.host, site.primary_host, site.shops[0].host]
    for host in hosts:
        site.street.isolate(host)
    await asyncio.sleep(PERSON_SECONDS)
    await site.promote()
    for host in hosts:
        site.street.join(host)
    await asyncio.sleep(OLD_PRIMARY_SECONDS)
    site.standby.stop()
    await site.standby.rejoin(site.primary)


async def lossy_links(site: Site) -> None:
    hosts = [site.primary_replica.host, site.shops[0].host]
    for host in hosts:
        site.street.lose(host, LOST_PERMILLE)
    await asyncio.sleep(2 * AWAY_SECONDS)
    for host in hosts:
        site.street.join(host)


async def narrow_link(site: Site) -> None:
    host = site.primary_replica.host
    host.narrow(NARROW_KBIT_PER_SECOND)
    await asyncio.sleep(2 * AWAY_SECONDS)
    host.widen()


async def slow_link(site: Site) -> None:
    host = site.primary_replica.host
    host.delay(DELAY_MS)
    await asyncio.sleep(2 * AWAY_SECONDS)
    host.widen()


async def restart_replicas(site: Site) -> None:
    for replica in site.replicas:
        replica.kill()
        replica.start()
        await replica.until_it_is_back()


async def upgrade(site: Site) -> None:
    # This release comes with the same TigerBeetle: each replica is started anew all the same.
    await restart_replicas(site)
    for shop in site.shops:
        await shop.upgrade()
        await site.until_host_ready(shop)


def no_netem() -> str:
    return "" if has_netem() else "the kernel has no netem"


def no_last_release() -> str:
    known = ["git", "-C", str(ROOT), "cat-file", "-e", f"{LAST_RELEASE}^{{commit}}"]
    try:
        found = subprocess.run(known, capture_output=True, check=False).returncode == 0
    except OSError:
        found = False
    return "" if found else f"the last release, commit {LAST_RELEASE}, is not here"


_PROMOTES: Final = "a person, after 2 s: promotes the standby"

FAULTS: Final = {
    fault.name: fault
    for fault in (
        Fault("kill-primary", "SIGKILL to TigerBeetle's primary, for 3 s", NOBODY, kill_primary),
        Fault("kill-backup", "SIGKILL to a backup of it, for 3 s", NOBODY, kill_backup),
        Fault("isolate-primary", "the primary is cut off for 3 s", NOBODY, isolate_primary),
        Fault(
            "lose-replica",
            "SIGKILL to a backup, and its data file is gone",
            "a person, after 2 s: `tigerbeetle recover`",
            lose_replica,
        ),
        Fault(
            "restart-replicas",
            "each replica is started anew, once the one before takes part again",
            "a person: one at a time",
            restart_replicas,
        ),
        Fault("kill-shop", "SIGKILL to all of a shop host, for 3 s", NOBODY, kill_shop),
        Fault("isolate-shop", "a shop host is cut off for 3 s", NOBODY, isolate_shop),
        Fault("kill-postgres", "PostgreSQL's primary ends at once", _PROMOTES, kill_postgres),
        Fault(
            "isolate-postgres",
            "PostgreSQL's primary is cut off, and comes back after the promotion",
            _PROMOTES,
            isolate_postgres,
        ),
        Fault("lose-redis", "SIGKILL to Redis, back empty after 3 s", NOBODY, lose_redis),
        Fault("isolate-redis", "Redis is cut off for 3 s", NOBODY, isolate_redis),
        Fault(
            "isolate-machine",
            "both primaries and a shop host are cut off at once, as if on one machine",
            _PROMOTES,
            isolate_machine,
        ),
        Fault(
            "lossy-links",
            "of the primary's packets, and a shop host's, 5 % are lost each way, for 6 s",
            NOBODY,
            lossy_links,
        ),
        Fault("narrow-link", "500 kbit/s on the primary's link, for 6 s", NOBODY, narrow_link),
        Fault("slow-link", "50 ms each way on the primary's link", NOBODY, slow_link, no_netem),
        Fault(
            "upgrade",
            "from the last release: replicas, then each host's sequencer, its workers, its clerk",
            "a person: one host at a time",
            upgrade,
            no_last_release,
            is_upgrade=True,
        ),
    )
}


def _kill_replica(number: int) -> Fault:
    async def strike(site: Site) -> None:
        await _replica_away(site.replicas[number])

    does = f"SIGKILL to replica {number} of TigerBeetle, back after 3 s"
    return Fault(f"kill-replica-{number}", does, NOBODY, strike)


# Of a run in which each replica, a shop host and PostgreSQL's primary die once.
LONG_RUN: Final = (
    *(_kill_replica(number) for number in range(REPLICAS)),
    FAULTS["kill-shop"],
    FAULTS["kill-postgres"],
)
