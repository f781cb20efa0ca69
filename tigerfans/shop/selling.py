"""Whether a class is on sale at this moment, and what is said where it is not. No I/O."""

import math
from datetime import UTC, datetime

from tigerfans.errors import NotOnSaleError
from tigerfans.offer.catalog import TicketClass
from tigerfans.offer.show import moment_words
from tigerfans.offer.windows import SaleState


def not_on_sale(ticket_class: TicketClass, now: float) -> NotOnSaleError:
    """Why a class is not on sale so many seconds after the epoch, and when it is."""
    state, window = ticket_class.sale_state(now), ticket_class.listing.window
    if state is SaleState.NOT_YET and window.opens_at is not None:
        return NotOnSaleError(
            f"{ticket_class.name} is on sale from {moment_words(window.opens_at)} on.",
            {"state": state, "on_sale_from": window.opens_at.isoformat()},
            max(1, math.ceil(ticket_class.opens - now)),
        )
    closed_at = window.closes_at or datetime.fromtimestamp(now, UTC)
    return NotOnSaleError(
        f"The sale of {ticket_class.name} ended on {moment_words(closed_at)}.",
        {"state": state, "on_sale_until": closed_at.isoformat()},
        None,
    )
