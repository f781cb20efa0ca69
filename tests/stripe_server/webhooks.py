"""Webhooks: signed events, sent to every endpoint until it confirms them with a 2xx.

From Stripe's documentation: an event may come more than once, and in any order; what is not
confirmed is sent again after growing pauses, for three days, with a new timestamp each time. The
header is `t=…,v1=…`, with a `v1` for each secret while one is rolled, and in test mode a `v0`,
which is not to be trusted. How long the pauses are is not documented: here they grow from a minute
to twelve hours, all of it times `pause_scale`.
"""

import asyncio
import heapq
import hmac
import logging
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Final, Literal

import httpx
import orjson

from tests.stripe_server.account import EVENT
from tests.stripe_server.objects import new_id, shown
from tests.stripe_server.store import Store, Thing

DELIVERY: Final = "delivery"
ENDPOINT: Final = "webhook_endpoint"
SIGNATURE_HEADER: Final = "stripe-signature"

PAUSE_SECONDS_MIN: Final = 60.0
PAUSE_SECONDS_MAX: Final = 12 * 60 * 60.0
PAUSE_GROWTH: Final = 4.0
GIVE_UP_AFTER_SECONDS: Final = 3 * 24 * 60 * 60.0
ANSWER_SECONDS_MAX: Final = 20.0
# Of many connections, the client looks through all at each request.
DELIVERIES_AT_ONCE_MAX: Final = 8

