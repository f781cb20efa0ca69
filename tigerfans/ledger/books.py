"""The embedded ledger without its thread: accounts in memory, everything in the store, a clock.

Nothing here waits for anything but the disk. Memory holds the accounts, and of the transfers only
those that the batch at hand names; if a batch cannot be stored, its effect on the accounts is
taken back, so memory and disk never disagree.

Holds expire by steady time (`clock`), which is stored with each batch as the timestamps are. What
is due is given back to the accounts in bounded steps, one before each submission and the others as
somebody calls `expire`. Until its turn comes, a hold that is due counts as held in the balances,
but can be posted or voided no more. So it is on TigerBeetle, whose pulses are these steps.
"""

from struct import Struct
from typing import Final

from tigerfans.ledger.base import RECORDS_MAX, InvalidRecordsError
from tigerfans.ledger.clock import Clock, LedgerClock, MachineClock, Moment
from tigerfans.ledger.create_accounts import AccountBatch
from tigerfans.ledger.create_transfers import TIMESTAMP_MAX, TransferBatch, expire
from tigerfans.ledger.entries import move_back
from tigerfans.ledger.store import Store
from tigerfans.ledger.wire import (
    ACCOUNT_FILTER,
    ID_SIZE,
    TRANSFER_SIZE,
    AccountFilterFlags,
    Operation,
)

# Holds that are given back in one step. So many take some 15 ms, by which a submission may have to
# wait longer; a step of eight times as many took 100 ms.
EXPIRE_MAX: Final = 1024

# The id and the pending id of a transfer's record.
_NAMED_IDS: Final = Struct("<16s48x16s48x")


class Books:
    """A ledger for one thread. Errors are `sqlite3.Error`; nothing was done, then."""

    def __init__(self, store: Store, clock: Clock | None = None) -> None:
        self._store = store
        self._clock = LedgerClock(clock or MachineClock(), store.last_moment())
        self._accounts = store.accounts()
        self._next_due = store.next_due()

    @property
    def is_behind(self) -> bool:
        """Whether any hold that is due still counts as held."""
        return self._next_due is not None and self._next_due <= self._clock.now().steady

    def execute(self, operation: Operation, records: bytes) -> bytes:
        """Applies one submission of whole records and gives its results back."""
        self.expire()
        match operation:
            case Operation.CREATE_TRANSFERS:
                return self._create_transfers(records)
            case Operation.CREATE_ACCOUNTS:
                return self._create_accounts(records)
            case Operation.LOOKUP_TRANSFERS:
                return self._lookup_transfers(records)
            case Operation.LOOKUP_ACCOUNTS:
                return self._lookup_accounts(records)
            case Operation.GET_ACCOUNT_TRANSFERS:
                return self._get_account_transfers(records)

    def expire(self) -> None:
        """Gives back up to `EXPIRE_MAX` of the holds that are due."""
        now = self._clock.now()
        if self._next_due is None or self._next_due > now.steady:
            return
        journal = expire(self._accounts, self._store.due(now.steady, EXPIRE_MAX))
        try:
            with self._store.transaction(now):
                self._store.write_transfers(journal, ())
        except BaseException:
            for movement in journal:
                move_back(movement)
            raise
        # What was freed at this moment must never again look as if it were not yet due.
        self._clock.last = now
        self._next_due = self._store.next_due()

    def freeze(self) -> None:
        """Makes the store's main file hold still with all that was done; see `Store.freeze`."""
        self._store.freeze()

    def thaw(self) -> None:
        self._store.thaw()

    def close(self) -> None:
        self._store.close()

    def _create_transfers(self, records: bytes) -> bytes:
        named = {id_ for ids in _NAMED_IDS.iter_unpack(records) for id_ in ids}
        first, last = self._moments(records)
        batch = TransferBatch(self._accounts, self._store.transfers(named), first.ahead)
        try:
            results = batch.apply(records, first.timestamp)
            with self._store.transaction(last):
                self._store.write_transfers(batch.journal, batch.burnt)
        except BaseException:
            batch.undo()
            raise
        self._clock.last = last
        self._next_due = self._store.next_due()
        return results

    def _create_accounts(self, records: bytes) -> bytes:
        batch = AccountBatch(self._accounts)
        first, last = self._moments(records)
        try:
            results = batch.apply(records, first.timestamp)
            with self._store.transaction(last):
                self._store.write_accounts(batch.created)
        except BaseException:
            batch.undo()
            raise
        self._clock.last = last
        return results

    def _lookup_transfers(self, ids: bytes) -> bytes:
        asked = _split(ids)
        found = self._store.transfers(set(asked))
        return b"".join(found[id_].record for id_ in asked if id_ in found)

    def _lookup_accounts(self, ids: bytes) -> bytes:
        found = map(self._accounts.get, _split(ids))
        return b"".join(account.pack() for account in found if account is not None)

    def _get_account_transfers(self, account_filter: bytes) -> bytes:
        """The credits of an account; this ledger keeps no list of debits, and refuses to guess.

        An invalid filter finds nothing, as on TigerBeetle.
        """
        account_id, data_128, data_64, data_32, code, first, last, limit, flags = (
            ACCOUNT_FILTER.unpack(account_filter)
        )
        if flags != AccountFilterFlags.CREDITS or any(data_128) or data_64 or data_32 or code:
            raise InvalidRecordsError(
                "The embedded ledger filters by credit account and time only."
            )
        # No transfer is later than this, and neither are SQLite's integers.
        first = min(first, TIMESTAMP_MAX)
        last = min(last or TIMESTAMP_MAX, TIMESTAMP_MAX)
        records = self._store.credits(account_id, first, last, min(limit, RECORDS_MAX))
        return b"".join(records)

    def _moments(self, records: bytes) -> tuple[Moment, Moment]:
        """When the first and the last record happen."""
        first = self._clock.next()
        return first, first.later(len(records) // TRANSFER_SIZE - 1)


def _split(ids: bytes) -> list[bytes]:
    return [ids[start : start + ID_SIZE] for start in range(0, len(ids), ID_SIZE)]
