"""Do the hosts of the shop agree, and are all of them there?

Says nothing of a store that does not answer, or has no shop yet: the checks of each do.
"""

from collections.abc import Sequence
from typing import Final

from tigerfans.doctor.findings import Findings
from tigerfans.errors import UnavailableError
from tigerfans.hosts.reading import read_hosts
from tigerfans.hosts.roster import Hosts
from tigerfans.hosts.troubles import find_troubles
from tigerfans.settings.settings import Settings, SettingsError

AREA: Final = "hosts"


async def find_hosts(settings: Settings) -> Hosts | None:
    """All hosts of the shop; None where a store does not say."""
    try:
        return await read_hosts(settings)
    except (UnavailableError, SettingsError):
        return None


def processes_by_host(hosts: Hosts | None, settings: Settings) -> Sequence[int]:
    """How many workers and clerks each other host has, or had when it was heard last: it may come
    back.
    """
    known = hosts.hosts if hosts else ()
    reports = [host.report for host in known if host.name != settings.host_name]
    return [len(report.workers) + len(report.clerks) for report in reports]


def judge_roster(hosts: Hosts | None, settings: Settings) -> Findings:
    findings = Findings(AREA, settings.environment)
    if hosts is None:
        return findings
    if selling := [host.name for host in hosts.selling]:
        findings.good("selling", ", ".join(selling))
    if clerks := [host.name for host in hosts.selling if host.report.clerks]:
        findings.good("clerks", ", ".join(clerks))
    for trouble in find_troubles(hosts):
        tell = findings.bad if trouble.is_bad else findings.warn
        tell(trouble.subject, trouble.found, f"{trouble.advice[0].upper()}{trouble.advice[1:]}.")
    return findings
