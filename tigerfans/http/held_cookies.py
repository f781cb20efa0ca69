"""Which tickets a browser has on hold: a cookie for each, which the checkout's answer brings.

Each is named for its order and ends by itself. So an answer that brings one need read none, and
holds of several tabs do not take each other's place. They go to the checkout's page alone: no
request of a rush carries any. No script can read them, and no other site's form can use them.

A cookie proves that its browser placed the hold, for its digest is the shop's. Its owner may see
the email again, to correct it, and give the ticket back. Whoever only has the order's id, which is
in the address of its page, may not.
"""

import hmac
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

from tigerfans.booking.ids import OrderId, hash_key

PATH: Final = "/demo/checkout"
# Who comes back when the hold has just ended still finds the form filled in.
AFTER_HOLD_SECONDS: Final = 600
# So many are looked at, the newest, whatever is sent: as many as a client may hold by default.
HOLDS_MAX: Final = 20
# It is guessed one request at a time.
DIGEST_BYTES: Final = 8

_PREFIX: Final = "tigerfans-held-"
# Not Secure: behind a proxy it is not known here whether the browser speaks HTTPS.
_ATTRIBUTES: Final = f"Path={PATH}; HttpOnly; SameSite=Lax"


class HeldCookies:
    """Writes and reads the cookies of a shop that holds a ticket for `hold_seconds`."""

    def __init__(self, secret: str, hold_seconds: int) -> None:
        self._keyed = blake2b(digest_size=DIGEST_BYTES, key=hash_key(secret), person=b"held")
        self._ending = f"; Max-Age={hold_seconds + AFTER_HOLD_SECONDS}; {_ATTRIBUTES}"

    def set_cookie(self, order_id: str) -> str:
        """The value of Set-Cookie by which a browser knows its hold."""
        return f"{_PREFIX}{order_id}={self._digest(order_id)}{self._ending}"

    def orders(self, cookies: Mapping[str, str]) -> list[OrderId]:
        """The orders whose holds a browser placed, by the cookies it sends: the oldest first."""
        orders = []
        for name, digest in cookies.items():
            order_id = OrderId.parse(name.removeprefix(_PREFIX))
            if (
                order_id is not None
                and name.startswith(_PREFIX)
                and hmac.compare_digest(digest.encode(), self._digest(order_id.hex_digits).encode())
            ):
                orders.append(order_id)
        return orders[-HOLDS_MAX:]

    def _digest(self, order_id: str) -> str:
        digest = self._keyed.copy()
        digest.update(order_id.encode())
        return digest.hexdigest()
