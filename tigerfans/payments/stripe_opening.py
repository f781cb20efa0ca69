"""Makes the provider Stripe from settings: its client, and the limits that all workers keep to.

The doctor asks by the same client whether the key is one.
"""

import asyncio
from contextlib import AsyncExitStack
from typing import Final

import stripe

from tigerfans.payments.provider_sessions import ProviderSessions
from tigerfans.payments.stripe_amounts import problems
from tigerfans.payments.stripe_books import StripeBooks
from tigerfans.payments.stripe_checkout import HOLD_SECONDS_MIN, Stripe
from tigerfans.payments.stripe_requests import (
    PATIENT_PAUSES_SECONDS,
    PAUSES_SECONDS,
    REQUEST_SECONDS_MAX,
    Kind,
    Limits,
    StripeRequests,
)
from tigerfans.payments.stripe_words import Account
from tigerfans.settings.settings import Settings, SettingsError
from tigerfans.settings.stripe_settings import StripeSettings
from tigerfans.stores.database import Database
from tigerfans.stores.identity import ShopId
from tigerfans.stores.shop_redis import ShopRedis
from tigerfans.stores.token_bucket import Rate, SharedTokenBucket
from tigerfans.stores.waiting_line import WaitingLine

# Of a second's worth, what may be asked at once: with the rate it stays below Stripe's own limit.
AT_ONCE_SHARE: Final = 5
# As fast as that the line goes on, of the rate: the rest is for what is asked twice, and lets who
# is late catch up.
LINE_SHARE: Final = 0.95
# Of tokens that are not due yet, as many seconds' worth may be promised.
PROMISED_SECONDS_MAX: Final = 30
# By itself the library tries nothing twice: see `stripe_requests`.
LIBRARY_RETRIES: Final = 0


async def open_stripe(
    stack: AsyncExitStack,
    settings: Settings,
    database: Database,
    redis: ShopRedis,
    shop_id: ShopId,
) -> Stripe:
    """The provider; `stack` closes its one HTTP client. Raises `SettingsError`."""
    payments, currency = settings.payments, settings.offer.currency
    told = payments.stripe
    for problem in problems(settings.offer):
        raise SettingsError(problem)
    client = open_client(stack, told)
    rate = Rate(told.sessions_per_second, max(1, told.sessions_per_second // AT_ONCE_SHARE))
    line = WaitingLine(
        redis,
        "stripe:line",
        Rate(LINE_SHARE * rate.per_second, rate.burst),
        # Behind its hold an order has nothing to pay.
        kept_seconds=settings.hold_seconds,
    )
    stack.push_async_callback(line.close)
    limits = Limits(
        {
            kind: SharedTokenBucket(
                redis.run,
                f"stripe:{kind.name.lower()}",
                rate,
                settings.http.workers,
                promised_max=PROMISED_SECONDS_MAX * told.sessions_per_second,
            )
            for kind in Kind
        },
        # As many as are opened in a second, while each of them takes no longer.
        asyncio.Semaphore(max(1, told.sessions_per_second // settings.http.workers)),
    )
    account = Account(shop_id.hex_digits, told.is_live, payments.secrets)
    sessions = ProviderSessions(database)
    stack.push_async_callback(sessions.close)
    return Stripe(
        StripeRequests(client, limits, PAUSES_SECONDS),
        line,
        account,
        sessions,
        StripeBooks(StripeRequests(client, limits, PATIENT_PAUSES_SECONDS), account, sessions),
        currency,
        # Who tests has no card to look for.
        HOLD_SECONDS_MIN if told.api_base is None else 1,
    )


async def why_key_fails(told: StripeSettings) -> str:
    """What Stripe says of the key, empty where it takes it: one request, which changes nothing."""
    async with AsyncExitStack() as stack:
        client = open_client(stack, told)
        try:
            await client.v1.checkout.sessions.list_async({"limit": 1})
        except stripe.AuthenticationError:
            return "Stripe does not know the key"
        except stripe.PermissionError:
            return "the key lacks a permission"
        except stripe.StripeError as error:
            return (
                f"Stripe does not answer: {type(error).__name__} {error.http_status or ''}".strip()
            )
    return ""


def open_client(stack: AsyncExitStack, told: StripeSettings) -> stripe.StripeClient:
    """The library's client; `stack` closes its one HTTP client."""
    # Else it writes an id into the home of whoever runs the shop, and tells Stripe how long it
    # waited.
    stripe.enable_telemetry = False
    http = stripe.HTTPXClient(timeout=REQUEST_SECONDS_MAX)
    stack.push_async_callback(http.close_async)
    return stripe.StripeClient(
        told.secret_key,
        http_client=http,
        max_network_retries=LIBRARY_RETRIES,
        base_addresses={"api": told.api_base} if told.api_base else {},
    )
