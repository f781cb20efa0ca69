"""A host on one line: what `tigerfans ps --hosts` prints, and the box office has in its table."""

from typing import Literal

import msgspec

from tigerfans.hosts.roster import Host, Hosts
from tigerfans.hosts.troubles import versions_of

State = Literal["selling", "silent"]


class HostLine(msgspec.Struct):
    """One host as its last report says; a silent one's figures are those of its last second."""

    name: str
    state: State
    # More than one while it is upgraded.
    versions: list[str]
    ledger: str
    workers: int
    clerks: int
    held_per_second: float
    paid_per_second: float
    batch_transfers: float | None
    ledger_milliseconds: float | None
    # Ahead of Redis' clock where it is positive.
    clock_ahead_ms: int
    heard_ms_ago: int

    @classmethod
    def of(cls, host: Host, hosts: Hosts) -> "HostLine":
        report, sample = host.report, host.report.sample
        return cls(
            name=host.name,
            state="silent" if hosts.is_silent(host) else "selling",
            versions=list(versions_of(host)),
            ledger=f"{report.ledger} {report.cluster}".strip(),
            workers=len(report.workers),
            clerks=len(report.clerks),
            held_per_second=sample.held_per_second,
            paid_per_second=sample.paid_per_second,
            batch_transfers=sample.batch_transfers,
            ledger_milliseconds=sample.ledger_milliseconds,
            clock_ahead_ms=host.clock_ahead_ms if report.clock_ms else 0,
            heard_ms_ago=max(0, hosts.now_ms - host.seen_ms),
        )
