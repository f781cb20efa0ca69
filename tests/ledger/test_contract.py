"""What every ledger promises, as one suite over all of them.

The embedded ledger and the sequencer's client take part always, TigerBeetle wherever its server is
found. A ledger is shared by the tests of this module, so each test has accounts and ids of its own.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from tests.harness.patience import until
from tests.ledger.sales import CODE, Inventory, Shop, new_id
from tests.tigerbeetle_server import CLUSTER_ID, TigerBeetleServer
from tigerfans.ipc.client import SequencerClient
from tigerfans.ledger import open_ledger
from tigerfans.ledger.base import (
    InvalidRecordsError,
    Ledger,
    LedgerUnavailableError,
    TooManyRecordsError,
)
from tigerfans.ledger.wire import (
    RECORD_SIZE,
    Account,
    AccountFlags,
    AccountStatus,
    Operation,
    Transfer,
    TransferFlags,
    TransferStatus,
)
from tigerfans.sequencer.listener import bound_socket
from tigerfans.sequencer.sequencer import Sequencer

pytestmark = pytest.mark.asyncio(loop_scope="module")

CREATED = TransferStatus.CREATED
EXISTS = TransferStatus.EXISTS
LINKED_EVENT_FAILED = TransferStatus.LINKED_EVENT_FAILED
EXCEEDS_CREDITS = TransferStatus.EXCEEDS_CREDITS
ID_ALREADY_FAILED = TransferStatus.ID_ALREADY_FAILED
NOT_FOUND = TransferStatus.PENDING_TRANSFER_NOT_FOUND
ALREADY_POSTED = TransferStatus.PENDING_TRANSFER_ALREADY_POSTED
ALREADY_VOIDED = TransferStatus.PENDING_TRANSFER_ALREADY_VOIDED
EXPIRED = TransferStatus.PENDING_TRANSFER_EXPIRED
ENDED_ELSEWHERE = TransferStatus.EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT_ID

DRAIN_SECONDS_MAX = 5.0

LEDGERS = ["embedded", "tigerbeetle", "sequencer"]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=LEDGERS)
async def ledger(request: pytest.FixtureRequest) -> AsyncIterator[Ledger]:
    """Each ledger in turn, for all the tests."""
    async with opened(request.param, request) as ledger:
        yield ledger


@pytest_asyncio.fixture(loop_scope="module", params=LEDGERS)
async def own_ledger(request: pytest.FixtureRequest) -> AsyncIterator[Ledger]:
    """Each ledger in turn, for a test that closes it."""
    async with opened(request.param, request) as ledger:
        yield ledger


def opened(name: str, request: pytest.FixtureRequest) -> AbstractAsyncContextManager[Ledger]:
    """One more ledger of that name, until the block ends."""
    if name == "tigerbeetle":
        server: TigerBeetleServer = request.getfixturevalue("tigerbeetle_server")
        return opened_ledger(f"tigerbeetle://{server.addresses}/{CLUSTER_ID}")
    folder = request.getfixturevalue("tmp_path_factory").mktemp("ledger")
    embedded = opened_ledger(f"embedded:{folder}")
    return embedded if name == "embedded" else opened_through_a_sequencer(embedded)


@asynccontextmanager
async def opened_ledger(address: str) -> AsyncIterator[Ledger]:
    ledger = await open_ledger(address)
    try:
        yield ledger
    finally:
        await ledger.close()


@asynccontextmanager
async def opened_through_a_sequencer(
    behind: AbstractAsyncContextManager[Ledger],
) -> AsyncIterator[Ledger]:
    # A short name: the path of a Unix socket has to fit into 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="tigerfans-tests-"))
    path = folder / "sequencer.sock"
    try:
        async with behind as ledger:
            sequencer = Sequencer(ledger)
            with bound_socket(path) as bound:
                loop = asyncio.get_running_loop()
                server = await loop.create_unix_server(sequencer.connect, sock=bound)
                client = await SequencerClient.connect(path, name="worker-1")
                try:
                    yield client
                finally:
                    await client.close()
                    server.close()
                    await sequencer.drain(DRAIN_SECONDS_MAX)
                    await sequencer.hang_up()
    finally:
        shutil.rmtree(folder)


async def test_its_kind_has_a_name(ledger: Ledger) -> None:
    assert ledger.kind in ("embedded", "tigerbeetle")


# Stock and holds.


async def test_funding_twice_funds_once(ledger: Ledger) -> None:
    shop = await Shop.open(ledger, tickets=5)
    assert await shop.create(shop.tickets.funding(5)) == [EXISTS]
    assert await shop.inventory(shop.tickets) == Inventory(capacity=5, held=0, sold=0)


async def test_a_hold_takes_a_ticket_from_the_stock_for_a_while(ledger: Ledger) -> None:
    shop = await Shop.open(ledger, tickets=5)
    assert await shop.create(shop.hold(new_id())) == [CREATED]
    assert await shop.inventory(shop.tickets) == Inventory(capacity=5, held=1, sold=0)


async def test_a_hold_sent_again_is_still_one_hold(ledger: Ledger) -> None:
    shop = await Shop.open(ledger, tickets=5)
    hold = shop.hold(new_id())
    assert await shop.create(hold) == [CREATED]
    assert await shop.create(hold, hold) == [EXISTS, EXISTS]
    assert await shop.inventory(shop.tickets) == Inventory(capacity=5, held=1, sold=0)


async def test_no_more_is_held_than_there_is(ledger: Ledger) -> None:
    shop = await Shop.open(ledger, tickets=3)
    holds = [shop.hold(new_id()) for _ in range(20)]
    assert await shop.create(*holds) == [CREATED] * 3 + [EXCEEDS_CREDITS] * 17
    assert await shop.inventory(shop.tickets) == Inventory(capacity=3, held=3, sold=0)


async def test_a_hold_that_was_refused_is_refused_for_ever(ledger: Ledger) -> None:
    shop = await Shop.open(ledger, tickets=1)
    first, refused = new_id(), new_id()
    assert await shop.create(shop.hold(first)) == [CREATED]
    assert await shop.create(shop.hold(refused)) == [EXCEEDS_CREDITS]
    assert await shop.create(shop.release(first)) == [CREATED]
    assert await shop.create(shop.hold(refused)) == [ID_ALREADY_FAILED]
    assert await shop.create(shop.hold(new_id())) == [CREATED]


async def test_a_release_puts_the_ticket_back_once(ledger: Ledger) -> None:
    shop = await Shop.open(ledger, tickets=1)
    order = new_id()
    assert await shop.create(shop.hold(order), shop.release(order)) == [CREATED, CREATED]
    assert await shop.create(shop.release(order)) == [EXISTS]
    assert await shop.inventory(shop.tickets) == Inventory(capacity=1, held=0, sold=0)


# A paid order: every row of the table, and what its replay answers.


async def test_a_sale_takes_the_ticket_and_a_goodie(ledger: Ledger) -> None:
    shop = await Shop.open(ledger, tickets=5, goodies=2)
    order = new_id()
    await shop.create(shop.hold(order))
    assert await shop.create(*shop.sale(order)) == [CREATED, CREATED, ALREADY_POSTED]
    assert await shop.create(*shop.sale(order)) == [EXISTS, LINKED_EVENT_FAILED, ALREADY_POSTED]
    assert await shop.inventory(shop.tickets) == Inventory(capacity=5, held=0, sold=1)
    assert await shop.inventory(shop.goodies) == Inventory(capacity=2, held=0, sold=1)


async def test_a_sale_takes_the_ticket_alone_when_the_goodies_are_gone(ledger: Ledger) -> None:
    shop = await Shop.open(ledger, tickets=5)
    order = new_id()
    await shop.create(shop.hold(order))
    assert await shop.create(*shop.sale(order)) == [LINKED_EVENT_FAILED, EXCEEDS_CREDITS, CREATED]
    assert await shop.create(*shop.sale(order)) == [ALREADY_POSTED, LINKED_EVENT_FAILED, EXISTS]
    assert await shop.inventory(shop.tickets) == Inventory(capacity=5, held=0, sold=1)


async def test_a_sale_sent_alone_is_the_one_that_comes_last_of_three(ledger: Ledger) -> None:
    shop = await Shop.open(ledger, tickets=5, goodies=1)
    with_goodie, without, never_held = new_id(), new_id(), new_id()
    await shop.create(shop.hold(with_goodie), shop.hold(without))
    await shop.create(*shop.sale(with_goodie))
    *_, alone = shop.sale(without)
    assert [await shop.create(alone) for _ in range(2)] == [[CREATED], [EXISTS]]
    assert await shop.create(*shop.sale(without)) == [ALREADY_POSTED, LINKED_EVENT_FAILED, EXISTS]
    *_, alone = shop.sale(with_goodie)
    assert await shop.create(alone) == [ALREADY_POSTED]
    *_, alone = shop.sale(never_held)
    assert [await shop.create(alone) for _ in range(2)] == [[NOT_FOUND], [ID_ALREADY_FAILED]]
    assert await shop.create(*shop.sale(never_held)) == [
        NOT_FOUND,
        LINKED_EVENT_FAILED,
        ID_ALREADY_FAILED,
    ]
    assert await shop.inventory(shop.tickets) == Inventory(capacity=5, held=0, sold=2)
    assert await shop.inventory(shop.goodies) == Inventory(capacity=1, held=0, sold=1)


async def test_the_last_goodie_goes_to_one_of_two_orders_in_one_submission(
    ledger: Ledger,
) -> None:
    shop = await Shop.open(ledger, tickets=5, goodies=1)
    first, second = new_id(), new_id()
    await shop.create(shop.hold(first), shop.hold(second))
    assert await shop.create(*shop.sale(first), *shop.sale(second)) == [
        *(CREATED, CREATED, ALREADY_POSTED),
        *(LINKED_EVENT_FAILED, EXCEEDS_CREDITS, CREATED),
    ]
    assert await shop.inventory(shop.tickets) == Inventory(capacity=5, held=0, sold=2)
    assert await shop.inventory(shop.goodies) == Inventory(capacity=1, held=0, sold=1)


async def test_a_sale_after_the_hold_was_released_sells_nothing(ledger: Ledger) -> None:
    shop = await Shop.open(ledger, tickets=5, goodies=2)
    order = new_id()
    await shop.create(shop.hold(order), shop.release(order))
    for _ in range(2):
        assert await shop.create(*shop.sale(order)) == [
            ALREADY_VOIDED,
            LINKED_EVENT_FAILED,
            ALREADY_VOIDED,
        ]
    assert await shop.inventory(shop.tickets) == Inventory(capacity=5, held=0, sold=0)
    assert await shop.inventory(shop.goodies) == Inventory(capacity=2, held=0, sold=0)


async def test_a_sale_after_the_hold_expired_sells_nothing(ledger: Ledger) -> None:
    shop = await Shop.open(ledger, tickets=1, goodies=2)
    order = new_id()
    await shop.create(shop.hold(order, seconds=1))

    async def is_free_again() -> bool:
        return (await shop.inventory(shop.tickets)).held == 0

    await until(is_free_again)
    for _ in range(2):
        assert await shop.create(*shop.sale(order)) == [EXPIRED, LINKED_EVENT_FAILED, EXPIRED]
    assert await shop.create(shop.release(order)) == [EXPIRED]
    assert await shop.create(shop.hold(order, seconds=1)) == [EXISTS]
    assert await shop.inventory(shop.tickets) == Inventory(capacity=1, held=0, sold=0)
    assert await shop.create(shop.hold(new_id())) == [CREATED]


async def test_a_release_after_the_sale_takes_nothing_back(ledger: Ledger) -> None:
    shop = await Shop.open(ledger, tickets=5, goodies=2)
    order = new_id()
    await shop.create(shop.hold(order))
    await shop.create(*shop.sale(order))
    assert await shop.create(shop.release(order)) == [ALREADY_POSTED]
    assert await shop.inventory(shop.tickets) == Inventory(capacity=5, held=0, sold=1)


async def test_a_late_sale_takes_a_ticket_and_a_goodie_that_are_left(ledger: Ledger) -> None:
    shop = await Shop.open(ledger, tickets=1, goodies=1)
    order = new_id()
    await shop.create(shop.hold(order), shop.release(order))
    assert await shop.create(*shop.late_sale(order)) == [CREATED, CREATED, CREATED, ALREADY_POSTED]
    assert await shop.create(*shop.late_sale(order)) == [
        EXISTS,
        EXISTS,
        LINKED_EVENT_FAILED,
        ALREADY_POSTED,
    ]
    assert await shop.inventory(shop.tickets) == Inventory(capacity=1, held=0, sold=1)
    assert await shop.inventory(shop.goodies) == Inventory(capacity=1, held=0, sold=1)


async def test_a_late_sale_takes_the_ticket_alone_when_the_goodies_are_gone(
    ledger: Ledger,
) -> None:
    shop = await Shop.open(ledger, tickets=1)
    order = new_id()
    await shop.create(shop.hold(order), shop.release(order))
    assert await shop.create(*shop.late_sale(order)) == [
        CREATED,
        LINKED_EVENT_FAILED,
        EXCEEDS_CREDITS,
        CREATED,
    ]
    assert await shop.create(*shop.late_sale(order)) == [
        EXISTS,
        ALREADY_POSTED,
        LINKED_EVENT_FAILED,
        EXISTS,
    ]
    assert await shop.inventory(shop.tickets) == Inventory(capacity=1, held=0, sold=1)


async def test_a_late_sale_of_what_is_sold_out_fails_for_ever(ledger: Ledger) -> None:
    shop = await Shop.open(ledger, tickets=1, goodies=1)
    order, faster = new_id(), new_id()
    await shop.create(shop.hold(order), shop.release(order), shop.hold(faster))
    first = await shop.create(*shop.late_sale(order))
    assert first == [EXCEEDS_CREDITS, NOT_FOUND, LINKED_EVENT_FAILED, NOT_FOUND]
    await shop.create(shop.release(faster))
    again = await shop.create(*shop.late_sale(order))
    assert again[0] == ID_ALREADY_FAILED
    assert not {CREATED, EXISTS} & set(again)
    assert await shop.inventory(shop.tickets) == Inventory(capacity=1, held=0, sold=0)
    assert await shop.inventory(shop.goodies) == Inventory(capacity=1, held=0, sold=0)


async def test_a_hold_at_another_price_is_told_from_the_one_that_was_placed(
    ledger: Ledger,
) -> None:
    shop = await Shop.open(ledger, tickets=5, goodies=2)
    order = new_id()
    at_65, at_75 = (shop.hold(order)._replace(user_data_32=price) for price in (6500, 7500))
    assert await shop.create(at_65, at_75, at_65) == [
        CREATED,
        TransferStatus.EXISTS_WITH_DIFFERENT_USER_DATA_32,
        EXISTS,
    ]
    [hold] = await shop.transfers(order)
    assert hold.user_data_32 == 6500


async def test_created_and_exists_tell_the_same_moment(ledger: Ledger) -> None:
    shop = await Shop.open(ledger, tickets=5, goodies=2)
    order = new_id()
    [held] = await shop.results(shop.hold(order))
    sold = await shop.results(*shop.sale(order))
    again = await shop.results(*shop.sale(order))
    [record] = await shop.transfers(order | 0x01)
    assert 0 < held.timestamp < sold[0].timestamp < sold[1].timestamp
    assert sold[0].timestamp == again[0].timestamp == record.timestamp


# Several tickets: held, sold and given back as one.


async def test_several_tickets_are_one_hold_one_sale_and_one_goodie(ledger: Ledger) -> None:
    shop = await Shop.open(ledger, tickets=5, goodies=2)
    order = new_id()
    assert await shop.create(several(shop, order, 3)) == [CREATED]
    assert await shop.inventory(shop.tickets) == Inventory(capacity=5, held=3, sold=0)
    assert await shop.create(*shop.sale(order)) == [CREATED, CREATED, ALREADY_POSTED]
    assert await shop.create(*shop.sale(order)) == [EXISTS, LINKED_EVENT_FAILED, ALREADY_POSTED]
    assert await shop.inventory(shop.tickets) == Inventory(capacity=5, held=0, sold=3)
    assert await shop.inventory(shop.goodies) == Inventory(capacity=2, held=0, sold=1)
    # What is read off the ledger later says how many they were.
    [hold, post] = await shop.transfers(order, order | 0x01)
    assert (hold.amount, post.amount) == (3, 3)


async def test_several_tickets_are_held_all_or_none(ledger: Ledger) -> None:
    shop = await Shop.open(ledger, tickets=5)
    assert await shop.create(several(shop, new_id(), 3)) == [CREATED]
    assert await shop.create(several(shop, new_id(), 3)) == [EXCEEDS_CREDITS]
    assert await shop.create(several(shop, new_id(), 2)) == [CREATED]
    assert await shop.inventory(shop.tickets) == Inventory(capacity=5, held=5, sold=0)


async def test_several_tickets_are_released_together_and_sold_late_all_or_none(
    ledger: Ledger,
) -> None:
    shop = await Shop.open(ledger, tickets=3)
    order, faster = new_id(), new_id()
    await shop.create(several(shop, order, 2), shop.release(order))
    assert await shop.inventory(shop.tickets) == Inventory(capacity=3, held=0, sold=0)
    await shop.create(several(shop, faster, 2))
    hold, *sale = shop.late_sale(order)
    late = hold._replace(amount=2)
    assert (await shop.create(late, *sale))[0] == EXCEEDS_CREDITS
    assert await shop.inventory(shop.tickets) == Inventory(capacity=3, held=2, sold=0)


async def test_another_number_of_tickets_is_told_from_the_one_that_was_held(
    ledger: Ledger,
) -> None:
    shop = await Shop.open(ledger, tickets=5)
    order = new_id()
    # Before the body and the price, which differ as well.
    other = several(shop, order, 3)._replace(user_data_128=7, user_data_32=6500)
    assert await shop.create(several(shop, order, 2), other, several(shop, order, 2)) == [
        CREATED,
        TransferStatus.EXISTS_WITH_DIFFERENT_AMOUNT,
        EXISTS,
    ]
    assert await shop.inventory(shop.tickets) == Inventory(capacity=5, held=2, sold=0)


def several(shop: Shop, order: int, tickets: int) -> Transfer:
    return shop.hold(order)._replace(amount=tickets)


# A ticket's end: every row of the table, and what its replay answers.


async def test_a_refund_puts_the_ticket_back_once_and_it_can_be_sold_again(ledger: Ledger) -> None:
    shop = await Shop.open(ledger, tickets=1)
    order, next_one = new_id(), new_id()
    await shop.sell(order)
    assert await shop.create(shop.hold(new_id())) == [EXCEEDS_CREDITS]
    assert await shop.create(shop.refund(order)) == [CREATED]
    assert await shop.create(shop.refund(order), shop.refund(order)) == [EXISTS, EXISTS]
    await shop.sell(next_one)
    [operator, budget, sold] = await shop.accounts(*shop.tickets[1:4])
    assert operator.debits_posted == 1
    assert budget.credits_posted - budget.debits_posted == 0
    assert sold.credits_posted - sold.debits_posted == 1


async def test_the_sale_of_a_ticket_that_was_given_back_is_told_as_before(ledger: Ledger) -> None:
    shop = await Shop.open(ledger, tickets=5, goodies=1)
    order = new_id()
    await shop.sell(order)
    assert await shop.create(shop.refund(order)) == [CREATED]
    assert await shop.create(*shop.sale(order)) == [EXISTS, LINKED_EVENT_FAILED, ALREADY_POSTED]
    [sold] = await shop.accounts(shop.tickets.sold)
    assert sold.credits_posted == sold.debits_posted == 1


async def test_a_ticket_that_was_used_is_not_given_back_nor_one_given_back_used(
    ledger: Ledger,
) -> None:
    shop = await Shop.open(ledger, tickets=5)
    used, given_back = new_id(), new_id()
    await shop.sell(used, given_back)
    assert await shop.create(shop.admission(used), shop.refund(given_back)) == [CREATED, CREATED]
    for _ in range(2):
        assert await shop.create(shop.refund(used)) == [ENDED_ELSEWHERE]
        assert await shop.create(shop.admission(given_back)) == [ENDED_ELSEWHERE]
    assert await shop.create(shop.refund(given_back)) == [EXISTS]


async def test_each_ticket_of_an_order_ends_for_itself(ledger: Ledger) -> None:
    shop = await Shop.open(ledger, tickets=5)
    first, second = new_id(), new_id()
    await shop.sell(first, second)
    assert await shop.create(shop.admission(first, 1)) == [CREATED]
    several = [shop.refund(first), shop.refund(first, 1)]
    assert await shop.create(*several) == [CREATED, ENDED_ELSEWHERE]
    assert await shop.create(*several) == [EXISTS, ENDED_ELSEWHERE]


async def test_what_was_not_sold_is_not_given_back_for_ever(ledger: Ledger) -> None:
    shop = await Shop.open(ledger, tickets=5)
    order = new_id()
    assert await shop.create(shop.refund(order)) == [EXCEEDS_CREDITS]
    await shop.sell(order)
    assert await shop.create(shop.refund(order)) == [ID_ALREADY_FAILED]


# Chains.


async def test_a_linked_chain_is_done_as_a_whole(ledger: Ledger) -> None:
    shop = await Shop.open(ledger, tickets=5, goodies=5)
    chain = [
        shop.tickets.unit(new_id(), TransferFlags.LINKED),
        shop.goodies.unit(new_id(), TransferFlags.LINKED),
        shop.tickets.unit(new_id()),
    ]
    assert await shop.create(*chain) == [CREATED] * 3
    assert await shop.inventory(shop.tickets) == Inventory(capacity=5, held=0, sold=2)
    assert await shop.inventory(shop.goodies) == Inventory(capacity=5, held=0, sold=1)


async def test_a_linked_chain_with_a_failure_is_not_done_at_all_and_its_neighbours_are(
    ledger: Ledger,
) -> None:
    shop = await Shop.open(ledger, tickets=5)
    before, after = shop.tickets.unit(new_id()), shop.tickets.unit(new_id())
    chain = [
        shop.tickets.unit(new_id(), TransferFlags.LINKED),
        shop.goodies.unit(new_id(), TransferFlags.LINKED),
        shop.tickets.unit(new_id()),
    ]
    assert await shop.create(before, *chain, after) == [
        CREATED,
        LINKED_EVENT_FAILED,
        EXCEEDS_CREDITS,
        LINKED_EVENT_FAILED,
        CREATED,
    ]
    assert await shop.transfers(*(transfer.id for transfer in chain)) == []
    assert await shop.inventory(shop.tickets) == Inventory(capacity=5, held=0, sold=2)


# Lookups.


async def test_lookups_answer_in_the_order_asked_and_leave_out_what_is_missing(
    ledger: Ledger,
) -> None:
    shop = await Shop.open(ledger, tickets=5)
    orders = [new_id() for _ in range(3)]
    await shop.create(*map(shop.hold, orders))
    asked = [orders[2], new_id(), orders[0], new_id(), orders[1]]
    assert [transfer.id for transfer in await shop.transfers(*asked)] == [*orders[2:], *orders[:2]]
    tickets = shop.tickets
    accounts = await shop.accounts(tickets.sold, new_id(), tickets.operator, tickets.budget)
    assert [account.id for account in accounts] == [tickets.sold, tickets.operator, tickets.budget]


async def test_lookups_of_nothing_known_answer_with_nothing(ledger: Ledger) -> None:
    shop = Shop(ledger)
    assert await shop.accounts(new_id(), new_id()) == []
    assert await shop.transfers(new_id()) == []


async def test_a_transfer_is_kept_with_all_its_fields(ledger: Ledger) -> None:
    shop = await Shop.open(ledger, tickets=5)
    hold = shop.hold(new_id())._replace(
        user_data_128=2**127 + 1, user_data_64=2**63 + 1, user_data_32=2**31 + 1
    )
    [result] = await shop.results(hold)
    assert await shop.transfers(hold.id) == [hold._replace(timestamp=result.timestamp)]


async def test_an_account_is_kept_with_all_its_fields(ledger: Ledger) -> None:
    shop = Shop(ledger)
    account = Account(
        id=new_id(),
        user_data_128=2**127 + 1,
        user_data_64=2**63 + 1,
        user_data_32=2**31 + 1,
        ledger=2**32 - 1,
        code=2**16 - 1,
        flags=AccountFlags.CREDITS_MUST_NOT_EXCEED_DEBITS,
    )
    assert await shop.create_accounts(account) == [AccountStatus.CREATED]
    [kept] = await shop.accounts(account.id)
    assert kept == account._replace(timestamp=kept.timestamp)


async def test_an_account_is_created_once_and_never_changed(ledger: Ledger) -> None:
    shop = Shop(ledger)
    account = Account(id=new_id(), ledger=1, code=CODE)
    assert await shop.create_accounts(account, account) == [
        AccountStatus.CREATED,
        AccountStatus.EXISTS,
    ]
    assert await shop.create_accounts(
        account._replace(flags=AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS),
        account._replace(ledger=2),
        account._replace(code=CODE + 1),
    ) == [
        AccountStatus.EXISTS_WITH_DIFFERENT_FLAGS,
        AccountStatus.EXISTS_WITH_DIFFERENT_LEDGER,
        AccountStatus.EXISTS_WITH_DIFFERENT_CODE,
    ]


async def test_an_id_stands_for_one_transfer_for_ever(ledger: Ledger) -> None:
    shop = await Shop.open(ledger, tickets=5)
    hold = shop.hold(new_id())
    assert await shop.create(hold, hold._replace(amount=2), hold._replace(timeout=1)) == [
        CREATED,
        TransferStatus.EXISTS_WITH_DIFFERENT_AMOUNT,
        TransferStatus.EXISTS_WITH_DIFFERENT_TIMEOUT,
    ]


async def test_no_transfer_mixes_two_resources(ledger: Ledger) -> None:
    shop = await Shop.open(ledger, tickets=5, goodies=5)
    mixed = shop.tickets.unit(new_id())._replace(credit_account_id=shop.goodies.sold)
    assert await shop.create(mixed) == [TransferStatus.ACCOUNTS_MUST_HAVE_THE_SAME_LEDGER]


# The transfers of an account.


async def test_what_an_account_was_credited_is_listed_oldest_first_and_page_by_page(
    ledger: Ledger,
) -> None:
    shop = await Shop.open(ledger, tickets=9, goodies=1)
    orders = [new_id() for _ in range(3)]
    await shop.create(*map(shop.hold, orders))
    await shop.create(*shop.sale(orders[0]), shop.release(orders[1]), *shop.sale(orders[2]))
    sold = shop.tickets.sold
    listed = await shop.credits(sold, limit=100)
    assert [transfer.id for transfer in listed] == [
        *orders,
        *(orders[0] | 0x01, orders[1] | 0x04, orders[2] | 0x03),
    ]
    assert listed == await shop.transfers(*(transfer.id for transfer in listed))
    first_page = await shop.credits(sold, limit=4)
    second_page = await shop.credits(sold, limit=4, after=first_page[-1].timestamp)
    assert first_page + second_page == listed
    assert await shop.credits(sold, limit=4, after=listed[-1].timestamp) == []


async def test_a_list_keeps_to_its_moments_both_included(ledger: Ledger) -> None:
    shop = await Shop.open(ledger, tickets=9)
    results = await shop.results(*(shop.hold(new_id()) for _ in range(5)))
    moments = [result.timestamp for result in results]
    listed = await shop.credits(
        shop.tickets.sold, limit=100, after=moments[1] - 1, until=moments[3]
    )
    assert [transfer.timestamp for transfer in listed] == moments[1:4]


async def test_an_account_that_is_not_there_and_a_page_of_nothing_list_nothing(
    ledger: Ledger,
) -> None:
    shop = await Shop.open(ledger, tickets=9)
    await shop.create(shop.hold(new_id()))
    assert await shop.credits(new_id(), limit=100) == []
    assert await shop.credits(shop.tickets.sold, limit=0) == []
    assert await shop.credits(shop.tickets.sold, limit=100, after=9, until=5) == []


# What a submission may be.


@pytest.mark.parametrize("operation", list(Operation))
async def test_bytes_that_are_not_whole_records_are_refused(
    ledger: Ledger, operation: Operation
) -> None:
    for size in (0, 1, RECORD_SIZE[operation] - 1, RECORD_SIZE[operation] + 1):
        with pytest.raises(InvalidRecordsError):
            await ledger.submit(operation, bytes(size))


@pytest.mark.parametrize("operation", list(Operation))
async def test_more_records_than_the_ledger_takes_are_refused(
    ledger: Ledger, operation: Operation
) -> None:
    with pytest.raises(TooManyRecordsError):
        await ledger.submit(operation, bytes((ledger.records_max + 1) * RECORD_SIZE[operation]))


async def test_as_many_records_as_the_ledger_takes_are_done_as_one(ledger: Ledger) -> None:
    shop = await Shop.open(ledger, tickets=ledger.records_max)
    first = new_id()
    holds = [shop.hold(first + number) for number in range(ledger.records_max)]
    assert set(await shop.create(*holds)) == {CREATED}
    kept = await shop.transfers(*(hold.id for hold in holds))
    assert [transfer.id for transfer in kept] == [hold.id for hold in holds]


async def test_a_record_that_cannot_be_is_refused_and_its_neighbours_are_done(
    ledger: Ledger,
) -> None:
    shop = await Shop.open(ledger, tickets=5)
    good = shop.hold(new_id())
    assert await shop.create(Transfer(), good, good._replace(id=new_id(), amount=6)) == [
        TransferStatus.ID_MUST_NOT_BE_ZERO,
        CREATED,
        EXCEEDS_CREDITS,
    ]


# Many at once.


async def test_concurrent_submissions_each_get_their_own_results(ledger: Ledger) -> None:
    shop = await Shop.open(ledger, tickets=1_000)
    orders = [[new_id() for _ in range(1 + number % 7)] for number in range(30)]
    created = await asyncio.gather(*(shop.create(*map(shop.hold, ids)) for ids in orders))
    assert created == [[CREATED] * len(ids) for ids in orders]
    found, again = await asyncio.gather(
        asyncio.gather(*(shop.transfers(*ids) for ids in orders)),
        asyncio.gather(*(shop.create(*map(shop.hold, ids)) for ids in orders)),
    )
    assert [[transfer.id for transfer in transfers] for transfers in found] == orders
    assert again == [[EXISTS] * len(ids) for ids in orders]


async def test_concurrent_buyers_get_no_more_than_there_is(ledger: Ledger) -> None:
    shop = await Shop.open(ledger, tickets=20)
    answers = await asyncio.gather(*(shop.create(shop.hold(new_id())) for _ in range(60)))
    assert sorted(answers) == sorted([[CREATED]] * 20 + [[EXCEEDS_CREDITS]] * 40)
    assert await shop.inventory(shop.tickets) == Inventory(capacity=20, held=20, sold=0)


async def test_a_cancelled_waiter_disturbs_nobody_and_its_ids_tell_what_was_done(
    ledger: Ledger,
) -> None:
    shop = await Shop.open(ledger, tickets=100)
    orders = [[new_id(), new_id()] for _ in range(9)]
    waiters = [asyncio.create_task(shop.create(*map(shop.hold, ids))) for ids in orders]
    await asyncio.sleep(0)
    for waiter in waiters[::3]:
        waiter.cancel()
    answers = await asyncio.gather(*waiters, return_exceptions=True)
    for number, answer in enumerate(answers):
        if number % 3:
            assert answer == [CREATED, CREATED]
        else:
            assert isinstance(answer, asyncio.CancelledError)
            again = await shop.create(*map(shop.hold, orders[number]))
            assert again in ([CREATED] * 2, [EXISTS] * 2)
    assert await shop.inventory(shop.tickets) == Inventory(capacity=100, held=18, sold=0)


# The end.


async def test_a_closed_ledger_refuses_what_comes_later(own_ledger: Ledger) -> None:
    await own_ledger.close()
    with pytest.raises(LedgerUnavailableError):
        await own_ledger.submit(Operation.LOOKUP_ACCOUNTS, bytes(16))


async def test_closing_twice_is_closing_once(own_ledger: Ledger) -> None:
    await own_ledger.close()
    await own_ledger.close()
