"""The roster, for a command that looks at a shop from outside: its database says under which keys
the shop's Redis has it.
"""

from typing import Final

from redis.exceptions import RedisError

from tigerfans.errors import UnavailableError
from tigerfans.hosts.roster import Hosts, Roster
from tigerfans.settings.settings import Settings, SettingsError
from tigerfans.stores.away_postgresql import NO_ANSWER
from tigerfans.stores.identity import Identity, read_identity
from tigerfans.stores.postgresql_primary import NoPrimaryError
from tigerfans.stores.shop_redis import ShopRedis

SECONDS_MAX: Final = 5.0


async def read_hosts(settings: Settings) -> Hosts:
    """All hosts of the shop that `settings` name.

    Raises `UnavailableError` where a store does not answer, `SettingsError` where none is named, or
    the database has no shop.
    """
    stores = settings.stores
    if stores.database_url is None or stores.redis_url is None:
        raise SettingsError("DATABASE_URL and REDIS_URL must name the stores of the shop.")
    identity = await _find_identity(stores.database_url)
    if identity is None:
        raise SettingsError(
            "DATABASE_URL names a database without a shop: its first worker opens one."
        )
    try:
        redis = ShopRedis.connect(stores.redis_url, identity.id.key_prefix)
        try:
            return await Roster(redis).read()
        finally:
            await redis.close()
    except (ValueError, RedisError) as error:
        raise UnavailableError("Redis does not tell of the hosts: see REDIS_URL.") from error


async def _find_identity(database_url: str) -> Identity | None:
    try:
        return await read_identity(database_url, SECONDS_MAX)
    except NoPrimaryError as error:
        raise UnavailableError(str(error)) from error
    except NO_ANSWER as error:
        sentence = "PostgreSQL does not say who the shop is: see DATABASE_URL."
        raise UnavailableError(sentence) from error
