"""Opening a shop: once, on its own ledger, whatever dies meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.offers import OFFER, catalog_with
from tests.shops import TICKET_SECRET, OpenShop
from tigerfans.booking.ids import OrderId
from tigerfans.booking.transfers import Booking
from tigerfans.ledger import open_ledger
from tigerfans.ledger.base import Ledger
from tigerfans.ledger.wire import Account, Operation
from tigerfans.offer.catalog import Catalog, Part
from tigerfans.settings.settings import SettingsError
from tigerfans.shop.identity import NO_ID, ids_carried
from tigerfans.shop.shop import Shop
from tigerfans.stores.database import Database
from tigerfans.stores.identity import Identity, IdentityRow, ShopId
from tigerfans.stores.orders import Order, Orders, OrderStatus
from tigerfans.stores.ticket_classes import KnownClass

BOOKING = Booking(catalog_with({"A": 10, "B": 10}, 2), 300)
LOST = "an empty ledger, but this shop was funded on one before: bring that back"
ANOTHERS = "the ledger of another shop: set it, or DATABASE_URL"


class DiedError(Exception):
    """The process dies here."""


class Dying:
    """Stands before a ledger or an identity's row: at the call of that number the process dies,
    before the call or after it. Calls are counted over all that share `counter`.
    """

    def __init__(self, target: Any, counter: list[int], at: int, *, after: bool) -> None:
        self._target, self._counter, self._at, self._after = target, counter, at, after

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._target, name)
        return self._dying(attribute) if callable(attribute) else attribute

    def _dying(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def called(*arguments: Any, **named: Any) -> Any:
            self._counter[0] += 1
            dies = self._counter[0] == self._at
            if dies and not self._after:
                raise DiedError
            answer = await call(*arguments, **named)
            if dies:
                raise DiedError
            return answer

        return called


@pytest.fixture
async def another_ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    ledger = await open_ledger(f"embedded:{tmp_path / 'another'}")
    yield ledger
    await ledger.close()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = await Database.connect(database_url)
    yield database
    await database.close()


async def accounts(ledger: Ledger) -> list[Account]:
    records = await ledger.submit(Operation.LOOKUP_ACCOUNTS, BOOKING.account_ids())
    return Account.unpack_all(records)


async def ids_on(ledger: Ledger) -> frozenset[bytes]:
    return ids_carried(b"".join(account.pack() for account in await accounts(ledger)))


async def open_before_identities(ledger: Ledger) -> None:
    """What opening a shop did before shops had an identity."""
    await ledger.submit(Operation.CREATE_ACCOUNTS, BOOKING.accounts())
    await ledger.submit(Operation.CREATE_TRANSFERS, BOOKING.funding())


async def row(database: Database) -> Identity:
    return await (await IdentityRow.find(database, TICKET_SECRET)).read()


async def test_a_new_shop_says_who_it_is_in_its_row_and_on_every_account(
    open_shop: OpenShop, ledger: Ledger, database: Database
) -> None:
    shop: Shop = await open_shop()
    identity = await row(database)
    assert shop.identity.id == identity.id
    assert await ids_on(ledger) == {identity.id}
    assert identity.funded_at is not None
    assert len(await accounts(ledger)) == 14


async def test_a_shop_that_is_open_gets_the_accounts_that_a_release_of_before_had_not(
    open_shop: OpenShop, ledger: Ledger
) -> None:
    before: Any = await open_shop(opens=False)
    every = before.booking.accounts(before.identity.id)
    records = [every[i : i + 128] for i in range(0, len(every), 128)]
    of_before = [each for each in records if each[0] != Part.INSIDE]
    assert len(of_before) == 12
    before.booking.accounts = lambda shop_id: b"".join(of_before)
    await before.open()
    assert len(await accounts(ledger)) == 12
    shop: Shop = await open_shop()
    assert len(await accounts(ledger)) == 14
    assert await ids_on(ledger) == {shop.identity.id}
    # Workers of before go on beside it, and start again.
    await before.check()
    await before.open()


async def test_twenty_workers_at_once_open_one_shop(open_shop: OpenShop, ledger: Ledger) -> None:
    shops = await asyncio.gather(*(open_shop() for _ in range(20)))
    assert {shop.identity.id for shop in shops} == await ids_on(ledger)


# The calls: the row is read, the ledger looked at, the classes of before are read, accounts made,
# and funded, the classes read again and kept, the row marked; the last one dies nowhere.
@pytest.mark.parametrize("is_adopted", [False, True], ids=["new", "adopted"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, 9))
async def test_whichever_step_it_dies_at_the_next_opening_makes_the_same_shop(
    open_shop: OpenShop, ledger: Ledger, database: Database, at: int, after: bool, is_adopted: bool
) -> None:
    if is_adopted:
        await open_before_identities(ledger)
    dying: Any = await open_shop(opens=False)
    shop_id = dying.identity.id
    counter = [0]
    dying.ledger = Dying(ledger, counter, at, after=after)
    dying.identity = Dying(dying.identity, counter, at, after=after)
    with pytest.raises(DiedError):
        await dying.open()

    await open_shop()
    identity = await row(database)
    assert (identity.id, identity.is_on_ledger) == (shop_id, not is_adopted)
    assert identity.funded_at is not None
    assert await ids_on(ledger) == ({NO_ID} if is_adopted else {shop_id})
    assert sum(account.credits_posted for account in await accounts(ledger)) == 22


async def test_opening_takes_the_eight_steps_that_are_died_at(open_shop: OpenShop) -> None:
    shop: Any = await open_shop(opens=False)
    counter = [0]
    shop.ledger = Dying(shop.ledger, counter, 0, after=False)
    shop.identity = Dying(shop.identity, counter, 0, after=False)
    await shop.open()
    assert counter == [8]


async def test_an_empty_ledger_in_place_of_the_one_it_was_funded_on_is_refused_and_stays_empty(
    open_shop: OpenShop, another_ledger: Ledger
) -> None:
    await open_shop()
    for to_look in (False, True):
        with pytest.raises(SettingsError, match=LOST):
            await open_shop(on=another_ledger, to_look=to_look)
    assert await accounts(another_ledger) == []
    await open_shop()


async def test_the_ledger_of_another_shop_is_refused_and_stays_as_it_was(
    open_shop: OpenShop, ledger: Ledger, database: Database
) -> None:
    before = (await open_shop()).identity.id
    async with database.connection() as connection:
        await connection.execute("DELETE FROM shop")
    for to_look in (False, True):
        with pytest.raises(SettingsError, match=ANOTHERS):
            await open_shop(to_look=to_look)
    assert (await row(database)).id != before
    assert (await row(database)).funded_at is None
    assert await ids_on(ledger) == {before}


async def test_a_shop_that_comes_first_on_a_ledger_between_look_and_opening_keeps_it(
    open_shop: OpenShop, ledger: Ledger, database: Database
) -> None:
    late: Any = await open_shop(opens=False)
    await open_shop()
    first = await row(database)

    class Before:
        """What the ledger said before the first shop was there."""

        async def submit(self, operation: Operation, events: bytes) -> bytes:
            is_look = operation is Operation.LOOKUP_ACCOUNTS
            return b"" if is_look else await ledger.submit(operation, events)

    class Another:
        id = ShopId.new()
        are_ids_checked = True

        async def read(self) -> Identity:
            return Identity(self.id, b"", funded_at=None, is_on_ledger=True)

        async def classes(self) -> list[KnownClass]:
            return []

    late.ledger, late.identity = Before(), Another()
    with pytest.raises(SettingsError, match=ANOTHERS):
        await late.open()
    assert await ids_on(ledger) == {first.id}


async def test_a_shop_from_before_identities_goes_on_and_its_row_remembers_that(
    open_shop: OpenShop, ledger: Ledger, another_ledger: Ledger, database: Database
) -> None:
    await open_before_identities(ledger)
    shops = await asyncio.gather(*(open_shop() for _ in range(5)))
    await open_shop(to_look=True)
    assert len({shop.identity.id for shop in shops}) == 1
    assert await ids_on(ledger) == {NO_ID}
    identity = await row(database)
    assert identity.funded_at is not None
    assert not identity.is_on_ledger

    with pytest.raises(SettingsError, match=LOST):
        await open_shop(on=another_ledger)
    await another_ledger.submit(Operation.CREATE_ACCOUNTS, BOOKING.accounts(identity.id))
    with pytest.raises(SettingsError, match=ANOTHERS):
        await open_shop(on=another_ledger)


async def sell_before_identities(database: Database, status: OrderStatus) -> None:
    """Leaves what a sale left in a database that had no shop's row yet."""
    now = datetime.now(UTC)
    orders = Orders(database)
    await orders.record(
        Order(OrderId.new(), status, "A", 6500, "fan@example.org", now, currency="eur")
    )
    await orders.close()


