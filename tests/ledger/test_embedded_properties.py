"""What has to hold for any history of the embedded ledger, whatever is thrown at it."""

from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ledger.by_hand import LINKED, PENDING, SECOND, BooksByHand, account, transfer
from tigerfans.ledger.wire import Account, AccountFlags, Transfer, TransferFlags
from tigerfans.ledger.wire import TransferStatus as Status

# Few accounts and few ids, so that records meet; the second may not be overdrawn, nor may the
# third, from the other side.
ACCOUNT_IDS = (1, 2, 3, 4)
ACCOUNTS = (
    account(1),
    account(2, flags=AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS),
    account(3, flags=AccountFlags.CREDITS_MUST_NOT_EXCEED_DEBITS),
    account(4),
)
TRANSFER_IDS = tuple(range(100, 120))
# Odd timeouts and even pauses: the ledger's clock moves a nanosecond with each record, and no hold
# may be due within that of a moment the tests look at.
TIMEOUTS_SECONDS = (0, 1, 31)
PAUSES_SECONDS = (0, 0, 2, 60)

account_ids = st.sampled_from(ACCOUNT_IDS)
transfer_ids = st.sampled_from(TRANSFER_IDS)
linked = st.sampled_from((0, 0, 0, int(LINKED)))

movements = st.builds(
    lambda id_, debit, credit, amount, flags, timeout, link: transfer(
        id_,
        debit_account_id=debit,
        credit_account_id=credit,
        amount=amount,
        timeout=timeout if flags & PENDING else 0,
        flags=flags | link,
    ),
    transfer_ids,
    account_ids,
    account_ids,
    st.integers(0, 9),
    st.sampled_from((0, int(PENDING))),
    st.sampled_from(TIMEOUTS_SECONDS),
    linked,
)
settlements = st.builds(
    lambda id_, hold_id, amount, flags, link: Transfer(
        id=id_, pending_id=hold_id, amount=amount, flags=flags | link
    ),
    transfer_ids,
    transfer_ids,
    st.sampled_from((0, 1, 2**128 - 1)),
    st.sampled_from(
        (int(TransferFlags.POST_PENDING_TRANSFER), int(TransferFlags.VOID_PENDING_TRANSFER))
    ),
    linked,
)
batches = st.lists(st.one_of(movements, settlements), min_size=1, max_size=8)
# Each batch, and how many seconds go by before it.
histories = st.lists(st.tuples(st.sampled_from(PAUSES_SECONDS), batches), max_size=10)


@contextmanager
def small_world() -> Iterator[BooksByHand]:
    books = BooksByHand()
    books.create_accounts(*ACCOUNTS)
    yield books
    books.close()


def accounts(books: BooksByHand) -> list[Account]:
    return [books.account(id_) for id_ in ACCOUNT_IDS]


@given(histories)
@settings(max_examples=150, deadline=None)
def test_debits_equal_credits_and_limits_hold_after_every_batch(
    history: list[tuple[int, list[Transfer]]],
) -> None:
    with small_world() as books:
        for seconds, batch in history:
            books.clock.now += seconds * SECOND
            books.create(*batch)
            found = accounts(books)
            assert sum(a.debits_posted for a in found) == sum(a.credits_posted for a in found)
            assert sum(a.debits_pending for a in found) == sum(a.credits_pending for a in found)
            assert all(balance >= 0 for a in found for balance in a[1:5])
            _, no_overdraft, no_surplus, _ = found
            assert no_overdraft.debits_pending + no_overdraft.debits_posted <= (
                no_overdraft.credits_posted
            )
            assert no_surplus.credits_pending + no_surplus.credits_posted <= (
                no_surplus.debits_posted
            )


@given(histories)
@settings(max_examples=100, deadline=None)
def test_balances_are_what_the_stored_transfers_say(
    history: list[tuple[int, list[Transfer]]],
) -> None:
    with small_world() as books:
        for seconds, batch in history:
            books.clock.now += seconds * SECOND
            books.create(*batch)
        found = {a.id: a for a in accounts(books)}
        stored = books.transfers(*TRANSFER_IDS)
        settled = {t.pending_id for t in stored if t.pending_id}
        posted = dict.fromkeys(ACCOUNT_IDS, 0)
        pending = dict.fromkeys(ACCOUNT_IDS, 0)
        for t in stored:
            if t.flags & PENDING:
                due = t.timestamp + t.timeout * SECOND
                if t.id not in settled and (not t.timeout or due > books.clock.now):
                    pending[t.debit_account_id] += t.amount
            elif not t.flags & TransferFlags.VOID_PENDING_TRANSFER:
                posted[t.debit_account_id] += t.amount
        assert {id_: a.debits_posted for id_, a in found.items()} == posted
        assert {id_: a.debits_pending for id_, a in found.items()} == pending


@given(histories)
@settings(max_examples=100, deadline=None)
def test_a_replayed_batch_changes_nothing_and_finds_all_it_created(
    history: list[tuple[int, list[Transfer]]],
) -> None:
    with small_world() as books:
        for seconds, batch in history:
            books.clock.now += seconds * SECOND
            first = books.submit(*batch)
            before = accounts(books), books.transfers(*TRANSFER_IDS)
            again = books.submit(*batch)
            assert (accounts(books), books.transfers(*TRANSFER_IDS)) == before
            for was, now in zip(first, again, strict=True):
                if was.status == Status.CREATED:
                    # A chain fails at the first record that exists.
                    assert Status(now.status) in (Status.EXISTS, Status.LINKED_EVENT_FAILED)
                    if now.status == Status.EXISTS:
                        assert now.timestamp == was.timestamp
