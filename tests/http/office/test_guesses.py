"""How many guesses are compared, and whose turn it is."""

import asyncio
from collections import Counter

import pytest

from tests.clock import Clock
from tigerfans.http.office import guesses as guesses_module
from tigerfans.http.office.guesses import (
    GUESS_RATE,
    GUESSES_BURST,
    GUESSES_PER_SECOND,
    Guesses,
    GuessRefusedError,
)
from tigerfans.stores.token_bucket import Rate, Token, TokenBucket

ATTACKER = "203.0.113.7"
OPERATOR = "198.51.100.1"
CONNECTIONS = 4_096


class Account:
    """Counts what is compared; time passes only while somebody waits for a token."""

    def __init__(self, rate: Rate = GUESS_RATE) -> None:
        self.clock = Clock()
        self.started = self.clock.seconds
        self.tokens = TokenBucket(rate, self.clock)
        self.compared: list[str] = []

    @property
    def seconds(self) -> float:
        """How much time has passed."""
        return self.clock.seconds - self.started

    def worker(self, wait_seconds_max: float = 600.0) -> Guesses:
        return Guesses(self.tokens, wait_seconds_max=wait_seconds_max, sleep=self._sleep)

    async def guess(self, worker: Guesses, client: str, *, is_right: bool = False) -> bool:
        def compare() -> bool:
            self.compared.append(client)
            return is_right

        return await worker.compare(client, compare)

    async def _sleep(self, seconds: float) -> None:
        self.clock.seconds += seconds
        # Whoever can say something does so meanwhile.
        for _ in range(3):
            await asyncio.sleep(0)


async def test_guesses_come_no_faster_than_the_rate_over_however_many_connections() -> None:
    account = Account()
    workers = [account.worker(), account.worker()]
    answers = await asyncio.gather(
        *(account.guess(workers[i % 2], f"203.0.113.{i % 7}") for i in range(CONNECTIONS))
    )
    assert answers == [False] * CONNECTIONS
    assert account.seconds == (CONNECTIONS - GUESSES_BURST) / GUESSES_PER_SECOND


async def test_connections_that_guess_again_and_again_for_a_minute_get_no_more() -> None:
    account = Account()
    worker = account.worker()

    async def guess_for_a_minute(client: str) -> None:
        while account.seconds < 60:
            await account.guess(worker, client)

    attackers = [
        asyncio.create_task(guess_for_a_minute(f"203.0.113.{i}"), name="attacker")
        for i in range(100)
    ]
    await asyncio.wait(attackers, return_when=asyncio.FIRST_COMPLETED)
    compared_in_a_minute = len(account.compared)
    for attacker in attackers:
        attacker.cancel()
    await asyncio.wait(attackers)
    assert compared_in_a_minute <= GUESSES_BURST + 60 * GUESSES_PER_SECOND + 1


async def test_a_right_guess_costs_no_token() -> None:
    account = Account()
    worker = account.worker()
    for _ in range(1_000):
        assert await account.guess(worker, OPERATOR, is_right=True)
    assert account.seconds == 0


async def test_a_right_guess_gets_in_while_thousands_of_connections_guess() -> None:
    account = Account()
    worker = account.worker()
    attack = [
        asyncio.create_task(account.guess(worker, ATTACKER), name="attack")
        for _ in range(CONNECTIONS)
    ]
    while len(account.compared) < GUESSES_BURST:  # noqa: ASYNC110
        await asyncio.sleep(0)
    before = account.seconds
    assert await account.guess(worker, OPERATOR, is_right=True)
    # The next token but one, at the latest: the next may be another ones already.
    assert account.seconds - before <= 2 / GUESSES_PER_SECOND
    for each in attack:
        each.cancel()
    await asyncio.wait(attack)


