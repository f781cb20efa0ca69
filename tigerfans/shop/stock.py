"""The shop's stock on the ledger: set up once, on the shop's own ledger, then read."""

from tigerfans.booking.inventory import Inventory, StockState
from tigerfans.booking.outcomes import check_accounts, check_funding
from tigerfans.errors import (
    AllOnHoldError,
    SaleClosedError,
    ShopError,
    SoldOutError,
    TooFewLeftError,
)
from tigerfans.ledger.base import Submit
from tigerfans.ledger.wire import AccountStatus, Operation, Result
from tigerfans.offer.catalog import ClassCode
from tigerfans.settings.settings import SettingsError
from tigerfans.shop.backends import Backends
from tigerfans.shop.classes import check_classes, know_classes, remember_classes
from tigerfans.shop.identity import NO_ID, Refusal, Step, decide, ids_carried
from tigerfans.stores.identity import Identity


async def open_books(backends: Backends, submit: Submit) -> None:
    """Sets up the ledger's accounts and stock; whoever did so before, it happens once.

    All of it is submitted by `submit`, so that it can be kept to one connection. Raises
    `SettingsError` where the ledger is not the shop's own, or where the offer takes away what was
    sold.
    """
    # The row first: what it says of the ledger was true before we look.
    identity = await backends.identity.read()
    step = await _decide(backends, submit, identity)
    known = await backends.identity.classes()
    await check_classes(known, backends.catalog, submit)
    know_classes(known, backends.booking)
    has_id = identity.is_on_ledger and step is not Step.ADOPT
    accounts = backends.booking.accounts(identity.id if has_id else NO_ID)
    created = await submit(Operation.CREATE_ACCOUNTS, accounts)
    _check_not_anothers(created)
    check_accounts(accounts, created)
    if dropped := backends.booking.dropped_accounts(identity.id if has_id else NO_ID):
        check_accounts(dropped, await submit(Operation.CREATE_ACCOUNTS, dropped))
    funding = await submit(Operation.CREATE_TRANSFERS, backends.booking.funding())
    check_funding(funding)
    await remember_classes(backends.identity, backends.catalog)
    if step is not Step.GO_ON:
        await backends.identity.mark_funded(is_on_ledger=has_id)


async def check_books(backends: Backends, submit: Submit) -> None:
    """Raises `SettingsError` unless the ledger was opened for this shop, with all its classes.

    Changes nothing; `submit` as for `open_books`.
    """
    step = await _decide(backends, submit, await backends.identity.read())
    if step is not Step.GO_ON:
        raise SettingsError("This shop was never opened yet: its first worker does that.")
    accounts = await submit(Operation.LOOKUP_ACCOUNTS, backends.booking.stock_accounts())
    if len(Inventory.by_ledger(accounts)) < len(backends.catalog.resources):
        raise SettingsError(
            "This ledger has no stock of the shop yet: its first worker sets it up."
        )


async def _decide(backends: Backends, submit: Submit, identity: Identity) -> Step:
    """How the shop opens; raises `SettingsError` where the ledger is not its own."""
    account_ids = backends.booking.account_ids()
    accounts = await submit(Operation.LOOKUP_ACCOUNTS, account_ids)
    decision = decide(identity, ids_carried(accounts))
    if isinstance(decision, Refusal):
        raise SettingsError(decision.value)
    return decision


def _check_not_anothers(results: bytes) -> None:
    """Raises `SettingsError` where somebody came between our look at the ledger and this."""
    for result in Result.unpack_all(results):
        if result.status == AccountStatus.EXISTS_WITH_DIFFERENT_USER_DATA_128:
            raise SettingsError(Refusal.ANOTHERS.value)


async def inventory(backends: Backends) -> dict[ClassCode, Inventory]:
    """The stock of each ticket class, at most `INVENTORY_SECONDS` old."""
    stock = await backends.stock.get()
    return {c.code: stock[i] for i, c in enumerate(backends.catalog.classes)}


async def closed(backends: Backends, cls: ClassCode) -> SaleClosedError | None:
    """Why nobody can have a ticket of that class, where its sale is closed."""
    return SaleClosedError() if (await inventory(backends))[cls].is_closed else None


async def refusal(backends: Backends, cls: ClassCode, qty: int = 1) -> ShopError:
    """Why the ledger has not so many tickets of that class: all are sold, or kept back, or some
    may come back.
    """
    stock = (await inventory(backends))[cls]
    if stock.state is StockState.SOLD_OUT:
        return SoldOutError()
    if stock.state is StockState.CLOSED:
        return SaleClosedError()
    # Where as many have just come back, they are the next one's who asks.
    return TooFewLeftError(stock.available) if 0 < stock.available < qty else AllOnHoldError()


async def goodies(backends: Backends) -> Inventory:
    """The stock of goodies, at most `INVENTORY_SECONDS` old."""
    return (await backends.stock.get())[-1]
