"""What a host says of itself, also between two releases."""

import json

import msgspec
import pytest

from tests.hosts.reports import a_report
from tigerfans.hosts.report import HostReport, Sample, setting_digests, summed
from tigerfans.settings.settings import Settings


def test_a_report_is_read_back() -> None:
    report = a_report("tickets-1")
    assert HostReport.unpack("tickets-1", report.pack()) == report


def test_what_a_newer_release_says_more_is_passed_over() -> None:
    report = a_report("tickets-1")
    said = json.loads(report.pack())
    said |= {"temperature": 21}
    said["sample"] |= {"refunds_per_second": 1.0}
    assert HostReport.unpack("tickets-1", json.dumps(said).encode()) == report


def test_what_an_older_release_does_not_say_has_its_default() -> None:
    assert HostReport.unpack("tickets-1", b'{"name": "tickets-1", "version": "1.0"}') == HostReport(
        "tickets-1", version="1.0"
    )


@pytest.mark.parametrize("packed", [b"", b"[]", b"{", b'{"name": "x", "clock_ms": "noon"}'])
def test_a_report_that_cannot_be_read_says_that_there_is_a_host(packed: bytes) -> None:
    assert HostReport.unpack("tickets-1", packed) == HostReport("tickets-1")


def test_a_digest_tells_another_value_and_nothing_of_it() -> None:
    settings = Settings(ticket_secret="a secret", hold_seconds=300)
    digests = setting_digests(settings)
    others = setting_digests(Settings(ticket_secret="a secret", hold_seconds=60))
    assert {name for name in digests if digests[name] != others[name]} == {"TIGERFANS_HOLD_SECONDS"}
    assert "TIGERFANS_WORKERS" not in digests
    # Who has not the key cannot try values.
    assert digests != setting_digests(Settings(ticket_secret="another"))
    assert len(set(digests.values())) == len(digests)


def test_several_hosts_are_added_up_and_their_batches_averaged_by_how_many_there_were() -> None:
    large = Sample(100.0, 10.0, 8.0, 90.0, 9.0, 4.0, 5, 2)
    small = Sample(101.0, 1.0, 2.0, 10.0, 1.0, 1.0, 1, 1)
    together = summed([large, small])
    assert together == Sample(100.0, 11.0, 10.0, 100.0, 5.0, 2.5, 6, 3)
    idle = Sample(102.0, workers=2, clerks=1)
    assert summed([large, idle]) == msgspec.structs.replace(large, workers=4, clerks=1)
    assert summed([idle]).batch_transfers is None
