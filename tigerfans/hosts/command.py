"""`tigerfans ps --hosts`: all hosts of the shop, as whichever machine it runs on hears them."""

import asyncio
import sys

import msgspec

from tigerfans.errors import UnavailableError
from tigerfans.hosts.lines import HostLine
from tigerfans.hosts.reading import read_hosts
from tigerfans.hosts.troubles import find_troubles
from tigerfans.settings.located import with_stores
from tigerfans.settings.settings import Settings


def run(settings: Settings) -> int:
    """Prints each host as a line of JSON, and a sentence on stderr for each trouble.

    1 where there is one, or nothing can be said. Raises `SettingsError` where no shop is named.
    """
    try:
        hosts = asyncio.run(read_hosts(with_stores(settings)))
    except UnavailableError as error:
        print(error, file=sys.stderr)
        return 1
    for host in hosts.hosts:
        print(msgspec.json.encode(HostLine.of(host, hosts)).decode())
    if not hosts.hosts:
        print("No host of this shop was heard within a day.", file=sys.stderr)
    troubles = find_troubles(hosts)
    for trouble in troubles:
        print(trouble, file=sys.stderr)
    return 0 if hosts.hosts and not troubles else 1
