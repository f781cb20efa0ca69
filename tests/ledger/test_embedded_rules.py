"""What the recordings do not cover of the embedded ledger's rules, and each rule's name."""

from collections.abc import Iterator

import pytest

from tests.ledger.by_hand import (
    BANK,
    BUDGET,
    LINKED,
    NOON,
    PENDING,
    POST,
    SECOND,
    SOLD,
    VOID,
    BooksByHand,
    account,
    hold,
    post,
    transfer,
    void,
)
from tigerfans.ledger.create_transfers import TransferBatch
from tigerfans.ledger.entries import Account as Entry
from tigerfans.ledger.wire import (
    TRANSFER,
    U128_MAX,
    Account,
    AccountFlags,
    AccountStatus,
    Result,
    Transfer,
    TransferFlags,
    u128,
)
from tigerfans.ledger.wire import TransferStatus as Status


@pytest.fixture
def books() -> Iterator[BooksByHand]:
    books = BooksByHand()
    books.open_shop(tickets=10)
    yield books
    books.close()


@pytest.mark.parametrize(
    "flag",
    [
        TransferFlags.BALANCING_DEBIT,
        TransferFlags.BALANCING_CREDIT,
        TransferFlags.CLOSING_DEBIT,
        TransferFlags.CLOSING_CREDIT,
        TransferFlags.IMPORTED,
        *(1 << bit for bit in range(9, 16)),
    ],
)
def test_a_transfer_flag_this_ledger_has_not_is_refused(books: BooksByHand, flag: int) -> None:
    assert books.create(transfer(100, flags=flag)) == [Status.RESERVED_FLAG]
    assert books.create(transfer(100, flags=flag | PENDING)) == [Status.RESERVED_FLAG]
    # Nothing happened to the id.
    assert books.create(transfer(100)) == [Status.CREATED]


@pytest.mark.parametrize(
    "flag",
    [
        AccountFlags.HISTORY,
        AccountFlags.IMPORTED,
        AccountFlags.CLOSED,
        *(1 << bit for bit in range(6, 16)),
    ],
)
def test_an_account_flag_this_ledger_has_not_is_refused(books: BooksByHand, flag: int) -> None:
    assert books.create_accounts(account(50, flags=flag)) == [AccountStatus.RESERVED_FLAG]
    assert books.create_accounts(account(50)) == [AccountStatus.CREATED]


def test_a_reserved_field_of_an_account_is_refused(books: BooksByHand) -> None:
    assert books.create_accounts(account(50, reserved=1)) == [AccountStatus.RESERVED_FIELD]


def test_a_budget_is_never_overdrawn(books: BooksByHand) -> None:
    statuses = books.create(*(hold(100 + n) for n in range(12)))
    assert statuses == [Status.CREATED] * 10 + [Status.EXCEEDS_CREDITS] * 2
    assert books.account(BUDGET).debits_pending == 10


@pytest.mark.parametrize(
    ("refused", "status"),
    [
        (transfer(100, debit_account_id=99), Status.DEBIT_ACCOUNT_NOT_FOUND),
        (transfer(100, credit_account_id=99), Status.CREDIT_ACCOUNT_NOT_FOUND),
        (post(100, hold_id=98), Status.PENDING_TRANSFER_NOT_FOUND),
        (transfer(100, amount=11), Status.EXCEEDS_CREDITS),
        (transfer(100, debit_account_id=SOLD, credit_account_id=40), Status.EXCEEDS_DEBITS),
    ],
)
def test_an_id_refused_for_a_passing_reason_is_burnt(
    books: BooksByHand, refused: Transfer, status: Status
) -> None:
    books.create_accounts(account(40, flags=AccountFlags.CREDITS_MUST_NOT_EXCEED_DEBITS))
    assert books.create(refused) == [status]
    assert books.create(refused) == [Status.ID_ALREADY_FAILED]
    assert books.create(transfer(100)) == [Status.ID_ALREADY_FAILED]
    assert books.transfers(100) == []
    assert books.create(post(101, hold_id=100)) == [Status.PENDING_TRANSFER_NOT_FOUND]


