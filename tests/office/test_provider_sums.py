"""Where the money of a payment is: every state there is, row by row."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import structs

from tigerfans.booking.ids import OrderId
from tigerfans.errors import ProviderError, UnavailableError
from tigerfans.office.provider_sums import State, Totals, problem_of, standing_of
from tigerfans.office.reconcile_command import _run
from tigerfans.payments.base import EventType, PaymentEvent, ProviderPayment
from tigerfans.payments.stripe_words import Metadata, PaymentIntent, Refund, payment_of
from tigerfans.payments.unmatched import Misfit, Resolution, UnmatchedPayment
from tigerfans.settings.settings import SettingsError
from tigerfans.stores.orders import Order, OrderStatus
from tigerfans.stores.ticket_refunds import TicketRefund

NOW = datetime.now(UTC)
ID = OrderId.parse("01" * 15 + "00")
assert ID is not None
ORDER_ID = ID
# Of three tickets.
PAID = Order(
    ORDER_ID, OrderStatus.PAID, "A", 9000, "", NOW, currency="eur", qty=3, payment_reference="pi_1"
)
DUE = structs.replace(PAID, status=OrderStatus.PAID_UNFULFILLED)


def ticket(number: int, *, is_back: bool) -> TicketRefund:
    given_back_at = NOW if is_back else None
    return TicketRefund(ORDER_ID, number, 0, 3000, NOW, "ada", NOW, given_back_at, 0, "")


BACK, ASKED = ticket(0, is_back=True), ticket(1, is_back=False)
UNMATCHED = UnmatchedPayment("1", Misfit.AMOUNT, 9000, "eur", reference="pi_1")


def charged(**changes: Any) -> ProviderPayment:
    event = PaymentEvent(
        EventType.SUCCEEDED, "s", ORDER_ID.hex_digits, 9000, "eur", reference="pi_1"
    )
    return ProviderPayment(event, **changes)


@pytest.mark.parametrize(
    ("order", "refunds", "unmatched", "amounts"),
    [
        (PAID, [], [], {State.SOLD: 9000}),
        # One that was restored from the ledger has no reference.
        (structs.replace(PAID, payment_reference=None), [], [], {State.SOLD: 9000}),
        (
            PAID,
            [BACK, ASKED],
            [],
            {State.SOLD: 3000, State.REFUND_DUE: 3000, State.REFUNDED: 3000},
        ),
        (
            structs.replace(PAID, status=OrderStatus.REFUNDED),
            [ticket(number, is_back=True) for number in range(3)],
            [],
            {State.REFUNDED: 9000},
        ),
        (DUE, [], [], {State.REFUND_DUE: 9000}),
        (structs.replace(DUE, refunded_at=NOW), [], [], {State.REFUNDED: 9000}),
        (None, [], [UNMATCHED], {State.UNMATCHED: 9000}),
        (PAID, [], [UNMATCHED], {State.UNMATCHED: 9000}),
        (
            None,
            [],
            [replace(UNMATCHED, resolution=Resolution.REFUNDED)],
            {State.REFUNDED: 9000},
        ),
        (
            None,
            [],
            [replace(UNMATCHED, resolution=Resolution.DISMISSED)],
            {State.DISMISSED: 9000},
        ),
        (None, [], [], None),
        (structs.replace(PAID, status=OrderStatus.CANCELED), [], [], None),
        # Another payment than the order's, and than the one that was unmatched.
        (structs.replace(PAID, payment_reference="pi_2"), [], [], None),
        (None, [], [replace(UNMATCHED, reference="pi_2")], None),
        (None, [], [replace(UNMATCHED, amount_cents=None)], None),
    ],
)
def test_money_that_was_charged_is_in_one_state_or_in_several(
    order: Order | None,
    refunds: list[TicketRefund],
    unmatched: list[UnmatchedPayment],
    amounts: dict[State, int] | None,
) -> None:
    standing = standing_of(charged(), order, refunds, unmatched)
    assert (standing and standing.amounts) == amounts
    totals = Totals()
    totals.add(charged(), standing)
    assert totals.difference == (9000 if amounts is None else 0)


SOLD = standing_of(charged(), PAID, [], [])
assert SOLD is not None
HALF = standing_of(charged(), PAID, [BACK, ASKED], [])
GONE = standing_of(charged(), structs.replace(DUE, refunded_at=NOW), [], [])


@pytest.mark.parametrize(
    ("payment", "before", "after", "problem"),
    [
        (charged(), SOLD, SOLD, ""),
        (charged(), None, None, "charged €90.00, and the shop does not know of it"),
        (charged(), None, SOLD, ""),
        (charged(), replace(SOLD, amounts={State.SOLD: 1}), None, "does not know"),
        (charged(), SOLD, replace(SOLD, amounts={State.SOLD: 1}), "and the shop has €0.01"),
        # What was asked for may have gone back by now, and no more than that.
        (charged(refunded=3000), HALF, HALF, ""),
        (charged(refunded=6000), HALF, HALF, ""),
        (charged(refunded=6001), HALF, HALF, "given €60.01 back, and the shop €30.00"),
        (charged(refunded=2999), HALF, HALF, "given €29.99 back, and the shop €30.00"),
        # It went on between the two looks.
        (charged(refunded=3000), SOLD, HALF, ""),
        (charged(), SOLD, HALF, ""),
        (
            charged(refund_failed=9000),
            GONE,
            GONE,
            "given €0.00 back (€90.00 could not be given back), and the shop €90.00",
        ),
        (charged(refunded=9000, refund_failed=9000), GONE, GONE, ""),
        (
            charged(refunded=123),
            None,
            standing_of(charged(), None, [], [replace(UNMATCHED, resolution=Resolution.DISMISSED)]),
            "",
        ),
    ],
)
def test_a_payment_is_wrong_where_no_moment_between_two_looks_explains_it(
    payment: ProviderPayment, before: Any, after: Any, problem: str
) -> None:
    told = problem_of("Stripe", payment, before, after)
    assert problem in told
    assert bool(problem) == bool(told)


def test_a_refund_counts_until_it_has_failed() -> None:
    made = [
        Refund(100, "pending"),
        Refund(20, "succeeded"),
        Refund(3, "failed"),
        Refund(4, "canceled"),
        Refund(5000, "requires_action"),
    ]
    intent = PaymentIntent("pi_1", "succeeded", 9000, "eur", Metadata(order_id="0"))
    payment = payment_of(intent, made)
    assert (payment.event.amount, payment.refunded, payment.refund_failed) == (9000, 5120, 7)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ProviderError(), "does not say what it has charged"),
        (UnavailableError("Away."), r"is it running\? Away\."),
    ],
)
def test_who_is_away_is_told_apart_in_a_sentence(error: Exception, sentence: str) -> None:
    async def fail() -> Any:
        raise error

    with pytest.raises(SettingsError, match=sentence):
        _run(fail())
