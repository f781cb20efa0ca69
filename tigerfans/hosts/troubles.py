"""What is wrong with the hosts of a shop together, one sentence each, wherever an operator looks:
the sequencers' logs, `tigerfans ps --hosts`, `tigerfans doctor` and the box office say the same.

Pure: it judges what the roster has. Of a host that is silent nothing else is said, for what it said
last may not be so any more.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from tigerfans.hosts.roster import HOSTS_MAX, Host, Hosts

# A hold's time is the ledger's, but a session's, and when a payment is asked about, is the host's.
# It is more than a report may be on its way, or a slow Redis would be taken for a wrong clock.
CLOCK_MS_MAX: Final = 2_000
# From a sequencer's start on, until its host's clerk should be there.
CLERK_MS_MAX: Final = 10_000
# It is the key of all digests: where it differs, nothing is known of the others.
_KEY_SETTING: Final = "TIGERFANS_TICKET_SECRET"
VERSION_UNKNOWN: Final = "unknown"


class Trouble(NamedTuple):
    """`subject` names what it is about, and stays the same for as long as that lasts."""

    subject: str
    found: str
    advice: str
    # Else the shop works all the same.
    is_bad: bool = True

    def __str__(self) -> str:
        return f"{self.found}: {self.advice}."


def find_troubles(hosts: Hosts) -> list[Trouble]:
    """All that is wrong."""
    return [trouble for look in _LOOKS for trouble in look(hosts)]


def _too_many(hosts: Hosts) -> Iterator[Trouble]:
    count = len(hosts.selling)
    if count > HOSTS_MAX:
        yield Trouble(
            "number",
            f"{count} hosts sell, and TigerBeetle has {HOSTS_MAX} sessions",
            f"stop {count - HOSTS_MAX} of them, for each that comes throws another one out",
        )


def _of_one_name(hosts: Hosts) -> Iterator[Trouble]:
    for host in hosts.selling:
        if host.report.has_rival:
            yield Trouble(
                f"name {host.name}",
                f"Two hosts call themselves {host.name}",
                "set TIGERFANS_HOST_NAME on one of them",
            )


def _silent(hosts: Hosts) -> Iterator[Trouble]:
    for host in filter(hosts.is_silent, hosts.hosts):
        yield Trouble(
            f"host {host.name}",
            f"{host.name} was heard {_ago(hosts.silent_seconds(host))} ago",
            "see whether its sequencer runs and reaches Redis; what is gone for good is forgotten"
            " after a day",
            is_bad=False,
        )


def _without_clerk(hosts: Hosts) -> Iterator[Trouble]:
    reports = [host.report for host in hosts.selling]
    # Who has just started may have one in a moment.
    runs = any(report.clock_ms - report.started_ms > CLERK_MS_MAX for report in reports)
    if runs and not any(report.clerks for report in reports):
        yield Trouble(
            "clerk",
            "No clerk is running",
            "start one on some host, for mails, refunds and inquiries wait until there is one",
            is_bad=False,
        )


def _versions(hosts: Hosts) -> Iterator[Trouble]:
    by_version = _grouped(
        (version, host.name) for host in hosts.selling for version in versions_of(host)
    )
    if len(by_version) > 1:
        yield Trouble(
            "versions",
            f"Different versions run ({_told(by_version)})",
            "two neighbouring releases work together, so finish the upgrade, one host at a time",
            is_bad=False,
        )


def _clocks(hosts: Hosts) -> Iterator[Trouble]:
    for host in hosts.selling:
        ahead_ms = host.clock_ahead_ms
        # A host whose report cannot be read tells no time.
        if host.report.clock_ms and abs(ahead_ms) > CLOCK_MS_MAX:
            yield Trouble(
                f"clock of {host.name}",
                f"The clock of {host.name} is {ahead_ms / 1_000:+.1f} s off Redis'",
                "let NTP keep all clocks right",
            )


def _settings(hosts: Hosts) -> Iterator[Trouble]:
    # One that only one of two releases knows is in the reports of that one alone.
    names = {name for host in hosts.selling for name in host.report.settings}
    differing = {}
    for name in sorted(names):
        by_digest = _grouped(
            (host.report.settings[name], host.name)
            for host in hosts.selling
            if name in host.report.settings
        )
        if len(by_digest) > 1:
            differing[name] = by_digest
    if _KEY_SETTING in differing:
        differing = {_KEY_SETTING: differing[_KEY_SETTING]}
    for name, by_digest in differing.items():
        yield Trouble(
            name,
            f"{name} is not the same on all hosts ({_sides(by_digest)})",
            "give all of them the same settings, and restart whoever had others",
        )


def _offers(hosts: Hosts) -> Iterator[Trouble]:
    # By another release the same offer may have another digest.
    if len({version for host in hosts.selling for version in versions_of(host)}) > 1:
        return
    # A host whose workers are being replaced sells two for a moment.
    offers = {host.name: {worker.offer for worker in host.report.workers} for host in hosts.selling}
    by_offer = _grouped((min(sold), name) for name, sold in offers.items() if len(sold) == 1)
    if len(by_offer) > 1:
        yield Trouble(
            "offers",
            f"The hosts do not sell the same offer ({_sides(by_offer)})",
            "give all of them the same file in TIGERFANS_OFFER, take it over on each, and replace"
            " the workers",
        )


_LOOKS: Final[Sequence[Callable[[Hosts], Iterable[Trouble]]]] = (
    _too_many,
    _of_one_name,
    _silent,
    _without_clerk,
    _versions,
    _clocks,
    _settings,
    _offers,
)


def versions_of(host: Host) -> Sequence[str]:
    """The versions that run on a host, its sequencer's first."""
    processes = (*host.report.workers, *host.report.clerks)
    told = [host.report.version, *(process.version for process in processes)]
    return list(dict.fromkeys(version or VERSION_UNKNOWN for version in told))


def _grouped(pairs: Iterable[tuple[str, str]]) -> Mapping[str, list[str]]:
    """Names by what they have in common."""
    names: defaultdict[str, list[str]] = defaultdict(list)
    for common, name in pairs:
        names[common].append(name)
    return names


def _told(names: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{common} on {', '.join(names[common])}" for common in sorted(names))


def _sides(names: Mapping[str, list[str]]) -> str:
    """Those that have something in common stand together, and it is not told."""
    return "; ".join(", ".join(named) for named in sorted(names.values()))


def _ago(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.0f} h"