# on: sent; held: kept until they are sent again; lost: never sent, and nobody knows.
Mode = Literal["on", "held", "lost"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Endpoint:
    """Where events go, of one mode, of the types that it wants; signed with each of its secrets."""

    url: str
    secrets: Sequence[str]
    events: Sequence[str] = ("*",)
    livemode: bool = False

    def wants(self, event: Thing) -> bool:
        return event["livemode"] == self.livemode and (
            "*" in self.events or event["type"] in self.events
        )


@dataclass
class Manners:
    """How events are sent until the tests ask for something else."""

    mode: Mode = "on"
    # How often each is sent at least.
    copies: int = 1
    delay_seconds: float = 0.0
    # Each waits up to so long besides, so that one overtakes the other.
    shuffle_seconds: float = 0.0
    # Of the pauses between attempts, and of the three days.
    pause_scale: float = 1.0


class Webhooks:
    """Sends what it is given; what is undelivered stands in the store, over a kill too."""

    def __init__(self, store: Store, client: httpx.AsyncClient, manners: Manners) -> None:
        self.manners = manners
        self._store = store
        self.endpoints = [Endpoint(**each) for each in store.all(ENDPOINT)]
        self._client = client
        self._random = random.Random(0)
        self._wakes = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()
        # By when they are due.
        self._waiting: list[tuple[float, str]] = [
            (each["due_at"], each["id"]) for each in store.all(DELIVERY)
        ]
        heapq.heapify(self._waiting)

    def send_to(self, endpoints: Sequence[Endpoint]) -> None:
        """From now on, and after a kill too; to be committed by whoever asks."""
        for endpoint in self.endpoints:
            self._store.remove(ENDPOINT, endpoint.url)
        self.endpoints = list(endpoints)
        for endpoint in endpoints:
            self._store.put(ENDPOINT, endpoint.url, asdict(endpoint))

    def receivers(self, event: Thing) -> int:
        return sum(endpoint.wants(event) for endpoint in self.endpoints)

    def announce(self, event: Thing) -> None:
        """To be committed by whoever made the event."""
        if self.manners.mode == "lost":
            return
        for endpoint in self.endpoints:
            if endpoint.wants(event):
                for _ in range(self.manners.copies):
                    self._add(event, endpoint)
        self._wakes.set()

    def _add(self, event: Thing, endpoint: Endpoint) -> None:
        identifier = new_id("whd_")
        wait = self.manners.delay_seconds + self._random.uniform(0, self.manners.shuffle_seconds)
        now = time.time()
        delivery = {"id": identifier, "event": event["id"], "url": endpoint.url, "began_at": now}
        self._store.put(DELIVERY, identifier, delivery | {"attempts": 0, "due_at": now + wait})
        heapq.heappush(self._waiting, (now + wait, identifier))

    def behave(self, manners: Manners) -> None:
        self.manners = manners
        self._wakes.set()

    def hurry(self) -> None:
        """What waits for its next attempt is sent now."""
        now = time.time()
        self._waiting = sorted((now, identifier) for _, identifier in self._waiting)
        self._wakes.set()

    @property
    def undelivered(self) -> list[Thing]:
        return list(self._store.all(DELIVERY))

    async def run(self) -> None:
        """Sends what is due, until it is cancelled."""
        try:
            while True:
                self._wakes.clear()
                wait = self._begin_due()
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._wakes.wait()
        finally:
            tasks = [*self._sending]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _begin_due(self) -> float | None:
        """Begins what is due; after how long the next is, or None where something else wakes."""
        if self.manners.mode == "held":
            return None
        while self._waiting and len(self._sending) < DELIVERIES_AT_ONCE_MAX:
            due_at, identifier = self._waiting[0]
            wait = due_at - time.time()
            if wait > 0:
                return wait
            heapq.heappop(self._waiting)
            delivery = self._store.get(DELIVERY, identifier)
            task = asyncio.create_task(self._deliver(delivery), name=identifier)
            self._sending.add(task)
            task.add_done_callback(self._sent)
        return None

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._wakes.set()

    async def _deliver(self, delivery: Thing) -> None:
        event = self._store.get(EVENT, delivery["event"])
        endpoint = next((e for e in self.endpoints if e.url == delivery["url"]), None)
        status = None if endpoint is None else await self.send(event, endpoint)
        self._note(delivery, endpoint, status)

    def _note(self, delivery: Thing, endpoint: Endpoint | None, status: int | None) -> None:
        scale = self.manners.pause_scale
        attempts = delivery["attempts"] + 1
        is_too_old = time.time() - delivery["began_at"] > GIVE_UP_AFTER_SECONDS * scale
        if is_success(status) or endpoint is None or is_too_old:
            self._store.remove(DELIVERY, delivery["id"])
        else:
            due_at = time.time() + pause_seconds(attempts) * scale
            delivery |= {"attempts": attempts, "due_at": due_at}
            self._store.put(DELIVERY, delivery["id"], delivery)
            heapq.heappush(self._waiting, (delivery["due_at"], delivery["id"]))
        self._store.commit()

    async def send(
        self, event: Thing, endpoint: Endpoint, *, age_seconds: int = 0, secret: str | None = None
    ) -> int | None:
        """Sends an event once, as if `age_seconds` ago, signed by `secret` where one is given.
        The status it was answered with, or None without an answer.
        """
        body = orjson.dumps(shown(event))
        secrets = endpoint.secrets if secret is None else (secret,)
        headers = {
            "content-type": "application/json; charset=utf-8",
            "user-agent": "Stripe/1.0 (of tests, without the network)",
            SIGNATURE_HEADER: signature(
                secrets, body, int(time.time()) - age_seconds, with_v0=not event["livemode"]
            ),
        }
        try:
            response = await self._client.post(endpoint.url, content=body, headers=headers)
        except httpx.HTTPError as error:
            logger.debug("no answer from %s: %r", endpoint.url, error)
            return None
        return response.status_code


def pause_seconds(attempts: int) -> float:
    """How long it is waited after so many attempts, at a scale of 1."""
    # After many, the power would be past every float.
    growth = PAUSE_GROWTH ** min(attempts - 1, 20)
    return min(PAUSE_SECONDS_MIN * growth, PAUSE_SECONDS_MAX)


def is_success(status: int | None) -> bool:
    return status is not None and 200 <= status < 300


def signature(secrets: Sequence[str], body: bytes, timestamp: int, *, with_v0: bool = False) -> str:
    """The header: HMAC-SHA256 over the timestamp, a dot and the body, by each secret."""
    signed = b"%d.%s" % (timestamp, body)
    parts = [f"t={timestamp}"]
    parts += [f"v1={hmac.digest(secret.encode(), signed, 'sha256').hex()}" for secret in secrets]
    if with_v0:
        parts.append(f"v0={hmac.digest(b'not to be trusted', signed, 'sha256').hex()}")
    return ",".join(parts)
