"""Cancels the show of a running shop, and says how long its refunds take.

It needs a shop that has sold (`bench.load_client`), and is for good: never run it against one that
sells in earnest. With `--kill SECONDS` it kills the clerk that this machine runs, once, with all it
had under way.
"""

import argparse
import os
import signal
import sys
import time
from typing import Final

import httpx

from bench.errors import BenchError

POLL_SECONDS: Final = 0.5
SECONDS_MAX: Final = 3_600.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="the shop")
    parser.add_argument("--show", required=True, help="its show's name")
    parser.add_argument("--login", default="admin:supasecret", help="of an owner")
    parser.add_argument("--kill", type=float, help="after so many seconds, kill --pid")
    parser.add_argument("--pid", type=int, help="the clerk's, as `tigerfans ps` tells it")
    arguments = parser.parse_args()
    name, _, password = arguments.login.partition(":")
    with httpx.Client(base_url=arguments.url, auth=(name, password), timeout=30) as client:
        try:
            cancel(client, arguments.show, arguments.kill, arguments.pid)
        except BenchError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


def cancel(client: httpx.Client, show: str, kill: float | None, pid: int | None) -> None:
    path = "/api/admin/cancellation"
    canceled = client.post(path, json={"show": show})
    if canceled.status_code != httpx.codes.OK:
        raise BenchError(f"The shop did not cancel it: {canceled.text}")
    began = told = time.monotonic()
    while True:
        progress = client.get(path).raise_for_status().json()
        seconds = time.monotonic() - began
        orders, refunded = progress["orders"], progress["refunded"]
        if refunded >= orders:
            break
        if kill is not None and pid is not None and seconds > kill:
            os.kill(pid, signal.SIGKILL)
            print(f"{seconds:6.1f} s  killed the clerk, at {refunded} of {orders}")
            kill = None
        if seconds > SECONDS_MAX:
            raise BenchError(f"After {SECONDS_MAX:.0f} s, {refunded} of {orders} are refunded.")
        if time.monotonic() - told > 10:
            told = time.monotonic()
            print(f"{seconds:6.1f} s  {refunded} of {orders}", flush=True)
        time.sleep(POLL_SECONDS)
    print(f"{orders} orders refunded in {seconds:.1f} s, {orders / seconds:.1f} a second.")


if __name__ == "__main__":
    raise SystemExit(main())
