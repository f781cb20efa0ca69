"""The shop's stock on the ledger: set up once, then read."""

from tigerfans.booking.inventory import Inventory
from tigerfans.booking.outcomes import check_created
from tigerfans.ledger.wire import AccountStatus, Operation, TransferStatus
from tigerfans.offer.catalog import ClassCode
from tigerfans.settings.settings import SettingsError
from tigerfans.shop.backends import Backends


async def open_books(backends: Backends) -> None:
    """Sets up the ledger's accounts and stock; whoever did so before, it happens once.

    Raises `SettingsError` where the ledger was set up with other capacities.
    """
    accounts = await backends.submit(Operation.CREATE_ACCOUNTS, backends.booking.accounts())
    check_created(accounts, AccountStatus)
    funding = await backends.submit(Operation.CREATE_TRANSFERS, backends.booking.funding())
    await check_books(backends)
    check_created(funding, TransferStatus)


async def check_books(backends: Backends) -> None:
    """Raises `SettingsError` unless the ledger was opened with these capacities.

    Changes nothing.
    """
    stock = await backends.read_stock()
    if len(stock) < len(backends.catalog.resources):
        raise SettingsError(
            "This ledger has no stock of the shop yet: its first worker sets it up."
        )
    for resource, inventory in zip(backends.catalog.resources, stock, strict=True):
        if inventory.capacity != resource.capacity:
            raise SettingsError(
                f"{resource.setting} is {resource.capacity}, but this ledger was opened"
                f" with {inventory.capacity}; what is on sale cannot be changed later."
            )


async def inventory(backends: Backends) -> dict[ClassCode, Inventory]:
    """The stock of each ticket class, at most `INVENTORY_SECONDS` old."""
    stock = await backends.stock.get()
    return {c.code: stock[i] for i, c in enumerate(backends.catalog.classes)}


async def goodies(backends: Backends) -> Inventory:
    """The stock of goodies, at most `INVENTORY_SECONDS` old."""
    return (await backends.stock.get())[-1]
