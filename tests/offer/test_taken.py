"""The copy of an event's file that a shop sells."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.offers import OFFER, OFFER_FILE
from tigerfans.offer.file import OfferError, demo
from tigerfans.offer.taken import TakenOffer, find_taken, named_offer, sold_offer
from tigerfans.settings.folder import DataFolder

SVG = '<svg xmlns="http://www.w3.org/2000/svg"/>'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The tests' show, with a logo beside it."""
    file = tmp_path / "offer.toml"
    named = OFFER_FILE.read_text().replace("[show]\n", '[show]\nlogo = "whale.svg"\n')
    file.write_text(named)
    (tmp_path / "whale.svg").write_text(SVG)
    return file


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path / "data")


def test_what_was_taken_over_is_sold_whatever_becomes_of_the_file(
    file: Path, folder: DataFolder
) -> None:
    before = named_offer(str(file), folder.root)
    folder.keep_offer(TakenOffer.of(file))
    file.write_text(file.read_text()[:200])
    (file.parent / "whale.svg").unlink()
    with pytest.raises(OfferError):
        named_offer(str(file), folder.root)
    assert sold_offer(str(file), folder.root) == before
    # Nor does it matter from which folder it is named, or whether.
    assert sold_offer("", folder.root) == before
    assert before.logo is not None
    assert before.logo.content == SVG.encode()
    assert before.path == file


def test_another_file_than_was_taken_over_is_read_itself(file: Path, folder: DataFolder) -> None:
    folder.keep_offer(TakenOffer.of(file))
    assert replace(sold_offer(str(OFFER_FILE), folder.root), path=OFFER.path) == OFFER


def test_where_nothing_was_taken_over_it_is_the_file_or_the_demonstration(
    file: Path, folder: DataFolder
) -> None:
    assert sold_offer(str(file), folder.root) == named_offer(str(file), folder.root)
    assert sold_offer("", folder.root) is demo()
    folder.keep_offer(TakenOffer.of(file))
    folder.keep_offer(None)
    assert sold_offer("", folder.root) is demo()
    folder.offer.write_text('{"path": 1')
    assert find_taken(folder.root) is None


def test_a_file_with_a_mistake_is_not_taken_over(file: Path, folder: DataFolder) -> None:
    file.write_text(file.read_text().replace('"EUR"', '"EURO"'))
    with pytest.raises(OfferError, match=r"offer\.toml:11: currency"):
        TakenOffer.of(file)


def test_a_digest_tells_another_offer_and_not_another_place(tmp_path: Path) -> None:
    text = OFFER_FILE.read_text()
    moved = tmp_path / "moved.toml"
    moved.write_text(f"# Of another host.\n{text}")
    assert named_offer(str(moved), tmp_path).digest == OFFER.digest
    moved.write_text(text.replace('"65.00"', '"65.50"'))
    assert named_offer(str(moved), tmp_path).digest != OFFER.digest
