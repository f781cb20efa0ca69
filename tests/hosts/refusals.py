"""A host that does not belong: what it is set to wrongly, and the sentence by which it is refused.

Each is tried on a shop host that sells, beside its own workers, after the faults: it must end with
exit code 2, say one sentence, and change nothing.
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from tests.harness.patience import until
from tests.hosts.parts import CLUSTER_ID, OTHER_CLUSTER_ID, REPLICA_PORT, Replica, ShopHost
from tests.hosts.processes import EXIT_SETTINGS, Daemon
from tests.hosts.site import Site
from tests.servers import postgres_url

OTHER_DATABASE: Final = "another"
OTHER_METRICS: Final = "127.0.0.1:8101"
_LOGGED: Final = re.compile(r"\d{4}-\d\d-\d\dT")
# None of those that sell on the host meanwhile.
WORKER: Final = ("worker", "--number", "9")


async def _another_secret(site: Site) -> list[str]:
    settings = {"TIGERFANS_TICKET_SECRET": "of somebody else"}
    says = "TIGERFANS_TICKET_SECRET is not the one that this shop was opened with"
    return await _refused(site.shops[-1], settings, says)


async def _another_database(site: Site) -> list[str]:
    await site.primary.execute(f"CREATE DATABASE {OTHER_DATABASE}")
    settings = {"DATABASE_URL": postgres_url([site.primary], OTHER_DATABASE)}
    shop = site.shops[-1]
    await shop.tigerfans("migrate", settings=settings)
    return await _refused(shop, settings, "TIGERFANS_LEDGER names the ledger of another shop")


async def _another_ledger(site: Site) -> list[str]:
    """A cluster of one replica, with the id of the shop's and nothing on it."""
    shop = site.shops[-1]
    host, folder = site.add_host("ledger-9", 19)
    addresses = f"{host.address}:{REPLICA_PORT}"
    replica = Replica(host, site.binary, 0, addresses, folder)
    replica.form()
    replica.start()
    try:
        await replica.until_it_is_back()
        settings = {"TIGERFANS_LEDGER": f"tigerbeetle://{addresses}/{CLUSTER_ID}"}
        with _sequencer(shop, settings) as sequencer:
            await until(sequencer.is_listening)
            own = settings | sequencer.settings
            return await _refused(shop, own, "TIGERFANS_LEDGER names an empty ledger")
    finally:
        replica.kill()


async def _another_cluster(site: Site) -> list[str]:
    """The right addresses with another cluster's id: the sequencer waits, and says why."""
    ledger = site.settings["TIGERFANS_LEDGER"].rpartition("/")[0]
    settings = {"TIGERFANS_LEDGER": f"{ledger}/{OTHER_CLUSTER_ID}"}
    says = f"or is another cluster than {OTHER_CLUSTER_ID}"
    with _sequencer(site.shops[-1], settings) as sequencer:

        async def is_said() -> bool:
            return says in sequencer.daemon.log.read_text()

        await until(is_said)
    return []


# What a host is set to wrongly, and what is wrong with how it was refused.
REFUSALS: Final[Mapping[str, Callable[[Site], Awaitable[list[str]]]]] = {
    "another secret": _another_secret,
    "another database": _another_database,
    "another ledger": _another_ledger,
    "another cluster": _another_cluster,
}


class _OtherSequencer:
    """A second sequencer on a shop host, with a socket of its own."""

    def __init__(self, shop: ShopHost, settings: Mapping[str, str]) -> None:
        self.socket = shop.socket.with_name("other.sock")
        self.settings = {
            "TIGERFANS_SEQUENCER_SOCKET": str(self.socket),
            "TIGERFANS_METRICS_ADDRESS": OTHER_METRICS,
        }
        own = {**settings, **self.settings}
        self.daemon: Daemon = shop.daemon("other-sequencer", "sequencer", settings=own)

    async def is_listening(self) -> bool:
        return self.socket.exists()


@contextmanager
def _sequencer(shop: ShopHost, settings: Mapping[str, str]) -> Iterator[_OtherSequencer]:
    sequencer = _OtherSequencer(shop, settings)
    sequencer.socket.unlink(missing_ok=True)
    sequencer.daemon.start()
    try:
        yield sequencer
    finally:
        sequencer.daemon.kill()


async def _refused(shop: ShopHost, settings: Mapping[str, str], says: str) -> list[str]:
    """What is wrong with how a worker of these settings ends."""
    done = await shop.tigerfans(*WORKER, settings=settings)
    # The sentence is no line of the log.
    telling = [line for line in done.stderr.splitlines() if not _LOGGED.match(line)]
    if done.returncode == EXIT_SETTINGS and len(telling) == 1 and says in telling[0]:
        return []
    return [f"a worker was to say {says!r}, and ended with {done.returncode}: {done.stderr}"]
