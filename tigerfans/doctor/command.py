"""`tigerfans doctor`: runs every check and shows what it found; the exit code is 1 for "bad"."""

import asyncio
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tigerfans.doctor.configuration import check_configuration, check_variables
from tigerfans.doctor.findings import Finding, Verdict
from tigerfans.doctor.hosts import find_hosts, judge_roster, processes_by_host
from tigerfans.doctor.identity import check_identity
from tigerfans.doctor.ledger import check_ledger
from tigerfans.doctor.machine import judge_machine, read_machine
from tigerfans.doctor.mail import check_mail
from tigerfans.doctor.postgresql import check_postgresql
from tigerfans.doctor.provider import check_provider
from tigerfans.doctor.redis import check_redis
from tigerfans.doctor.shop import judge_shop, read_shop
from tigerfans.offer.taken import sold_offer
from tigerfans.settings.located import with_stores
from tigerfans.settings.settings import Settings, SettingsError

EXIT_GOOD: Final = 0
EXIT_BAD: Final = 1

_STYLES: Final = {Verdict.GOOD: "green", Verdict.WARNING: "yellow", Verdict.BAD: "bold red"}


def run(environ: Mapping[str, str], *, as_json: bool) -> int:
    """Prints what was found; 1 where anything is bad, warnings aside."""
    try:
        settings = _read_settings(environ)
    except SettingsError as error:
        findings = [Finding("settings", "environment", Verdict.BAD, str(error), "Correct it.")]
    else:
        findings = [*check_variables(environ, settings), *asyncio.run(examine(settings))]
    is_good = all(finding.verdict is not Verdict.BAD for finding in findings)
    if as_json:
        report = {"good": is_good, "findings": [asdict(finding) for finding in findings]}
        sys.stdout.buffer.write(orjson.dumps(report, option=orjson.OPT_INDENT_2) + b"\n")
    else:
        _show(findings)
    return EXIT_GOOD if is_good else EXIT_BAD


async def examine(settings: Settings) -> list[Finding]:
    """All that the checks say of a deployment, area by area."""
    shop = await read_shop(settings)
    hosts = await find_hosts(settings)
    postgresql, redis, ledger, identity, mail, provider = await asyncio.gather(
        check_postgresql(settings, processes_by_host(hosts, settings)),
        check_redis(settings),
        check_ledger(settings),
        check_identity(settings),
        check_mail(settings),
        check_provider(settings),
    )
    machine = await asyncio.to_thread(read_machine, shop.pids, _folders(settings))
    return [
        *check_configuration(settings),
        *judge_machine(machine, settings),
        *postgresql,
        *redis,
        *ledger,
        *identity,
        *mail,
        *provider,
        *judge_roster(hosts, settings),
        *judge_shop(shop, settings),
    ]


def _read_settings(environ: Mapping[str, str]) -> Settings:
    """The settings, even where no shop may start with them: then a check names all of it."""
    return with_stores(Settings.unchecked(environ, sold_offer))


def _folders(settings: Settings) -> Sequence[Path]:
    """The folders whose disks have to have room."""
    folders = [settings.data]
    if settings.ledger and settings.ledger.startswith("embedded:"):
        folders.append(Path(settings.ledger.removeprefix("embedded:")))
    return folders


def _show(findings: Sequence[Finding]) -> None:
    table = Table("", "what was looked at", "what was found, and → what to change")
    for previous, finding in zip([None, *findings], findings, strict=False):
        if previous and previous.area != finding.area:
            table.add_section()
        found = f"{finding.found}\n→ {finding.advice}" if finding.advice else finding.found
        verdict = Text(finding.verdict, _STYLES[finding.verdict])
        table.add_row(verdict, Text(f"{finding.area}: {finding.subject}"), Text(found))
    console = Console()
    console.print(table)
    counts = Counter(finding.verdict for finding in findings)
    console.print(
        f"{counts[Verdict.GOOD]} good, {counts[Verdict.WARNING]} to look at,"
        f" {counts[Verdict.BAD]} bad."
    )
