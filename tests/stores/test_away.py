"""The table of what counts as away, row by row."""

import asyncpg
import pytest
from redis import exceptions as redis
from redis._parsers.base import BaseParser

from tigerfans.stores.away_postgresql import POSTGRESQL_AWAY, POSTGRESQL_ENDED
from tigerfans.stores.away_redis import is_redis_away, is_redis_replica

SCRIPT = "Error running script (call to f_ae3467fc): @user_script:3: @user_script: 3:"


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        FileNotFoundError("no socket"),
        TimeoutError(),
        asyncpg.ConnectionDoesNotExistError(),
        asyncpg.ConnectionFailureError(),
        asyncpg.AdminShutdownError(),
        asyncpg.CrashShutdownError(),
        asyncpg.CannotConnectNowError(),
        asyncpg.QueryCanceledError(),
        asyncpg.LockNotAvailableError(),
        asyncpg.TooManyConnectionsError(),
        asyncpg.DiskFullError(),
        asyncpg.OutOfMemoryError(),
        asyncpg.PostgresIOError(),
        asyncpg.ReadOnlySQLTransactionError(),
        asyncpg.TargetServerAttributeNotMatched(),
        asyncpg.SerializationError(),
        asyncpg.InvalidPasswordError(),
        asyncpg.InvalidAuthorizationSpecificationError(),
        asyncpg.InvalidCatalogNameError(),
    ],
    ids=repr,
)
def test_postgresql_is_away(error: Exception) -> None:
    assert isinstance(error, POSTGRESQL_AWAY)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InterfaceError("the server expects 1 argument for this query, 2 were passed"),
        asyncpg.InterfaceError("another operation is in progress"),
        asyncpg.InternalClientError("no decoder"),
        asyncpg.ClientConfigurationError("invalid DSN"),
        asyncpg.DataError("invalid input for query argument $1"),
        asyncpg.CharacterNotInRepertoireError(),
        asyncpg.UndefinedTableError(),
        asyncpg.UndefinedColumnError(),
        asyncpg.PostgresSyntaxError(),
        asyncpg.CheckViolationError(),
        asyncpg.UniqueViolationError(),
        asyncpg.InsufficientPrivilegeError(),
        asyncpg.DeadlockDetectedError(),
        asyncpg.InFailedSQLTransactionError(),
        asyncpg.DataCorruptedError(),
        TypeError(),
        ValueError(),
        KeyError(),
    ],
    ids=repr,
)
def test_an_error_that_is_ours_is_not_postgresql_away(error: Exception) -> None:
    assert not isinstance(error, POSTGRESQL_AWAY)


def test_only_the_connection_can_tell_what_asyncpgs_own_errors_mean() -> None:
    assert set(POSTGRESQL_ENDED) == {asyncpg.InterfaceError, asyncpg.InternalClientError}


def reply(text: str) -> Exception:
    """The error that redis-py makes of a reply of Redis."""
    error = BaseParser.parse_error(text)  # type: ignore[no-untyped-call]
    assert isinstance(error, redis.RedisError)
    return error


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        TimeoutError(),
        redis.ConnectionError("Connection closed by server."),
        redis.TimeoutError(),
        reply("LOADING Redis is loading the dataset in memory"),
        reply("NOAUTH Authentication required."),
        reply("WRONGPASS invalid username-password pair or user is disabled."),
        reply("ERR max number of clients reached"),
        reply("OOM command not allowed when used memory > 'maxmemory'."),
        reply("READONLY You can't write against a read only replica."),
        reply("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."),
        reply("CLUSTERDOWN The cluster is down"),
        reply("TRYAGAIN Multiple keys request during rehashing of slot"),
        reply("BUSY Redis is busy running a script. You can only call SCRIPT KILL."),
        reply("MISCONF Errors writing to the AOF file: No space left on device"),
        reply("NOREPLICAS Not enough good replicas to write."),
        # Redis 6: what a command in a script was refused with.
        reply(f"ERR {SCRIPT} -OOM command not allowed when used memory > 'maxmemory'."),
        reply(f"ERR {SCRIPT} -READONLY You can't write against a read only replica."),
        reply(f"ERR {SCRIPT} -NOREPLICAS Not enough good replicas to write."),
        reply(f"ERR {SCRIPT} -MISCONF Errors writing to the AOF file: No space left on device"),
        # Redis 7.
        reply("OOM command not allowed when used memory > 'maxmemory'. script: 1, on @user_script"),
    ],
    ids=repr,
)
def test_redis_is_away(error: Exception) -> None:
    assert is_redis_away(error)


@pytest.mark.parametrize(
    "error",
    [
        reply("WRONGTYPE Operation against a key holding the wrong kind of value"),
        reply(f"ERR {SCRIPT} WRONGTYPE Operation against a key holding the wrong kind of value"),
        reply("ERR unknown command 'OOM'"),
        reply("ERR wrong number of arguments for 'set' command"),
        reply("ERR Error compiling script (new function): user_script:1: unexpected symbol"),
        reply(f"ERR {SCRIPT} Script attempted to access nonexistent global variable 'foo'"),
        reply("NOSCRIPT No matching script. Please use EVAL."),
        reply("NOPERM this user has no permissions to run the 'set' command"),
        reply("MOVED 3999 127.0.0.1:6381"),
        redis.DataError("Invalid input of type: 'dict'"),
        redis.InvalidResponse("Protocol Error"),
        TypeError(),
        KeyError(),
    ],
    ids=repr,
)
def test_an_error_that_is_ours_is_not_redis_away(error: Exception) -> None:
    assert not is_redis_away(error)


@pytest.mark.parametrize(
    ("error", "is_replica"),
    [
        (reply("READONLY You can't write against a read only replica."), True),
        (reply(f"ERR {SCRIPT} -READONLY You can't write against a read only replica."), True),
        (reply("OOM command not allowed when used memory > 'maxmemory'."), False),
        (redis.ConnectionError(), False),
    ],
)
def test_a_replica_is_told_by_what_it_refuses(error: Exception, is_replica: bool) -> None:
    assert is_redis_replica(error) is is_replica
