"""Puts a shop together from settings: one place that knows what is made of what.

Workers open one to sell; the operator's commands look at one, and neither migrate nor fund it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final, NamedTuple

from tigerfans.booking.transfers import Booking
from tigerfans.ipc.client import SequencerClient
from tigerfans.ledger.base import (
    LedgerBusyError,
    LedgerError,
    LedgerTimeoutError,
    LedgerUnavailableError,
)
from tigerfans.payments.mockpay import MockPay
from tigerfans.payments.providers import MAKERS, Parts
from tigerfans.payments.unmatched import UnmatchedPayments
from tigerfans.settings.settings import Settings, SettingsError
from tigerfans.shop.classes import know_classes
from tigerfans.shop.hold_limits import HoldLimits
from tigerfans.shop.shop import Shop
from tigerfans.stores.database import Database
from tigerfans.stores.identity import IdentityRow
from tigerfans.stores.orders import Orders
from tigerfans.stores.sessions import Sessions
from tigerfans.stores.show_cancellation import ShowCancellation
from tigerfans.stores.ticket_refunds import TicketRefunds
from tigerfans.telemetry.counters import Counters
from tigerfans.telemetry.steps import StepLog

# How long a ledger may take to answer at the start. systemd waits for a worker half as long again.
LEDGER_SECONDS_MAX: Final = 20.0
LEDGER_PAUSE_SECONDS: Final = 0.1

# Takes the ticket secret.
FindIdentity = Callable[[Database, str], Awaitable[IdentityRow]]


class Opened(NamedTuple):
    """A shop, and the parts of it that have a life of their own.

    `mockpay` is None where the shop has another payment provider.
    """

    shop: Shop
    mockpay: MockPay | None
    ledger: SequencerClient


async def open_shop(stack: AsyncExitStack, settings: Settings, name: str) -> Opened:
    """Connects a shop to all that `settings` name, and makes it ready to sell.

    `stack` closes it again, in order; `name` is what the sequencer calls this process. The ledger
    is gated: after a reconnect, it holds back everything until `admit` has passed. Raises
    `SettingsError` where a store is not named, is of another version or another shop's, and a
    store's own error where it does not answer.
    """
    opened = await _connect(stack, settings, name, IdentityRow.claim, is_gated=True)
    ledger, shop = opened.ledger, opened.shop
    await _as_soon_as_there_is_a_ledger(lambda: ledger.admit(shop.open))
    return opened


async def look_at_shop(stack: AsyncExitStack, settings: Settings, name: str) -> Opened:
    """Connects a shop as `open_shop` does, to one that was opened before.

    Sets nothing up: raises `SettingsError` where the database or the ledger is not ready.
    """
    opened = await _connect(stack, settings, name, IdentityRow.find)
    await _as_soon_as_there_is_a_ledger(opened.shop.check)
    know_classes(await opened.shop.identity.classes(), opened.shop.booking)
    return opened


async def _connect(
    stack: AsyncExitStack,
    settings: Settings,
    name: str,
    find_identity: FindIdentity,
    *,
    is_gated: bool = False,
) -> Opened:
    if settings.stores.database_url is None:
        raise SettingsError("DATABASE_URL must name the PostgreSQL database of the orders.")
    if settings.stores.redis_url is None:
        raise SettingsError("REDIS_URL must name the Redis of the payment sessions.")
    database = await Database.connect(
        settings.stores.database_url, settings.stores.database_connections
    )
    stack.push_async_callback(database.close)
    identity = await find_identity(database, settings.ticket_secret)
    orders = Orders(database)
    stack.push_async_callback(orders.close)
    sessions = Sessions.connect(settings.stores.redis_url, identity.id.key_prefix)
    stack.push_async_callback(sessions.close)
    counters = Counters(identity.id.key_prefix, settings.offer.digest)
    ledger = await SequencerClient.connect(
        settings.sequencer.socket, name=name, stats=counters.stats, is_gated=is_gated
    )
    stack.push_async_callback(ledger.close)
    counters.presences += [database.presence, sessions.presence, ledger.presence]
    parts = Parts(stack, settings, database, sessions.store, identity.id)
    provider = await MAKERS[settings.payments.provider](parts)
    if settings.hold_seconds < provider.hold_seconds_min:
        raise SettingsError(
            f"TIGERFANS_HOLD_SECONDS must be at least {provider.hold_seconds_min} with"
            f" TIGERFANS_PAYMENT_PROVIDER={settings.payments.provider}: nobody can pay in"
            f" {settings.hold_seconds} s."
        )
    log = StepLog.to_stderr(settings.environment, name)
    stack.callback(log.flush)
    booking = Booking(settings.build_catalog(), settings.hold_seconds)
    shop = Shop(
        booking,
        ledger,
        sessions,
        orders,
        UnmatchedPayments(database),
        TicketRefunds(database),
        ShowCancellation(database),
        provider,
        settings.ticket_secret,
        identity,
        counters=counters,
        on_step=log.note,
        limits=HoldLimits(
            settings.ticket_secret,
            per_client=settings.limits.holds_per_client,
            per_email=settings.holds_per_email,
        ),
        door_key=settings.door_key,
    )
    return Opened(shop, provider if isinstance(provider, MockPay) else None, ledger)


async def _as_soon_as_there_is_a_ledger(step: Callable[[], Awaitable[None]]) -> None:
    """Takes the step as soon as there is a ledger that answers: it may start later than we do, and
    be late with its first answers. What is asked for again has the same ids.
    """
    error: LedgerError = LedgerTimeoutError()
    try:
        async with asyncio.timeout(LEDGER_SECONDS_MAX):
            while True:
                try:
                    return await step()
                except (LedgerUnavailableError, LedgerBusyError, LedgerTimeoutError) as refusal:
                    error = refusal
                await asyncio.sleep(LEDGER_PAUSE_SECONDS)
    except TimeoutError:
        raise error from None
