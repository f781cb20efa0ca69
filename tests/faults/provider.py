"""What a payment provider is to a run: how its buyers pay, how the shop hears of it, what strikes
it, and what it has in its books. `at_mockpay` and `at_stripe` are what there is.
"""

from collections.abc import Awaitable, Callable, Mapping
from subprocess import CompletedProcess
from typing import Any, NamedTuple, Protocol

from tests.faults.exchange import Exchange
from tests.faults.plan import Fault
from tests.faults.purchase import Purchase
from tests.faults.relay import Relay

# Asks the shop for the order until it is answered, and the answer is the one waited for.
Until = Callable[[dict[str, Any]], bool]
Ask = Callable[..., Awaitable[None]]
Command = Callable[..., CompletedProcess[str]]
Undo = Callable[[], Awaitable[None] | None]


class Books(NamedTuple):
    """What a provider has charged and given back, in cents, and what it calls each payment that it
    has charged; by the hex digits of the order.
    """

    charged: Mapping[str, int]
    given_back: Mapping[str, int]
    references: Mapping[str, str]


class Provider(Protocol):
    @property
    def relay(self) -> Relay:
        """Where its webhooks go, and how they come to the shop."""

    @property
    def settings(self) -> Mapping[str, str]:
        """What the shop's environment needs."""

    @property
    def secrets(self) -> Mapping[str, str]:
        """Those of the settings that no log may hold."""

    def begin(self, exchange: Exchange, tigerfans: Command) -> None:
        """From now on there is a shop, and its command."""

    async def pay(self, purchase: Purchase, ask: Ask) -> None:
        """Does what its buyer means to do, until that is done."""

    def hold_nothing_up(self) -> None:
        """Nobody is left to overtake what waits for that."""

    async def tell_after_all(self, purchase: Purchase) -> None:
        """Has the shop know of a payment that nobody was to tell of, and that it does not ask
        about by itself.
        """

    async def until_told(self, database_url: str) -> None:
        """Until all that is to be told is confirmed, now that nothing is in the way."""

    async def books(self) -> Books | None:
        """What it says of the money; None where it has no books."""

    async def strike(self, fault: Fault) -> Undo:
        """Does what a fault of its own does; how that ends. Raises `LookupError` where it cannot
        be struck now.
        """
