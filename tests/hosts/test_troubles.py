"""What is wrong with the hosts of a shop together, row by row."""

from collections.abc import Sequence

import pytest

from tests.hosts.reports import NOW_MS, SETTINGS, a_report, heard
from tigerfans.hosts.report import HostReport, WorkerReport
from tigerfans.hosts.roster import HOSTS_MAX, Hosts
from tigerfans.hosts.troubles import find_troubles

ANOTHER = a_report("b")


def selling(*offers: str) -> tuple[WorkerReport, ...]:
    return tuple(WorkerReport("worker", 1, "1.0", offer) for offer in offers)


OLD = a_report("c", workers=selling("0a"))


def told(*reports: HostReport) -> list[str]:
    return [str(trouble) for trouble in find_troubles(heard(*reports))]


def test_hosts_that_agree_are_no_trouble() -> None:
    assert told(a_report("a"), ANOTHER) == []


def test_one_clerk_does_for_all_hosts_and_who_has_just_started_may_still_get_one() -> None:
    assert told(a_report("a", clerks=()), ANOTHER) == []
    assert told(a_report("a", clerks=(), started_ms=NOW_MS - 2_000)) == []


@pytest.mark.parametrize(
    ("reports", "sentence"),
    [
        (
            [a_report("a", has_rival=True), ANOTHER],
            "Two hosts call themselves a: set TIGERFANS_HOST_NAME on one of them.",
        ),
        (
            [a_report("a", version="1.1"), ANOTHER],
            "Different versions run (1.0 on a, b; 1.1 on a): two neighbouring releases work"
            " together, so finish the upgrade, one host at a time.",
        ),
        (
            [a_report("a", clerks=()), a_report("b", clerks=())],
            "No clerk is running: start one on some host, for mails, refunds and inquiries wait"
            " until there is one.",
        ),
        (
            [a_report("a", clerks=(WorkerReport("clerk-1", 1, "0.9"),)), ANOTHER],
            "Different versions run (0.9 on a; 1.0 on a, b): two neighbouring releases work"
            " together, so finish the upgrade, one host at a time.",
        ),
        (
            [a_report("a", workers=(WorkerReport("worker-1", 1, ""),)), ANOTHER],
            "Different versions run (1.0 on a, b; unknown on a): two neighbouring releases work"
            " together, so finish the upgrade, one host at a time.",
        ),
        (
            [a_report("a", clock_ms=NOW_MS + 2_500), ANOTHER],
            "The clock of a is +2.5 s off Redis': let NTP keep all clocks right.",
        ),
        (
            [a_report("a", settings=SETTINGS | {"TIGERFANS_GOODIES": "cc"}), ANOTHER],
            "TIGERFANS_GOODIES is not the same on all hosts (a; b): give all of them the same"
            " settings, and restart whoever had others.",
        ),
        (
            [a_report("a", settings=dict.fromkeys(SETTINGS, "cc")), ANOTHER, a_report("c")],
            "TIGERFANS_TICKET_SECRET is not the same on all hosts (a; b, c): give all of them the"
            " same settings, and restart whoever had others.",
        ),
        (
            [a_report("a", workers=selling("0b", "0b")), a_report("b", workers=selling("0a")), OLD],
            "The hosts do not sell the same offer (a; b, c): give all of them the same file in"
            " TIGERFANS_OFFER, take it over on each, and replace the workers.",
        ),
        (
            [a_report(f"host-{number}") for number in range(HOSTS_MAX + 2)],
            "66 hosts sell, and TigerBeetle has 64 sessions: stop 2 of them, for each that comes"
            " throws another one out.",
        ),
    ],
)
def test_each_trouble_is_one_sentence(reports: Sequence[HostReport], sentence: str) -> None:
    assert told(*reports) == [sentence]


def test_a_host_that_is_being_reloaded_is_no_trouble_nor_one_of_another_release() -> None:
    new = a_report("a", workers=selling("0a"))
    assert told(new, a_report("b", workers=selling("0b", "0a")), new) == []
    [sentence] = told(new, a_report("b", version="1.1", workers=selling("0b")))
    assert sentence.startswith("Different versions run")


def test_a_setting_that_only_one_of_two_releases_knows_is_no_trouble() -> None:
    assert told(a_report("a", settings=SETTINGS | {"TIGERFANS_DOOR": "dd"}), ANOTHER) == []


@pytest.mark.parametrize(("seconds", "ago"), [(12, "12 s"), (240, "4 min"), (3 * 3_600, "3 h")])
def test_of_a_silent_host_that_is_said_and_nothing_else(seconds: float, ago: str) -> None:
    silent = a_report("a", version="0.9", has_rival=True, clock_ms=0, settings={"other": "x"})
    hosts = Hosts(NOW_MS, [*heard(silent, seconds_ago=seconds).hosts, *heard(ANOTHER).hosts])
    [trouble] = find_troubles(hosts)
    assert str(trouble).startswith(f"a was heard {ago} ago: see whether its sequencer runs")
    assert not trouble.is_bad


def test_of_a_host_whose_report_cannot_be_read_only_the_version_is_unknown() -> None:
    [sentence] = told(HostReport("a"), ANOTHER)
    assert sentence.startswith("Different versions run (1.0 on b; unknown on a)")