def test_an_id_refused_for_what_it_says_can_be_used_again(books: BooksByHand) -> None:
    assert books.create(transfer(100, code=0)) == [Status.CODE_MUST_NOT_BE_ZERO]
    assert books.create(transfer(100)) == [Status.CREATED]


def test_a_chain_that_fails_takes_everything_back_and_burns_only_the_culprit(
    books: BooksByHand,
) -> None:
    books.create(hold(100))
    before = [books.account(id_) for id_ in (BANK, BUDGET, SOLD)]
    chain = (
        transfer(101, flags=LINKED, amount=2),
        post(102, hold_id=100, flags=LINKED),
        hold(103)._replace(flags=PENDING | LINKED),
        transfer(104, amount=1000, flags=LINKED),
        transfer(105),
    )
    failed = Status.LINKED_EVENT_FAILED
    assert books.create(*chain) == [failed, failed, failed, Status.EXCEEDS_CREDITS, failed]
    assert [books.account(id_) for id_ in (BANK, BUDGET, SOLD)] == before
    assert books.transfers(101, 102, 103, 104, 105) == []
    again = (post(102, hold_id=100), transfer(101), transfer(105), transfer(104))
    created = Status.CREATED
    assert books.create(*again) == [created, created, created, Status.ID_ALREADY_FAILED]


def test_what_a_chain_did_is_seen_by_the_rest_of_the_chain(books: BooksByHand) -> None:
    chain = (
        hold(100)._replace(flags=PENDING | LINKED, amount=10),
        post(101, hold_id=100, amount=4, flags=LINKED),
        transfer(102, amount=6),
    )
    assert books.create(*chain) == [Status.CREATED] * 3
    assert books.account(BUDGET).debits_posted == 10


def test_a_hold_created_and_settled_in_one_batch_stays_settled(books: BooksByHand) -> None:
    assert books.create(hold(100), void(101, hold_id=100)) == [Status.CREATED] * 2
    assert books.create(post(102, hold_id=100)) == [Status.PENDING_TRANSFER_ALREADY_VOIDED]
    books.clock.now += 301 * SECOND
    assert books.account(BUDGET).debits_pending == 0


def test_a_chain_left_open_by_the_batch_fails(books: BooksByHand) -> None:
    assert books.create(transfer(100), transfer(101, flags=LINKED)) == [
        Status.CREATED,
        Status.LINKED_EVENT_CHAIN_OPEN,
    ]
    assert books.create(transfer(101)) == [Status.CREATED]


def test_an_account_chain_that_fails_leaves_no_account(books: BooksByHand) -> None:
    statuses = books.create_accounts(
        account(50, flags=AccountFlags.LINKED), account(51, code=0), account(52)
    )
    assert statuses == [
        AccountStatus.LINKED_EVENT_FAILED,
        AccountStatus.CODE_MUST_NOT_BE_ZERO,
        AccountStatus.CREATED,
    ]
    assert books.create(transfer(100, credit_account_id=50)) == [Status.CREDIT_ACCOUNT_NOT_FOUND]


def test_a_partial_post_gives_the_rest_back(books: BooksByHand) -> None:
    books.create(hold(100, amount=7))
    assert books.create(post(101, hold_id=100, amount=3)) == [Status.CREATED]
    budget = books.account(BUDGET)
    assert (budget.debits_pending, budget.debits_posted) == (0, 3)


def test_a_settlement_inherits_what_it_leaves_open(books: BooksByHand) -> None:
    books.create(hold(100, user_data_128=5, user_data_64=6, user_data_32=7))
    books.create(post(101, hold_id=100)._replace(user_data_64=60))
    (posted,) = books.transfers(101)
    assert posted._replace(timestamp=0) == Transfer(
        id=101,
        debit_account_id=BUDGET,
        credit_account_id=SOLD,
        amount=1,
        pending_id=100,
        user_data_128=5,
        user_data_64=60,
        user_data_32=7,
        ledger=7,
        code=1,
        flags=POST,
    )


