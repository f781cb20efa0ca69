"""The way to the provider and back: a session is opened for an order, and asked about on return.

A checkout answers before the provider was asked, for a hold must not wait for it. The buyer's next
page opens the session, in its turn; the page after the payment asks once what became of it, so that
a webhook that is late makes nobody wait.
"""

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from tigerfans.booking.ids import OrderId
from tigerfans.booking.moments import moment_at
from tigerfans.errors import ProviderError, ShopError
from tigerfans.offer.catalog import Catalog
from tigerfans.payments.base import PAY_PAGE, Payment
from tigerfans.shop.backends import Backends
from tigerfans.shop.inquiry import learn
from tigerfans.shop.open_hold import OpenHold, find_open_hold
from tigerfans.stores.sessions import Session

# A page waits no longer; then it says that it tries again, and does.
OPEN_SECONDS_MAX: Final = 8.0
# Of who comes back: the page that follows keeps looking in any case.
RETURN_SECONDS_MAX: Final = 4.0

# The pages that a provider sends a buyer to.
SUCCESS_PAGE: Final = PAY_PAGE + "/return"
CANCEL_PAGE: Final = "/demo/checkout?status=canceled&order_id={order_id}"

logger = logging.getLogger(__name__)


async def open_payment(backends: Backends, order_id: OrderId, shop_url: str) -> str | None:
    """Where the buyer of an order pays; None where there is nothing to pay, or not any more.

    `shop_url` is where the shop is. Raises `NotYourTurnError` where others come first,
    `ProviderError`, a `LedgerError` or `UnavailableError`: then it is asked for again.
    """
    hold = await find_open_hold(backends, order_id)
    if hold is None:
        return None
    payment = payment_of_hold(hold, backends.catalog, shop_url)
    try:
        async with asyncio.timeout(OPEN_SECONDS_MAX):
            url = await backends.provider.open(payment)
    except ProviderError as error:
        raise ProviderError(_NOT_OPENED) from error
    except ShopError:
        raise
    # A provider may raise whatever its client does.
    except Exception as error:
        logger.warning("the provider opened no session for order %s: %r", payment.order_id, error)
        raise ProviderError(_NOT_OPENED) from error
    if datetime.now(UTC) < hold.expires_at:
        return url
    # Whoever asks about ended holds may have been here before the session was.
    with suppress(Exception):
        await backends.provider.expire(payment.order_id)
    return None


_NOT_OPENED: Final = "The payment provider is slow right now. Please try again in a moment."


async def come_back(backends: Backends, order_id: OrderId) -> None:
    """Asks the provider about the payment whose buyer comes back, and settles what it says.

    Never raises because somebody is away: the webhook comes all the same, and so do inquiries.
    """
    try:
        async with asyncio.timeout(RETURN_SECONDS_MAX):
            await learn(backends, order_id, backends.provider.look_up, is_overdue=False)
    # A provider may raise whatever its client does.
    except Exception as error:
        logger.warning("could not ask about order %s on its return: %r", order_id.hex_digits, error)


def payment_of_hold(hold: OpenHold, catalog: Catalog, shop_url: str) -> Payment:
    """What the buyer of a hold is asked to pay."""
    order = hold.order
    return _payment(
        catalog,
        shop_url,
        order_id=order.id.hex_digits,
        cls=order.cls,
        qty=order.qty,
        amount=order.amount_cents,
        email=order.email,
        held_at=order.created_at,
        expires_at=hold.expires_at,
    )


def payment_of_session(session: Session, catalog: Catalog) -> Payment:
    """What the buyer of a payment session is asked to pay."""
    return _payment(
        catalog,
        "",
        order_id=session.order_id.hex_digits,
        cls=session.cls,
        qty=session.qty,
        amount=session.amount_cents,
        email=session.email,
        held_at=moment_at(session.created_ms * 1_000),
        expires_at=moment_at(session.expires_ms * 1_000),
    )


def _payment(
    catalog: Catalog,
    shop_url: str,
    *,
    order_id: str,
    cls: str,
    qty: int,
    amount: int,
    email: str,
    held_at: datetime,
    expires_at: datetime,
) -> Payment:
    return Payment(
        order_id=order_id,
        cls=cls,
        name=f"{catalog.class_name(cls)}, {catalog.offer.show.name}",
        qty=qty,
        price=amount // qty,
        amount=amount,
        currency=catalog.currency,
        email=email,
        held_at=held_at,
        expires_at=expires_at,
        success_url=shop_url + SUCCESS_PAGE.format(order_id=order_id),
        cancel_url=shop_url + CANCEL_PAGE.format(order_id=order_id),
    )
