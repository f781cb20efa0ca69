"""An inquiry: the provider is asked what became of a payment that it may never have told.

Every session whose hold ended unpaid is asked about by a clerk, whichever claims it in Redis. What
is not charged, because nothing is decided or it has failed or was canceled, is asked about once
more when the session is over, for until then it can be paid, although the provider is told that it
shall not be. A claim is a lease, so that what a
killed clerk was about to ask comes back. What is learned is settled as if a webhook had told it, so
a webhook that comes as well changes nothing.

A debit takes days to be decided: its session is asked about for a month, after pauses as long as
that takes by then. A provider that does not answer is asked again after growing pauses, and is
given up after a week. What is no fault of the provider's is no attempt: a store that is away, a
clerk that is killed.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final

from tigerfans.batching import QueueFullError
from tigerfans.booking.ids import OrderId
from tigerfans.errors import UnavailableError
from tigerfans.ledger.base import LEDGER_AWAY
from tigerfans.payments.base import PaymentEvent, PaymentProvider
from tigerfans.payments.unmatched import Misfit
from tigerfans.shop.backends import Backends
from tigerfans.shop.lookup import session_of_order
from tigerfans.shop.misfits import keep_event
from tigerfans.shop.payment import settle
from tigerfans.stores.orders import CHARGED
from tigerfans.stores.sessions import Claim
from tigerfans.telemetry.steps import Step

# Of one clerk: so many are claimed in a round, and asked at the same time.
INQUIRIES_AT_ONCE_MAX: Final = 40
# Between two rounds: no provider has to answer more than so many a second.
ROUND_PAUSE_SECONDS: Final = 1.0
LOOK_UP_SECONDS_MAX: Final = 10.0
# With the deadlines of the stores, all before it is durable takes less: nobody else asks meanwhile.
LEASE_SECONDS: Final = 30.0
# Until it is tried again after a store was away.
AWAY_PAUSE_SECONDS: Final = 10.0
# The pause doubles from attempt to attempt, up to ten minutes: all of them take a week, for which a
# session waits to be asked about as well (`stores.sessions.ASKED_WITHIN_SECONDS`).
ATTEMPTS_MAX: Final = 1_017
PAUSE_SECONDS_MIN: Final = 2.0
PAUSE_SECONDS_MAX: Final = 600.0
# Between two questions about money that is under way, and for how long after its hold it may be.
UNDER_WAY_PAUSE_SECONDS_MAX: Final = 12 * 3600.0
UNDER_WAY_SECONDS_MAX: Final = 30 * 24 * 3600.0


# Asks about the payment of an order; as `look_up` of a provider.
Ask = Callable[[str], Awaitable[PaymentEvent | None]]

logger = logging.getLogger(__name__)


class NoWordError(Exception):
    """The provider was asked and did not answer; why is the cause."""


async def inquire(backends: Backends) -> bool:
    """One round of a clerk; raises `UnavailableError` where Redis does not answer.

    Never says that more is due: the next round waits for the provider's sake.
    """
    claims = await backends.sessions.claim_ended(INQUIRIES_AT_ONCE_MAX, LEASE_SECONDS)
    await asyncio.gather(*(_inquire_about(backends, claim) for claim in claims))
    return False


async def _inquire_about(backends: Backends, claim: Claim) -> None:
    attempts, pause_seconds = 0, None
    try:
        ask = partial(_look_up, backends.provider)
        pause_seconds = await learn(backends, claim.order_id, ask)
    except (UnavailableError, QueueFullError, *LEDGER_AWAY):
        # A store of ours is away, which is told elsewhere: that is no attempt.
        attempts, pause_seconds = claim.attempts, AWAY_PAUSE_SECONDS
    # One session must not end all inquiries, and a bug must not be met for ever.
    except Exception as error:
        attempts = claim.attempts + 1
        pause_seconds = _pause_seconds(attempts)
        gave_up = pause_seconds is None
        # Of a thousand attempts, ten lines.
        is_told = gave_up or attempts.bit_count() == 1
        logger.log(
            logging.ERROR if gave_up else logging.WARNING if is_told else logging.DEBUG,
            "%s order %s: %r",
            "gave up asking about" if gave_up else "could not ask about",
            claim.order_id.hex_digits,
            error.__cause__ if isinstance(error, NoWordError) else error,
        )
    # Where this is not stored, the lease runs out and it is asked again.
    with suppress(UnavailableError):
        if pause_seconds is None:
            await backends.sessions.drop_claim(claim)
        else:
            await backends.sessions.postpone_claim(claim._replace(attempts=attempts), pause_seconds)


async def _look_up(provider: PaymentProvider, order_id: str) -> PaymentEvent | None:
    """What is decided; where nothing is, nobody shall pay any more, for the hold has ended. Who has
    agreed to pay by then, has.
    """
    try:
        async with asyncio.timeout(LOOK_UP_SECONDS_MAX):
            event = await provider.look_up(order_id)
            if event is None and not await provider.is_under_way(order_id):
                await provider.expire(order_id)
            return event
    # A provider may raise whatever its client does.
    except Exception as error:
        raise NoWordError from error


async def learn(
    backends: Backends, order_id: OrderId, ask: Ask, *, is_overdue: bool = True
) -> float | None:
    """Asks, and settles what is learned; how long to wait before the next question, or None.

    There is none once the order is charged, or the session was over when it was asked about and no
    money is under way. What is learned where it `is_overdue` counts as never told. Raises what
    `ask` does, and otherwise as `settle`.
    """
    order = await backends.orders.find(order_id)
    if order is not None and order.is_charged:
        return None
    # It can be paid for as long as there is a session, also while it is asked about.
    seconds_left = await backends.sessions.seconds_left(order_id)
    event = await ask(order_id.hex_digits)
    if event is None:
        return seconds_left or await _seconds_under_way(backends, order_id)
    settled = await settle(backends, event)
    if is_overdue and settled.order_status is not None and not settled.is_replay:
        backends.counters.steps[Step.LEARNED] += 1
        status = settled.order_status
        logger.warning("nobody told what became of order %s: %s", order_id.hex_digits, status)
    return None if settled.order_status in CHARGED else seconds_left or None


async def _seconds_under_way(backends: Backends, order_id: OrderId) -> float | None:
    """How long to wait for money that is under way: as long as it is by then, since the hold ended.
    None where there is none, or where nobody waits any longer.
    """
    if not await backends.provider.is_under_way(order_id.hex_digits):
        return None
    session = await session_of_order(backends, order_id)
    if session is None:
        return None
    overdue_seconds = time.time() - session.expires_ms / 1_000
    if overdue_seconds < UNDER_WAY_SECONDS_MAX:
        return min(max(PAUSE_SECONDS_MAX, overdue_seconds), UNDER_WAY_PAUSE_SECONDS_MAX)
    logger.error("gave up asking about order %s: its money never came", order_id.hex_digits)
    return None


async def learn_of(backends: Backends, event: PaymentEvent) -> None:
    """Settles a payment that is in the provider's books, and that the shop does not know of.

    Of one more payment for an order that is paid the money is nobody's: it is kept as unmatched.
    Raises as `settle`.
    """

    async def told(_: str) -> PaymentEvent | None:
        return event

    order_id = OrderId.parse(event.order_id)
    order = None if order_id is None else await backends.orders.find(order_id)
    if order is not None and order.is_charged:
        await keep_event(backends, event, Misfit.SESSION)
    elif order_id is None:
        await settle(backends, event)
    else:
        await learn(backends, order_id, told)


def _pause_seconds(attempts: int) -> float | None:
    """How long to wait after so many attempts; None where there are no more."""
    if attempts >= ATTEMPTS_MAX:
        return None
    doubled: float = PAUSE_SECONDS_MIN * 2 ** (attempts - 1)
    return min(doubled, PAUSE_SECONDS_MAX)