def test_results_carry_rising_timestamps_and_exists_the_first_one(books: BooksByHand) -> None:
    first, refused, second = books.submit(transfer(100), transfer(101, code=0), transfer(102))
    assert refused.timestamp == first.timestamp + 1
    assert second.timestamp == first.timestamp + 2
    (again,) = books.submit(transfer(100))
    assert again == Result(first.timestamp, Status.EXISTS)


def entry(id_: int, **balances: int) -> Entry:
    return Entry.unpack(account(id_, **balances).pack())


@pytest.mark.parametrize(
    ("debit", "credit", "flags", "status"),
    [
        ({"debits_pending": 1}, {}, PENDING, Status.OVERFLOWS_DEBITS_PENDING),
        ({}, {"credits_pending": 1}, PENDING, Status.OVERFLOWS_CREDITS_PENDING),
        ({"debits_posted": 1}, {}, 0, Status.OVERFLOWS_DEBITS_POSTED),
        ({}, {"credits_posted": 1}, 0, Status.OVERFLOWS_CREDITS_POSTED),
        ({"debits_posted": 1}, {}, PENDING, Status.OVERFLOWS_DEBITS_POSTED),
        ({"debits_pending": 1}, {}, 0, Status.OVERFLOWS_DEBITS),
        ({}, {"credits_pending": 1}, 0, Status.OVERFLOWS_CREDITS),
    ],
)
def test_no_balance_overflows(
    debit: dict[str, int], credit: dict[str, int], flags: int, status: Status
) -> None:
    accounts = {u128(1): entry(1, **debit), u128(2): entry(2, **credit)}
    batch = TransferBatch(accounts, {})
    record = transfer(100, debit_account_id=1, credit_account_id=2, amount=U128_MAX, flags=flags)
    (result,) = Result.unpack_all(batch.apply(record.pack(), NOON))
    assert Status(result.status) is status


def test_a_timeout_beyond_the_end_of_time_is_refused() -> None:
    accounts = {u128(BUDGET): entry(BUDGET), u128(SOLD): entry(SOLD)}
    batch = TransferBatch(accounts, {})
    record = hold(100, timeout=1).pack()
    end_of_time = 2**63 - 1
    (result,) = Result.unpack_all(batch.apply(record, end_of_time - SECOND + 1))
    assert Status(result.status) is Status.OVERFLOWS_TIMEOUT
    (result,) = Result.unpack_all(batch.apply(record, end_of_time - SECOND))
    assert Status(result.status) is Status.CREATED


def test_a_batch_undone_leaves_the_accounts_as_they_were() -> None:
    accounts = {u128(BUDGET): entry(BUDGET), u128(SOLD): entry(SOLD)}
    before = [account.pack() for account in accounts.values()]
    batch = TransferBatch(accounts, {})
    records = (hold(100, amount=5), transfer(101, amount=3), post(102, hold_id=100, amount=2))
    batch.apply(b"".join(record.pack() for record in records), NOON)
    assert [account.pack() for account in accounts.values()] != before
    batch.undo()
    assert [account.pack() for account in accounts.values()] == before


def test_lookups_answer_in_the_order_asked_repeats_included(books: BooksByHand) -> None:
    books.create(transfer(100), transfer(101))
    assert [t.id for t in books.transfers(101, 999, 100, 101, 0, U128_MAX)] == [101, 100, 101]


def test_an_account_keeps_its_fields(books: BooksByHand) -> None:
    fields = account(50, user_data_128=2**100, user_data_64=2**60, user_data_32=2**30)
    books.create_accounts(fields)
    assert books.account(50)._replace(timestamp=0) == fields
    assert isinstance(books.account(50), Account)


def test_what_is_stored_is_the_record_with_its_timestamp(books: BooksByHand) -> None:
    record = hold(100, user_data_128=2**127, user_data_64=1, user_data_32=2)
    (result,) = books.submit(record)
    assert books.transfers(100) == [record._replace(timestamp=result.timestamp)]
    assert len(record.pack()) == TRANSFER.size


def test_post_and_void_together_are_refused(books: BooksByHand) -> None:
    books.create(hold(100))
    both = post(101, hold_id=100, flags=VOID)
    assert books.create(both) == [Status.FLAGS_ARE_MUTUALLY_EXCLUSIVE]
