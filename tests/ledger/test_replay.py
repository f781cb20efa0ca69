"""Replaying recordings of the real TigerBeetle, and how differences are told."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.ledger.by_hand import BUDGET, SOLD, account, transfer
from tigerfans.ledger.embedded import open_in_memory
from tigerfans.ledger.replay import read_recording, replay_all, run
from tigerfans.ledger.wire import Account, Transfer
from tigerfans.settings.settings import Settings

RECORDING = Path(__file__).with_name("tigerbeetle-0.17.9.jsonl.gz")


def fields(record: Account | Transfer) -> dict[str, object]:
    """A record as recordings have it: zeros left out, 128-bit fields as strings."""
    return {
        name: str(value) if place < 6 else int(value)
        for place, (name, value) in enumerate(record._asdict().items())
        if value
    }


ACCOUNTS_STEP = {
    "op": "create_accounts",
    "events": [fields(account(BUDGET)), fields(account(SOLD))],
    "statuses": ["created", "created"],
}
SALE_STEP = {
    "op": "create_transfers",
    "events": [fields(transfer(100)), fields(transfer(100))],
    "statuses": ["created", "exists"],
}
LOOKUP_STEP = {"op": "lookup_transfers", "ids": ["100"], "transfers": [fields(transfer(100))]}


def recording(folder: Path, *steps: object) -> Path:
    path = folder / "recording.jsonl"
    path.write_text(json.dumps({"name": "a sale", "steps": steps}) + "\n")
    return path


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return replace(Settings(), ledger=f"embedded:{tmp_path / 'ledger'}")


def test_the_embedded_ledger_does_all_that_tigerbeetle_was_recorded_doing(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(settings, RECORDING) == 0
    out, err = capsys.readouterr()
    assert out == "158 scenarios, 2376 steps, 0 differences (embedded ledger)\n"
    assert err == ""


def test_a_recording_without_a_difference_succeeds(settings: Settings, tmp_path: Path) -> None:
    assert run(settings, recording(tmp_path, ACCOUNTS_STEP, SALE_STEP, LOOKUP_STEP)) == 0


def test_a_recording_may_be_packed(settings: Settings, tmp_path: Path) -> None:
    plain = recording(tmp_path, ACCOUNTS_STEP, SALE_STEP)
    packed = tmp_path / "recording.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_recording(packed) == read_recording(plain)
    assert run(settings, packed) == 0


def test_a_pause_counts_as_a_step(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(settings, recording(tmp_path, {"sleep_s": 0}, ACCOUNTS_STEP)) == 0
    assert capsys.readouterr().out == "1 scenarios, 2 steps, 0 differences (embedded ledger)\n"


def test_a_difference_is_told_with_its_place_and_both_sides(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = SALE_STEP | {"statuses": ["created", "created"]}
    assert run(settings, recording(tmp_path, ACCOUNTS_STEP, wrong)) == 1
    assert capsys.readouterr().out == (
        "a sale: step 2, event 1: expected created, got exists\n"
        "1 scenarios, 2 steps, 1 differences (embedded ledger)\n"
    )


async def test_every_recorded_field_is_compared(tmp_path: Path) -> None:
    found = fields(transfer(100))
    for name in found.keys() - {"id"}:
        wrong = LOOKUP_STEP | {"transfers": [found | {name: 3}]}
        path = recording(tmp_path, ACCOUNTS_STEP, SALE_STEP, wrong)
        ledger = await open_in_memory()
        assert await replay_all(ledger, read_recording(path), lambda _: None) == 1
        await ledger.close()


async def test_records_too_many_and_too_few_are_differences(tmp_path: Path) -> None:
    told: list[str] = []
    too_few = LOOKUP_STEP | {"ids": ["999"]}
    too_many = LOOKUP_STEP | {"transfers": []}
    path = recording(tmp_path, ACCOUNTS_STEP, SALE_STEP, too_few, too_many)
    ledger = await open_in_memory()
    assert await replay_all(ledger, read_recording(path), told.append) == 2
    await ledger.close()
    assert told[0].startswith("a sale: step 3, event 0: expected {")
    assert told[0].endswith(", got nothing")
    assert told[1].startswith("a sale: step 4, event 0: expected nothing, got {")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "is empty"),
        ("no json\n", "line 1 is no scenario"),
        ("[]\n", "line 1 is no scenario"),
        ("{}\n", "line 1: 'name' is missing"),
        ('{"name": "a", "steps": [{"op": "fly"}]}\n', "line 1: 'FLY' is missing or unknown"),
        ('{"name": "a", "steps": [{"sleep_s": 3600}]}\n', "a pause of 3600.0 s"),
        (
            json.dumps({"name": "a", "steps": [SALE_STEP | {"statuses": ["created"]}]}),
            "1 statuses for 2 events",
        ),
        (
            json.dumps({"name": "a", "steps": [SALE_STEP | {"statuses": ["fine", "fine"]}]}),
            "unknown status 'fine'",
        ),
        (
            json.dumps({"name": "a", "steps": [LOOKUP_STEP | {"ids": [str(2**128)]}]}),
            "line 1 is no scenario",
        ),
        (
            json.dumps({"name": "a", "steps": [LOOKUP_STEP | {"transfers": [{"colour": 1}]}]}),
            "colour",
        ),
    ],
)
def test_a_file_that_is_no_recording_is_refused_in_one_sentence(
    settings: Settings,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str,
    complaint: str,
) -> None:
    path = tmp_path / "recording.jsonl"
    path.write_text(content)
    assert run(settings, path) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert complaint in err
    assert err.count("\n") == 1
    assert not (tmp_path / "ledger").exists()


def test_a_file_that_cannot_be_read_is_refused_in_one_sentence(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(settings, tmp_path / "nowhere.jsonl") == 2
    assert "cannot be read: No such file or directory." in capsys.readouterr().err
    broken = tmp_path / "broken.gz"
    broken.write_bytes(RECORDING.read_bytes()[:1000])
    assert run(settings, broken) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_a_ledger_that_cannot_be_opened_is_told_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = recording(tmp_path, ACCOUNTS_STEP)
    assert run(Settings(), path) == 2
    assert capsys.readouterr().err == "TIGERFANS_LEDGER must name the ledger to replay against.\n"
    assert run(replace(Settings(), ledger=f"embedded:{path}"), path) == 2
    assert "cannot hold a ledger" in capsys.readouterr().err