async def test_a_right_guess_gets_in_however_many_clients_attack_and_after_some_mistakes() -> None:
    account = Account()
    worker = account.worker()
    clients = [f"203.0.113.{i}" for i in range(50)]

    async def attack(client: str) -> None:
        while True:
            await account.guess(worker, client)

    attackers = [asyncio.create_task(attack(client), name="attacker") for client in clients]
    for _ in range(2):
        assert not await account.guess(worker, OPERATOR)
    assert await account.guess(worker, OPERATOR, is_right=True)
    # No attacker had more turns than the operator, and one.
    turns = Counter(account.compared)
    assert max(turns[client] for client in clients) <= turns[OPERATOR] + 1
    for attacker in attackers:
        attacker.cancel()
    await asyncio.wait(attackers)


async def test_clients_that_were_wrong_as_often_take_turns() -> None:
    account = Account(Rate(1.0, 1))
    worker = account.worker()
    asked = ["a", "a", "a", "b", "b", "c"]
    await asyncio.gather(*(account.guess(worker, client) for client in asked))
    assert account.compared == ["a", "b", "c", "a", "b", "a"]


async def test_what_waits_too_long_is_refused_unread_and_forgotten() -> None:
    account = Account(Rate(1e-9, 1))
    forever = asyncio.Event()

    async def sleep(_: float) -> None:
        await forever.wait()

    worker = Guesses(account.tokens, wait_seconds_max=0.01, sleep=sleep)
    assert not await account.guess(worker, ATTACKER)
    refused = await asyncio.gather(
        *(account.guess(worker, ATTACKER) for _ in range(100)), return_exceptions=True
    )
    assert {type(each) for each in refused} == {GuessRefusedError}
    assert account.compared == [ATTACKER]
    assert repr(worker) == "<Guesses: 0 in line>"
    await worker.close()


async def test_who_waits_when_it_closes_is_refused_unread() -> None:
    account = Account(Rate(1e-9, 1))
    worker = Guesses(account.tokens)
    assert not await account.guess(worker, ATTACKER)
    waiting = asyncio.create_task(account.guess(worker, OPERATOR, is_right=True), name="waiting")
    await asyncio.sleep(0)
    await worker.close()
    with pytest.raises(GuessRefusedError):
        await waiting
    assert account.compared == [ATTACKER]


async def test_a_token_that_nobody_waits_for_any_more_is_given_back() -> None:
    account = Account(Rate(1.0, 1))
    slept: asyncio.Queue[float] = asyncio.Queue()
    wake = asyncio.Event()

    async def sleep(seconds: float) -> None:
        slept.put_nowait(seconds)
        await wake.wait()
        account.clock.seconds += seconds

    worker = Guesses(account.tokens, sleep=sleep)
    await account.guess(worker, ATTACKER)
    gone = asyncio.create_task(account.guess(worker, ATTACKER), name="gone")
    await slept.get()
    gone.cancel()
    await asyncio.wait([gone])
    wake.set()
    assert await account.guess(worker, OPERATOR, is_right=True)
    assert (await account.tokens.take()).wait_seconds == 0


async def test_past_the_bound_a_guess_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guesses_module, "WAITING_MAX", 2)
    account = Account()
    worker = account.worker()
    outcomes = await asyncio.gather(
        *(account.guess(worker, ATTACKER) for _ in range(3)), return_exceptions=True
    )
    assert outcomes[:2] == [False, False]
    assert isinstance(outcomes[2], GuessRefusedError)


async def test_a_bug_in_the_bucket_is_told_to_all_who_wait_and_the_next_has_another_chance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account = Account()
    worker = account.worker()

    async def broken() -> Token:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(account.tokens, "take", broken)
        outcomes = await asyncio.gather(
            *(account.guess(worker, OPERATOR, is_right=True) for _ in range(3)),
            return_exceptions=True,
        )
    assert [type(outcome) for outcome in outcomes] == [ZeroDivisionError] * 3
    assert await account.guess(worker, OPERATOR, is_right=True)


async def test_the_wrong_guesses_of_so_many_clients_are_remembered_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guesses_module, "CLIENTS_MAX", 2)
    account = Account()
    worker = account.worker()
    for client in ("a", "b", "c"):
        await account.guess(worker, client)
    assert list(worker._line._wrong) == ["b", "c"]
