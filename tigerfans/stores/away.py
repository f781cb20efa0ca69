"""Which errors mean that PostgreSQL or Redis is away, and not that we made a mistake.

Away is what somebody else can end, with nothing changed in this program: nobody listens, no answer
comes in time, it starts or stops, it has no room, it lets us in no more, it is a replica now.
Whoever asked is told to try again. Every other error is a bug and has to look like one, with its
trace in the log: a wrong number of arguments, a key of another type, a script that does not run.
"""

import re
from typing import Final

import asyncpg
from redis.exceptions import (
    ClusterDownError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

POSTGRESQL_AWAY: Final[tuple[type[Exception], ...]] = (
    # Nobody is there, or nobody answers in time.
    OSError,
    TimeoutError,
    # The connection ended.
    asyncpg.PostgresConnectionError,
    # It starts, it stops, or the operator ends what takes too long.
    asyncpg.OperatorInterventionError,
    asyncpg.LockNotAvailableError,
    # No room: on its disk, in its memory, for one connection more.
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresIOError,
    # A replica, as the primary of before a failover is one, or one that takes no writes for now.
    asyncpg.ReadOnlySQLTransactionError,
    # None of several hosts is what DATABASE_URL asks for: the failover is still under way.
    asyncpg.TargetServerAttributeNotMatched,
    # A replica gave up a query for what came from its primary.
    asyncpg.SerializationError,
    # It does not let us in: another password, another pg_hba.conf, a database that was renamed.
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)

# What asyncpg says of a connection that ended while it was in use, and of its wrong use as well:
# only the connection can tell which.
POSTGRESQL_ENDED: Final[tuple[type[Exception], ...]] = (
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)

# It loads its data (LOADING), and it does not let us in (NOAUTH, WRONGPASS), are lost connections
# to redis-py.
REDIS_AWAY: Final[tuple[type[Exception], ...]] = (
    OSError,
    TimeoutError,
    RedisConnectionError,
    RedisTimeoutError,
    OutOfMemoryError,
    ReadOnlyError,
    MasterDownError,
    ClusterDownError,
    TryAgainError,
)

# The first word of an error that has no class of its own. BUSY: a script of somebody else runs;
# MISCONF: the disk is full; NOREPLICAS: too few replicas for what the operator asks for.
REDIS_AWAY_CODES: Final = frozenset(
    {"BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM", "READONLY"}
)
_READ_ONLY: Final = "READONLY"

# Redis 6 hides the code of what a script's command was refused with in the middle of a sentence:
# "ERR Error running script (call to f_…): @user_script:3: @user_script: 3: -OOM command not …".
_CODE: Final = re.compile(r"(?:^|: -)([A-Z]+) ")


def is_redis_away(error: Exception) -> bool:
    """Whether Redis is away; otherwise the error is a bug."""
    if isinstance(error, REDIS_AWAY):
        return True
    return isinstance(error, ResponseError) and not REDIS_AWAY_CODES.isdisjoint(_codes(error))


def is_redis_replica(error: Exception) -> bool:
    """Whether Redis refused a write because it is a replica, or has become one."""
    return isinstance(error, ReadOnlyError) or _READ_ONLY in _codes(error)


def _codes(error: Exception) -> list[str]:
    return _CODE.findall(str(error))
