"""What a shop that sells by Stripe is told: its key, the secrets of its webhooks, and how fast.

A key and a secret are known by their form, and never printed. A key says its mode: with a test key
no money moves, and with a live one it does.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

# Below what Stripe takes of one shop of a kind, 25 in its documentation: others ask it too.
SESSIONS_PER_SECOND: Final = 20
SESSIONS_PER_SECOND_MAX: Final = 1000

_KEY: Final = re.compile(r"(?:sk|rk)_(test|live)_[A-Za-z0-9_]+")
_SECRET: Final = re.compile(r"whsec_[A-Za-z0-9+/=_-]+")


@dataclass(frozen=True, slots=True)
class StripeSettings:
    """`api_base` is that of a test server; None for Stripe itself."""

    secret_key: str = field(default="", repr=False)
    sessions_per_second: int = SESSIONS_PER_SECOND
    api_base: str | None = None

    @property
    def is_live(self) -> bool:
        """Whether the key is of live mode; what is told of the other mode is not for this shop."""
        key = _KEY.fullmatch(self.secret_key)
        return key is not None and key[1] == "live"

    @property
    def takes_money(self) -> bool:
        return self.is_live and self.api_base is None

    @property
    def description(self) -> str:
        """Who takes the money, and whether it is any."""
        if self.api_base is not None:
            return f"a test server at {self.api_base} in Stripe's place: no money moves"
        mode = "live: buyers pay real money" if self.is_live else "by a test key: no money moves"
        return f"Stripe, {mode}"

    def problems(self, secrets: tuple[str, ...], *, in_production: bool) -> Iterator[str]:
        """Why nothing can be sold with these, each as a sentence."""
        if not self.secret_key:
            yield "STRIPE_SECRET_KEY must be set with TIGERFANS_PAYMENT_PROVIDER=stripe."
        elif not _KEY.fullmatch(self.secret_key):
            yield (
                "STRIPE_SECRET_KEY must be a secret key, sk_live_… or sk_test_…, or a restricted"
                " one, rk_live_… or rk_test_…."
            )
        if not secrets:
            yield "STRIPE_WEBHOOK_SECRETS must be set with TIGERFANS_PAYMENT_PROVIDER=stripe."
        elif not all(map(_SECRET.fullmatch, secrets)):
            yield "STRIPE_WEBHOOK_SECRETS must be one signing secret, whsec_…, or two."
        if in_production and self.api_base:
            yield "STRIPE_API_BASE names a test server, which TIGERFANS_ENV=production refuses."
