"""A ledger in memory whose submissions stay in flight until the test lets them land."""

import asyncio

from tests.harness.patience import patience
from tigerfans.ledger.base import RECORDS_MAX, TooManyRecordsError, count_records
from tigerfans.ledger.wire import (
    ACCOUNT_SIZE,
    ID_SIZE,
    RECORD_SIZE,
    RESULT,
    Operation,
    TransferStatus,
)


class GatedLedger:
    """Remembers records by id; `created` at first, then `exists`. Nothing else is checked."""

    kind = "embedded"

    def __init__(self) -> None:
        self.records_max = RECORDS_MAX
        # What it really takes, if that is less than what it says.
        self.records_taken_max = RECORDS_MAX
        self.submissions: list[tuple[Operation, bytes]] = []
        # What the next submissions get in place of an answer.
        self.error: Exception | None = None
        self.reply: bytes | None = None
        self.closed = False
        self._records: dict[bytes, bytes] = {}
        self._gate = asyncio.Event()
        self._gate.set()
        self._arrivals: asyncio.Queue[None] = asyncio.Queue()

    def hold(self) -> None:
        """Keeps submissions in flight from now on."""
        self._gate.clear()

    def release(self) -> None:
        self._gate.set()

    async def arrival(self) -> bytes:
        """Waits for the next submission that nobody has waited for; its records."""
        async with patience():
            await self._arrivals.get()
        return self.submissions[-1][1]

    async def submit(self, operation: Operation, records: bytes) -> bytes:
        if len(records) // RECORD_SIZE[operation] > self.records_taken_max:
            self.records_max = self.records_taken_max
            raise TooManyRecordsError
        count_records(operation, records, self.records_max)
        self.submissions.append((operation, records))
        self._arrivals.put_nowait(None)
        await self._gate.wait()
        if self.error:
            raise self.error
        if self.reply is not None:
            return self.reply
        if operation in (Operation.CREATE_ACCOUNTS, Operation.CREATE_TRANSFERS):
            return self._create(records)
        return self._look_up(records)

    async def close(self) -> None:
        self.closed = True

    def _create(self, records: bytes) -> bytes:
        results = []
        for start in range(0, len(records), ACCOUNT_SIZE):
            record = records[start : start + ACCOUNT_SIZE]
            known = self._records.setdefault(record[:ID_SIZE], record)
            status = TransferStatus.CREATED if known is record else TransferStatus.EXISTS
            # The id as the timestamp, so that a test sees whose result it is.
            results.append(RESULT.pack(int.from_bytes(record[:8], "little"), status, 0))
        return b"".join(results)

    def _look_up(self, ids: bytes) -> bytes:
        keys = [ids[start : start + ID_SIZE] for start in range(0, len(ids), ID_SIZE)]
        return b"".join(self._records[key] for key in keys if key in self._records)
