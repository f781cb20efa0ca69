"""The ledger: who holds which ticket, and who bought it."""

from pathlib import Path

from tigerfans.ledger.base import Ledger, LedgerOpenError


async def open_ledger(address: str) -> Ledger:
    """Opens the ledger that `address` names: `embedded:DIR` or `tigerbeetle://ADDR[,…]/CLUSTER`.

    Raises `LedgerOpenError`, whose message is one sentence, where that is not possible. What an
    implementation needs is imported only if it is asked for.
    """
    scheme, _, rest = address.partition(":")
    if scheme == "embedded" and rest:
        from tigerfans.ledger.embedded import open_embedded

        return await open_embedded(Path(rest))
    addresses, _, cluster = rest.removeprefix("//").partition("/")
    if scheme == "tigerbeetle" and rest.startswith("//") and addresses and cluster.isdecimal():
        from tigerfans.ledger.tigerbeetle import open_tigerbeetle

        return await open_tigerbeetle(addresses, int(cluster))
    raise LedgerOpenError(
        f"A ledger is embedded:DIR or tigerbeetle://ADDR[,ADDR…]/CLUSTER, not {address!r}."
    )
