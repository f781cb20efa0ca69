import pytest

from tigerfans.ipc.frames import SENTENCE_SIZE_MAX, Status, encode_sentence
from tigerfans.ipc.statuses import ERROR_OF_STATUS, error_of, status_of
from tigerfans.ledger.base import LedgerError, LedgerTimeoutError


@pytest.mark.parametrize(("status", "kind"), ERROR_OF_STATUS.items())
def test_a_ledger_error_crosses_the_socket(status: Status, kind: type[LedgerError]) -> None:
    assert status_of(kind("as it was")) is status
    error = error_of(status, b"as it was")
    assert (type(error), str(error)) == (kind, "as it was")


def test_each_status_but_ok_has_its_error() -> None:
    assert set(ERROR_OF_STATUS) == set(Status) - {Status.OK}


def test_an_error_nobody_foresaw_leaves_the_outcome_unknown() -> None:
    assert status_of(ZeroDivisionError()) is Status.OUTCOME_UNKNOWN


def test_without_a_sentence_the_error_explains_itself() -> None:
    error = error_of(Status.OUTCOME_UNKNOWN, b"")
    assert str(error) == LedgerTimeoutError.__doc__


def test_a_sentence_is_never_longer_than_its_limit() -> None:
    sentence = "x" * 10_000
    assert len(encode_sentence(1, Status.BUSY, sentence)) == 12 + SENTENCE_SIZE_MAX
    assert len(str(error_of(Status.BUSY, sentence.encode()))) == SENTENCE_SIZE_MAX
