"""Payment sessions, against a real Redis."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import msgspec
import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from tigerfans.booking.ids import OrderId
from tigerfans.errors import UnavailableError
from tigerfans.stores.sessions import (
    AFTER_HOLD_SECONDS,
    ANSWER_SECONDS,
    ASKED_WITHIN_SECONDS,
    Claim,
    Entry,
    Holder,
    NotSaved,
    OverLimit,
    Session,
    Sessions,
)
from tigerfans.stores.shop_redis import CONNECTIONS_MAX


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as redis:
        await redis.flushall()
        yield redis


@pytest.fixture
async def sessions(redis: Redis, redis_url: str) -> AsyncIterator[Sessions]:
    sessions = Sessions.connect(redis_url, "0123abcd")
    yield sessions
    await sessions.close()


def a_session(created_ms: int | None = None, hold_ms: int = 300_000) -> Session:
    order_id = OrderId.new()
    created_ms = created_ms or time.time_ns() // 1_000_000
    return Session(
        psid=f"mock_{order_id.hex_digits}",
        order_id=order_id,
        cls="A",
        amount_cents=6500,
        email='"line\\nfeed"@x.io',
        created_ms=created_ms,
        expires_ms=created_ms + hold_ms,
    )


TWO_AT_ONCE = Holder("somebody", 2)
FOUR_AT_ONCE = Holder("somebody", 4)


async def drained(sessions: Sessions) -> None:
    """Waits for what nobody waits for: the ends of sessions."""
    await sessions._finishes.drain()


async def test_more_who_ask_at_once_than_there_are_connections_wait_for_one(
    sessions: Sessions,
) -> None:
    asking = (sessions.seconds_left(OrderId.new()) for _ in range(4 * CONNECTIONS_MAX))
    assert await asyncio.gather(*asking) == 4 * CONNECTIONS_MAX * [0]


async def test_a_trace_is_of_what_is_or_was_there_or_comes_later(
    sessions: Sessions, redis: Redis
) -> None:
    saved, over, first = a_session(), a_session(), a_session()
    one_at_once = [Holder("somebody", 1)]
    await sessions.save(saved, one_at_once)
    assert isinstance(await sessions.save(over, one_at_once), OverLimit)
    await sessions.leave_trace(first.order_id, first.end_ms)
    asked = [session.order_id for session in (saved, over, first, a_session())]
    told = [await sessions.has_trace(order_id) for order_id in asked]
    assert told == [True, True, True, False]
    # It is no session, and lasts as long as the answer of another attempt can.
    assert await sessions.find(first.order_id) is None
    entry = f"0123abcd:order:{first.order_id.hex_digits}"
    assert await redis.ttl(entry) > ANSWER_SECONDS


async def test_a_session_is_read_back_as_it_was_saved(sessions: Sessions) -> None:
    session = a_session()
    await sessions.save(session)
    entry = await sessions.find(session.order_id)
    assert entry is not None
    assert entry.session == session
    assert entry.paid_answer == b""


async def rewrite(redis: Redis, session: Session, fields: list[object]) -> None:
    """As a release that is newer would have saved it."""
    key = f"0123abcd:order:{session.order_id.hex_digits}"
    await redis.set(key, json.dumps(fields).encode() + b"\n")


async def test_what_a_newer_release_appends_to_a_session_is_passed_over(
    sessions: Sessions, redis: Redis
) -> None:
    session = a_session()
    await sessions.save(session)
    await rewrite(redis, session, [*json.loads(session.pack()), 1, "EN", 7])
    entry = await sessions.find(session.order_id)
    assert entry is not None
    assert entry.session == session
    assert await sessions.pending(10) == ([session], 1)


async def test_a_session_of_a_format_that_nobody_knows_yet_is_none(
    sessions: Sessions, redis: Redis
) -> None:
    session = a_session()
    await sessions.save(session)
    await rewrite(redis, session, [2, {"order": session.order_id.hex_digits}])
    entry = await sessions.find(session.order_id)
    assert entry is not None
    assert entry.session is None
    assert await sessions.pending(10) == ([], 1)


async def test_a_session_of_several_tickets_says_how_many_and_what_one_costs(
    sessions: Sessions,
) -> None:
    session = msgspec.structs.replace(a_session(), qty=3, amount_cents=3 * 6500)
    await sessions.save(session)
    entry = await sessions.find(session.order_id)
    assert entry is not None
    assert entry.session == session
    assert session.price_cents == 6500
    # The release before passes it over.
    assert json.loads(session.pack())[:7] == json.loads(
        msgspec.structs.replace(session, qty=1).pack()
    )


def test_a_session_is_written_as_the_release_before_reads_it() -> None:
    session = a_session()
    assert json.loads(session.pack()) == [
        session.psid,
        session.order_id.hex_digits,
        "A",
        6500,
        session.email,
        session.created_ms,
        session.expires_ms,
    ]


async def test_two_shops_on_one_redis_never_meet(sessions: Sessions, redis_url: str) -> None:
    another = Sessions.connect(redis_url, "89abcdef")
    try:
        ours, theirs = a_session(), a_session()
        await sessions.save(ours)
        await another.save(theirs)
        another.finish(ours, b"{}")
        await drained(another)
        entry = await sessions.find(ours.order_id)
        assert entry
        assert (entry.session, entry.paid_answer) == (ours, b"")
        assert await sessions.pending(10) == ([ours], 1)
        assert await sessions.find(theirs.order_id) is None
        assert await another.pending(10) == ([theirs], 1)
    finally:
        await another.close()


async def test_an_unknown_session_is_none(sessions: Sessions) -> None:
    assert await sessions.find(OrderId.new()) is None


async def test_an_unpaid_session_ends_an_hour_after_its_hold(
    sessions: Sessions, redis: Redis
) -> None:
    session = a_session()
    await sessions.save(session)
    [key] = await redis.keys("0123abcd:order:*")
    seconds = 300 + AFTER_HOLD_SECONDS
    assert seconds - 60 < await redis.ttl(key) <= seconds


async def test_a_session_whose_end_has_passed_is_not_there(sessions: Sessions) -> None:
    now_ms = time.time_ns() // 1_000_000
    ended = a_session(now_ms - 2 * AFTER_HOLD_SECONDS * 1_000)
    await sessions.save(ended)
    assert await sessions.find(ended.order_id) is None


async def test_a_paid_orders_answer_is_kept_for_a_day(sessions: Sessions, redis: Redis) -> None:
    session = a_session()
    await sessions.save(session)
    sessions.finish(session, b"{}")
    await drained(sessions)
    [key] = await redis.keys("0123abcd:order:*")
    assert ANSWER_SECONDS - 60 < await redis.ttl(key) <= ANSWER_SECONDS


async def test_a_paid_order_leaves_its_answer_and_is_pending_no_more(sessions: Sessions) -> None:
    session = a_session()
    await sessions.save(session)
    sessions.finish(session, b'{"status":"PAID"}')
    await drained(sessions)
    entry = await sessions.find(session.order_id)
    assert entry is not None
    assert (entry.session, entry.paid_answer) == (session, b'{"status":"PAID"}')
    assert await sessions.pending(10) == ([], 0)


async def test_a_paid_order_keeps_what_a_newer_release_has_appended_to_its_session(
    sessions: Sessions, redis: Redis
) -> None:
    session = a_session()
    await sessions.save(session)
    await rewrite(redis, session, [*json.loads(session.pack()), 1, "EN"])
    found = await sessions.find(session.order_id)
    assert found is not None
    sessions.finish(session, b"{}", found.packed_session)
    await drained(sessions)
    assert await sessions.find(session.order_id) == Entry(found.packed_session, b"{}")


async def test_a_checkout_that_is_replayed_does_not_take_the_answer_away(
    sessions: Sessions,
) -> None:
    session = a_session()
    sessions.finish(session, b"{}")
    await drained(sessions)
    await sessions.save(session)
    entry = await sessions.find(session.order_id)
    assert entry is not None
    assert entry.paid_answer == b"{}"
    assert await sessions.pending(10) == ([], 0)


async def test_a_failed_order_is_pending_no_more_but_keeps_its_session(sessions: Sessions) -> None:
    session = a_session()
    await sessions.save(session)
    sessions.finish(session, b"")
    await drained(sessions)
    assert await sessions.find(session.order_id) is not None
    assert await sessions.pending(10) == ([], 0)


async def test_pending_sessions_come_newest_first_and_are_counted(sessions: Sessions) -> None:
    now_ms = time.time_ns() // 1_000_000
    saved = [a_session(now_ms + i) for i in range(5)]
    await asyncio.gather(*map(sessions.save, saved))
    assert await sessions.pending(2) == ([saved[4], saved[3]], 5)


async def test_a_session_whose_hold_has_ended_is_pending_no_more(sessions: Sessions) -> None:
    now_ms = time.time_ns() // 1_000_000
    ended, payable = a_session(now_ms - 300_000), a_session(now_ms - 200_000)
    await asyncio.gather(*map(sessions.save, [payable, ended]))
    assert await sessions.pending(10) == ([payable], 1)
    assert await sessions.find(ended.order_id) is not None


async def test_unpaid_sessions_are_listed_for_no_longer_than_they_may_wait_to_be_asked_about(
    sessions: Sessions, redis: Redis
) -> None:
    kept_ms = ASKED_WITHIN_SECONDS * 1_000
    now_ms = time.time_ns() // 1_000_000
    forgotten = a_session(now_ms - kept_ms - 1, hold_ms=0)
    kept = a_session(now_ms - kept_ms + 60_000, hold_ms=0)
    await asyncio.gather(*map(sessions.save, [forgotten, kept]))
    unpaid = await redis.zrange("0123abcd:unpaid", 0, -1)
    assert unpaid == [kept.order_id.hex_digits.encode()]


async def test_a_session_over_its_holders_limit_is_not_saved_and_hears_when_there_is_room(
    sessions: Sessions,
) -> None:
    now_ms = time.time_ns() // 1_000_000
    first, second, third = (a_session(now_ms + i) for i in range(3))
    assert await sessions.save(first, [TWO_AT_ONCE]) is None
    assert await sessions.save(second, [TWO_AT_ONCE]) is None
    assert await sessions.save(third, [TWO_AT_ONCE]) == OverLimit(TWO_AT_ONCE, first.expires_ms)
    assert await sessions.find(third.order_id) is None
    assert await sessions.pending(10) == ([second, first], 2)


async def test_of_one_session_saved_many_times_at_once_one_is_told_that_it_is_new(
    sessions: Sessions,
) -> None:
    session = a_session()
    answers = await asyncio.gather(*(sessions.save(session) for _ in range(20)))
    assert answers == [None, *[NotSaved.SAVED_BEFORE] * 19]


async def test_each_of_many_sessions_saved_at_once_is_counted(sessions: Sessions) -> None:
    asked = [sessions.save(a_session(), [TWO_AT_ONCE]) for _ in range(50)]
    answers = await asyncio.gather(*asked, sessions.save(a_session()))
    assert answers[:2] == [None, None]
    assert [over.holder for over in answers[2:50] if isinstance(over, OverLimit)] == [
        TWO_AT_ONCE
    ] * 48
    assert answers[50] is None


async def test_a_session_counts_for_each_of_its_holders(sessions: Sessions) -> None:
    once = Holder("another", 1)
    assert await sessions.save(a_session(), [TWO_AT_ONCE, once]) is None
    over = await sessions.save(a_session(), [TWO_AT_ONCE, once])
    assert isinstance(over, OverLimit)
    assert over.holder == once
    assert await sessions.save(a_session(), [TWO_AT_ONCE]) is None
    assert await sessions.save(a_session(), [TWO_AT_ONCE]) is not None


async def test_a_session_that_is_saved_again_counts_once_even_at_the_limit(
    sessions: Sessions,
) -> None:
    first, second = a_session(), a_session()
    for session in (first, second):
        assert await sessions.save(session, [TWO_AT_ONCE]) is None
    for session in (first, second, first):
        assert await sessions.save(session, [TWO_AT_ONCE]) is NotSaved.SAVED_BEFORE
    assert await sessions.save(a_session(), [TWO_AT_ONCE]) is not None


async def test_a_session_that_was_over_a_limit_is_saved_by_nobody_until_its_hold_would_have_ended(
    sessions: Sessions, redis: Redis
) -> None:
    first, second, over = (a_session() for _ in range(3))
    for session in (first, second):
        await sessions.save(session, [TWO_AT_ONCE])
    for _ in range(2):
        assert isinstance(await sessions.save(over, [TWO_AT_ONCE]), OverLimit)
    sessions.finish(first, b"")
    await drained(sessions)
    for holders in ([TWO_AT_ONCE], []):
        assert await sessions.save(over, holders) is NotSaved.GIVEN_BACK
    assert await sessions.find(over.order_id) is None
    assert await sessions.pending(10) == ([second], 1)
    assert 0 < await redis.pttl(f"0123abcd:order:{over.order_id.hex_digits}") <= 300_000
    # What the others have, it has taken from nobody.
    assert await sessions.save(a_session(), [TWO_AT_ONCE]) is None


@pytest.mark.parametrize("answer", [b"{}", b""])
async def test_an_order_that_ends_leaves_room_for_its_holder(
    sessions: Sessions, answer: bytes
) -> None:
    first, second = a_session(), a_session()
    for session in (first, second):
        await sessions.save(session, [TWO_AT_ONCE])
    sessions.finish(first, answer)
    await drained(sessions)
    assert await sessions.save(a_session(), [TWO_AT_ONCE]) is None
    assert await sessions.save(a_session(), [TWO_AT_ONCE]) is not None


async def test_a_hold_that_has_ended_leaves_room_for_its_holder(
    sessions: Sessions, redis: Redis
) -> None:
    first, second = a_session(), a_session()
    for session in (first, second):
        await sessions.save(session, [TWO_AT_ONCE])
    await redis.zadd("0123abcd:unpaid", {first.order_id.hex_digits: time.time_ns() // 1_000_000})
    assert await sessions.save(a_session(), [TWO_AT_ONCE]) is None
    assert await sessions.save(a_session(), [TWO_AT_ONCE]) is not None


async def test_a_limit_that_was_lowered_has_room_when_enough_holds_have_ended(
    sessions: Sessions,
) -> None:
    now_ms = time.time_ns() // 1_000_000
    saved = [a_session(now_ms + i) for i in range(3)]
    for session in reversed(saved):
        await sessions.save(session, [Holder("somebody", 3)])
    over = await sessions.save(a_session(), [TWO_AT_ONCE])
    assert over == OverLimit(TWO_AT_ONCE, saved[1].expires_ms)


async def test_a_holder_is_known_for_no_longer_than_its_holds_last(
    sessions: Sessions, redis: Redis
) -> None:
    ended = a_session(time.time_ns() // 1_000_000 - 300_000)
    await sessions.save(ended, [TWO_AT_ONCE])
    assert await redis.keys("0123abcd:holds:*") == []
    await sessions.save(a_session(), [TWO_AT_ONCE])
    [key] = await redis.keys("0123abcd:holds:*")
    assert 0 < await redis.pttl(key) <= 300_000


async def test_what_is_saved_at_once_travels_together(sessions: Sessions, redis: Redis) -> None:
    await sessions.save(a_session())
    await redis.config_resetstat()
    await asyncio.gather(*(sessions.save(a_session()) for _ in range(100)))
    stats = await redis.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == 1


async def test_scripts_survive_a_redis_that_lost_everything(
    sessions: Sessions, redis: Redis
) -> None:
    await sessions.save(a_session())
    await redis.flushall()
    await redis.script_flush()
    session = a_session()
    await sessions.save(session)
    assert await sessions.find(session.order_id) is not None


async def test_lost_connections_are_replaced(sessions: Sessions, redis: Redis) -> None:
    session = a_session()
    await sessions.save(session)
    await redis.client_kill_filter(_type="normal", skipme=True)
    entry = await sessions.find(session.order_id)
    assert entry is not None
    assert entry.session == session


async def test_a_cancelled_caller_leaves_the_batch_to_the_others(sessions: Sessions) -> None:
    kept, dropped = a_session(), a_session()
    cancelled = asyncio.ensure_future(sessions.save(dropped))
    waiting = asyncio.ensure_future(sessions.save(kept))
    cancelled.cancel()
    await waiting
    assert await sessions.find(kept.order_id) is not None
    assert await sessions.find(dropped.order_id) is not None


async def test_a_redis_that_is_away_is_named(tmp_path: object) -> None:
    sessions = Sessions.connect(f"unix://{tmp_path}/nothing.sock", "0123abcd")
    with pytest.raises(UnavailableError, match="Redis"):
        await sessions.save(a_session())
    with pytest.raises(UnavailableError, match="Redis"):
        await sessions.find(OrderId.new())
    sessions.finish(a_session(), b"{}")
    await sessions.close()


async def test_a_key_of_another_type_is_a_bug_and_not_redis_being_away(
    sessions: Sessions, redis: Redis
) -> None:
    await redis.set("0123abcd:unpaid", "no sorted set")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await sessions.save(a_session())
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await sessions.pending(1)


async def test_a_redis_that_is_full_takes_no_sessions_and_still_knows_those_it_has(
    sessions: Sessions, redis: Redis
) -> None:
    session = a_session()
    await sessions.save(session)
    await redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(UnavailableError, match="Redis"):
            await sessions.save(a_session())
        assert await sessions.find(session.order_id) is not None
    finally:
        await redis.config_set("maxmemory", 0)


async def test_after_a_failover_no_connection_to_the_old_primary_is_used_any_more(
    sessions: Sessions, redis: Redis
) -> None:
    session = a_session()
    await sessions.save(session)
    await sessions.find(session.order_id)
    await claims(sessions)
    sessions.finish(session, b"")
    await drained(sessions)
    await sessions.ping()
    old = await connected(redis)
    await redis.replicaof("127.0.0.1", "1")
    try:
        with pytest.raises(UnavailableError, match="Redis"):
            await sessions.save(a_session())
    finally:
        await redis.replicaof("NO", "ONE")
    await sessions.save(session)
    await sessions.find(session.order_id)
    await claims(sessions)
    sessions.finish(session, b"")
    await drained(sessions)
    await sessions.ping()
    assert len(old) == 5
    assert old.isdisjoint(await connected(redis))


async def connected(redis: Redis) -> set[str]:
    """The connections of others, by Redis' own numbers."""
    own = await redis.client_id()
    return {client["id"] for client in await redis.client_list()} - {str(own)}


