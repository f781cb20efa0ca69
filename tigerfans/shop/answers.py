"""The shop's public JSON: what an answer says stands here once, and the schema follows from it.

Texts are kept in words that clients know: times as ISO 8601, ids as hex digits. What a field's
schema says beyond its type is described and not checked: what comes from us is right.
"""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tigerfans.booking.ids import ORDER_ID_HEX_DIGITS
from tigerfans.stores.orders import Order, OrderStatus

Count = Annotated[int, Meta(extra_json_schema={"minimum": 0})]
Cents = Annotated[Count, Meta(description="A whole number of the smallest unit of `currency`.")]
Currency = Annotated[str, Meta(description="ISO 4217, in small letters.", examples=["eur"])]
Moment = Annotated[str, Meta(description="ISO 8601.", extra_json_schema={"format": "date-time"})]
# Which there are is filled in for each shop, by `http.api.openapi`.
ClassText = Annotated[str, Meta(description="The code of a ticket class.")]
OrderIdText = Annotated[
    str,
    Meta(
        description="Whoever knows it can see the order, and its ticket.",
        extra_json_schema={"pattern": f"^[0-9a-f]{{{ORDER_ID_HEX_DIGITS - 2}}}00$"},
    ),
]


class TicketAnswer(msgspec.Struct, omit_defaults=True):
    """One ticket of an order that is paid; its code is not valid from `refunded_at` on."""

    code: str
    refunded_at: Moment | None = None


class OrderAnswer(msgspec.Struct):
    """An order as everybody who knows its id may see it; nothing of the buyer is in it.

    `amount` is what all `qty` tickets cost. `tickets` has each of them once they are paid for, by
    its number from 0 on; `ticket_code` is the first one's.
    """

    order_id: OrderIdText
    status: OrderStatus
    cls: ClassText
    qty: Count
    amount: Cents
    currency: Currency
    paid_at: Moment | None
    ticket_code: str | None
    got_goodie: bool
    tickets: Sequence[TicketAnswer]


_encode: Final = msgspec.json.Encoder().encode
# In every order's answer.
TICKETS: Final = b'"tickets":'


def order_answer(order: Order) -> bytes:
    """An order as the public JSON of the HTTP contract."""
    return _encode(
        OrderAnswer(
            order_id=order.id.hex_digits,
            status=order.status,
            cls=order.cls,
            qty=order.qty,
            amount=order.amount_cents,
            currency=order.currency,
            paid_at=None if order.paid_at is None else order.paid_at.isoformat(),
            ticket_code=order.ticket_code,
            got_goodie=order.got_goodie,
            tickets=_tickets(order),
        )
    )


def _tickets(order: Order) -> list[TicketAnswer]:
    if not order.tickets_refunded_at:
        return [TicketAnswer(code) for code in order.ticket_codes]
    ends = zip(order.ticket_codes, order.tickets_refunded_at, strict=True)
    return [TicketAnswer(code, None if at is None else at.isoformat()) for code, at in ends]
