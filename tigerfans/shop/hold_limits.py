"""How many tickets one client and one email may have on hold, and what a refusal says. No I/O.

What is counted stands in Redis (`stores.sessions`), under a digest that only this shop can make:
an address of the network or an email is known to nobody who reads there.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from tigerfans.booking.email_address import folded
from tigerfans.booking.ids import hash_key
from tigerfans.errors import TooManyHoldsError
from tigerfans.stores.sessions import Holder, OverLimit

DIGEST_BYTES: Final = 16

_CLIENT: Final = "client"
_EMAIL: Final = "email"
_WHERE: Final = {_CLIENT: "from one network address", _EMAIL: "for one email address"}


class HoldLimits:
    """How many tickets may be on hold at once, 0 for any number; the `secret` keys the digests."""

    def __init__(self, secret: str, *, per_client: int = 0, per_email: int = 0) -> None:
        self._per_client = per_client
        self._per_email = per_email
        # Made once: to set the secret in costs as much as what follows.
        self._client = _keyed(secret, _CLIENT)
        self._email = _keyed(secret, _EMAIL)

    def at_most(self, qty: int) -> int:
        """As many of `qty` tickets as anybody can have on hold."""
        return min(limit or qty for limit in (qty, self._per_client, self._per_email))

    def holders(self, client: str | None, email: str) -> Sequence[Holder]:
        """Whom a hold counts for; a `client` of None is nobody's."""
        holders = []
        if self._per_client and client is not None:
            digest = _digest(self._client, client)
            holders.append(Holder(f"{_CLIENT}:{digest}", self._per_client))
        if self._per_email:
            digest = _digest(self._email, folded(email))
            holders.append(Holder(f"{_EMAIL}:{digest}", self._per_email))
        return holders


def too_many_holds(over: OverLimit, now_ms: int) -> TooManyHoldsError:
    """What the one who is over a limit is told; the time is in ms since the epoch."""
    seconds = max(1, -(-(over.room_ms - now_ms) // 1_000))
    minutes = -(-seconds // 60)
    tickets = "ticket" if over.holder.holds_max == 1 else "tickets"
    where = _WHERE[over.holder.key.partition(":")[0]]
    return TooManyHoldsError(
        f"Only {over.holder.holds_max} {tickets} at a time can be on hold {where}. Please pay for"
        f" what is held, or try again in {minutes} {'minute' if minutes == 1 else 'minutes'}.",
        seconds,
    )


def _keyed(secret: str, kind: str) -> "blake2b":
    return blake2b(digest_size=DIGEST_BYTES, key=hash_key(secret), person=kind.encode())


def _digest(keyed: "blake2b", text: str) -> str:
    digest = keyed.copy()
    digest.update(text.encode())
    return digest.hexdigest()
