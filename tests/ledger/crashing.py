"""A process that applies numbered batches and tells each one it was acknowledged, until killed.

`python -m tests.ledger.crashing FOLDER FIRST` writes, for each batch, its number and its results.
A batch's content follows from its number alone, so whoever reads that knows what was in it.
"""

import sys
from pathlib import Path
from struct import Struct

from tests.ledger.by_hand import (
    BANK,
    BUDGET,
    LINKED,
    SOLD,
    Clock,
    account,
    hold,
    post,
    transfer,
    void,
)
from tigerfans.ledger.books import Books
from tigerfans.ledger.store import FILE_NAME, Store
from tigerfans.ledger.wire import AccountFlags, Operation, Transfer

HOLDS = 16
TICKETS = 1_000_000
GOODIES = 300
GOODIE_BUDGET, GOODIES_GIVEN = 21, 22

# A batch's number, and the length of the results behind it.
ACKNOWLEDGED = Struct("<II")


def accounts() -> bytes:
    limited = AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS
    return b"".join(
        account(id_, flags=limited if id_ in (BUDGET, GOODIE_BUDGET) else 0).pack()
        for id_ in (BANK, BUDGET, SOLD, GOODIE_BUDGET, GOODIES_GIVEN)
    )


def batch(number: int) -> list[Transfer]:
    """Funding first; then new holds, and sales and releases of the holds before."""
    if number == 0:
        return [
            transfer(1, debit_account_id=BANK, credit_account_id=BUDGET, amount=TICKETS),
            transfer(2, debit_account_id=BANK, credit_account_id=GOODIE_BUDGET, amount=GOODIES),
        ]
    records = [hold(_id(number, index, 0)) for index in range(HOLDS)]
    for index in range(HOLDS):
        held = _id(number - 1, index, 0)
        if index % 4:
            records += [
                post(_id(number - 1, index, 1), held, flags=LINKED),
                transfer(
                    _id(number - 1, index, 2),
                    debit_account_id=GOODIE_BUDGET,
                    credit_account_id=GOODIES_GIVEN,
                ),
                post(_id(number - 1, index, 3), held),
            ]
        else:
            records.append(void(_id(number - 1, index, 4), held))
    return records


def _id(number: int, index: int, purpose: int) -> int:
    return (number << 80) + (index << 8) + purpose + 1000


def main() -> None:
    folder, first = Path(sys.argv[1]), int(sys.argv[2])
    books = Books(Store(folder / FILE_NAME), Clock())
    books.execute(Operation.CREATE_ACCOUNTS, accounts())
    number = first
    while True:
        records = b"".join(record.pack() for record in batch(number))
        results = books.execute(Operation.CREATE_TRANSFERS, records)
        sys.stdout.buffer.write(ACKNOWLEDGED.pack(number, len(results)) + results)
        sys.stdout.buffer.flush()
        number += 1


if __name__ == "__main__":
    main()
