"""The shop's public JSON."""

import orjson

from tigerfans.stores.orders import Order


def order_answer(order: Order) -> bytes:
    """An order as the public JSON of the HTTP contract; nothing of the buyer is in it."""
    return orjson.dumps(
        {
            "order_id": order.id.hex_digits,
            "status": order.status,
            "cls": order.cls,
            "qty": 1,
            "amount": order.amount_cents,
            "currency": order.currency,
            "paid_at": order.paid_at and order.paid_at.isoformat(),
            "ticket_code": order.ticket_code,
            "got_goodie": order.got_goodie,
        }
    )
