"""Payment sessions in Redis: what a checkout promised, until it is paid or its hold is long gone.

Redis is a shortcut here and never the truth. A session outlives its hold by an hour, so that a
payment which comes somewhat late still finds it; after that, as when Redis is wiped, the signed
payment event and the ledger's hold carry enough to finish the sale. An order's entry holds its
session and, once the order is paid and durable, for a day its public answer: duplicates of the
webhook and status requests are served from it. A session whose hold ended unpaid is claimed by one
worker, which asks the provider about it; one that was not charged, when the session is over.

A key of which a later attempt than the first became its order has an empty entry for the first: a
trace, by which `has_trace` knows the key with one look. Releases up to 0.4.0 leave none.

Whoever may hold only so many tickets (`Holder`) has a list of those on hold, each by its order's
id. The script that saves a session counts there: a session over a limit is not saved. Holders are
known by digests only, and for no longer than their holds last.

While a shop is upgraded, two releases read each other's sessions. A format that only grew at its
end is read by all: what was appended is passed over. Any other one begins with its number, and who
does not know the number takes it for no session, so that the ledger's hold has to do. A release
writes what the one before it reads: this one writes format 1, which has no number.

Reads and writes travel by the auto-batcher: one MGET for all that was asked while the last one
was under way, one script call for all that was written.
"""

import time
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from enum import Enum
from typing import Final, NamedTuple, cast

import msgspec
import orjson

from tigerfans.batching import BatchedCalls, Batcher, QueueFullError
from tigerfans.booking.ids import ORDER_ID_BYTES, OrderId
from tigerfans.errors import UnavailableError
from tigerfans.offer.catalog import ClassCode
from tigerfans.stores.redis_connection import Argument, RedisConnection
from tigerfans.stores.session_scripts import CLAIM, FINISH, POSTPONE, SAVE
from tigerfans.stores.shop_redis import ShopRedis

# How long an unpaid session outlives its hold, and how long a paid order's answer is kept.
AFTER_HOLD_SECONDS: Final = 3600
ANSWER_SECONDS: Final = 24 * 3600
# For how long after its hold a session can wait to be asked about, for a shop that was closed.
ASKED_WITHIN_SECONDS: Final = 7 * 24 * 3600
BATCH_MAX: Final = 500
# As many as wait for the ledger at most (`ipc.client`): what is too much is refused at once.
QUEUE_MAX: Final = 2_048


class Session(msgspec.Struct, frozen=True, array_like=True):
    """One checkout that waits for its payment; times in ms since the epoch.

    `amount_cents` is that of the whole order, of `qty` tickets. Packed, it is a JSON array of its
    fields in this order.
    """

    psid: str
    order_id: OrderId
    cls: ClassCode
    amount_cents: int
    email: str
    created_ms: int
    expires_ms: int
    qty: int = 1

    @property
    def price_cents(self) -> int:
        """Of one ticket."""
        return self.amount_cents // self.qty

    @property
    def end_ms(self) -> int:
        """Until when it is kept, and can be paid, unless it is paid before."""
        return self.expires_ms + AFTER_HOLD_SECONDS * 1_000

    def pack(self) -> bytes:
        fields = [
            self.psid,
            self.order_id.hex_digits,
            self.cls,
            self.amount_cents,
            self.email,
            self.created_ms,
            self.expires_ms,
        ]
        # Of one ticket it is what it was before there was a number of them; whoever appends another
        # field has to write this one before it.
        if self.qty != 1:
            fields.append(self.qty)
        return orjson.dumps(fields)

    @classmethod
    def unpack(cls, packed: bytes) -> "Session | None":
        """None where the session is of a format that this release does not know."""
        try:
            return _unpack_session(packed)
        except msgspec.ValidationError:
            return None


def _read_order_id(_: type, hex_digits: str) -> OrderId:
    return _order_id(hex_digits)


