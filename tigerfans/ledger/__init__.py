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
    if cluster := tigerbeetle_cluster(address):
        from tigerfans.ledger.tigerbeetle import open_tigerbeetle

        return await open_tigerbeetle(*cluster)
    raise LedgerOpenError(
        f"A ledger is embedded:DIR or tigerbeetle://ADDR[,ADDR…]/CLUSTER, not {address!r}."
    )


def tigerbeetle_cluster(address: str) -> tuple[str, int] | None:
    """The replicas' addresses and the cluster's id; None where a ledger is something else."""
    scheme, _, rest = address.partition("://")
    addresses, _, cluster = rest.partition("/")
    is_one = scheme == "tigerbeetle" and addresses and cluster.isdecimal()
    return (addresses, int(cluster)) if is_one else None