@pytest.mark.parametrize("status", [OrderStatus.PAID, OrderStatus.PAID_UNFULFILLED])
async def test_a_shop_that_sold_before_identities_does_not_take_an_empty_ledger_for_its_own(
    open_shop: OpenShop,
    ledger: Ledger,
    another_ledger: Ledger,
    database: Database,
    status: OrderStatus,
) -> None:
    """Its own is not there when it starts for the first time since: a disk that is not mounted."""
    await open_before_identities(ledger)
    await sell_before_identities(database, status)
    for _ in range(2):
        with pytest.raises(SettingsError, match=LOST):
            await open_shop(on=another_ledger)
    assert await accounts(another_ledger) == []

    await open_shop()
    await open_shop(to_look=True)
    assert await ids_on(ledger) == {NO_ID}
    identity = await row(database)
    assert identity.funded_at is not None
    assert not identity.is_on_ledger


async def test_a_shop_in_which_nobody_paid_before_identities_may_start_on_an_empty_ledger(
    open_shop: OpenShop, ledger: Ledger, database: Database
) -> None:
    for status in (OrderStatus.FAILED, OrderStatus.CANCELED):
        await sell_before_identities(database, status)
    shop: Shop = await open_shop()
    assert await ids_on(ledger) == {shop.identity.id}


