"""A shop on several hosts: three replicas, PostgreSQL's primary and standby, Redis, shop hosts.

Each part has a host of its own, so that a fault has one cause. Whoever tries the shop out lives on
the street between them, and comes in by the proxy.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.faults.exchange import Answer
from tests.faults.prices import Prices
from tests.faults.stack import StackError
from tests.harness.patience import PATIENCE_SECONDS, until
from tests.hosts.namespaces import Host, Street
from tests.hosts.parts import CLUSTER_ID, REPLICA_PORT, RedisServer, Replica, ShopHost
from tests.hosts.proxy import Proxy
from tests.servers import PostgresHost, postgres_url

REPLICAS: Final = 3
POSTGRES_PORT: Final = 5432
# Several answers in a row, because the kernel chooses the worker that gives one.
READY_IN_A_ROW: Final = 8


@dataclass(frozen=True, slots=True)
class Layout:
    """How many hosts sell, how many tickets an order at most, and from which release's source; None
    is this checkout.
    """

    binary: Path
    shop_hosts: int = 2
    tickets_per_order: int = 1
    release: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


class Site:
    """All hosts and what runs on them; `opened` runs it until a block ends."""

    def __init__(self, street: Street, layout: Layout, folder: Path) -> None:
        self.folder = folder
        self.binary = layout.binary
        self.street = street
        ledgers = [self._host(f"ledger-{n + 1}", 11 + n) for n in range(REPLICAS)]
        addresses = ",".join(f"{host.address}:{REPLICA_PORT}" for host in ledgers)
        self.replicas = [
            Replica(host, layout.binary, number, addresses, self._folder_of(host))
            for number, host in enumerate(ledgers)
        ]
        self.postgres_hosts = [self._host(f"postgres-{n + 1}", 21 + n) for n in range(2)]
        # A standby that is promoted waits for nobody: there is no third one to wait for.
        self.primary, self.standby = (
            PostgresHost(
                self._folder_of(host), host.address, POSTGRES_PORT, host.prefix, is_synchronous=wait
            )
            for host, wait in zip(self.postgres_hosts, (True, False), strict=True)
        )
        host = self._host("redis", 31)
        self.redis = RedisServer(host, self._folder_of(host))
        databases = postgres_url([self.primary, self.standby])
        self.prices = Prices(folder / "offer.toml", layout.tickets_per_order)
        self.settings = {
            "DATABASE_URL": f"{databases}?target_session_attrs=read-write",
            "REDIS_URL": self.redis.url,
            "TIGERFANS_LEDGER": f"tigerbeetle://{addresses}/{CLUSTER_ID}",
            **self.prices.environment,
            **layout.settings,
        }
        shop_hosts = [self._host(f"shop-{n + 1}", 41 + n) for n in range(layout.shop_hosts)]
        self.shops = [
            ShopHost(
                host,
                self._folder_of(host),
                self.settings | {"TIGERFANS_HOST_NAME": host.name},
                layout.release,
            )
            for host in shop_hosts
        ]
        self.proxy = Proxy([host.address for host in shop_hosts])

    @classmethod
    @asynccontextmanager
    async def opened(cls, street: Street, layout: Layout) -> AsyncIterator["Site"]:
        """The site with its shop open; nothing of it is left after the block."""
        folder = Path(tempfile.mkdtemp(prefix="tigerfans-hosts-"))
        # PostgreSQL, which does not run as root, has to get through.
        folder.chmod(0o755)  # noqa: ASYNC240
        try:
            async with AsyncExitStack() as stack:
                site = cls(street, layout, folder)
                stack.push_async_callback(site._end)
                await stack.enter_async_context(site.proxy.open())
                await site._start()
                yield site
        finally:
            street.clear()
            shutil.rmtree(folder)

    # --- What an audit asks for ------------------------------------------------------------------

    @property
    def database_url(self) -> str:
        return postgres_url([self.primary])

    @property
    def sequencer_socket(self) -> Path:
        return self.shops[0].socket

    @property
    def redis_url(self) -> str:
        return self.redis.url

    async def get(self, path: str) -> Answer:
        return await self.proxy.exchange("GET", path)

    def tell(self) -> str:
        """What each part said last."""
        said = [
            *(replica.tell() for replica in self.replicas),
            *(shop.tell() for shop in self.shops),
        ]
        logs = [
            f"--- {host.name}\n{_last(self.folder / host.name / 'log')}"
            for host in self.postgres_hosts
        ]
        return "\n".join([*said, self.redis.tell(), *logs])

    # --- What a fault asks for -------------------------------------------------------------------

    @property
    def primary_replica(self) -> Replica:
        """The one that orders all requests: of the latest view, which goes round."""
        return self.replicas[max(replica.view for replica in self.replicas) % REPLICAS]

    @property
    def backup_replica(self) -> Replica:
        """The one that would be the primary last."""
        return self.replicas[(self.replicas.index(self.primary_replica) - 1) % REPLICAS]

    @property
    def primary_host(self) -> Host:
        """Of PostgreSQL's primary."""
        addresses = {host.address: host for host in self.postgres_hosts}
        return addresses[self.primary.address]

    async def promote(self) -> None:
        """Makes the standby the primary. The one of before has still to be made its standby."""
        await self.standby.promote()
        self.primary, self.standby = self.standby, self.primary

    async def until_ready(self) -> None:
        """Until every worker of every host serves."""
        try:
            await asyncio.gather(*(self.until_host_ready(shop) for shop in self.shops))
        except TimeoutError:
            raise StackError(f"The shop did not become ready again.\n{self.tell()}") from None

    async def until_host_ready(self, shop: ShopHost) -> None:
        in_a_row = 0

        async def is_ready() -> bool:
            nonlocal in_a_row
            if shop.failed:
                raise StackError("\n".join(shop.failed))
            in_a_row = in_a_row + 1 if await self.proxy.is_ready(shop.host.address) else 0
            return in_a_row >= READY_IN_A_ROW

        await until(is_ready)

    # --- From the first process to the last ------------------------------------------------------

    async def _start(self) -> None:
        await asyncio.gather(*(asyncio.to_thread(replica.form) for replica in self.replicas))
        for replica in self.replicas:
            replica.start()
        await self.redis.start()
        await self.primary.found()
        await self.standby.follow(self.primary)
        for shop in self.shops:
            shop.start()
        await self.until_ready()

    async def stop_shops(self) -> list[str]:
        """Ends what sells, in order; what is wrong with that."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            wrong = await asyncio.gather(*(shop.stop() for shop in self.shops))
        return [sentence for sentences in wrong for sentence in sentences]

    async def _end(self) -> None:
        for shop in self.shops:
            await shop.kill()
        self.primary.stop()
        self.standby.stop()
        self.redis.kill()
        for replica in self.replicas:
            replica.kill()

    def add_host(self, name: str, number: int) -> tuple[Host, Path]:
        """One more, and the folder of its data."""
        host = self._host(name, number)
        return host, self._folder_of(host)

    def _host(self, name: str, number: int) -> Host:
        return self.street.add(name, f"10.0.0.{number}")

    def _folder_of(self, host: Host) -> Path:
        folder = self.folder / host.name
        folder.mkdir(mode=0o755)
        return folder


def _last(file: Path) -> str:
    lines = file.read_text(errors="replace").splitlines() if file.exists() else []
    return "\n".join(lines[-15:])
