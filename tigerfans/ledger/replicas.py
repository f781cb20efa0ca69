"""Which replicas of a TigerBeetle cluster take connections: all that can be said of one in silence.

A replica drops what comes from a client of another cluster, and says nothing; one that has no
majority with the others says nothing either. A connection tells them from one that is not there.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

CONNECT_SECONDS: Final = 0.5
# TigerBeetle's own, where an address has none.
PORT_DEFAULT: Final = 3001


@dataclass(frozen=True, slots=True)
class Replicas:
    """The addresses of a cluster, as they were given."""

    listening: tuple[str, ...]
    away: tuple[str, ...]

    @property
    def has_majority(self) -> bool:
        """Whether as many listen as have to agree on what is written."""
        return len(self.listening) > len(self.away)

    def explain_silence(self, cluster_id: int) -> str:
        """Why none of them answers a client of that cluster, as a clause."""
        if not self.listening:
            return "nothing listens there"
        if not self.has_majority:
            return f"nothing listens at {' and '.join(self.away)}, and a majority has to"
        return f"it has no primary yet, or is another cluster than {cluster_id}"


async def look_at_replicas(addresses: str) -> Replicas:
    """Connects to each of `ADDR[,ADDR…]` once, for at most `CONNECT_SECONDS`."""
    each = addresses.split(",")
    listens = await asyncio.gather(*map(_listens, each))
    found = list(zip(each, listens, strict=True))
    return Replicas(
        tuple(address for address, is_there in found if is_there),
        tuple(address for address, is_there in found if not is_there),
    )


async def _listens(address: str) -> bool:
    host, port = _host_and_port(address)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except OSError:  # a timeout is one
        return False
    writer.transport.abort()
    return True


def _host_and_port(address: str) -> tuple[str, int]:
    """What TigerBeetle makes of an address that it takes: `IP:PORT`, or one of the two."""
    if address.isdecimal():
        return "127.0.0.1", int(address)
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal():
        return host.strip("[]"), int(port)
    return address.strip("[]"), PORT_DEFAULT
