"""A shop that sells by Stripe, the provider to test against beside it, and what both are told.

No hold ends while one waits for it; `end_hold` ends one, as far as Redis knows.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from redis import Redis

from tests.browser.box_office import BoxOffice, Held
from tests.harness.ports import free_port
from tests.stack.running_shop import free_addresses, until
from tests.stripe_server.__main__ import SECRET
from tests.stripe_server.process import StripeProcess, running
from tests.stripe_server.server import TEST_KEY
from tests.stripe_server.verbs import CONTROL

WEBHOOK: Final = "/payments/webhook"
HOLD_SECONDS: Final = 3600
# In time for a request of ours.
SOON_SECONDS: Final = 2
# Of a session in Redis (`stores.sessions`).
HOLD_END_FIELD: Final = 6
# Longer than a test or a picture takes.
FAR_BACK_SECONDS: Final = 240


class StripeOffice(BoxOffice):
    """What buyers do at the provider's page, the tests of the browser do; this does the rest."""

    def __init__(self, root: Path, settings: dict[str, str], provider_url: str) -> None:
        super().__init__(root, settings)
        self.provider_url = provider_url
        limits = httpx.Limits(max_keepalive_connections=0)
        self.provider = httpx.Client(base_url=provider_url, trust_env=False, limits=limits)

    def tell(self, verb: str, **arguments: object) -> Any:
        """As `tests.stripe_server.control`."""
        answer = self.provider.post(CONTROL + verb, json=arguments)
        assert answer.is_success, answer.text
        return answer.json()

    def led_to(self, held: Held) -> str:
        """Where the buyer of an order pays; the session is opened where there is none."""
        led = self.client.get(held.payment_path)
        assert led.status_code == 303, led.text
        return str(led.headers["location"])

    def attempt(self, held: Held, how: str = "card") -> str:
        """Lets the buyer pay, and come back; the id of the session."""
        session_id = self.led_to(held).rpartition("/")[2]
        self.tell("attempt", session_id=session_id, how=how)
        assert self.client.get(f"{held.payment_path}/return").status_code == 303
        return session_id

    def payment_of(self, held: Held) -> dict[str, Any]:
        """What the provider's books have of an order."""
        [payment] = [
            each for each in self.tell("payments") if each["client_reference_id"] == held.order_id
        ]
        return dict(payment)

    def put_far_back(self, held: Held, seconds: float = FAR_BACK_SECONDS) -> None:
        """It is so long until the turn of an order, as if many had come before it."""
        due = int((time.time() + seconds) * 1_000_000)
        with self._redis() as client:
            prefix = self._entry(client, held).partition(":")[0]
            client.set(f"{prefix}:stripe:line:{held.order_id}", due)

    @contextmanager
    def line_of(self, seconds: float) -> Iterator[None]:
        """Whoever checks out meanwhile would wait for so long; in the end for nothing."""
        held = self.hold()
        with self._redis() as client:
            key = f"{self._entry(client, held).partition(':')[0]}:stripe:line"
            client.set(key, int((time.time() + seconds) * 1_000_000))
            try:
                yield
            finally:
                client.delete(key)

    def end_hold(self, held: Held, in_seconds: float = 0) -> None:
        """The hold of an order ends then, to Redis: a clerk asks the provider about it."""
        with self._redis() as client:
            key = self._entry(client, held)
            fields = json.loads(client.get(key))
            fields[HOLD_END_FIELD] = int((time.time() + in_seconds) * 1_000)
            client.set(key, json.dumps(fields), keepttl=True)
            unpaid = key.partition(":")[0] + ":unpaid"
            client.zadd(unpaid, {held.order_id: fields[HOLD_END_FIELD]})

    def _entry(self, client: Redis, held: Held) -> str:
        """The key of an order's session; every key of the shop has its beginning."""
        [key] = client.keys(f"*:order:{held.order_id}")
        assert isinstance(key, bytes)
        return key.decode()

    def open_late(self) -> tuple[Held, str]:
        """An order whose hold ends while its buyer is at the provider's page; and that page."""
        opened: list[tuple[Held, str]] = []

        def is_opened() -> bool:
            held = self.hold()
            self.end_hold(held, SOON_SECONDS)
            opened.append((held, self.led_to(held)))
            # On a machine without time its hold may have ended by now.
            return opened[-1][1].startswith(self.provider_url)

        until(is_opened)
        return opened[-1]


@contextmanager
def open_stripe_office(root: Path, **settings: object) -> Iterator[StripeOffice]:
    """The provider and the shop, each with a folder of its own below `root`."""
    folders = root / "provider", root / "shop"
    for folder in folders:
        folder.mkdir(parents=True)
    addresses = free_addresses()
    webhook_url = f"http://127.0.0.1:{addresses['TIGERFANS_PORT']}{WEBHOOK}"
    provider = StripeProcess(folders[0], free_port(), ["--webhook-url", webhook_url])
    told = {
        "TIGERFANS_PAYMENT_PROVIDER": "stripe",
        "TIGERFANS_HOLD_SECONDS": str(HOLD_SECONDS),
        "TIGERFANS_WORKERS": "1",
        "STRIPE_API_BASE": provider.url,
        "STRIPE_SECRET_KEY": TEST_KEY,
        "STRIPE_WEBHOOK_SECRETS": SECRET,
        **{f"TIGERFANS_{name}": str(value) for name, value in settings.items()},
    }
    with running(provider):
        office = StripeOffice(folders[1], addresses | told, provider.url)
        with office.client, office.provider:
            office.open()
            try:
                yield office
            finally:
                office.shop.close()
