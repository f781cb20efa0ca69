"""Whether a ledger is the shop's own: the table, row by row."""

from datetime import UTC, datetime

import pytest

from tests.offers import catalog_with
from tigerfans.booking.transfers import Booking
from tigerfans.ledger.wire import Account
from tigerfans.shop.identity import (
    DECISIONS,
    NO_ID,
    OnLedger,
    OnRow,
    Refusal,
    Step,
    decide,
    ids_carried,
)
from tigerfans.stores.identity import Identity, ShopId

OURS, ANOTHERS = ShopId.new(), ShopId.new()
FUNDED_AT = datetime(2027, 6, 18, tzinfo=UTC)

ROWS = {
    OnRow.NOT_FUNDED: Identity(OURS, b"", None, is_on_ledger=True),
    OnRow.FUNDED: Identity(OURS, b"", FUNDED_AT, is_on_ledger=True),
    OnRow.FUNDED_WITHOUT_ID: Identity(OURS, b"", FUNDED_AT, is_on_ledger=False),
}
LEDGERS: dict[OnLedger, list[set[bytes]]] = {
    OnLedger.NOTHING: [set()],
    OnLedger.NO_ID: [{NO_ID}],
    OnLedger.OURS: [{OURS}],
    OnLedger.ANOTHERS: [{ANOTHERS}, {OURS, ANOTHERS}, {OURS, NO_ID}, {ANOTHERS, NO_ID}],
}


def test_the_table_has_every_case_and_each_refusal_is_one_sentence_that_says_what_to_do() -> None:
    assert len(DECISIONS) == len(OnRow) * len(OnLedger)
    for refusal in Refusal:
        assert "\n" not in refusal
        assert refusal.startswith("TIGERFANS_LEDGER names ")
        assert refusal.count(": ") == 1


@pytest.mark.parametrize(
    ("row", "ledger", "decision"),
    [
        # A new shop; the second line is also one that died before the row said "funded".
        (OnRow.NOT_FUNDED, OnLedger.NOTHING, Step.FUND),
        (OnRow.NOT_FUNDED, OnLedger.OURS, Step.FUND),
        # One from before shops had an identity.
        (OnRow.NOT_FUNDED, OnLedger.NO_ID, Step.ADOPT),
        (OnRow.NOT_FUNDED, OnLedger.ANOTHERS, Refusal.ANOTHERS),
        (OnRow.FUNDED, OnLedger.OURS, Step.GO_ON),
        (OnRow.FUNDED, OnLedger.NOTHING, Refusal.LOST),
        (OnRow.FUNDED, OnLedger.NO_ID, Refusal.ANOTHERS),
        (OnRow.FUNDED, OnLedger.ANOTHERS, Refusal.ANOTHERS),
        (OnRow.FUNDED_WITHOUT_ID, OnLedger.NO_ID, Step.GO_ON),
        (OnRow.FUNDED_WITHOUT_ID, OnLedger.NOTHING, Refusal.LOST),
        (OnRow.FUNDED_WITHOUT_ID, OnLedger.OURS, Refusal.ANOTHERS),
        (OnRow.FUNDED_WITHOUT_ID, OnLedger.ANOTHERS, Refusal.ANOTHERS),
    ],
)
def test_what_the_row_says_and_what_the_ledger_says_decide(
    row: OnRow, ledger: OnLedger, decision: Step | Refusal
) -> None:
    for ids in LEDGERS[ledger]:
        assert decide(ROWS[row], frozenset(ids)) == decision


def test_every_account_carries_the_shops_id_as_its_hex_digits_show_it() -> None:
    accounts = Booking(catalog_with({"A": 1}, 1), 300).accounts(OURS)
    assert ids_carried(accounts) == {OURS}
    for account in Account.unpack_all(accounts):
        assert f"{account.user_data_128:032x}" == OURS.hex_digits
