"""Sends what waits in the outbox, at a rate that all clerks share, some mails at the same time.

Done in rounds: each leases what can be sent in a few seconds. A mail is marked as soon as the
server has taken it; whoever is killed between the two leaves it to be sent once more, the same mail
with the same Message-ID. A server in trouble gets a pause that grows, and only the mails that met
the trouble have one attempt less.
"""

import asyncio
import logging
import time
from collections import deque
from contextlib import suppress
from traceback import format_tb
from typing import Final

from tigerfans.errors import UnavailableError
from tigerfans.mail.delivery import Delivery, DeliveryError, OpenDelivery
from tigerfans.mail.writing import GivenBack, Letter, NotWrittenError, OvertakenError, Writer
from tigerfans.stores.mails import DueMail, MailKind, Mails
from tigerfans.stores.orders import Order, Orders
from tigerfans.stores.ticket_refunds import TicketRefunds
from tigerfans.stores.token_bucket import Tokens
from tigerfans.telemetry.mails import MailCounters, MailEnd

# What a round leases, in seconds' worth of the rate: so that a process that stops ends it soon.
ROUND_SECONDS: Final = 2
# From its lease on. What a slow server leaves over then is put back: with the time that one mail
# takes at most, that is less than the lease.
ROUND_SECONDS_MAX: Final = 20.0
# At the same time, each by a connection of its own.
DELIVERIES_MAX: Final = 4
PAUSE_SECONDS: Final = 1.0
COUNT_PAUSE_SECONDS: Final = 10.0
# While PostgreSQL is away, of a mail that was sent.
MARK_ATTEMPTS_MAX: Final = 4
MARK_PAUSE_SECONDS: Final = 1.0
# Of a server in trouble: doubled from the first to the second.
TROUBLE_SECONDS_MIN: Final = 2.0
TROUBLE_SECONDS_MAX: Final = 60.0

logger = logging.getLogger(__name__)


class Sender:
    """Sends the mails of one shop, `per_second` of them at most; `close` ends its connections."""

    def __init__(
        self,
        mails: Mails,
        orders: Orders,
        writer: Writer,
        open_delivery: OpenDelivery,
        tokens: Tokens,
        *,
        per_second: int,
        counters: MailCounters,
    ) -> None:
        self._mails = mails
        self._orders = orders
        self._refunds = TicketRefunds(orders.database)
        self._writer = writer
        self._deliveries = [open_delivery() for _ in range(DELIVERIES_MAX)]
        self._tokens = tokens
        self._leased_max = per_second * ROUND_SECONDS
        self.counters = counters
        self._trouble_seconds = 0.0
        self._rests_until = 0.0

    async def close(self) -> None:
        await asyncio.gather(*(delivery.close() for delivery in self._deliveries))

    async def send_due(self) -> bool:
        """A round; whether more is due than it took. Raises `UnavailableError`."""
        if time.monotonic() < self._rests_until:
            return False
        ends_at = time.monotonic() + ROUND_SECONDS_MAX
        due = await self._mails.lease(self._leased_max)
        if not due:
            await self.close()
            return False
        orders = await self._orders.find_many([each.key.order_id for each in due])
        waiting = deque(zip(due, orders, strict=True))
        sending = (self._send(each, waiting, ends_at) for each in self._deliveries)
        ends = await asyncio.gather(*sending, return_exceptions=True)
        for error in filter(None, ends):
            raise error
        if waiting:
            await self._mails.put_back([each.key for each, _ in waiting])
        return len(due) == self._leased_max and time.monotonic() >= self._rests_until

    async def count_waiting(self) -> bool:
        """Reads how many mails wait, for the metrics."""
        self.counters.outbox = await self._mails.counts()
        return False

    async def _send(
        self, delivery: Delivery, waiting: deque[tuple[DueMail, Order | None]], ends_at: float
    ) -> None:
        while waiting and time.monotonic() < ends_at and time.monotonic() >= self._rests_until:
            token = await self._tokens.take()
            if not waiting or time.monotonic() + token.wait_seconds > ends_at:
                await self._tokens.give_back(token)
                return
            # Nobody else takes it while we wait for the token.
            due, order = waiting.popleft()
            await asyncio.sleep(token.wait_seconds)
            await self._send_one(delivery, due, order)

    async def _send_one(self, delivery: Delivery, due: DueMail, order: Order | None) -> None:
        try:
            letter = await self._written(due, order)
            await delivery.deliver(letter)
        except OvertakenError:
            await self._mails.drop(due.key)
        except NotWrittenError as error:
            await self._mails.failed(due.key, str(error), is_final=True)
            self.counters.ends[MailEnd.GIVEN_UP] += 1
        except DeliveryError as error:
            if error.is_servers:
                self._rest(error)
            await self._mails.failed(due.key, str(error), is_final=error.is_final)
            self.counters.ends[MailEnd.GIVEN_UP if error.is_final else MailEnd.FAILED] += 1
        else:
            self._trouble_seconds = 0.0
            self.counters.ends[MailEnd.SENT] += 1
            await self._mark(due, letter)

    async def _mark(self, due: DueMail, letter: Letter) -> None:
        """It is sent, and would be again: so this is tried for longer than anything else."""
        for _ in range(MARK_ATTEMPTS_MAX - 1):
            with suppress(UnavailableError):
                return await self._mails.sent(due.key, letter.recipient)
            await asyncio.sleep(MARK_PAUSE_SECONDS)
        return await self._mails.sent(due.key, letter.recipient)

    async def _written(self, due: DueMail, order: Order | None) -> Letter:
        if order is None:
            raise NotWrittenError("There is no such order.")
        given_back = None
        if due.key.kind is MailKind.REFUNDED:
            given_back = await self._given_back(order, due.key.number)
        write = self._writer.write
        try:
            return await asyncio.to_thread(write, due.key, order, due.created_at, given_back)
        except (NotWrittenError, OvertakenError):
            raise
        except Exception as error:
            # A bug, which must keep no other mail waiting. What it says may have an address in it.
            name, frames = type(error).__name__, "".join(format_tb(error.__traceback__))
            logger.error(
                "the mail about %s cannot be written: %s\n%s", order.id.short, name, frames
            )
            raise DeliveryError(f"It cannot be written: {type(error).__name__}.") from error

    async def _given_back(self, order: Order, first: int) -> GivenBack | None:
        """What a refund was of; None where it was of an order that had no tickets."""
        refunds = await self._refunds.of(order.id)
        group = [each for each in refunds if each.first == first and each.given_back_at]
        amount = sum(each.amount_cents for each in group)
        codes = [order.ticket_codes[each.ticket] for each in group]
        return GivenBack(amount, codes) if group else None

    def _rest(self, error: DeliveryError) -> None:
        """Leaves the server alone for a while; whoever met the same trouble has said so already."""
        if time.monotonic() < self._rests_until:
            return
        self._trouble_seconds = min(
            max(TROUBLE_SECONDS_MIN, 2 * self._trouble_seconds), TROUBLE_SECONDS_MAX
        )
        self._rests_until = time.monotonic() + self._trouble_seconds
        # What a server says may have an address in it, and no log has one.
        code = str(error).partition(" ")[0]
        logger.warning(
            "the mail server is in trouble (%s); mails wait for %.0f s",
            code,
            self._trouble_seconds,
        )
