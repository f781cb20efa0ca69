"""Guesses of the box office's passwords: compared one after the other, as fast as tokens come.

To know whether a guess is right it has to be compared, and who is right is let in at once. So it is
comparisons that are rare, for all who guess together, over however many connections and workers.
What comes faster waits in line, and is refused unread when its time is up. A right guess gives its
token back: who knows the password waits only while others guess.

Then clients take turns, those with the fewest wrong guesses first: an operator at an address that
nobody attacks from is next in line, however many guess elsewhere. And a browser that has logged in
before does not come here at all (`passes`).

Whoever guesses and does not wait for the answer is in line all the same, so places in it are shared
out, too: a client has few, and a full line makes room for one who has fewer than another.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from tigerfans.errors import UnavailableError
from tigerfans.stores.token_bucket import Rate, Tokens

# For all accounts together. That is 172,800 a day.
GUESSES_PER_SECOND: Final = 2.0
GUESSES_BURST: Final = 10
GUESS_RATE: Final = Rate(GUESSES_PER_SECOND, GUESSES_BURST)
# What has waited so long is refused, and may be sent again.
WAIT_SECONDS_MAX: Final = 10.0
# As many as a worker has connections, by default.
WAITING_MAX: Final = 4_096
# Of one client: at the rate above, whoever is in line alone is compared before its time is up.
WAITING_PER_CLIENT_MAX: Final = 16
# Whose wrong guesses are remembered.
CLIENTS_MAX: Final = 4_096

Answer = TypeVar("Answer")
Sleep = Callable[[float], Awaitable[None]]


class GuessRefusedError(Exception):
    """Too many guess at this time; this one was not looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Guess:
    """A guess in line; what `compare` answers is true where it is right."""

    client: str
    compare: Callable[[], Awaitable[Any]]
    answer: asyncio.Future[Any]


class Line:
    """Who waits, by client, and how often each client was wrong. No I/O."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Guess]] = {}
        self._count = 0
        # Clients by their places in line, so that nobody searches thousands for whoever has most.
        # Ordered for its quick first: a dict passes over all that were taken from its front.
        self._with_places: list[OrderedDict[str, None]] = [
            OrderedDict() for _ in range(WAITING_PER_CLIENT_MAX + 1)
        ]
        # The one that was wrong last comes last.
        self._wrong: dict[str, int] = {}

    def __len__(self) -> int:
        """How many wait."""
        return self._count

    def join(self, guess: Guess) -> Guess | None:
        """Takes a guess in. Returns the one that is refused for it, which may be the guess itself.

        In a full line that is the newest of whoever has most in it, longest of those with as many.
        """
        places = len(self._waiting.get(guess.client, ()))
        if places == WAITING_PER_CLIENT_MAX:
            return guess
        refused = None
        if self._count >= WAITING_MAX:
            refused = self._newest_of_most(places)
            if refused is None:
                return guess
            self.leave(refused)
        self._waiting.setdefault(guess.client, deque()).append(guess)
        self._count_place(guess.client, 1)
        return refused

    def leave(self, guess: Guess) -> None:
        """Forgets a guess, wherever in line it was; one that was not in it is none to forget."""
        guesses = self._waiting.get(guess.client)
        if guesses is None or guess not in guesses:
            return
        guesses.remove(guess)
        self._count_place(guess.client, -1)
        if not guesses:
            del self._waiting[guess.client]

    def next(self) -> Guess | None:
        """Whose turn it is; None where nobody waits."""
        while self._waiting:
            client = min(self._waiting, key=lambda client: self._wrong.get(client, 0))
            # Behind those that were wrong as often.
            guesses = self._waiting[client] = self._waiting.pop(client)
            guess = guesses[0]
            self.leave(guess)
            if not guess.answer.done():
                return guess
        return None

    def _newest_of_most(self, places: int) -> Guess | None:
        """Of a client with more than so many places; None where nobody has them."""
        for clients in self._with_places[:places:-1]:
            if clients:
                return self._waiting[next(iter(clients))][-1]
        return None

    def _count_place(self, client: str, change: int) -> None:
        """One place more or one less, which the client's guesses show already."""
        places = len(self._waiting[client])
        self._with_places[places - change].pop(client, None)
        if places:
            self._with_places[places][client] = None
        self._count += change

    def note(self, guess: Guess, *, is_right: bool) -> None:
        wrong = self._wrong.pop(guess.client, 0)
        if is_right:
            return
        self._wrong[guess.client] = wrong + 1
        if len(self._wrong) > CLIENTS_MAX:
            del self._wrong[next(iter(self._wrong))]


class Guesses:
    """All guesses that reach this worker."""

    def __init__(
        self,
        tokens: Tokens,
        *,
        wait_seconds_max: float = WAIT_SECONDS_MAX,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._tokens = tokens
        self._wait_seconds_max = wait_seconds_max
        self._sleep = sleep
        self._line = Line()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Guesses: {len(self._line)} in line>"

    async def close(self) -> None:
        """Compares no more; whoever waits is told that it was not looked at."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def compare(self, client: str, compare: Callable[[], Awaitable[Answer]]) -> Answer:
        """What comparing a client's guess answers, once it was its turn: true where it is right.

        Raises `GuessRefusedError`, and `UnavailableError` where that is what `compare` raises.
        """
        guess = Guess(client, compare, asyncio.get_running_loop().create_future())
        refused = self._line.join(guess)
        if refused is guess:
            raise GuessRefusedError
        if refused is not None and not refused.answer.done():
            refused.answer.set_exception(GuessRefusedError())
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="guesses")
        try:
            async with asyncio.timeout(self._wait_seconds_max):
                answer: Answer = await guess.answer
                return answer
        except TimeoutError as error:
            raise GuessRefusedError from error
        finally:
            guess.answer.cancel()
            self._line.leave(guess)

    async def _run(self) -> None:
        try:
            while self._line:
                await self._compare_one()
        except Exception as error:
            # A bug: whoever waits hears of it.
            while guess := self._line.next():
                guess.answer.set_exception(error)
        finally:
            self._task = None
            while guess := self._line.next():
                guess.answer.set_exception(GuessRefusedError())

    async def _compare_one(self) -> None:
        token = await self._tokens.take()
        if token.wait_seconds > 0:
            await self._sleep(token.wait_seconds)
        # Only now: who came meanwhile may have been wrong less often.
        guess = self._line.next()
        if guess is None:
            await self._tokens.give_back(token)
            return
        try:
            answer = await guess.compare()
        except asyncio.CancelledError:
            _tell(guess, GuessRefusedError())
            raise
        except Exception as error:
            _tell(guess, error)
            if not isinstance(error, UnavailableError):
                raise
            # What could not be compared has cost its token: it may have been a guess.
            return
        self._line.note(guess, is_right=bool(answer))
        if not guess.answer.done():
            guess.answer.set_result(answer)
        if answer:
            await self._tokens.give_back(token)


def _tell(guess: Guess, error: Exception) -> None:
    """Why a guess was not compared, where its client still waits to hear it."""
    if not guess.answer.done():
        guess.answer.set_exception(error)
