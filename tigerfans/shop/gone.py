"""What a worker knows to be gone: how few of a resource the ledger has just refused. No I/O.

In a rush most who come are refused, and each of them would cost the ledger what a buyer costs it.
So a worker remembers a refusal for a moment, and meanwhile refuses by itself whoever asks for as
many or more. What comes back, from wherever, is missed for no longer than that moment, which counts
from before the ledger was asked. Who is refused like this has used up no id: the key's attempts are
for what the ledger itself refuses.

Halfway through, one of them is let through to ask again, so that in a rush the next refusal is
there before the last one is old: else all who come in between would ask at once.

Goodies are asked for with each sale, and once they are gone for nothing: a sale that goes without
asking is one transfer and not three.

It never says yes: the ledger alone sells. And it says nothing to a key that the shop may have
promised a ticket to; `checkout` sees to that.
"""

import time
from collections.abc import Callable
from typing import Final

import msgspec

GONE_SECONDS: Final = 0.1
ASK_AGAIN_SECONDS: Final = GONE_SECONDS / 2


class _Refused(msgspec.Struct):
    """So many of a resource, the fewest that were; both moments are the clock's."""

    qty: int
    ask_again_at: float
    until: float


class Gone:
    """Refusals of the last `GONE_SECONDS`, by the ledger numbers of resources; `clock` gives
    seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock: Final = clock
        self._refused: dict[int, _Refused] = {}

    def remember(self, ledger: int, qty: int, asked_at: float) -> None:
        """The ledger refused so many; it was asked after `asked_at`, by the clock."""
        before = self._refused.get(ledger)
        if before is None or qty <= before.qty or self.clock() >= before.until:
            self._refused[ledger] = _Refused(
                qty, asked_at + ASK_AGAIN_SECONDS, asked_at + GONE_SECONDS
            )

    def refuses(self, ledger: int, qty: int) -> bool:
        """Whether so many of a resource are known to be gone; False is also for the one who
        is to ask again.
        """
        refused = self._refused.get(ledger)
        if refused is None or qty < refused.qty:
            return False
        now = self.clock()
        if now >= refused.ask_again_at:
            # Nobody else, until there is an answer.
            refused.ask_again_at = refused.until
            return False
        return True