# What a later release has appended to format 1 it passes over; a number in front is no session.
_unpack_session: Final = msgspec.json.Decoder(Session, dec_hook=_read_order_id).decode


class Holder(NamedTuple):
    """Whom tickets on hold count for, known by a digest, and how many there may be at once."""

    key: str
    holds_max: int


class OverLimit(NamedTuple):
    """A session that was not saved: its `holder` may not have so many tickets more on hold until
    `room_ms`.
    """

    holder: Holder
    room_ms: int


class NotSaved(Enum):
    """Why a session was not saved, whatever room its holders have."""

    # It is there already, and stays as it is.
    SAVED_BEFORE = "saved before"
    # It was over a limit before, and whoever heard so gives its hold back.
    GIVEN_BACK = "given back"


# What the script replies in place of a holder's index.
_NOT_SAVED: Final = {-1: NotSaved.GIVEN_BACK, -2: NotSaved.SAVED_BEFORE}


Saved = OverLimit | NotSaved | None


class Entry(msgspec.Struct, frozen=True):
    """What Redis holds of an order: its session, and its public answer once it is paid for good."""

    packed_session: bytes
    paid_answer: bytes

    @property
    def session(self) -> Session | None:
        return Session.unpack(self.packed_session)


class Claim(NamedTuple):
    """A session to be asked about by whoever claimed it, after so many `attempts` that failed."""

    order_id: OrderId
    attempts: int