# --- Several tickets -----------------------------------------------------------------------------


def several(qty: int, hold_ms: int = 300_000) -> Session:
    return msgspec.structs.replace(a_session(hold_ms=hold_ms), qty=qty)


async def test_what_a_holder_has_is_counted_in_tickets(sessions: Sessions) -> None:
    assert await sessions.save(several(3), [FOUR_AT_ONCE]) is None
    assert isinstance(await sessions.save(several(2), [FOUR_AT_ONCE]), OverLimit)
    assert await sessions.save(several(1), [FOUR_AT_ONCE]) is None
    assert isinstance(await sessions.save(several(1), [FOUR_AT_ONCE]), OverLimit)
    assert await sessions.save(several(4), [Holder("somebody else", 4)]) is None


async def test_there_is_room_for_several_tickets_once_as_many_are_free(sessions: Sessions) -> None:
    soon, later = several(1, 100_000), several(2, 200_000)
    for session in (later, soon):
        assert await sessions.save(session, [FOUR_AT_ONCE]) is None
    for qty, room in ((2, soon), (3, later), (4, later)):
        over = await sessions.save(several(qty), [FOUR_AT_ONCE])
        assert over == OverLimit(FOUR_AT_ONCE, room.expires_ms)


async def test_all_tickets_of_an_order_that_ends_are_free_again(sessions: Sessions) -> None:
    first = several(3)
    await sessions.save(first, [FOUR_AT_ONCE])
    assert isinstance(await sessions.save(several(4), [FOUR_AT_ONCE]), OverLimit)
    sessions.finish(first, b"{}")
    await drained(sessions)
    assert await sessions.save(several(4), [FOUR_AT_ONCE]) is None


