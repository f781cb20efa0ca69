"""Keeps the stock where the switch of its sale has it: what comes back to a class that is closed is
kept back, such as a hold that expired or a ticket that was refunded, and what is kept back of one
that is open is brought back, which a crash or two operators at once can leave there.

It does no harm whenever it happens, nor twice at once: the ledger moves no more than there is.
"""

import os
from typing import Final

from tigerfans.booking.inventory import Inventory
from tigerfans.booking.stock_changes import StockMoves
from tigerfans.ledger.wire import ID_SIZE, Operation, u128
from tigerfans.offer.catalog import stock_account_ids
from tigerfans.shop.backends import Backends

ROUND_PAUSE_SECONDS: Final = 0.5


async def park(backends: Backends) -> bool:
    """One round over all classes, those too that the offer has dropped; False: none is left."""
    classes = [backends.booking.resource_of(cls) for cls in backends.booking.class_of.values()]
    ids = (account_id for each in classes for account_id in stock_account_ids(each.ledger))
    accounts = await backends.submit(Operation.LOOKUP_ACCOUNTS, b"".join(map(u128, ids)))
    stocks = Inventory.by_ledger(accounts)
    for resource in classes:
        stock = stocks.get(resource.ledger)
        if stock is None:
            continue
        moves, base = StockMoves(resource), os.urandom(ID_SIZE)
        if stock.is_closed and stock.available > 0:
            await backends.submit(Operation.CREATE_TRANSFERS, moves.park_under(base))
        elif not stock.is_closed and stock.parked > 0:
            await backends.submit(Operation.CREATE_TRANSFERS, moves.bring_back_under(base))
    return False
