"""A shop for these tests, and what others do there while a browser looks: over HTTP."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from uuid import uuid4

import asyncpg
import httpx
import msgspec
from redis import Redis

from tests.stack.running_shop import RunningShop, free_addresses, until
from tigerfans.hosts.report import HostReport
from tigerfans.payments.base import EventType
from tigerfans.payments.mockpay import SESSION_PREFIX, SIGNATURE_HEADER, sign
from tigerfans.settings.folder import DataFolder
from tigerfans.settings.located import (
    database_url,
    postgres_sockets,
    redis_socket,
    redis_url,
)
from tigerfans.settings.settings import DEFAULT_ADMIN_PASSWORD, DEFAULT_WEBHOOK_SECRET
from tigerfans.shop.payment import UNMATCHED

OPERATOR: Final = ("admin", DEFAULT_ADMIN_PASSWORD)
EMAIL: Final = "ada@example.org"

# What the shop's one host is called, on pictures too.
HOST_NAME: Final = "tickets-1"
# Another one that was heard so long from now is there as long as a test, or a picture, takes.
HEARD_MS: Final = 3_600_000

BRIEF_HOLD_SECONDS: Final = 1
BRIEF_TICKETS_A: Final = 2

Outcome = Literal["succeeded", "failed", "canceled"]


@dataclass(frozen=True)
class Held:
    """An order whose ticket is held, or was."""

    order_id: str
    payment_path: str

    @property
    def order_path(self) -> str:
        return f"/demo/success?order_id={self.order_id}"


class BoxOffice:
    """A shop, and what buyers, the payment provider and the operator do there."""

    def __init__(self, root: Path, settings: dict[str, str]) -> None:
        self._root = root
        self._settings = free_addresses() | {"TIGERFANS_HOST_NAME": HOST_NAME} | settings
        self.url = f"http://127.0.0.1:{self._settings['TIGERFANS_PORT']}"
        # It keeps no connection, which the shop's next restart or the next test would find.
        limits = httpx.Limits(max_keepalive_connections=0)
        self.client = httpx.Client(base_url=self.url, auth=OPERATOR, trust_env=False, limits=limits)

    def open(self) -> None:
        """Starts the shop, with the data it had before and at the same address."""
        self.shop = RunningShop(self._root, self._settings)
        try:
            self.shop.wait_until_open()
        except BaseException:
            self.shop.close()
            raise

    def shut(self) -> None:
        try:
            assert self.shop.stop() == 0
        finally:
            self.shop.close()

    def hold(self, cls: str = "A", email: str = EMAIL) -> Held:
        held = self.client.post("/api/checkout", json={"cls": cls, "customer_email": email})
        answer = held.raise_for_status().json()
        return Held(answer["order_id"], answer["redirect_url"])

    def hold_in_a_browser(self) -> tuple[str, str]:
        """Name and value of the cookie of a browser that has a ticket on hold."""
        wanted = {"cls": "A", "customer_email": EMAIL, "remember": True}
        held = self.client.post("/api/checkout", json=wanted).raise_for_status()
        name, _, value = held.headers["set-cookie"].partition(";")[0].partition("=")
        return name, value

    def end(self, held: Held, outcome: Outcome) -> Held:
        """Lets the provider tell what came of a payment."""
        told = self.client.post(f"{held.payment_path}/emit", data={"t": outcome})
        assert told.status_code == 303, told.text
        return held

    def buy(self, cls: str = "A", email: str = EMAIL) -> Held:
        return self.end(self.hold(cls, email), "succeeded")

    def ticket_code(self, held: Held) -> str:
        code: str = self._json(f"/api/orders/{held.order_id}")["ticket_code"]
        return code

    def scan(self, gate: str, text: str, result: str = "admitted", **fields: object) -> str:
        """Scans a ticket at a gate, by another device; the scan's id."""
        scan_id, now_ms = str(uuid4()), time.time_ns() // 1_000_000
        scan = {"scan_id": scan_id, "text": text, "gate": gate, "device": "another"}
        scans = [scan | {"scanned_at": now_ms} | fields]
        [answer] = self.client.post("/api/door/scans", json=scans).raise_for_status().json()
        assert answer["result"] == result, answer
        return scan_id

    def let_out(self, scan_id: str) -> None:
        """Takes an admission back."""
        undo = {"scan_id": scan_id, "device": "another"}
        self.client.post("/api/door/undo", json=undo).raise_for_status()

    def change_database(self, sql: str) -> None:
        """Changes what is stored, behind the shop's back."""
        folder = DataFolder(self.shop.data)

        async def change() -> None:
            connection = await asyncpg.connect(database_url(postgres_sockets(folder)))
            try:
                await connection.execute(sql)
            finally:
                await connection.close()

        asyncio.run(change())

    def let_in(self, name: str, role: str) -> None:
        """Lets the owner add somebody, who may be there already."""
        added = self.client.post("/admin/people/add", data={"name": name, "role": role})
        assert added.status_code in (200, 409), added.text

    def tell_unmatched(self, order_id: str, **changes: object) -> None:
        """Lets the provider tell of a payment that fits no order: the amount is not what it costs,
        or whatever `changes` say."""
        told = {
            "type": EventType.SUCCEEDED,
            "payment_session_id": f"{SESSION_PREFIX}{order_id}",
            "order_id": order_id,
            "amount": 100,
            "currency": "eur",
            "customer_email": EMAIL,
        }
        self.tell_unmatched_body(json.dumps(told | changes).encode())

    def tell_unmatched_body(self, body: bytes) -> None:
        """Lets the provider tell it in these very bytes."""
        headers = {SIGNATURE_HEADER: sign(DEFAULT_WEBHOOK_SECRET, body)}
        told = self.client.post("/payments/webhook", content=body, headers=headers)
        assert told.raise_for_status().json()["order_status"] == UNMATCHED

    def status(self, held: Held) -> str:
        status: str = self._json(f"/api/orders/{held.order_id}")["status"]
        return status

    def available(self, cls: str) -> int:
        available: int = self._json("/api/inventory")[cls]["available"]
        return available

    def goodies_left(self) -> int:
        goodies = self._json("/api/admin/goodies")
        left: int = goodies["limit"] - goodies["used"]
        return left

    def workers(self) -> int:
        """How many there are, on all hosts of the shop."""
        counted: list[int] = self._json("/api/admin/history")["workers"]
        return counted[-1] if counted else 0

    def tell_of_host(self, report: HostReport, silent_seconds: float | None = None) -> None:
        """Lets another host be heard from now on, or not any more since so long.

        Its clock is as far ahead as `report` says.
        """
        heard_ms = -int(silent_seconds * 1_000) if silent_seconds else HEARD_MS
        seen_ms = time.time_ns() // 1_000_000 + heard_ms
        packed = msgspec.structs.replace(report, clock_ms=report.clock_ms + seen_ms).pack()
        with self._redis() as client:
            client.hset(self._roster(client), report.name, f"{seen_ms} ".encode() + packed)

    def own_report(self) -> HostReport:
        """What this shop's host says of itself."""
        with self._redis() as client:
            roster = self._roster(client)
            until(lambda: client.hexists(roster, HOST_NAME))
            entry = client.hget(roster, HOST_NAME)
        assert isinstance(entry, bytes)
        _, _, packed = entry.partition(b" ")
        return HostReport.unpack(HOST_NAME, packed)

    def forget_hosts(self) -> None:
        """This host is the only one again."""
        with self._redis() as client:
            client.delete(self._roster(client))

    def _redis(self) -> Redis:
        return Redis.from_url(redis_url(redis_socket(DataFolder(self.shop.data))))

    def _roster(self, client: Redis) -> str:
        """The key of the hosts, which is there once a worker has said whose it is."""
        found: list[Any] = []

        def is_there() -> bool:
            found[:] = client.keys("*:hosts")
            return bool(found)

        until(is_there)
        return str(found[0].decode())

    def until_expired(self, held: Held) -> None:
        until(lambda: self.status(held) == "EXPIRED")

    def _json(self, path: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.client.get(path).raise_for_status().json()
        return answer


@contextmanager
def open_box_office(root: Path, **settings: object) -> Iterator[BoxOffice]:
    """A shop with these settings, named without their TIGERFANS_."""
    office = BoxOffice(root, {f"TIGERFANS_{name}": str(value) for name, value in settings.items()})
    with office.client:
        office.open()
        try:
            yield office
        finally:
            office.shop.close()


def open_patient(root: Path, **settings: object) -> AbstractContextManager[BoxOffice]:
    """A shop where no hold expires while one waits for it."""
    return open_box_office(root, WORKERS=2, **settings)


def open_brief(root: Path, **settings: object) -> AbstractContextManager[BoxOffice]:
    """A shop where holds expire while one waits for it, and class A is soon sold out."""
    return open_box_office(
        root,
        WORKERS=1,
        HOLD_SECONDS=BRIEF_HOLD_SECONDS,
        TICKETS_A=BRIEF_TICKETS_A,
        TICKETS_B=1000,
        GOODIES=0,
        **settings,
    )
