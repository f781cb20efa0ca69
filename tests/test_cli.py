import re
from pathlib import Path

import pytest

from tests.settings.test_settings import documented
from tigerfans import __version__
from tigerfans.cli import main
from tigerfans.command_help import HELP


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"tigerfans {__version__}\n"


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    commands = {
        "up",
        "ps",
        "reload",
        "sequencer",
        "migrate",
        "worker",
        "ledger",
        "user",
        "tigerbeetle",
    }
    assert commands <= set(capsys.readouterr().out.split())


@pytest.mark.parametrize("name", HELP)
def test_the_help_of_a_command_ends_with_its_settings_exit_codes_and_an_example(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([*name.split(), "--help"])
    _, settings, exit_codes, example = re.split(
        r"\n(?:settings|exit codes|example):\n", capsys.readouterr().out
    )
    assert set(re.findall(r"^  ([A-Z_]+)$", settings, re.MULTILINE)) <= set(documented())
    assert re.match(r"  0 +\w", exit_codes)
    assert f"tigerfans {name}" in example


@pytest.mark.parametrize("arguments", [[], ["down"], ["worker"], ["ledger"], ["ledger", "replay"]])
def test_a_command_that_is_not_one_is_a_usage_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: tigerfans" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["up", "ps", "reload", "sequencer", "migrate"])
def test_a_setting_that_cannot_be_used_is_one_sentence_and_exit_code_2(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIGERFANS_PORT", "http")
    assert main([command]) == 2
    captured = capsys.readouterr()
    assert captured.err == "TIGERFANS_PORT must be a whole number, not 'http'.\n"
    assert captured.out == ""


def test_a_variable_that_is_no_setting_is_named_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TIGERFANS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TIGERFANS_HOLD_SECOND", "200")
    main(["ps"])
    assert [record.getMessage() for record in caplog.records] == [
        "TIGERFANS_HOLD_SECOND is no setting, and nothing was done with it. Is"
        " TIGERFANS_HOLD_SECONDS meant?"
    ]


@pytest.mark.parametrize("command", ["ps", "reload"])
def test_without_a_running_shop_a_sentence_says_so(
    command: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = tmp_path / "data"
    monkeypatch.setenv("TIGERFANS_DATA", str(data))
    assert main([command]) == 1
    captured = capsys.readouterr()
    assert captured.err == f"No shop is running in TIGERFANS_DATA={data}.\n"
    assert captured.out == ""
    assert not data.exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--days", "3"], "add --provider"),
        (["--provider", "--days", "0"], "--days must be a number from 1"),
    ],
)
def test_days_that_cannot_be_compared_are_refused_in_a_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reconcile", *arguments]) == 2
    assert sentence in capsys.readouterr().err