async def test_a_ledger_from_before_identities_is_not_taken_over_by_a_shop_that_has_its_own(
    open_shop: OpenShop, another_ledger: Ledger
) -> None:
    await open_shop()
    await open_before_identities(another_ledger)
    with pytest.raises(SettingsError, match=ANOTHERS):
        await open_shop(on=another_ledger)


@pytest.mark.parametrize("is_adopted", [False, True], ids=["with its id", "without"])
async def test_a_class_that_is_added_later_belongs_to_the_same_shop(
    open_shop: OpenShop, ledger: Ledger, is_adopted: bool
) -> None:
    only_a = replace(OFFER, listings=OFFER.listings[:1])
    if is_adopted:
        booking = Booking(Catalog.build(only_a, {"A": 10}, 2), 300)
        await ledger.submit(Operation.CREATE_ACCOUNTS, booking.accounts())
        await ledger.submit(Operation.CREATE_TRANSFERS, booking.funding())
    shop: Shop = await open_shop(offer=only_a)
    assert len(await accounts(ledger)) == 9
    shop = await open_shop()
    assert (await shop.inventory())["B"].capacity == 10
    carried: bytes = NO_ID if is_adopted else shop.identity.id
    assert await ids_on(ledger) == {carried}


async def test_a_look_at_what_was_never_opened_is_refused_and_leaves_it_so(
    open_shop: OpenShop, ledger: Ledger, database: Database
) -> None:
    with pytest.raises(SettingsError, match="a database without a shop"):
        await open_shop(to_look=True)
    await open_shop(opens=False)
    with pytest.raises(SettingsError, match="never opened yet"):
        await open_shop(to_look=True)
    assert (await row(database)).funded_at is None
    assert await accounts(ledger) == []
