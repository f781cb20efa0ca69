"""A pass for a browser that has logged in before: it need not wait in line with those who guess.

A pass alone opens nothing: the password is asked for as ever. It is a signed cookie, good for some
weeks, and no longer good once the password is another one: its key is made of what was typed.
"""

import hmac
import time
from collections.abc import Callable
from typing import Any, Final

from litestar.types import Message, Scope

COOKIE: Final = "tigerfans-operator"
PASS_SECONDS: Final = 30 * 24 * 3600
# One that is older is replaced, so that who comes back in time never waits.
RENEW_SECONDS: Final = 24 * 3600

# Where a request that is let in keeps the pass for its answer.
_ISSUED: Final = "tigerfans.operator_pass"


class Passes:
    """Issues passes and reads them; a pass's key is the shop's secret and a login's `proof`."""

    def __init__(self, secret: str, clock: Callable[[], float] = time.time) -> None:
        self._secret = secret.encode()
        self._clock = clock

    def issue(self, proof: bytes) -> str:
        return self._sign(str(int(self._clock()) + PASS_SECONDS), proof)

    def seconds_left(self, given: str, proof: bytes) -> float:
        """For how long a pass is still good; 0 where it is not, or not that login's."""
        ends_at, _, _ = given.partition(".")
        if not hmac.compare_digest(given.encode(), self._sign(ends_at, proof).encode()):
            return 0
        return max(0, int(ends_at) - self._clock())

    def _sign(self, ends_at: str, proof: bytes) -> str:
        key = hmac.digest(self._secret, proof, "sha256")
        return f"{ends_at}.{hmac.digest(key, ends_at.encode(), 'sha256').hex()}"


def hand_out(scope: Any, issued: str) -> None:
    """Has the answer to this request bring the pass."""
    scope[_ISSUED] = issued


async def add_pass(message: Message, scope: Scope) -> None:
    """Puts a pass that was handed out into the answer, as the application's `before_send`."""
    if message["type"] != "http.response.start":
        return
    issued = scope.get(_ISSUED)
    if issued is None:
        return
    # Not Secure: behind a proxy it is not known here whether the browser speaks HTTPS, and the
    # password that it comes with is worth more.
    cookie = f"{COOKIE}={issued}; Path=/; Max-Age={PASS_SECONDS}; HttpOnly; SameSite=Strict"
    message["headers"] = [*message["headers"], (b"set-cookie", cookie.encode())]
