"""The shop itself: is it open, and which processes of it run?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from tigerfans.doctor.findings import Findings, reason
from tigerfans.doctor.machine import SEQUENCER
from tigerfans.settings.settings import Settings, is_clerk

AREA: Final = "shop"
SECONDS_MAX: Final = 5.0


@dataclass(frozen=True, slots=True)
class ShopFacts:
    """What /readyz says (`ready` is empty where all is well), and the processes by their names.

    Of a shop on several hosts, those are this host's.
    """

    ready: str
    sequencer: str
    pids: Mapping[str, int] = field(default_factory=dict)

    @property
    def workers(self) -> int:
        return sum(name != SEQUENCER and not is_clerk(name) for name in self.pids)


async def read_shop(settings: Settings) -> ShopFacts:
    """Never raises because the shop is closed: what it says instead is a fact."""
    # The environment may name a proxy, which has no business here.
    async with httpx.AsyncClient(trust_env=False, timeout=SECONDS_MAX) as client:
        ready = await _ready(client, f"{settings.http.url}/readyz")
        try:
            response = await client.get(f"{settings.sequencer.metrics_url}/status")
            status: dict[str, Any] = response.raise_for_status().json()
            # A sequencer of another release knows of no clerks.
            clients = (*status["workers"], *status.get("clerks", ()))
            pids = {client["name"]: client["pid"] for client in clients if client["stats"]}
            return ShopFacts(ready, "", {SEQUENCER: status["pid"], **pids})
        except (httpx.HTTPError, ValueError, KeyError) as error:
            return ShopFacts(ready, reason(error))


async def _ready(client: httpx.AsyncClient, url: str) -> str:
    try:
        response = await client.get(url)
    except httpx.HTTPError as error:
        return f"no answer from {url}: {reason(error)}"
    return "" if response.is_success else f"{response.status_code} {response.text}"


def judge_shop(facts: ShopFacts, settings: Settings) -> Findings:
    findings = Findings(AREA, settings.environment)
    if facts.ready:
        advice = "Start the workers; what they say on stderr tells why they do not."
        findings.bad("ready", facts.ready, advice)
    else:
        findings.good("ready", settings.http.url)
    if facts.sequencer:
        advice = "Start the sequencer, or name its address in TIGERFANS_METRICS_ADDRESS."
        findings.bad("metrics", f"no answer: {facts.sequencer}", advice)
    elif facts.workers == 0:
        findings.bad("workers", "none is connected to the sequencer", "Start one at least.")
    elif facts.workers < settings.http.workers:
        found = f"{facts.workers} of {settings.http.workers} are connected to the sequencer"
        advice = "See why the others do not start, or correct TIGERFANS_WORKERS."
        findings.warn("workers", found, advice)
    else:
        findings.good("workers", f"{facts.workers}")
    return findings
