"""A rush on a payment provider that gives so many sessions a second: waits as promised, or not.

    python -m bench.provider_rush                          2,000 buyers within 3 s
    python -m bench.provider_rush --hold-seconds 60        more than can pay before their holds end

A shop with several workers sells by the provider to test against (`tests/stripe_server/`), which
answers with 429 past its limit, as Stripe does. Every buyer checks out, follows the page that
waits, as a browser does with a script or without one, types a card for some seconds, pays, and
comes back. Who is refused since the line is too long comes back when told. What was promised is
what the page said first, and nothing where it led on at once; the wait counts until the buyer is
led to the provider, requests included.

All of it shares this machine: shop, stores, provider, and the buyers themselves.
"""

import argparse
import asyncio
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import orjson
import uvloop

from bench.config import Config
from bench.errors import BenchError
from bench.http_client import Address, Connection, HttpError, Response
from bench.purchase import Requests, Wish
from bench.stack import HOST, data_folder, running_in
from tests.stripe_server.control import Control
from tests.stripe_server.misbehaviour import OVERALL, PER_ENDPOINT
from tests.stripe_server.process import StripeProcess
from tests.stripe_server.server import TEST_KEY
from tests.stripe_server.webhooks import Endpoint
from tigerfans.settings.stripe_settings import SESSIONS_PER_SECOND
from tigerfans.stack.ports import free_port

BUYERS_MAX: Final = 20_000
# Nobody who comes when told should wait longer than promised by more than that.
SLACK_SECONDS: Final = 3.0
# What somebody needs to type a card.
TYPING_SECONDS: Final = (2.0, 10.0)
# A browser's page that is opened by its script comes back somewhat earlier or later than asked to
# (`retry.js`).
SPREAD: Final = (0.8, 1.2)
STATUS_PAUSE_SECONDS: Final = 2.0
RUN_SECONDS_MAX: Final = 900.0
SECRET: Final = "whsec_rush"  # noqa: S105
SESSIONS: Final = "POST /v1/checkout/sessions"

# The page says minutes where it is long.
_PROMISE: Final = re.compile(rb'data-wait-seconds="(\d+)"')
_BY_SCRIPT: Final = re.compile(rb'data-retry-after-seconds="([\d.]+)"')
_WITHOUT_SCRIPT: Final = re.compile(rb'http-equiv="refresh" content="(\d+)"')
_LED_TO: Final = re.compile(rb'class="button" href="([^"]+)"')


class Opened(NamedTuple):
    """Of one buyer, in seconds; `at` is a moment of the clock."""

    at: float
    promised: float
    waited: float


