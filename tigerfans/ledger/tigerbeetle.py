"""The ledger on a TigerBeetle cluster: keeps a client connected, and learns its batch limit.

Opening waits for the first attempt to connect, not for its success: a ledger whose server is away
refuses each submission at once, and is there as soon as the server is. One client is in use at a
time. When it is lost, the next one takes its place. Two facts of TigerBeetle 0.17.9 lead to that:
a client's pauses between attempts grow, so that one that waited for 12 s took 3 to 11 s more to
notice a server that was back, where a new one took 0.3 s; and a client that was evicted (a cluster
has 64 sessions) stays evicted.

Relies on `tigerbeetle_client` for packets, replies and deadlines.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from tigerfans.ledger.base import (
    RECORDS_MAX,
    LedgerTimeoutError,
    LedgerUnavailableError,
    TooManyRecordsError,
    count_records,
)
from tigerfans.ledger.replicas import Replicas, look_at_replicas
from tigerfans.ledger.tigerbeetle_client import TigerBeetleClient
from tigerfans.ledger.wire import TRANSFER_SIZE, Operation

# A buyer gets an answer within 5 s, and the worker's own deadline has to fit between.
DEADLINE_SECONDS: Final = 3.0
# How long a new client may take to connect and register: 0.6 s as a rule, because it asks again
# only after half a second. Much less than this, and no client would live to see an answer.
CONNECT_SECONDS: Final = 3.0

# Takes the addresses that a client was given.
LookAtReplicas = Callable[[str], Awaitable[Replicas]]

logger = logging.getLogger(__name__)


class TigerBeetleLedger:
    """A `Ledger` on the cluster that the clients from `connect` talk to."""

    kind: Final = "tigerbeetle"

    def __init__(
        self,
        connect: Callable[[], TigerBeetleClient],
        *,
        deadline_seconds: float = DEADLINE_SECONDS,
        look_at: LookAtReplicas = look_at_replicas,
    ) -> None:
        """Makes the first client, and so raises what `connect` raises."""
        self._connect = connect
        self._look_at_replicas = look_at
        self._deadline_seconds = deadline_seconds
        self._records_max = RECORDS_MAX
        self._client: TigerBeetleClient | None = None
        # Why there is no client to use, as a sentence.
        self._away = "TigerBeetle is not connected yet."
        self._attempted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._keep_connected(connect()), name="tigerbeetle")
        self._task.add_done_callback(self._on_stopped)

    def __repr__(self) -> str:
        return f"<TigerBeetleLedger {self._client or self._away}>"

    @property
    def records_max(self) -> int:
        """The most records one submission may carry; TigerBeetle's own limit until it is known."""
        return self._records_max

    async def attempted(self) -> None:
        """Waits for the end of the first attempt to connect, successful or not.

        Raises `LedgerOpenError` for a server of another version.
        """
        await asyncio.shield(self._attempted)

    def submit(self, operation: Operation, records: bytes) -> asyncio.Future[bytes]:
        """The future reply; see `Ledger`. What can be refused here raises at once."""
        count_records(operation, records, self._records_max)
        if self._client is None:
            raise LedgerUnavailableError(self._away)
        return self._client.submit(operation, records, self._deadline_seconds)

    async def close(self) -> None:
        """Disconnects; what is in flight fails with `LedgerTimeoutError`."""
        self._client = None
        self._away = "The ledger is closed."
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _keep_connected(self, client: TigerBeetleClient) -> None:
        while True:
            try:
                await self._use(client)
            finally:
                self._client = None
                await client.close()
            client = self._connect()

    async def _use(self, client: TigerBeetleClient) -> None:
        """Lets submissions use `client`, from the moment it is connected until it is lost."""
        has_answered = False
        with suppress(LedgerTimeoutError, LedgerUnavailableError):  # then it is lost already
            before, self._records_max = self._records_max, await _learn_records_max(client)
            has_answered = True
            self._client = client
            if self._records_max != before or not self._attempted.done():
                logger.info("%s takes %d records at once", client.server, self._records_max)
            self._end_attempt()
        reason = await client.lost
        if client.is_silent and not has_answered:
            replicas = await self._look_at_replicas(client.addresses)
            reason = f"does not answer: {replicas.explain_silence(client.cluster_id)}"
        self._away = f"{client.server} {reason}."
        self._end_attempt()

    def _end_attempt(self) -> None:
        if not self._attempted.done():
            self._attempted.set_result(None)

    def _on_stopped(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            self._attempted.cancel()
        elif error := task.exception():
            self._away = str(error)
            if not self._attempted.done():
                self._attempted.set_exception(error)
            else:
                # Nothing mends this, so it has to be heard.
                self._task.get_loop().call_exception_handler(
                    {"message": f"the ledger is lost: {error}", "exception": error}
                )


async def open_tigerbeetle(
    addresses: str, cluster_id: int, *, deadline_seconds: float = DEADLINE_SECONDS
) -> TigerBeetleLedger:
    """The ledger on a cluster, named by its replicas' IP addresses with ports (`ADDR[,ADDR…]`).

    Waits for at most `CONNECT_SECONDS`: where the server is away, the ledger refuses submissions
    with `LedgerUnavailableError` until it is there. Raises `LedgerOpenError` for addresses that
    cannot be used, and for a server of another version.
    """
    ledger = TigerBeetleLedger(
        lambda: TigerBeetleClient(addresses, cluster_id), deadline_seconds=deadline_seconds
    )
    try:
        await ledger.attempted()
    except BaseException:
        await ledger.close()
        raise
    return ledger


async def _learn_records_max(client: TigerBeetleClient) -> int:
    """The most transfers the server takes at once, found by sending some that it must refuse.

    A transfer of zeros has no id and leaves nothing behind. Lookups would not do: their records
    are smaller, so a server in development mode takes 253 transfers but 2,000 ids.
    """
    possible, too_many = 1, RECORDS_MAX + 1
    attempt = RECORDS_MAX
    while too_many - possible > 1:
        try:
            await client.submit(
                Operation.CREATE_TRANSFERS, bytes(attempt * TRANSFER_SIZE), CONNECT_SECONDS
            )
        except TooManyRecordsError:
            too_many = attempt
        else:
            possible = attempt
        attempt = (possible + too_many) // 2
    return possible
