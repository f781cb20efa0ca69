"""`kill -9` at any moment: what was acknowledged is there, and nothing is there in part."""

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tests.ledger import crashing
from tests.ledger.by_hand import BooksByHand
from tigerfans.ledger.wire import Operation, Result, Transfer, TransferStatus, u128

ROUNDS = 8
BATCHES_MAX = 20
SECONDS_MAX = 0.02
ACCOUNT_IDS = (11, 12, 13, 21, 22)


def acknowledged(pipe: IO[bytes]) -> Iterator[tuple[int, list[Result]]]:
    """The batches that were acknowledged; the last message may be cut short."""
    while len(head := pipe.read(crashing.ACKNOWLEDGED.size)) == crashing.ACKNOWLEDGED.size:
        number, size = crashing.ACKNOWLEDGED.unpack(head)
        if len(results := pipe.read(size)) < size:
            return
        yield number, Result.unpack_all(results)


def run_until_killed(folder: Path, first: int, chance: random.Random) -> dict[int, list[Result]]:
    batches = chance.randrange(1, BATCHES_MAX)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.ledger.crashing", str(folder), str(first)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdout is not None
        seen = {}
        for number, results in acknowledged(process.stdout):
            seen[number] = results
            if len(seen) == batches:
                # Any moment will do: while it computes, writes, syncs or answers.
                time.sleep(chance.uniform(0, SECONDS_MAX))
                process.kill()
        return seen


def transfers(books: BooksByHand, numbers: range) -> list[Transfer]:
    ids = b"".join(u128(record.id) for number in numbers for record in crashing.batch(number))
    parts = [ids[start : start + 16 * 8000] for start in range(0, len(ids), 16 * 8000)]
    return [
        found
        for part in parts
        for found in Transfer.unpack_all(books.books.execute(Operation.LOOKUP_TRANSFERS, part))
    ]


def state(books: BooksByHand, numbers: range) -> list[object]:
    """All that a reader can see, but the time it happened at."""
    accounts = map(books.account, ACCOUNT_IDS)
    return [
        *(account._replace(timestamp=0) for account in accounts),
        *(transfer._replace(timestamp=0) for transfer in transfers(books, numbers)),
    ]


def test_a_killed_ledger_has_what_it_acknowledged_and_at_most_the_whole_batch_in_flight(
    tmp_path: Path,
) -> None:
    chance = random.Random(179)
    model = BooksByHand()
    model.books.execute(Operation.CREATE_ACCOUNTS, crashing.accounts())
    done = 0
    for _ in range(ROUNDS):
        seen = run_until_killed(tmp_path, done, chance)
        for number, results in seen.items():
            assert number == done
            statuses = model.create(*crashing.batch(number))
            assert [TransferStatus(result.status) for result in results] == statuses
            done += 1

        survivor = BooksByHand(tmp_path)
        created = {
            record.id: result.timestamp
            for number, results in seen.items()
            for record, result in zip(crashing.batch(number), results, strict=True)
            if result.status == TransferStatus.CREATED
        }
        stored = {found.id: found.timestamp for found in transfers(survivor, range(done))}
        assert stored.items() >= created.items()
        if state(survivor, range(done + 1)) != state(model, range(done + 1)):
            model.create(*crashing.batch(done))
            done += 1
            assert state(survivor, range(done + 1)) == state(model, range(done + 1))
        survivor.close()
    model.close()
    assert done >= ROUNDS