# --- Sessions that ended unpaid ------------------------------------------------------------------

TEN_MINUTES_MS = 600_000


async def ended(sessions: Sessions) -> Session:
    """A session whose hold ended unpaid."""
    session = a_session(time.time_ns() // 1_000_000 - TEN_MINUTES_MS)
    await sessions.save(session)
    return session


async def claims(sessions: Sessions, limit: int = 10, lease_seconds: float = 60) -> list[Claim]:
    return await sessions.claim_ended(limit, lease_seconds)


async def test_a_session_that_ended_unpaid_is_claimed_by_one_of_many_workers(
    sessions: Sessions, redis_url: str
) -> None:
    session = await ended(sessions)
    workers = [Sessions.connect(redis_url, "0123abcd") for _ in range(4)]
    claimed = await asyncio.gather(*map(claims, workers))
    assert [claim for some in claimed for claim in some] == [Claim(session.order_id, 0)]
    assert await claims(sessions) == []
    for worker in workers:
        await worker.close()


async def test_what_still_can_be_paid_or_was_paid_is_not_claimed(sessions: Sessions) -> None:
    await sessions.save(a_session())
    sessions.finish(await ended(sessions), b"{}")
    await drained(sessions)
    assert await claims(sessions) == []


async def test_what_was_not_charged_is_claimed_once_its_session_is_over(
    sessions: Sessions, redis: Redis
) -> None:
    payable = a_session()
    over = a_session(time.time_ns() // 1_000_000 - AFTER_HOLD_SECONDS * 1_000 - 300_000)
    await sessions.save(payable)
    # It is told at the last moment.
    await redis.zadd("0123abcd:unpaid", {over.order_id.hex_digits: over.expires_ms})
    for session in (payable, over):
        sessions.finish(session, b"")
    await drained(sessions)
    assert [claim.order_id for claim in await claims(sessions)] == [over.order_id]
    due_ms = await redis.zscore("0123abcd:asked", payable.order_id.hex_digits)
    assert due_ms == payable.expires_ms + AFTER_HOLD_SECONDS * 1_000


async def test_what_is_charged_after_all_is_not_claimed(sessions: Sessions, redis: Redis) -> None:
    session = await ended(sessions)
    await claims(sessions, lease_seconds=0)
    sessions.finish(session, b"{}")
    await drained(sessions)
    # As it may come last of two that were told at the same time.
    sessions.finish(session, b"")
    await drained(sessions)
    assert await claims(sessions) == []
    assert await redis.keys("0123abcd:asked*") == []


async def test_a_claim_whose_worker_died_comes_back_and_is_no_attempt(sessions: Sessions) -> None:
    session = await ended(sessions)
    for _ in range(3):
        assert await claims(sessions, lease_seconds=0) == [Claim(session.order_id, 0)]


async def test_what_was_asked_is_asked_no_more_also_when_its_checkout_is_replayed(
    sessions: Sessions, redis: Redis
) -> None:
    session = await ended(sessions)
    [claim] = await claims(sessions, lease_seconds=0)
    await sessions.drop_claim(claim)
    await sessions.save(session)
    assert await claims(sessions) == []
    assert await redis.keys("0123abcd:asked*") == []


async def test_what_is_postponed_comes_back_after_its_pause(sessions: Sessions) -> None:
    session = await ended(sessions)
    [claim] = await claims(sessions)
    await sessions.postpone_claim(claim, 60)
    assert await claims(sessions) == []
    await sessions.postpone_claim(claim._replace(attempts=2), 0)
    assert await claims(sessions, lease_seconds=0) == [Claim(session.order_id, 2)]
    await sessions.postpone_claim(claim, 0)
    assert await claims(sessions) == [Claim(session.order_id, 0)]


async def test_a_round_claims_no_more_than_it_may_those_first_that_were_claimed_before(
    sessions: Sessions,
) -> None:
    first = await ended(sessions)
    await claims(sessions, lease_seconds=0)
    others = [await ended(sessions) for _ in range(3)]
    claimed = await claims(sessions, limit=2)
    assert claimed[0] == Claim(first.order_id, 0)
    rest = await claims(sessions)
    assert {claim.order_id for claim in claimed[1:] + rest} == {s.order_id for s in others}


async def test_a_session_is_open_for_as_long_as_it_is_kept(sessions: Sessions) -> None:
    session = await ended(sessions)
    seconds = await sessions.seconds_left(session.order_id)
    assert AFTER_HOLD_SECONDS - TEN_MINUTES_MS // 1_000 - 60 < seconds <= AFTER_HOLD_SECONDS
    assert await sessions.seconds_left(OrderId.new()) == 0


async def test_after_a_wipe_there_is_nothing_to_postpone(sessions: Sessions, redis: Redis) -> None:
    await ended(sessions)
    [claim] = await claims(sessions)
    await redis.flushall()
    await sessions.postpone_claim(claim._replace(attempts=1), 0)
    assert await redis.keys("0123abcd:*") == []