class Rush:
    """The buyers of one run, and what they met."""

    def __init__(self, shop: Address, seed: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.opened: list[Opened] = []
        # Buyers who were refused by the line at first, and how often they were in all.
        self.refused_first = 0
        self.refusals = 0
        self._shop = shop
        self._requests = Requests(shop, "")
        self._dice = random.Random(seed)
        self._idle: dict[Address, list[Connection]] = {}

    async def run(self, buyers: int, seconds: float) -> None:
        try:
            async with asyncio.timeout(RUN_SECONDS_MAX), asyncio.TaskGroup() as group:
                for number in range(buyers):
                    group.create_task(self._buyer(number, self._dice.uniform(0, seconds)))
        finally:
            for idle in self._idle.values():
                for connection in idle:
                    connection.close()

    async def _buyer(self, number: int, starts_after: float) -> None:
        await asyncio.sleep(starts_after)
        try:
            self.outcomes[await self._buy(number)] += 1
        except (HttpError, OSError) as error:
            self.outcomes[f"error: {str(error) or type(error).__name__}"] += 1

    async def _buy(self, number: int) -> str:
        request = self._requests.checkout(Wish("A", f"buyer-{number}@example.org", "succeeded"))
        is_first = True
        while (answer := await self._ask(self._shop, request)).status == 503:
            self.refusals += 1
            self.refused_first += is_first
            is_first = False
            await asyncio.sleep(float(answer.header("retry-after") or 1))
        if answer.status != 200:
            return "not held" if answer.status == 409 else f"error: {answer.status} to the checkout"
        order = orjson.loads(answer.body)
        url = await self._wait(order["redirect_url"], has_script=number % 2 == 0)
        if url is None:
            return "led to no payment"
        await asyncio.sleep(self._dice.uniform(*TYPING_SECONDS))
        parts = urlsplit(url)
        back = await self._ask(Address.parse(f"http://{parts.netloc}"), _pressed(url))
        returned = urlsplit(back.header("location") or "/").path
        await self._ask(self._shop, self._requests.get(returned))
        return await self._status(order["order_id"])

    async def _wait(self, page: str, *, has_script: bool) -> str | None:
        """The address that a page leads to, when it does; None where it leads back."""
        request = self._requests.get(page).replace(b"\r\n\r\n", b"\r\naccept: text/html\r\n\r\n")
        promised, began = None, time.monotonic()
        while True:
            answer = await self._ask(self._shop, request)
            led = _LED_TO.search(answer.body)
            if answer.status == 200 and led and not _PROMISE.search(answer.body):
                now = time.monotonic()
                self.opened.append(Opened(now, promised or 0.0, now - began))
                return led[1].decode()
            if answer.status == 303:
                return None
            said = _PROMISE.search(answer.body)
            if promised is None and said:
                # From then on the page says how long it is.
                promised, began = float(said[1]), time.monotonic()
            pattern = _BY_SCRIPT if has_script else _WITHOUT_SCRIPT
            pause = pattern.search(answer.body)
            seconds = float(pause[1]) if pause else float(answer.header("retry-after") or 1)
            if has_script:
                seconds = max(1.0, seconds) * self._dice.uniform(*SPREAD)
            await asyncio.sleep(seconds)

    async def _status(self, order_id: str) -> str:
        request = self._requests.get(f"/api/orders/{order_id}")
        while True:
            answer = await self._ask(self._shop, request)
            status = orjson.loads(answer.body).get("status", "unknown")
            if status != "PENDING":
                return str(status)
            await asyncio.sleep(STATUS_PAUSE_SECONDS)

    async def _ask(self, address: Address, request: bytes) -> Response:
        """Over a connection that nobody uses, or another one."""
        idle = self._idle.setdefault(address, [])
        connection = idle.pop() if idle else await Connection.open(address)
        if not connection.is_open:
            connection = await Connection.open(address)
        response = await connection.request(request)
        idle.append(connection)
        self.statuses[response.status] += 1
        return response


def _pressed(url: str) -> bytes:
    """The button of the hosted page that pays."""
    parts, body = urlsplit(url), b"how=card"
    return (
        f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\n"
        f"content-type: application/x-www-form-urlencoded\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body


async def measure(options: argparse.Namespace, folder: Path) -> list[str]:
    """Runs the rush; the lines of its report."""
    provider = StripeProcess(
        folder,
        free_port(HOST),
        (
            f"--requests-per-second={options.limit}",
            f"--requests-per-second-overall={options.limit_overall}",
        ),
    )
    config = Config(
        "rush",
        {
            "TIGERFANS_WORKERS": str(options.workers),
            "TIGERFANS_PAYMENT_PROVIDER": "stripe",
            "TIGERFANS_HOLD_SECONDS": str(options.hold_seconds),
            "STRIPE_API_BASE": provider.url,
            "STRIPE_SECRET_KEY": TEST_KEY,
            "STRIPE_WEBHOOK_SECRETS": SECRET,
            "STRIPE_SESSIONS_PER_SECOND": str(options.rate),
        },
        workers=options.workers,
    )
    await provider.start()
    try:
        with running_in(folder / "shop", config) as stack:
            async with Control(provider.url) as control:
                await control.send_to(Endpoint(f"{stack.url}/payments/webhook", (SECRET,)))
                rush = Rush(Address.parse(stack.url), options.seed)
                await rush.run(options.buyers, options.seconds)
                return _report(options, rush, await control.answers(), await control.payments())
    finally:
        provider.stop()


def _report(
    options: argparse.Namespace,
    rush: Rush,
    answers: dict[tuple[str, int], int],
    payments: Sequence[dict[str, object]],
) -> list[str]:
    opened = sorted(rush.opened)
    late = sorted(each.waited - each.promised for each in opened)
    if not opened:
        raise BenchError(f"Nobody was led to the provider: {dict(rush.outcomes)}.")
    seconds = max(opened[-1].at - opened[0].at, 1.0)
    rate = (len(opened) - 1) / seconds
    limited = {name: count for (name, status), count in answers.items() if status == 429}
    charged = sum(payment["payment_status"] == "paid" for payment in payments)
    waits = sorted(each.waited for each in opened)
    asked = sum(count for (name, _), count in answers.items() if name == SESSIONS)
    return [
        f"{options.buyers:,} buyers within {options.seconds:g} s, {options.workers} workers, holds"
        f" of {options.hold_seconds} s, {options.limit:g} sessions a second at the provider,"
        f" {options.rate} asked for",
        f"became of them: {', '.join(f'{n:,} {name}' for name, n in rush.outcomes.most_common())}",
        f"charged at the provider: {charged:,} of {len(payments):,} sessions",
        f"refused by the line at first: {rush.refused_first:,}, {rush.refusals:,} refusals in all",
        f"429: {sum(limited.values())} at the provider {limited or ''}, {rush.statuses[429]} seen"
        " by buyers",
        f"waited: {_quantile(waits, 0.5):.1f} s (median), {_quantile(waits, 0.99):.1f} s (p99),"
        f" {waits[-1]:.1f} s (worst)",
        f"longer than promised: {_quantile(late, 0.5):.1f} s (median), {_quantile(late, 0.99):.1f}"
        f" s (p99), {late[-1]:.1f} s (worst); by more than {SLACK_SECONDS:g} s:"
        f" {sum(each > SLACK_SECONDS for each in late)}",
        f"led to the provider: {rate:.1f} a second, {rate / options.limit:.0%} of"
        f" {options.limit:g}; requests for a session: {asked:,}",
    ]


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="A rush on a provider that has limits.")
    add = parser.add_argument
    add("--buyers", type=int, default=2_000, help="how many (%(default)s)")
    add("--seconds", type=float, default=3.0, help="within which they come (%(default)g)")
    add("--workers", type=int, default=2, help="of the shop (%(default)s)")
    add("--hold-seconds", type=int, default=300, help="how long a ticket is held (%(default)s)")
    add("--limit", type=float, default=PER_ENDPOINT, help="of each endpoint (%(default)g a second)")
    add("--limit-overall", type=float, default=OVERALL, help="of all together (%(default)g)")
    add("--rate", type=int, default=SESSIONS_PER_SECOND, help="the shop's setting (%(default)s)")
    add("--seed", type=int, default=0, help="of the buyers' dice (%(default)s)")
    options = parser.parse_args(arguments)
    if not 0 < options.buyers <= BUYERS_MAX:
        parser.error(f"--buyers takes 1 to {BUYERS_MAX:,}.")
    try:
        with data_folder() as folder:
            (folder / "shop").mkdir()
            lines = uvloop.run(measure(options, folder))
    except (BenchError, TimeoutError) as error:
        print(str(error) or f"Not all had ended after {RUN_SECONDS_MAX:.0f} s.", file=sys.stderr)
        return 2
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
