"""Who has asked for their tickets again, by email, until the clerk has looked their orders up.

A row for an address, however often it is asked for. All that wait are looked for in one reading of
the orders: no index finds an address that costs an order's writing little, and a reading costs the
same for one address as for hundreds.
"""

from typing import Final

from tigerfans.booking.email_address import folded
from tigerfans.errors import UnavailableError
from tigerfans.stores.database import Database
from tigerfans.stores.orders import FOLDED_EMAIL

# Of different addresses that wait.
REQUESTS_MAX: Final = 10_000
LOOKED_UP_MAX: Final = 500
# Of one address, the latest.
ORDERS_MAX: Final = 20
# An order's tickets are sent again no sooner, whoever asks how often.
PAUSE_SECONDS: Final = 600
# Between two readings of all orders.
ROUND_PAUSE_SECONDS: Final = 20.0
# To read a million orders takes a fraction of that.
SECONDS_MAX: Final = 30.0

_ADD: Final = f"""
    INSERT INTO mail_requests (email_folded)
    SELECT $1 WHERE (SELECT count(*) FROM mail_requests) < {REQUESTS_MAX}
    ON CONFLICT (email_folded) DO UPDATE SET email_folded = EXCLUDED.email_folded
    RETURNING email_folded
"""  # noqa: S608
# In one statement: a request is gone when its mails are queued, and not before.
_ANSWER: Final = f"""
    WITH taken AS (
        DELETE FROM mail_requests WHERE email_folded IN (
            SELECT email_folded FROM mail_requests ORDER BY asked_at LIMIT $1
            FOR UPDATE SKIP LOCKED
        ) RETURNING email_folded
    ), found AS (
        SELECT id,
            row_number() OVER (PARTITION BY {FOLDED_EMAIL} ORDER BY recorded_at DESC) AS place
        FROM orders WHERE status = 'PAID' AND {FOLDED_EMAIL} IN (SELECT email_folded FROM taken)
    ), queued AS (
        INSERT INTO mails (order_id, kind, number)
        SELECT id, 'again', (
            SELECT count(*) FROM mails WHERE order_id = found.id AND kind = 'again'
        ) FROM found
        WHERE place <= $2 AND NOT EXISTS (
            SELECT FROM mails WHERE order_id = found.id AND kind IN ('tickets', 'again') AND (
                (sent_at IS NULL AND gave_up_at IS NULL)
                OR (kind = 'again' AND created_at > now() - make_interval(secs => $3))
            )
        )
        ON CONFLICT DO NOTHING
    )
    SELECT count(*) FROM taken
"""  # noqa: S608


class MailRequests:
    """The stored requests; every method raises `UnavailableError` without PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, email: str) -> None:
        """Remembers that the tickets of an address are wanted. Raises `UnavailableError` also
        where too many wait, whichever address it is.
        """
        async with self._database.connection(writes=True) as connection:
            added = await connection.fetchval(_ADD, folded(email))
        if added is None:
            raise UnavailableError

    async def answer(self) -> bool:
        """Queues the mails of some that wait, in the order in which they asked; whether there may
        be more.
        """
        async with self._database.connection() as connection:
            if not await connection.fetchval("SELECT EXISTS (SELECT FROM mail_requests)"):
                return False
        async with self._database.connection(SECONDS_MAX, writes=True) as connection:
            taken = await connection.fetchval(_ANSWER, LOOKED_UP_MAX, ORDERS_MAX, PAUSE_SECONDS)
        return bool(taken == LOOKED_UP_MAX)
