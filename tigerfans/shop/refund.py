"""A refund, step by step, of tickets or of an order that could not be fulfilled.

    asked for   a row in PostgreSQL for each ticket, so that nobody forgets what was begun
    taken back  each ticket goes back into the stock, under the id of its own end: it is none now
    given back  the provider gives the money back, once for a key; then PostgreSQL knows of it

Each step is repeated by whoever goes on after a crash, with the same ids and the same key. Of an
order that could not be fulfilled there is nothing to take back, and it waits for its refund anyway.
"""

import asyncio
import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Final

from tigerfans.booking.ends import Ticket
from tigerfans.booking.ids import OrderId
from tigerfans.booking.moments import moment_at
from tigerfans.booking.outcomes import RefundOutcome, decode_refund
from tigerfans.errors import (
    InvalidRequestError,
    NotRefundedError,
    ProviderError,
    UnavailableError,
    UnknownOrderError,
)
from tigerfans.ledger.wire import Operation
from tigerfans.shop.backends import Backends
from tigerfans.shop.ends import find_ends
from tigerfans.stores.orders import Order, OrderStatus
from tigerfans.stores.ticket_refunds import TicketRefund
from tigerfans.telemetry.steps import Step

# Less than the claim on an unmatched payment, so that nobody else asks meanwhile.
REFUND_SECONDS_MAX: Final = 10.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What there is to give back of an order, and which of its tickets the ledger refused, why."""

    open: Sequence[TicketRefund]
    refused: dict[int, RefundOutcome]


async def refund(
    backends: Backends, order_id: OrderId, tickets: Collection[int] | None, by: str
) -> Order:
    """Gives back the money of an order that was paid, or of some of its tickets, once.

    All of them where `tickets` is None; the first is 0. Told again, it says that it was. Raises
    `UnknownOrderError`, `InvalidRequestError` where there is nothing to give back,
    `NotRefundedError` where a ticket was used, and the others are done; or `ProviderError` or
    `UnavailableError`: then it is under way, and whoever presses again, or the clerk, goes on.
    """
    order = await backends.orders.find(order_id)
    if order is None:
        raise UnknownOrderError
    _check(order, tickets)
    if order.status is OrderStatus.PAID_UNFULFILLED:
        return await _refund_unfulfilled(backends, order, by)
    await backends.ticket_refunds.ask(order_id, tickets, by)
    refused = await finish(backends, order)
    if refused:
        raise NotRefundedError(_why_not(refused))
    return await backends.orders.find(order_id) or order


async def finish(backends: Backends, order: Order) -> dict[int, RefundOutcome]:
    """Does what is asked for of an order and not done; which tickets the ledger refused.

    Raises `ProviderError`, a `LedgerError` or `UnavailableError`: then it is tried again later.
    """
    took = await _take_back(backends, order)
    by_group = attrgetter("first")
    try:
        for first, group in groupby(sorted(took.open, key=by_group), by_group):
            await _give_group_back(backends, order, first, list(group))
    except ProviderError as error:
        await backends.ticket_refunds.failed(order.id, str(error))
        raise
    return took.refused


async def _take_back(backends: Backends, order: Order) -> TakenBack:
    """Ends the tickets that are asked for; from then on their codes are not valid."""
    rows = await backends.ticket_refunds.of(order.id)
    asked = [row.ticket for row in rows if row.taken_back_at is None]
    refused: dict[int, RefundOutcome] = {}
    if asked:
        told = await end_tickets(backends, order, asked)
        refused = {n: what for n, (what, _) in told.items() if what is not RefundOutcome.GIVEN_BACK}
        taken = {n: moment_at(ns // 1_000) for n, (_, ns) in told.items() if n not in refused}
        why = {n: f"was {_WHY_NOT[what]}" for n, what in refused.items()}
        rows = await backends.ticket_refunds.taken_back(order.id, taken, why, rows)
        await _forget(backends, order.id)
    return TakenBack([row for row in rows if row.given_back_at is None], refused)


async def end_tickets(
    backends: Backends, order: Order, tickets: Sequence[int]
) -> dict[int, tuple[RefundOutcome, int]]:
    """Has the ledger take tickets of an order back: the outcome of each, and its time in ns.

    Of one whose admission was undone, under the id of the attempt that comes next.
    """
    told: dict[int, tuple[RefundOutcome, int]] = {}
    attempts = dict.fromkeys(tickets, 0)
    while attempts:
        refunds = backends.booking.refund(order.id, order.cls, attempts, attempts)
        outcomes = decode_refund(await backends.submit(Operation.CREATE_TRANSFERS, refunds))
        told |= dict(zip(attempts, outcomes, strict=True))
        inside = [Ticket(order.id, n) for n in attempts if told[n][0] is RefundOutcome.INSIDE]
        found = await find_ends(backends, inside) if inside else {}
        attempts = {
            ticket.number: len(ends) for ticket, ends in found.items() if not ends[-1].counts
        }
    return told


async def _give_group_back(
    backends: Backends, order: Order, first: int, group: Sequence[TicketRefund]
) -> None:
    amount_cents = sum(row.amount_cents for row in group)
    if amount_cents:
        id_ = order.id.hex_digits
        await give_back(backends, id_, order.payment_reference, amount_cents, f"{id_}-{first}")
    for _ in range(await backends.ticket_refunds.given_back(order.id, first)):
        backends.took(Step.REFUNDED, order.id, order.cls)
    await _forget(backends, order.id)


async def _refund_unfulfilled(backends: Backends, order: Order, by: str) -> Order:
    if order.refunded_at is None:
        # An order's own refund, whatever else is given back of its session. The provider comes
        # first: a crash after it leaves the refund due, and asking it again is harmless.
        id_ = order.id.hex_digits
        await give_back(backends, id_, order.payment_reference, order.amount_cents, id_)
        if await backends.orders.mark_refunded(order.id, by):
            backends.took(Step.REFUNDED, order.id, order.cls)
    return await backends.orders.find(order.id) or order


async def give_back(
    backends: Backends, order_id: str, reference: str | None, amount_cents: int, key: str
) -> None:
    """Has the provider give money back, once for a `key`.

    Raises `ProviderError`, whatever went wrong there: the money may be on its way all the same.
    """
    try:
        async with asyncio.timeout(REFUND_SECONDS_MAX):
            await backends.provider.refund(order_id, reference, amount_cents, key)
    # A provider may raise whatever its client does.
    except Exception as error:
        logger.warning("the provider did not confirm the refund %s: %r", key, error)
        raise ProviderError from error


async def _forget(backends: Backends, order_id: OrderId) -> None:
    """What Redis says of the order is not true any more; where it is away, the clerk sees to it."""
    with suppress(UnavailableError):
        await backends.sessions.forget([order_id])


def _check(order: Order, tickets: Collection[int] | None) -> None:
    """Raises `InvalidRequestError` where there are no such tickets to give back."""
    if not order.is_charged:
        raise InvalidRequestError("This order was not paid: there is nothing to give back.")
    if tickets is not None and not order.is_sold:
        raise InvalidRequestError("This order got no tickets: give back all of it.")
    if tickets is not None and not set(tickets) <= set(range(order.qty)):
        raise InvalidRequestError(f"This order has no such ticket: it has {order.qty}.")


_WHY_NOT: Final = {
    RefundOutcome.INSIDE: "used at the door",
    RefundOutcome.NOT_SOLD: "not sold by the ledger (see `tigerfans reconcile`)",
}


def _why_not(refused: dict[int, RefundOutcome]) -> str:
    """Such as `Ticket 2 was used at the door: its money was not given back.`"""
    reasons = [f"Ticket {n + 1} was {_WHY_NOT[what]}" for n, what in sorted(refused.items())]
    return f"{'. '.join(reasons)}: that money was not given back."
