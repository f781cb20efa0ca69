"""How many guesses are compared, and whose turn it is."""

import asyncio
from collections import Counter

import pytest

from tests.clock import Clock
from tigerfans.errors import UnavailableError
from tigerfans.http.office import guesses as guesses_module
from tigerfans.http.office.guesses import (
    GUESS_RATE,
    GUESSES_BURST,
    GUESSES_PER_SECOND,
    WAITING_MAX,
    WAITING_PER_CLIENT_MAX,
    Guess,
    Guesses,
    GuessRefusedError,
    Line,
)
from tigerfans.stores.token_bucket import Rate, Token, TokenBucket

ATTACKER = "203.0.113.7"
OPERATOR = "198.51.100.1"
CONNECTIONS = 4_096
ADDRESSES = [f"203.0.113.{i}" for i in range(256)]


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
        async def compare() -> bool:
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
        *(account.guess(workers[i % 2], ADDRESSES[i % 256]) for i in range(CONNECTIONS))
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


async def test_a_right_guess_gets_in_while_a_client_guesses_and_waits_for_no_answer() -> None:
    account = Account()
    worker = account.worker()
    # Nobody takes them out of the line before their time is up.
    attack = [
        asyncio.create_task(account.guess(worker, ATTACKER), name="attack")
        for _ in range(WAITING_MAX + GUESSES_BURST)
    ]
    await asyncio.sleep(0)
    assert await account.guess(worker, OPERATOR, is_right=True)
    # Next in line, behind the one whose turn it was.
    assert account.compared.index(OPERATOR) <= 1
    for each in attack:
        each.cancel()
    await asyncio.gather(*attack, return_exceptions=True)


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


async def test_an_operator_gets_into_a_line_that_is_full() -> None:
    account = Account(Rate(1.0, 1))
    worker = account.worker()
    left = [
        asyncio.create_task(account.guess(worker, ADDRESSES[i % 256]), name="left")
        for i in range(WAITING_MAX)
    ]
    await asyncio.sleep(0)
    assert repr(worker) == f"<Guesses: {WAITING_MAX} in line>"
    assert await account.guess(worker, OPERATOR, is_right=True)
    for each in left:
        each.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    assert repr(worker) == "<Guesses: 0 in line>"


async def test_past_its_places_a_client_is_refused_at_once_and_no_other_is() -> None:
    account = Account()
    worker = account.worker()
    clients = [ATTACKER] * (WAITING_PER_CLIENT_MAX + 1) + [OPERATOR]
    outcomes = await asyncio.gather(
        *(account.guess(worker, client) for client in clients), return_exceptions=True
    )
    assert outcomes[:WAITING_PER_CLIENT_MAX] == [False] * WAITING_PER_CLIENT_MAX
    assert isinstance(outcomes[WAITING_PER_CLIENT_MAX], GuessRefusedError)
    assert outcomes[-1] is False


def a_guess(client: str) -> Guess:
    async def compare() -> bool:
        return False

    return Guess(client, compare, asyncio.get_running_loop().create_future())


async def test_a_full_line_makes_room_for_whoever_has_fewer_in_it_than_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guesses_module, "WAITING_MAX", 4)
    line = Line()
    first, second, third = [a_guess("a") for _ in range(3)]
    other = a_guess("b")
    assert [line.join(each) for each in (first, second, third, other)] == [None] * 4
    # The newest of whoever has most; and who has most is refused.
    assert line.join(new := a_guess("c")) is third
    assert line.join(again := a_guess("a")) is again
    assert line.join(a_guess("d")) is second
    assert len(line) == 4
    assert [line.next() for _ in range(3)] == [first, other, new]


async def test_in_a_full_line_of_clients_with_one_each_the_one_longest_in_it_makes_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guesses_module, "WAITING_MAX", 2)
    line = Line()
    first, second, third = (a_guess(client) for client in "abc")
    assert [line.join(each) for each in (first, second, third)] == [None, None, first]
    assert line.join(more := a_guess("c")) is more
    assert [line.next(), line.next(), line.next()] == [second, third, None]


async def test_a_guess_whose_client_leaves_gives_its_place_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guesses_module, "WAITING_MAX", 2)
    line = Line()
    first, second, third = (a_guess("a") for _ in range(3))
    assert [line.join(each) for each in (first, second, third)] == [None, None, third]
    line.leave(second)
    line.leave(second)
    assert len(line) == 1
    assert line.join(third) is None
    assert [line.next(), line.next(), line.next()] == [first, third, None]


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


async def test_what_cannot_be_compared_is_told_so_costs_a_token_and_keeps_nobody_else_waiting() -> (
    None
):
    account = Account(Rate(1.0, 1))
    worker = account.worker()

    async def away() -> bool:
        raise UnavailableError

    with pytest.raises(UnavailableError):
        await worker.compare(ATTACKER, away)
    assert await account.guess(worker, OPERATOR, is_right=True)
    assert account.seconds == 1


async def test_a_guess_that_is_being_compared_when_it_closes_is_refused() -> None:
    account = Account()
    worker = account.worker()
    comparing, forever = asyncio.Event(), asyncio.Event()

    async def compare() -> bool:
        comparing.set()
        return await forever.wait()

    waiting = asyncio.create_task(worker.compare(OPERATOR, compare), name="waiting")
    await comparing.wait()
    await worker.close()
    with pytest.raises(GuessRefusedError):
        await waiting


async def test_the_wrong_guesses_of_so_many_clients_are_remembered_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guesses_module, "CLIENTS_MAX", 2)
    account = Account()
    worker = account.worker()
    for client in ("a", "b", "c"):
        await account.guess(worker, client)
    assert list(worker._line._wrong) == ["b", "c"]
