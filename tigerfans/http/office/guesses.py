"""Guesses of the operator's password: compared one after the other, as fast as tokens come.

To know whether a guess is right it has to be compared, and who is right is let in at once. So it is
comparisons that are rare, for all who guess together, over however many connections and workers.
What comes faster waits in line, and is refused unread when its time is up. A right guess gives its
token back: who knows the password waits only while others guess.

Then clients take turns, those with the fewest wrong guesses first: an operator at an address that
nobody attacks from is next in line, however many guess elsewhere. And a browser that has logged in
before does not come here at all (`passes`).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from tigerfans.stores.token_bucket import Rate, Tokens

# For the account as a whole. That is 172,800 a day.
GUESSES_PER_SECOND: Final = 2.0
GUESSES_BURST: Final = 10
GUESS_RATE: Final = Rate(GUESSES_PER_SECOND, GUESSES_BURST)
# What has waited so long is refused, and may be sent again.
WAIT_SECONDS_MAX: Final = 10.0
# As many as a worker has connections, by default.
WAITING_MAX: Final = 4_096
# Whose wrong guesses are remembered.
CLIENTS_MAX: Final = 4_096

Sleep = Callable[[float], Awaitable[None]]


class GuessRefusedError(Exception):
    """Too many guess at this time; this one was not looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Guess:
    """A guess in line; `is_right` compares it."""

    client: str
    is_right: Callable[[], bool]
    answer: asyncio.Future[bool]


class Line:
    """Who waits, by client, and how often each client was wrong. No I/O."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Guess]] = {}
        self._count = 0
        # The one that was wrong last comes last.
        self._wrong: dict[str, int] = {}

    def __len__(self) -> int:
        """How many wait, of which some may have left."""
        return self._count

    def join(self, guess: Guess) -> None:
        self._waiting.setdefault(guess.client, deque()).append(guess)
        self._count += 1

    def leave(self, client: str) -> None:
        """Forgets those of a client that left; who waits longest comes first, and leaves first."""
        guesses = self._waiting.get(client)
        while guesses and guesses[0].answer.done():
            guesses.popleft()
            self._count -= 1
        if not guesses:
            self._waiting.pop(client, None)

    def next(self) -> Guess | None:
        """Whose turn it is; None where nobody waits."""
        while self._waiting:
            client = min(self._waiting, key=lambda client: self._wrong.get(client, 0))
            # Behind those that were wrong as often.
            guesses = self._waiting[client] = self._waiting.pop(client)
            guess = guesses.popleft()
            self._count -= 1
            self.leave(client)
            if not guess.answer.done():
                return guess
        return None

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

    async def compare(self, client: str, is_right: Callable[[], bool]) -> bool:
        """Whether a client's guess is right, once it was its turn; raises `GuessRefusedError`."""
        if len(self._line) >= WAITING_MAX:
            raise GuessRefusedError
        guess = Guess(client, is_right, asyncio.get_running_loop().create_future())
        self._line.join(guess)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="guesses")
        try:
            async with asyncio.timeout(self._wait_seconds_max):
                return await guess.answer
        except TimeoutError as error:
            raise GuessRefusedError from error
        finally:
            guess.answer.cancel()
            self._line.leave(client)

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
        is_right = guess.is_right()
        self._line.note(guess, is_right=is_right)
        guess.answer.set_result(is_right)
        if is_right:
            await self._tokens.give_back(token)
