"""Does all of it belong to one shop: database, ticket secret, ledger, and the keys in Redis?

Says nothing of what does not answer: the checks of each store do.
"""

import asyncio
import re
from dataclasses import dataclass
from itertools import islice
from typing import Final

from redis.exceptions import RedisError

from tigerfans.booking.transfers import Booking
from tigerfans.doctor.findings import Findings
from tigerfans.ipc.client import SequencerClient
from tigerfans.ledger.base import LedgerError
from tigerfans.ledger.wire import Operation
from tigerfans.settings.settings import Settings
from tigerfans.shop.identity import Refusal, Step, decide, ids_carried
from tigerfans.stores.away_postgresql import NO_ANSWER
from tigerfans.stores.identity import KEY_PREFIX_HEX_DIGITS, Identity, read_identity
from tigerfans.stores.redis_primary import connect_redis

AREA: Final = "identity"
SECONDS_MAX: Final = 5.0
# In a Redis that has more, a shop with a hundredth of the keys is still found.
KEYS_LOOKED_AT_MAX: Final = 100_000
KEYS_PER_ROUND: Final = 1_000
# As many shops are named; one is enough to be too many.
SHOPS_NAMED_MAX: Final = 3

_OF_A_SHOP: Final = re.compile(
    rb"([0-9a-f]{%d}):(?:order:[0-9a-f]{32}|unpaid)" % KEY_PREFIX_HEX_DIGITS
)


@dataclass(frozen=True, slots=True)
class IdentityFacts:
    """`identity` is None where the database has no shop yet, `ids_on_ledger` where the ledger
    does not answer, and `key_prefixes` (of all shops) where Redis does not.
    """

    identity: Identity | None
    ids_on_ledger: frozenset[bytes] | None
    key_prefixes: frozenset[str] | None


async def check_identity(settings: Settings) -> Findings:
    findings = Findings(AREA, settings.environment)
    url = settings.stores.database_url
    if url is None:
        return findings
    try:
        identity = await read_identity(url, SECONDS_MAX)
    except NO_ANSWER:
        return findings
    ids_on_ledger, key_prefixes = await asyncio.gather(_read_ledger(settings), _read_keys(settings))
    facts = IdentityFacts(identity, ids_on_ledger, key_prefixes)
    findings += judge_identity(facts, settings)
    return findings


def judge_identity(facts: IdentityFacts, settings: Settings) -> Findings:
    findings = Findings(AREA, settings.environment)
    identity = facts.identity
    if identity is None:
        findings.warn("database", "no shop yet", "The first worker that starts makes one.")
        return findings
    findings.good("database", f"shop {identity.id.hex_digits}")
    if identity.has_secret(settings.ticket_secret):
        findings.good("ticket secret", "the one that the shop was opened with")
    else:
        advice = "Set TIGERFANS_TICKET_SECRET back: the codes of tickets derive from it."
        findings.bad("ticket secret", "not the one that the shop was opened with", advice)
    if facts.ids_on_ledger is not None:
        _judge_ledger(identity, facts.ids_on_ledger, findings)
    if facts.key_prefixes is not None:
        _judge_keys(facts.key_prefixes - {identity.id.key_prefix}, findings)
    return findings


def _judge_ledger(identity: Identity, ids: frozenset[bytes], findings: Findings) -> None:
    match decide(identity, ids):
        case Refusal() as refusal:
            found, _, advice = refusal.partition(": ")
            findings.bad("ledger", found, f"{advice[0].upper()}{advice[1:]}")
        case Step.GO_ON if identity.is_on_ledger:
            findings.good("ledger", "the shop's own")
        case Step.GO_ON:
            findings.good("ledger", "the shop's own, from before shops had an id")
        case Step.FUND | Step.ADOPT:
            findings.warn("ledger", "not opened yet", "The first worker that starts does it.")


def _judge_keys(others: frozenset[str], findings: Findings) -> None:
    if others:
        named = ", ".join(islice(sorted(others), SHOPS_NAMED_MAX))
        advice = "Give each its own: a rush on one fills the memory of both."
        findings.warn("Redis", f"another shop's keys as well: {named}", advice)
    else:
        findings.good("Redis", "no other shop's keys")


async def _read_ledger(settings: Settings) -> frozenset[bytes] | None:
    account_ids = Booking(settings.build_catalog(), settings.hold_seconds).account_ids()
    client = await SequencerClient.connect(
        settings.sequencer.socket, name="doctor", deadline_seconds=SECONDS_MAX
    )
    try:
        return ids_carried(await client.submit(Operation.LOOKUP_ACCOUNTS, account_ids))
    except LedgerError:
        return None
    finally:
        await client.close()


async def _read_keys(settings: Settings) -> frozenset[str] | None:
    if settings.stores.redis_url is None:
        return None
    prefixes: set[str] = set()
    try:
        async with (
            asyncio.timeout(SECONDS_MAX),
            connect_redis(settings.stores.redis_url) as redis,
        ):
            looked_at = 0
            async for key in redis.scan_iter(count=KEYS_PER_ROUND):
                if of_a_shop := _OF_A_SHOP.fullmatch(key):
                    prefixes.add(of_a_shop[1].decode())
                looked_at += 1
                if looked_at == KEYS_LOOKED_AT_MAX:
                    break
    except (OSError, ValueError, RedisError):
        return None
    return frozenset(prefixes)
