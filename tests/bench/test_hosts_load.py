"""What of several hosts is measured, without any."""

from pathlib import Path

import pytest

from bench.hosts_load import Arrangement, arrangements, main


def test_each_number_of_hosts_stands_beside_one_host_with_as_many_workers() -> None:
    assert arrangements(1) == [Arrangement(1, 1)]
    hosts_and_workers = [(a.hosts, a.workers) for a in arrangements(3)]
    assert hosts_and_workers == [(1, 1), (1, 2), (2, 1), (1, 3), (3, 1)]


@pytest.mark.parametrize("option", ["--hosts=0", "--hosts=9", "--turns=0"])
def test_what_cannot_be_measured_is_a_sentence(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([option]) == 2
    assert "must be from 1 to" in capsys.readouterr().err


def test_without_a_server_nothing_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("TIGERBEETLE_BIN", raising=False)
    monkeypatch.setattr("bench.hosts_load.ROOT", tmp_path)
    assert main([]) == 2
    assert "no TigerBeetle server" in capsys.readouterr().err
