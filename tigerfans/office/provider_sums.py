"""Where the money of a payment is, by the provider and by the shop, and what is wrong with that.

Pure arithmetic, over what was read of both. Each payment that is charged has to be in the shop as
a whole: what of it is sold, is to go back, went back, or fits no order. Amounts are in the smallest
unit of the payment's currency.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from tigerfans.booking.ids import OrderId
from tigerfans.offer.money import money
from tigerfans.payments.base import ProviderPayment
from tigerfans.payments.unmatched import Resolution, UnmatchedPayment
from tigerfans.stores.orders import Order, OrderStatus
from tigerfans.stores.ticket_refunds import TicketRefund


class State(StrEnum):
    """Where money that was charged is, by the shop."""

    SOLD = "sold"
    REFUND_DUE = "refund due"
    REFUNDED = "refunded"
    UNMATCHED = "unmatched"
    # The operator saw to it, outside the shop.
    DISMISSED = "unmatched, dismissed"


_RESOLVED_AS: Final = {
    None: State.UNMATCHED,
    Resolution.REFUNDED: State.REFUNDED,
    Resolution.DISMISSED: State.DISMISSED,
}


@dataclass(frozen=True, slots=True)
class Standing:
    """What the shop has of a payment; of an order's own, which order it is."""

    amounts: Mapping[State, int]
    order_id: OrderId | None = None

    @property
    def amount(self) -> int:
        return sum(self.amounts.values())

    @property
    def refunded(self) -> int:
        return self.amounts.get(State.REFUNDED, 0)

    @property
    def refundable(self) -> int:
        """What may be back by now, for the shop asks the provider before it writes that down."""
        due = self.amounts.get(State.REFUND_DUE, 0) + self.amounts.get(State.UNMATCHED, 0)
        return self.refunded + due


def standing_of_order(order: Order, refunds: Sequence[TicketRefund]) -> Standing:
    """Of what an order was paid with; `refunds` are those of its tickets, done or not."""
    if order.status is OrderStatus.PAID_UNFULFILLED:
        state = State.REFUND_DUE if order.refunded_at is None else State.REFUNDED
        return Standing({state: order.amount_cents}, order.id)
    refunded = sum(each.amount_cents for each in refunds if each.given_back_at is not None)
    due = sum(each.amount_cents for each in refunds if each.given_back_at is None)
    amounts = {
        State.SOLD: order.amount_cents - due - refunded,
        State.REFUND_DUE: due,
        State.REFUNDED: refunded,
    }
    return Standing({state: amount for state, amount in amounts.items() if amount}, order.id)


def standing_of(
    payment: ProviderPayment,
    order: Order | None,
    refunds: Sequence[TicketRefund],
    unmatched: Sequence[UnmatchedPayment],
) -> Standing | None:
    """Of a payment, with the order that it names and what was unmatched for that one; None where
    the shop does not know of it.
    """
    reference = payment.event.reference
    for each in unmatched:
        if each.reference == reference and each.amount_cents is not None:
            return Standing({_RESOLVED_AS[each.resolution]: each.amount_cents})
    if order is None or not order.is_charged:
        return None
    # One that was restored from the ledger has lost what its payment was called.
    if order.payment_reference not in (None, reference):
        return None
    return standing_of_order(order, refunds)


def problem_of(
    provider: str,
    payment: ProviderPayment,
    before: Standing | None,
    after: Standing | None,
) -> str:
    """What is wrong with a payment, empty where nothing is.

    The shop was read `before` the payment and `after` it: what goes back meanwhile is none.
    """
    charged, currency = payment.event.amount, payment.event.currency
    if after is None:
        return (
            f"{provider} has charged {money(charged, currency)}, and the shop does not know of it"
        )
    if after.amount != charged:
        has = money(after.amount, currency)
        return f"{provider} has charged {money(charged, currency)}, and the shop has {has}"
    # Where the operator sees to it, the shop does not know how.
    if State.DISMISSED in after.amounts:
        return ""
    least = 0 if before is None else before.refunded
    if least <= payment.refunded <= after.refundable:
        return ""
    back, has = (money(each, currency) for each in (payment.refunded, after.refunded))
    failed = (
        f" ({money(payment.refund_failed, currency)} could not be given back)"
        if payment.refund_failed
        else ""
    )
    return f"{provider} has given {back} back{failed}, and the shop {has}"


@dataclass(slots=True)
class Sum:
    """How many payments, and how much."""

    payments: int = 0
    amount: int = 0

    def add(self, amount: int) -> None:
        self.payments += 1
        self.amount += amount


@dataclass(slots=True)
class Totals:
    """All payments of one currency. `given_back` is what went back by the provider."""

    charged: Sum = field(default_factory=Sum)
    given_back: Sum = field(default_factory=Sum)
    states: dict[State, Sum] = field(default_factory=lambda: {state: Sum() for state in State})

    def add(self, payment: ProviderPayment | None, standing: Standing | None) -> None:
        """One that both have, or one of both."""
        if payment is not None:
            self.charged.add(payment.event.amount)
            if payment.refunded:
                self.given_back.add(payment.refunded)
        for state, amount in (standing.amounts if standing else {}).items():
            self.states[state].add(amount)

    @property
    def difference(self) -> int:
        """What was charged and is not in the shop; below 0, the other way round."""
        return self.charged.amount - sum(each.amount for each in self.states.values())

    def as_dict(self) -> dict[str, Any]:
        rows: dict[str, Sum] = {"charged": self.charged, "given_back": self.given_back}
        rows |= {state.name.lower(): row for state, row in self.states.items()}
        told: dict[str, Any] = {
            name: {"payments": row.payments, "amount": row.amount} for name, row in rows.items()
        }
        return told | {"difference": self.difference}