class Sessions:
    """Payment sessions; a method that answers raises `UnavailableError` where Redis does not."""

    def __init__(self, store: ShopRedis) -> None:
        self.store: Final = store
        self.presence: Final = store.presence
        self.ping: Final = store.ping
        self._redis = store.client
        self._answered = store.answered
        self._ask = store.asked
        key_prefix = store.key_prefix
        self._entry: Final = f"{key_prefix}:order:".encode()
        # The unpaid sessions by the end of their hold. Those whose end is still to come are
        # pending; the others stay until the provider is asked about them, or for as long as
        # that may take.
        self._unpaid: Final = f"{key_prefix}:unpaid"
        # The sessions that the provider is being asked about, by the moment from which on whoever
        # comes may ask: until then one worker has a lease on each, or it is too early to try again,
        # or what was not charged can still be paid.
        self._asked: Final = f"{key_prefix}:asked"
        # How often each of them was asked about in vain, where it was.
        self._attempts: Final = f"{key_prefix}:asked:attempts"
        # What a holder has had open lately: the order ids, of 32 hex digits each, end to end.
        self._holds: Final = f"{key_prefix}:holds:"
        self._reading = store.keep()
        self._tracing = store.keep()
        self._saving = store.keep()
        self._finishing = store.keep()
        self._claiming = store.keep()
        self._reads = BatchedCalls[OrderId, Entry | None](
            "session reads", self._find_many, batch_max=BATCH_MAX, queue_max=QUEUE_MAX
        )
        self._traces = BatchedCalls[OrderId, bool](
            "session traces", self._trace_many, batch_max=BATCH_MAX, queue_max=QUEUE_MAX
        )
        self._saves = BatchedCalls[tuple[Session, Sequence[Holder]], Saved](
            "session writes", self._save_many, batch_max=BATCH_MAX, queue_max=QUEUE_MAX
        )
        self._finishes = Batcher[tuple[Session, bytes, bytes]](
            "session ends", self._finish_many, batch_max=BATCH_MAX, queue_max=QUEUE_MAX
        )

    @classmethod
    def connect(cls, url: str, key_prefix: str) -> "Sessions":
        """Sessions in the Redis at `url`; connections are made when they are needed."""
        return cls(ShopRedis.connect(url, key_prefix))

    async def close(self) -> None:
        await self._reads.close()
        await self._traces.close()
        await self._saves.close()
        await self._finishes.close()
        await self.store.close()

    async def warm_up(self) -> None:
        """Connects, and has Redis know the scripts of a purchase, by saving and ending none."""
        await self._find_many([OrderId(bytes(ORDER_ID_BYTES))])
        await self._save_many([])
        await self._finish_many([])

    def save(self, session: Session, holders: Sequence[Holder] = ()) -> Awaitable[Saved]:
        """Saves a session that counts for `holders`, unless one of them is over its limit.

        None once it is saved. One that is saved already stays as it is, and counts no second time.
        One that was over a limit is not saved any more, whoever saves it until its hold would have
        ended.
        """
        return self._saves.call((session, holders))

    def find(self, order_id: OrderId) -> Awaitable[Entry | None]:
        return self._reads.call(order_id)

    def has_trace(self, order_id: OrderId) -> Awaitable[bool]:
        """Whether there is or was anything here of an order, or a later attempt of its key."""
        return self._traces.call(order_id)

    async def leave_trace(self, order_id: OrderId, end_ms: int) -> None:
        """Remembers that a later attempt of the same key has a session, which ends at `end_ms`."""
        entry = self._entry + order_id.hex_digits.encode()
        # As long as the answer of an order that is paid in the last moment.
        until_ms = end_ms + ANSWER_SECONDS * 1_000
        await self._ask(lambda: self._redis.set(entry, b"", pxat=until_ms))

    def finish(self, session: Session, paid_answer: bytes, packed: bytes = b"") -> None:
        """The session is pending no more, its hold open for nobody; a paid order leaves its answer.
        Where the session was found here, `packed` is what was found.

        Without an answer it was not charged: it is claimed once more when it is over.
        Nobody waits for this and nothing depends on it: where Redis is away or too slow, it is
        left undone.
        """
        with suppress(QueueFullError):
            self._finishes.put((session, packed, paid_answer))

    async def forget(self, order_ids: Sequence[OrderId]) -> None:
        """What is known here of these orders is not true any more: they are paid, and refunded."""
        entries = [self._entry + order_id.hex_digits.encode() for order_id in order_ids]
        await self._ask(lambda: self._redis.delete(*entries))

    async def pending(self, limit: int) -> tuple[list[Session], int]:
        """The sessions whose hold can still be paid, and how many there are in all.

        Those that are held the longest come first: the newest, as all are held for equally long.
        """
        # Exclusive, as Redis writes it: a hold that ends now has ended.
        after_now = f"({time.time_ns() // 1_000_000}"

        async def read() -> tuple[list[bytes | None], int]:
            latest = self._redis.zrevrangebyscore(self._unpaid, "+inf", after_now, 0, limit)
            ids = cast("list[bytes]", await latest)
            keys = [self._entry + order_id for order_id in ids]
            # The client does not decode replies, so what it types as text is bytes.
            entries = cast("list[bytes | None]", await self._redis.mget(keys)) if keys else []
            return entries, await self._redis.zcount(self._unpaid, after_now, "+inf")

        entries, total = await self._ask(read)
        unpacked = [_unpack(entry).session for entry in entries if entry]
        return [session for session in unpacked if session], total

    async def claim_ended(self, limit: int, lease_seconds: float) -> list[Claim]:
        """Some sessions to be asked about, each for one caller only until the lease is over.

        Those whose hold ended unpaid, and those that ended uncharged.

        To be called by one task at a time.
        """
        now_ms = time.time_ns() // 1_000_000
        lease_ms = now_ms + int(lease_seconds * 1_000)
        claim = self._claiming.run(
            CLAIM, 3, self._unpaid, self._asked, self._attempts, now_ms, lease_ms, limit
        )
        answer = iter(await self._answered(claim))
        return [
            Claim(_order_id(order_id.decode()), attempts)
            for order_id, attempts in zip(answer, answer, strict=True)
        ]

    async def seconds_left(self, order_id: OrderId) -> float:
        """For how long a session is kept; 0 where it is not."""
        entry = self._entry + order_id.hex_digits.encode()
        milliseconds = await self._ask(lambda: self._redis.pttl(entry))
        return max(0, milliseconds) / 1_000

    async def drop_claim(self, claim: Claim) -> None:
        """Nobody need ask about the session any more."""
        async with self._redis.pipeline() as pipeline:
            pipeline.zrem(self._asked, claim.order_id.hex_digits)
            pipeline.hdel(self._attempts, claim.order_id.hex_digits)
            await self._ask(pipeline.execute)

    async def postpone_claim(self, claim: Claim, pause_seconds: float) -> None:
        """Somebody asks about the session again, after a pause; the claim's attempts are kept."""
        due_ms = time.time_ns() // 1_000_000 + int(pause_seconds * 1_000)
        keys = self._unpaid, self._asked, self._attempts
        order_id = claim.order_id.hex_digits
        arguments = order_id, due_ms, claim.attempts
        await self._ask(lambda: self._redis.eval(POSTPONE.text, 3, *keys, *arguments))

    async def _find_many(self, order_ids: list[OrderId]) -> Sequence[Entry | None]:
        entries = await self._entries(self._reading, order_ids)
        return [_unpack(entry) if entry else None for entry in entries]

    async def _trace_many(self, order_ids: list[OrderId]) -> Sequence[bool]:
        # An empty one is a trace: of a session over a limit, or of another attempt's.
        entries = await self._entries(self._tracing, order_ids)
        return [entry is not None for entry in entries]

    async def _entries(
        self, connection: RedisConnection, order_ids: Sequence[OrderId]
    ) -> Sequence[bytes | None]:
        keys = [self._entry + order_id.hex_digits.encode() for order_id in order_ids]
        entries: Sequence[bytes | None] = await self._answered(connection.execute("MGET", *keys))
        return entries

    async def _save_many(self, saves: list[tuple[Session, Sequence[Holder]]]) -> Sequence[Saved]:
        now_ms = time.time_ns() // 1_000_000
        arguments: list[Argument] = [self._entry, now_ms, now_ms - ASKED_WITHIN_SECONDS * 1_000]
        for session, holders in saves:
            # A hold that has ended counts for nobody; a replay may bring one.
            counted = holders if session.expires_ms > now_ms else ()
            arguments += (
                session.order_id.hex_digits,
                session.expires_ms,
                session.end_ms,
                _entry(session.pack(), b""),
                session.qty,
                len(counted),
            )
            for holder in counted:
                arguments += self._holds + holder.key, holder.holds_max
        reply = await self._answered(self._saving.run(SAVE, 1, self._unpaid, *arguments))
        outputs: list[Saved] = [None] * len(saves)
        for index, holder_index, room_ms in reply:
            if holder_index < 0:
                outputs[index] = _NOT_SAVED[holder_index]
            else:
                outputs[index] = OverLimit(saves[index][1][holder_index], room_ms)
        return outputs

    async def _finish_many(self, ends: list[tuple[Session, bytes, bytes]]) -> None:
        arguments: list[Argument] = [self._entry, ANSWER_SECONDS]
        for session, packed, answer in ends:
            entry = _entry(packed or session.pack(), answer) if answer else b""
            arguments += session.order_id.hex_digits, entry, session.end_ms
        # Where Redis is away, they stay listed as unpaid: its going was told, once.
        with suppress(UnavailableError):
            finish = self._finishing.run(
                FINISH, 3, self._unpaid, self._asked, self._attempts, *arguments
            )
            await self._answered(finish)


def _entry(packed_session: bytes, paid_answer: bytes) -> bytes:
    # Two JSON documents, which hold no line feed: a paid answer is served without parsing either.
    return packed_session + b"\n" + paid_answer


def _order_id(hex_digits: str) -> OrderId:
    return OrderId(bytes.fromhex(hex_digits)[::-1])


def _unpack(entry: bytes) -> Entry:
    session, _, paid_answer = entry.partition(b"\n")
    return Entry(session, paid_answer)
