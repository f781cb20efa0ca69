"""Asking the embedded ledger for what an account was credited with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ledger.by_hand import (
    BANK,
    BUDGET,
    LINKED,
    SECOND,
    SOLD,
    BooksByHand,
    hold,
    post,
    transfer,
    void,
)
from tigerfans.ledger.base import RECORDS_MAX, InvalidRecordsError
from tigerfans.ledger.wire import AccountFilter, AccountFilterFlags, Operation, Transfer

CREDITS = AccountFilterFlags.CREDITS
DEBITS = AccountFilterFlags.DEBITS
REVERSED = AccountFilterFlags.REVERSED


@pytest.fixture
def books(tmp_path: Path) -> Iterator[BooksByHand]:
    books = BooksByHand(tmp_path)
    books.open_shop(tickets=100)
    yield books
    books.close()


def ask(
    books: BooksByHand,
    account_id: int = SOLD,
    first: int = 0,
    last: int = 0,
    limit: int = RECORDS_MAX,
    flags: int = CREDITS,
) -> list[Transfer]:
    account_filter = AccountFilter(account_id, first, last, limit, flags)
    found = books.books.execute(Operation.GET_ACCOUNT_TRANSFERS, account_filter.pack())
    return Transfer.unpack_all(found)


def ids(transfers: list[Transfer]) -> list[int]:
    return [found.id for found in transfers]


def test_credits_come_in_order_of_time_whatever_their_ids(books: BooksByHand) -> None:
    books.create(hold(120), transfer(110), hold(115))
    books.create(post(101, hold_id=120), void(130, hold_id=115))
    credits_ = ask(books)
    assert ids(credits_) == [120, 110, 115, 101, 130]
    assert credits_ == books.transfers(120, 110, 115, 101, 130)
    assert ids(ask(books, BUDGET)) == [1]
    assert ask(books, BANK) == ask(books, account_id=999) == []


def test_what_was_not_created_is_no_credit(books: BooksByHand) -> None:
    books.create(transfer(100, amount=1000), transfer(101, flags=LINKED), transfer(102, code=0))
    assert ask(books) == []


def test_a_hold_that_expired_was_a_credit_all_the_same(books: BooksByHand) -> None:
    books.create(hold(100))
    books.clock.now += 301 * SECOND
    assert ids(ask(books)) == [100]


def test_pages_of_any_size_meet_without_a_gap(books: BooksByHand) -> None:
    for start in (100, 200, 300):
        books.create(*(hold(start + n) for n in range(5)))
    everything = ask(books)
    assert len(everything) == 15
    for size in (1, 2, 5, 7, 15, 16):
        paged: list[Transfer] = []
        while page := ask(books, first=paged[-1].timestamp + 1 if paged else 0, limit=size):
            assert len(page) <= size
            paged += page
        assert paged == everything


def test_both_ends_of_the_time_are_included(books: BooksByHand) -> None:
    books.create(*(hold(100 + n) for n in range(6)))
    books.create(*(hold(200 + n) for n in range(6)))
    everything = ask(books)
    for i, first in enumerate(everything):
        for j, last in enumerate(everything):
            found = ask(books, first=first.timestamp, last=last.timestamp)
            assert found == everything[i : j + 1]


def test_a_time_beyond_all_transfers_finds_nothing(books: BooksByHand) -> None:
    books.create(hold(100))
    assert ask(books, first=2**64 - 1) == []
    assert ask(books, last=1) == []
    assert ids(ask(books, last=2**64 - 1)) == [100]
    assert ask(books, limit=0) == []


def test_credits_are_there_after_a_restart(books: BooksByHand, tmp_path: Path) -> None:
    books.create(hold(100), hold(101))
    before = ask(books)
    books.close()
    again = BooksByHand(tmp_path)
    assert ask(again) == before
    again.close()


@pytest.mark.parametrize("flags", [0, DEBITS, DEBITS | CREDITS, CREDITS | REVERSED])
def test_a_filter_this_ledger_has_not_is_refused(books: BooksByHand, flags: int) -> None:
    with pytest.raises(InvalidRecordsError, match="credit account and time only"):
        ask(books, flags=flags)
