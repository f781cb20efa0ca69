"""The ledger: is its sequencer there, for us alone, and does what it sells stay sold?

Only looks: accounts are looked up, never created, and no ticket is touched.
"""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tigerfans.booking.inventory import Inventory
from tigerfans.doctor.findings import Findings
from tigerfans.doctor.sockets import SocketFacts, read_socket
from tigerfans.ipc.client import SequencerClient
from tigerfans.ledger import tigerbeetle_cluster
from tigerfans.ledger.base import RECORDS_MAX, LedgerError, LedgerUnavailableError
from tigerfans.ledger.replicas import Replicas, look_at_replicas
from tigerfans.ledger.wire import Operation, u128
from tigerfans.offer.catalog import Catalog, stock_account_ids
from tigerfans.settings.settings import Settings

AREA: Final = "ledger"
SECONDS_MAX: Final = 5.0
ROOT_UID: Final = 0


@dataclass(frozen=True, slots=True)
class LedgerFacts:
    """What is behind the sequencer; `totals` says how many there are of what a setting sets, and is
    empty where nothing is funded yet.
    """

    kind: str
    records_max: int
    totals: dict[str, int]


async def read_ledger(socket: Path, catalog: Catalog) -> LedgerFacts:
    """Raises a `LedgerError` where the sequencer or its ledger does not answer."""
    client = await SequencerClient.connect(socket, name="doctor", deadline_seconds=SECONDS_MAX)
    try:
        if not client.connected:
            raise LedgerUnavailableError("Nobody answers there, or refuses us.")
        ids = (i for resource in catalog.funded for i in stock_account_ids(resource.ledger))
        records = await client.submit(Operation.LOOKUP_ACCOUNTS, b"".join(map(u128, ids)))
        settings = {resource.ledger: resource.setting for resource in catalog.funded}
        # Accounts that are not there yet are left out.
        totals = {
            settings[ledger]: stock.total for ledger, stock in Inventory.by_ledger(records).items()
        }
        return LedgerFacts(client.kind, client.records_max, totals)
    finally:
        await client.close()


async def check_ledger(settings: Settings) -> Findings:
    findings = Findings(AREA, settings.environment)
    if cluster := tigerbeetle_cluster(settings.ledger or ""):
        judge_replicas(await look_at_replicas(cluster[0]), findings)
    catalog = settings.build_catalog()
    path = settings.sequencer.socket
    facts = await asyncio.to_thread(read_socket, path)
    if facts is None:
        advice = "Start the sequencer, or name its socket in TIGERFANS_SEQUENCER_SOCKET."
        findings.bad("sequencer", f"no socket at {path}", advice)
        return findings
    judge_socket(facts, findings)
    try:
        judge_ledger(await read_ledger(path, catalog), catalog, settings, findings)
    except LedgerError as error:
        advice = "See the sequencer's log, and that its ledger's server runs."
        findings.bad("answers", str(error), advice)
    return findings


def judge_socket(facts: SocketFacts, findings: Findings) -> None:
    """Whoever can open it can sell tickets without payment, so its own mode has to keep them out,
    wherever it lies.
    """
    if not facts.is_socket:
        findings.bad("socket", f"{facts.path} is no socket", "Remove it, then start anew.")
    elif facts.mode & 0o077:
        advice = f"`chmod 600 {facts.path}`, and find out who changed it."
        findings.bad("socket", f"{facts}: open to other users", advice)
    elif os.geteuid() not in (facts.uid, ROOT_UID):
        advice = "Run the doctor as the workers' user: they need the same."
        findings.bad("socket", f"{facts}, not ours", advice)
    else:
        findings.good("socket", str(facts))


def judge_replicas(replicas: Replicas, findings: Findings) -> None:
    """Without one of them the shop sells on, and without the next it does not."""
    listening, away = replicas.listening, ", ".join(replicas.away)
    if not away:
        findings.good("replicas", f"{len(listening)}, each takes connections")
    elif replicas.has_majority:
        advice = "Start it before the next one goes, or replace it with `tigerbeetle recover`."
        findings.warn("replicas", f"nothing listens at {away}", advice)
    else:
        advice = "Start them: nobody buys until a majority is there."
        findings.bad("replicas", f"nothing listens at {away}", advice)


def judge_ledger(
    facts: LedgerFacts, catalog: Catalog, settings: Settings, findings: Findings
) -> None:
    findings.good("answers", facts.kind)
    if facts.kind == "tigerbeetle":
        findings.required(
            "durability",
            facts.records_max == RECORDS_MAX,
            f"{facts.records_max:,} events at once",
            "Start TigerBeetle without --development, which does not wait for the disk.",
        )
    elif settings.environment == "production":
        found = "one file on one disk, synced at each batch"
        advice = "Sell on a TigerBeetle cluster, or back it up often (docs/operations.md)."
        findings.warn("durability", found, advice)
    else:
        findings.good("durability", "synced at each batch")
    if not facts.totals:
        findings.warn("stock", "not funded yet", "The first worker that starts funds it.")
    for resource in catalog.funded:
        if facts.totals and resource.setting not in facts.totals:
            advice = "Reload the shop: its first new worker puts it on sale."
            findings.warn(resource.setting, "in the offer, and not on the ledger yet", advice)
        total = facts.totals.get(resource.setting, resource.capacity)
        if total != resource.capacity:
            found = f"{total:,} on the ledger, {resource.capacity:,} in offer or settings"
            # It was for the first opening only, so nothing is wrong but for who reads it.
            advice = "The ledger's counts: say so there."
            if resource not in (catalog.goodies, catalog.hall):
                advice = f"{advice[:-1]}, or change it with `tigerfans stock`."
            findings.warn(resource.setting, found, advice)
