"""`python -m tests.stripe_server`: the server as a process, until it is ended."""

import argparse
import asyncio
import logging
import os
import signal
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.stripe_server.account import SESSION_SECONDS_MIN
from tests.stripe_server.misbehaviour import OVERALL, PER_ENDPOINT
from tests.stripe_server.server import TEST_KEY, Options, StripeServer
from tests.stripe_server.webhooks import Endpoint, Manners

PORT: Final = 12111
SECRET: Final = "whsec_tigerfans"
# A second until the first attempt again, instead of a minute.
PAUSE_SCALE: Final = 1 / 60


def parse(arguments: Sequence[str]) -> tuple[Options, list[str]]:
    """The options, and the secrets that sign."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.stripe_server",
        description="A payment provider to test against: like Stripe, and no money moves.",
    )
    parser.add_argument("--port", type=int, default=PORT, help=f"where it listens ({PORT})")
    parser.add_argument(
        "--file", type=Path, help="keeps what it has in this file (else it forgets at its end)"
    )
    parser.add_argument(
        "--webhook-url", action="append", default=[], help="where events go; more than one may be"
    )
    parser.add_argument(
        "--webhook-secret",
        action="append",
        default=[],
        help=f"signs them; with several, each signs ({SECRET})",
    )
    parser.add_argument(
        "--requests-per-second",
        type=_not_negative,
        default=PER_ENDPOINT,
        help=f"the limit of each endpoint, 0 for none ({PER_ENDPOINT:g})",
    )
    parser.add_argument(
        "--requests-per-second-overall",
        type=_not_negative,
        default=OVERALL,
        help=f"the limit of all together, 0 for none ({OVERALL:g})",
    )
    parser.add_argument(
        "--session-seconds-min",
        type=int,
        default=SESSION_SECONDS_MIN,
        help=f"how soon a session may expire ({SESSION_SECONDS_MIN})",
    )
    parser.add_argument(
        "--debit-seconds",
        type=_not_negative,
        help="a debit succeeds after so long (else at its page)",
    )
    parser.add_argument(
        "--pause-scale",
        type=_not_negative,
        default=PAUSE_SCALE,
        help="of the pauses between attempts of a webhook, from a minute to twelve hours (1/60)",
    )
    given = parser.parse_args(arguments)
    secrets = given.webhook_secret or [SECRET]
    options = Options(
        port=given.port,
        file=given.file,
        endpoints=tuple(Endpoint(url, tuple(secrets)) for url in given.webhook_url),
        per_endpoint=given.requests_per_second or None,
        overall=given.requests_per_second_overall or None,
        session_seconds_min=given.session_seconds_min,
        debit_seconds=given.debit_seconds,
        manners=Manners(pause_scale=given.pause_scale),
    )
    return options, secrets


def _not_negative(text: str) -> float:
    with suppress(ValueError):
        if 0 <= (number := float(text)) < float("inf"):
            return number
    raise argparse.ArgumentTypeError(f"{text} is no number from 0 on")


async def serve(options: Options, secrets: Sequence[str]) -> int:
    """Until a signal ends it; the exit status."""
    server = StripeServer(options)
    try:
        await server.start()
    except OSError as error:
        why = os.strerror(error.errno or 0)
        print(f"Port {options.port} cannot be used: {why}.", file=sys.stderr)
        return 2
    except sqlite3.Error as error:
        print(f"{options.file} cannot be used: {error}.", file=sys.stderr)
        return 2
    print(f"A payment provider to test against, at {options.url}. No money moves.")
    print("The shop reaches it by")
    print(f"  STRIPE_API_BASE={options.url}")
    print(f"  STRIPE_SECRET_KEY={TEST_KEY}")
    print(f"  STRIPE_WEBHOOK_SECRETS={','.join(secrets)}", flush=True)
    ends = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ends.set)
    await ends.wait()
    await server.stop()
    return 0


def main() -> None:
    logging.basicConfig(level=logging.WARNING)
    sys.exit(asyncio.run(serve(*parse(sys.argv[1:]))))


if __name__ == "__main__":
    main()
