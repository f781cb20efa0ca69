"""The shop's stock on the ledger: set up once, on the shop's own ledger, then read."""

from tigerfans.booking.inventory import Inventory, StockState
from tigerfans.booking.outcomes import check_created
from tigerfans.errors import AllOnHoldError, ShopError, SoldOutError, TooFewLeftError
from tigerfans.ledger.base import Submit
from tigerfans.ledger.wire import AccountStatus, Operation, Result, TransferStatus
from tigerfans.offer.catalog import ClassCode
from tigerfans.settings.settings import SettingsError
from tigerfans.shop.backends import Backends
from tigerfans.shop.classes import check_classes, know_classes, remember_classes
from tigerfans.shop.identity import NO_ID, Refusal, Step, decide, ids_carried
from tigerfans.stores.identity import Identity


async def open_books(backends: Backends, submit: Submit) -> None:
    """Sets up the ledger's accounts and stock; whoever did so before, it happens once.

    All of it is submitted by `submit`, so that it can be kept to one connection. Raises
    `SettingsError` where the ledger is not the shop's own, or was set up with other capacities, or
    where the offer takes away what was sold.
    """
    # The row first: what it says of the ledger was true before we look.
    identity = await backends.identity.read()
    step = await _decide(backends, submit, identity)
    known = await backends.identity.classes()
    await check_classes(known, backends.catalog, submit)
    know_classes(known, backends.booking)
    has_id = identity.is_on_ledger and step is not Step.ADOPT
    accounts = await submit(
        Operation.CREATE_ACCOUNTS, backends.booking.accounts(identity.id if has_id else NO_ID)
    )
    _check_not_anothers(accounts)
    check_created(accounts, AccountStatus)
    funding = await submit(Operation.CREATE_TRANSFERS, backends.booking.funding())
    await _check_capacities(backends, submit)
    check_created(funding, TransferStatus)
    await remember_classes(backends.identity, backends.catalog)
    if step is not Step.GO_ON:
        await backends.identity.mark_funded(is_on_ledger=has_id)


async def check_books(backends: Backends, submit: Submit) -> None:
    """Raises `SettingsError` unless the ledger was opened for this shop, with these capacities.

    Changes nothing; `submit` as for `open_books`.
    """
    step = await _decide(backends, submit, await backends.identity.read())
    if step is not Step.GO_ON:
        raise SettingsError("This shop was never opened yet: its first worker does that.")
    await _check_capacities(backends, submit)


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


async def _check_capacities(backends: Backends, submit: Submit) -> None:
    budgets = await submit(Operation.LOOKUP_ACCOUNTS, backends.booking.budgets())
    stock = Inventory.unpack_all(budgets)
    if len(stock) < len(backends.catalog.resources):
        raise SettingsError(
            "This ledger has no stock of the shop yet: its first worker sets it up."
        )
    for resource, inventory in zip(backends.catalog.resources, stock, strict=True):
        if inventory.capacity != resource.capacity:
            raise SettingsError(
                f"{resource.setting} is {resource.capacity}, by that name or in the offer, but this"
                f" ledger was opened with {inventory.capacity}: how many there are cannot be"
                " changed later."
            )


async def inventory(backends: Backends) -> dict[ClassCode, Inventory]:
    """The stock of each ticket class, at most `INVENTORY_SECONDS` old."""
    stock = await backends.stock.get()
    return {c.code: stock[i] for i, c in enumerate(backends.catalog.classes)}


async def refusal(backends: Backends, cls: ClassCode, qty: int = 1) -> ShopError:
    """Why the ledger has not so many tickets of that class: what is sold never comes back, a hold
    may.
    """
    stock = (await inventory(backends))[cls]
    if stock.state is StockState.SOLD_OUT:
        return SoldOutError()
    # Where as many have just come back, they are the next one's who asks.
    return TooFewLeftError(stock.available) if 0 < stock.available < qty else AllOnHoldError()


async def goodies(backends: Backends) -> Inventory:
    """The stock of goodies, at most `INVENTORY_SECONDS` old."""
    return (await backends.stock.get())[-1]
