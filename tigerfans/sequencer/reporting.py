"""What a sequencer tells the shop's other hosts each second, and what it hears of them (`hosts`).

Whose shop it is, it learns from its workers, which have asked PostgreSQL; until one has said so it
tells nothing. Nobody waits for any of this: where Redis is away, the shop's figures are this host's
alone, and it sells as before.
"""

import asyncio
import logging
import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import msgspec
from redis.exceptions import RedisError

from tigerfans import __version__
from tigerfans.errors import UnavailableError
from tigerfans.hosts.report import HostReport, WorkerReport, setting_digests
from tigerfans.hosts.roster import SILENT_SECONDS, Hosts, Roster
from tigerfans.hosts.troubles import find_troubles
from tigerfans.ipc.stats import WorkerInfo
from tigerfans.ledger import tigerbeetle_cluster
from tigerfans.sequencer.connection import Connection
from tigerfans.sequencer.history import History
from tigerfans.sequencer.sequencer import Sequencer
from tigerfans.settings.settings import Settings
from tigerfans.stores.identity import KEY_PREFIX_HEX_DIGITS
from tigerfans.stores.shop_redis import ShopRedis

REPORT_SECONDS: Final = 1.0
GOODBYE_SECONDS_MAX: Final = 0.3
INSTANCE_BYTES: Final = 8
# Each of two hosts of one name writes over the other's report once a second.
_RIVAL_MS: Final = int(SILENT_SECONDS * 1_000)

# Whatever a worker says of its shop becomes part of a key.
_SHOP: Final = re.compile(rf"[0-9a-f]{{{KEY_PREFIX_HEX_DIGITS}}}")

logger = logging.getLogger(__name__)


class Reporting:
    """Tells of one sequencer, and has `history` know of the others."""

    def __init__(self, sequencer: Sequencer, history: History, settings: Settings) -> None:
        self._sequencer = sequencer
        self._history = history
        self._redis_url = settings.stores.redis_url
        self._redis: ShopRedis | None = None
        cluster = tigerbeetle_cluster(settings.ledger or "")
        self._own: Final = HostReport(
            settings.host_name,
            instance=os.urandom(INSTANCE_BYTES).hex(),
            version=__version__,
            started_ms=_now_ms(),
            ledger=sequencer.ledger.kind,
            cluster=str(cluster[1]) if cluster else "",
            settings=setting_digests(settings),
        )
        # When a rival was noticed last, by Redis' clock, and what that said last.
        self._rival_ms = 0
        self._heard: Hosts | None = None
        # The subjects of what was logged already, for as long as it lasts.
        self._told: set[str] = set()

    async def run(self) -> None:
        """Reports every `REPORT_SECONDS`, until cancelled.

        A mistake in here is told once: no sale is to fail for figures.
        """
        is_told = False
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            try:
                await self.report()
            except Exception:
                if not is_told:
                    logger.exception("the other hosts are not told of this one")
                is_told = True

    async def close(self, *, says_goodbye: bool) -> None:
        """With a goodbye the other hosts do not look for this one."""
        if self._redis is None:
            return
        if says_goodbye:
            # The workers wait for the next sequencer meanwhile.
            with suppress(UnavailableError, RedisError, TimeoutError):
                async with asyncio.timeout(GOODBYE_SECONDS_MAX):
                    await Roster(self._redis).leave(self._own)
        await self._redis.close()

    async def report(self) -> None:
        """Tells and hears once; never raises because Redis is away or refuses."""
        redis = self._find_redis()
        if redis is None:
            return
        try:
            hosts, before = await Roster(redis).write(self._report())
        except (UnavailableError, RedisError) as error:
            if isinstance(error, RedisError):
                redis.presence.failed(error)
            self._heard, self._history.others = None, ()
            return
        # Before its first report, the name was that of whoever ran here last.
        if self._heard and before not in ("", self._own.instance):
            self._rival_ms = hosts.now_ms
        self._heard = hosts
        self._history.others = [
            host.report.sample for host in hosts.selling if host.name != self._own.name
        ]
        self._tell(hosts)

    def _find_redis(self) -> ShopRedis | None:
        """Where the shop has its keys; None as long as nobody says whose shop it is."""
        shops = (info.shop for info in self._infos().values() if info)
        shop = next(filter(_SHOP.fullmatch, shops), None)
        if self._redis is None and self._redis_url and shop:
            self._redis = ShopRedis.connect(self._redis_url, shop)
        return self._redis

    def _report(self) -> HostReport:
        workers: list[WorkerReport] = []
        clerks: list[WorkerReport] = []
        for connection, info in self._infos().items():
            told = (info.version, info.offer) if info else ()
            report = WorkerReport(connection.worker, connection.pid, *told)
            (clerks if connection.is_clerk else workers).append(report)
        is_rival_near = self._heard and self._heard.now_ms - self._rival_ms <= _RIVAL_MS
        return msgspec.structs.replace(
            self._own,
            clock_ms=_now_ms(),
            workers=tuple(workers),
            clerks=tuple(clerks),
            sample=self._history.own,
            has_rival=bool(is_rival_near),
        )

    def _infos(self) -> Mapping[Connection, WorkerInfo | None]:
        """Who workers and clerks are, as far as they say."""
        clients = (each for each in self._sequencer.connections if each.stats)
        return {each: WorkerInfo.of(each.stats) for each in clients}

    def _tell(self, hosts: Hosts) -> None:
        """Logs what is wrong with the hosts once, until it is over."""
        troubles = {trouble.subject: trouble for trouble in find_troubles(hosts)}
        for subject in troubles.keys() - self._told:
            logger.warning("%s", troubles[subject])
        for subject in self._told - troubles.keys():
            logger.info("Over: %s.", subject)
        self._told = set(troubles)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
