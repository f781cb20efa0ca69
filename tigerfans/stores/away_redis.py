"""Which errors mean that Redis is away, and not that we made a mistake.

`away_postgresql` says what away is. Every other error is a bug: a key of another type, a command
with wrong arguments, a script that does not run.
"""

import re
from typing import Final

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
