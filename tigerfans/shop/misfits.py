"""Events that fit no order: which they are, and what becomes of them.

`misfit` alone decides. What says "paid" is stored as an unmatched payment, which waits for the
operator; what moves no money is counted and done with.
"""

import logging
from contextlib import suppress

from tigerfans.booking.ids import OrderId
from tigerfans.errors import InvalidRequestError, ShopError, UnavailableError
from tigerfans.payments.base import EventType, PaymentEvent
from tigerfans.payments.unmatched import Misfit, Resolution, UnmatchedPayment
from tigerfans.shop.backends import Backends
from tigerfans.shop.refund import give_back
from tigerfans.stores.sessions import Session
from tigerfans.telemetry.steps import Step

logger = logging.getLogger(__name__)


def misfit(
    event: PaymentEvent, session_id: str | None, session: Session | None, currency: str
) -> Misfit | None:
    """Why an event does not fit its order, the first reason there is; None where it fits.

    `session_id` is that of the order which the event names, None where it names none, and
    `session` what the shop knows of it; `currency` is the shop's. An email proves nothing, so none
    is compared.
    """
    if session_id is None:
        return Misfit.NO_ORDER_ID
    if event.payment_session_id != session_id:
        return Misfit.SESSION
    if session is None:
        return Misfit.UNKNOWN_ORDER
    if event.currency != currency:
        return Misfit.CURRENCY
    if event.cls not in (None, session.cls):
        return Misfit.CLASS
    if event.amount != session.amount_cents:
        return Misfit.AMOUNT
    return None


async def keep_event(backends: Backends, event: PaymentEvent, reason: Misfit) -> bool | None:
    """Keeps an event that does not fit; whether it is new, or None where it moves no money.

    Returns only when it is durable; raises `UnavailableError`.
    """
    if event.type is not EventType.SUCCEEDED:
        backends.counters.steps[Step.DISREGARDED] += 1
        logger.warning("a %s fits no order (%s)%s", event.type, reason, _naming(event.order_id))
        return None
    return await _keep(backends, UnmatchedPayment.of_event(backends.provider.name, event, reason))


async def keep_body(backends: Backends, body: bytes) -> bool:
    """Keeps a genuine webhook that cannot be read; whether it is new. Raises as `keep_event`."""
    return await _keep(backends, UnmatchedPayment.of_body(backends.provider.name, body))


async def refund(backends: Backends, payment_id: str, by: str) -> UnmatchedPayment:
    """Gives the money of an unmatched payment back, once; told again, it says that it was.

    Raises `UnknownOrderError`, `UnavailableError`, `ProviderError`, or `InvalidRequestError` where
    the money is not the shop's to give back. The provider comes first: a crash after it leaves
    the payment unresolved, and asking it again is harmless.
    """
    claim = await backends.unmatched.claim(payment_id)
    payment = claim.payment
    if payment.resolution is not None:
        return _resolved_before(payment, Resolution.REFUNDED)
    try:
        amount_cents = await _amount_due(backends, payment)
        # It may take its time: no connection waits for it, only the claim does.
        await give_back(backends, payment.order_id, payment.reference, amount_cents, payment.id)
    except ShopError:
        # Where this is not stored, the claim runs out by itself.
        with suppress(UnavailableError):
            await backends.unmatched.drop_claim(claim)
        raise
    return await _resolve(backends, payment_id, Resolution.REFUNDED, by)


async def dismiss(backends: Backends, payment_id: str, by: str) -> UnmatchedPayment:
    """Marks an unmatched payment as seen to, once; told again, it says that it was.

    Raises `UnknownOrderError`, `UnavailableError`, or `InvalidRequestError` where it was refunded.
    """
    payment = (await backends.unmatched.claim(payment_id)).payment
    if payment.resolution is not None:
        return _resolved_before(payment, Resolution.DISMISSED)
    return await _resolve(backends, payment_id, Resolution.DISMISSED, by)


async def _resolve(
    backends: Backends, payment_id: str, resolution: Resolution, by: str
) -> UnmatchedPayment:
    # Whoever claimed it when our claim had run out may have been quicker.
    resolved = _resolved_before(
        await backends.unmatched.resolve(payment_id, resolution, by), resolution
    )
    logger.info("the unmatched payment %s was %s", payment_id, str(resolution).lower())
    return resolved


async def _amount_due(backends: Backends, payment: UnmatchedPayment) -> int:
    """How much there is to give back, in cents; raises `InvalidRequestError`."""
    if payment.amount_cents is None or not payment.can_be_refunded:
        raise InvalidRequestError(
            "It does not say how much to give back. Look it up at the payment provider, give it"
            " back there, and then dismiss it."
        )
    if await _is_an_orders_charge(backends, payment):
        raise InvalidRequestError(
            "This is what the order was paid with. If money is due, it is the order’s refund."
        )
    return payment.amount_cents


async def _keep(backends: Backends, payment: UnmatchedPayment) -> bool:
    is_new = await backends.unmatched.add(payment)
    if is_new:
        backends.counters.steps[Step.UNMATCHED] += 1
        naming = _naming(payment.order_id)
        logger.warning("payment %s fits no order (%s)%s", payment.id, payment.reason, naming)
    return is_new


def _naming(order_id: str) -> str:
    # What is no order's id may be anything, an email address too, and stays out of the log.
    return "" if OrderId.parse(order_id) is None else f": it names {order_id}"


def _resolved_before(payment: UnmatchedPayment, wanted: Resolution) -> UnmatchedPayment:
    if payment.resolution is not wanted:
        raise InvalidRequestError(f"This payment was {str(payment.resolution).lower()} before.")
    return payment


async def _is_an_orders_charge(backends: Backends, payment: UnmatchedPayment) -> bool:
    """Whether the very same payment has settled its order since: it fits by now."""
    order_id = OrderId.parse(payment.order_id)
    order = await backends.orders.find(order_id) if order_id else None
    return (
        order is not None
        and order.is_charged
        and payment.session_id == backends.provider.session_id(payment.order_id)
        and (payment.amount_cents, payment.currency) == (order.amount_cents, order.currency)
        # What the provider calls otherwise is another payment: then the buyer has paid twice.
        and payment.reference in (None, order.payment_reference or payment.reference)
    )
