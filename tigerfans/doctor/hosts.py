"""Do the hosts of the shop agree, and are all of them there?

Says nothing of a store that does not answer, or has no shop yet: the checks of each do.
"""

from typing import Final

from tigerfans.doctor.findings import Findings
from tigerfans.errors import UnavailableError
from tigerfans.hosts.reading import read_hosts
from tigerfans.hosts.roster import Hosts
from tigerfans.hosts.troubles import find_troubles
from tigerfans.settings.settings import Settings, SettingsError

AREA: Final = "hosts"


async def check_hosts(settings: Settings) -> Findings:
    try:
        hosts = await read_hosts(settings)
    except (UnavailableError, SettingsError):
        return Findings(AREA, settings.environment)
    return judge_roster(hosts, settings)


def judge_roster(hosts: Hosts, settings: Settings) -> Findings:
    findings = Findings(AREA, settings.environment)
    if selling := [host.name for host in hosts.selling]:
        findings.good("selling", ", ".join(selling))
    for trouble in find_troubles(hosts):
        tell = findings.bad if trouble.is_bad else findings.warn
        tell(trouble.subject, trouble.found, f"{trouble.advice[0].upper()}{trouble.advice[1:]}.")
    return findings
