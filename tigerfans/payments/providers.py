"""The payment providers there are, and how each is made; `settings.PROVIDERS` has the same names.

What one needs that the others do not, it imports when it is made: a shop that sells by another one
is without it.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Final, NamedTuple

import httpx

from tigerfans.payments.base import PaymentProvider
from tigerfans.payments.mockpay import MockPay
from tigerfans.payments.outbox import Outbox
from tigerfans.settings.settings import ProviderName, Settings, SettingsError
from tigerfans.stores.database import Database
from tigerfans.stores.identity import ShopId
from tigerfans.stores.shop_redis import ShopRedis


class Parts(NamedTuple):
    """What a provider may be made of; what it opens, it has `stack` close."""

    stack: AsyncExitStack
    settings: Settings
    database: Database
    redis: ShopRedis
    shop_id: ShopId


async def _mockpay(parts: Parts) -> PaymentProvider:
    mockpay = MockPay(
        parts.settings.payments.secrets,
        parts.settings.webhook_url,
        # It talks to our own address; a proxy from the environment has no business there.
        await parts.stack.enter_async_context(httpx.AsyncClient(trust_env=False)),
        Outbox(parts.database),
    )
    parts.stack.push_async_callback(mockpay.close)
    return mockpay


async def _stripe(parts: Parts) -> PaymentProvider:
    try:
        # Optional: most of what is here needs no library of Stripe's.
        from tigerfans.payments.stripe_opening import open_stripe
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "stripe":
            raise
        raise SettingsError(
            "TIGERFANS_PAYMENT_PROVIDER=stripe needs Stripe's library: pip install"
            " 'tigerfans[stripe]'."
        ) from None
    return await open_stripe(
        parts.stack, parts.settings, parts.database, parts.redis, parts.shop_id
    )


# Raises `SettingsError` where a provider cannot be made.
Maker = Callable[[Parts], Awaitable[PaymentProvider]]
MAKERS: Final[Mapping[ProviderName, Maker]] = {
    "mockpay": _mockpay,
    "stripe": _stripe,
}
