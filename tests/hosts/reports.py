"""Reports of hosts for tests, and a roster of them as it would be read."""

from typing import Any, Final

import msgspec

from tigerfans.hosts.report import HostReport, Sample, WorkerReport
from tigerfans.hosts.roster import Host, Hosts

NOW_MS: Final = 1_800_000_000_000
SETTINGS: Final = {"TIGERFANS_GOODIES": "aa", "TIGERFANS_TICKET_SECRET": "bb"}


def a_report(name: str, **changes: Any) -> HostReport:
    """A host that sells."""
    report = HostReport(
        name,
        instance=f"instance of {name}",
        version="1.0",
        clock_ms=NOW_MS,
        ledger="tigerbeetle",
        cluster="7",
        workers=(WorkerReport("worker-1", 11, "1.0"), WorkerReport("worker-2", 12, "1.0")),
        clerks=(WorkerReport("clerk-1", 13, "1.0"),),
        sample=Sample(
            held_per_second=30.0,
            paid_per_second=20.0,
            transfers_per_second=90.0,
            batch_transfers=3.0,
            ledger_milliseconds=2.0,
            workers=2,
            clerks=1,
        ),
        settings=SETTINGS,
    )
    return msgspec.structs.replace(report, **changes)


def heard(*reports: HostReport, seconds_ago: float = 0.0) -> Hosts:
    """Hosts that were all heard at the same moment."""
    seen_ms = NOW_MS - int(seconds_ago * 1_000)
    return Hosts(NOW_MS, [Host(report, seen_ms) for report in reports])
