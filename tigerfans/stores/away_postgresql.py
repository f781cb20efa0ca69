"""Which errors mean that PostgreSQL is away, and not that we made a mistake.

Away is what somebody else can end, with nothing changed in this program: nobody listens, no answer
comes in time, it starts or stops, it has no room, it lets us in no more, it is a replica now.
Whoever asked is told to try again. Every other error is a bug and has to look like one, with its
trace in the log: a wrong number of arguments, a table that there is not. `away_redis` is the same
for Redis.
"""

from typing import Final

import asyncpg

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

# Whatever keeps somebody who only looks from an answer; a timeout is an OSError, and an address
# that cannot be used a ValueError.
NO_ANSWER: Final[tuple[type[Exception], ...]] = (
    OSError,
    ValueError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
)
