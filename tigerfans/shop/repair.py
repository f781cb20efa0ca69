"""The repair of an order that PostgreSQL lost: the ledger tells it again."""

from tigerfans.booking.ids import OrderId
from tigerfans.shop.backends import Backends
from tigerfans.shop.lookup import session_of_order
from tigerfans.shop.payment import sell
from tigerfans.stores.orders import Order


async def restore(backends: Backends, order_id: OrderId) -> Order | None:
    """Stores the order of a sale that is on the ledger; None where the ledger has no hold.

    Replaying the sale tells how it went. Where Redis has no session any more, the buyer's
    email is lost with it. Raises `UnavailableError` where Redis does not answer: an order that
    is stored without its email stays so.
    """
    session = await session_of_order(backends, order_id, is_needed=True)
    if session is None:
        return None
    return (await backends.record(await sell(backends, session))).order
