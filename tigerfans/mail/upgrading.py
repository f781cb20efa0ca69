"""Finds, while an upgrade may be under way, what workers of the release before have sold.

They queue no mails. They sell beside a clerk of this release for as long as it takes to replace
them, so a clerk looks for their orders when it starts, and then for an hour. What was sold before
the first upgrade gets no mail: nobody waits for one.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Final

from tigerfans.stores.orders import Orders

PAUSE_SECONDS: Final = 120.0
UPGRADE_SECONDS_MAX: Final = 3_600.0
# What was sold while no clerk ran.
FIRST_LOOK: Final = timedelta(days=1)
# An order counts from when its statement began, and is seen when that ends.
OVERLAP: Final = timedelta(minutes=1)


class Latecomers:
    """Queues the mails of what was sold without one."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._since = datetime.now(UTC) - FIRST_LOOK
        self._ends_at = time.monotonic() + UPGRADE_SECONDS_MAX

    async def queue(self) -> bool:
        """A round, with nothing to do once the upgrade must be over."""
        if time.monotonic() < self._ends_at:
            now = await self._orders.queue_missing_mails(self._since)
            self._since = now - OVERLAP
        return False
