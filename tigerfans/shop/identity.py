"""Whether a ledger is the shop's own: what the identity's row says, and what the ledger's accounts
carry, together decide how the shop opens. Pure but for one look at the ledger.

The row is there before anything is on the ledger, and says "funded" only afterwards. So a crash
between any two steps leaves a line of the table that repeats them, with the same ids.
"""

from collections.abc import Mapping
from enum import Enum, StrEnum, auto
from typing import Final

from tigerfans.ledger.wire import Account, u128
from tigerfans.stores.identity import Identity

# What the accounts carry that were made before shops had an identity.
NO_ID: Final = u128(0)


class OnRow(Enum):
    """What PostgreSQL says."""

    NOT_FUNDED = auto()
    FUNDED = auto()
    # The ledger was funded before shops had an identity.
    FUNDED_WITHOUT_ID = auto()

    @classmethod
    def of(cls, identity: Identity) -> "OnRow":
        if identity.funded_at is None:
            return cls.NOT_FUNDED
        return cls.FUNDED if identity.is_on_ledger else cls.FUNDED_WITHOUT_ID


class OnLedger(Enum):
    """Whose the accounts are that the catalog names."""

    NOTHING = auto()
    NO_ID = auto()
    OURS = auto()
    # Also where some are ours and some are not.
    ANOTHERS = auto()

    @classmethod
    def of(cls, ids: frozenset[bytes], identity: Identity) -> "OnLedger":
        """`ids` are those that the accounts carry."""
        if not ids:
            return cls.NOTHING
        if ids == {NO_ID}:
            return cls.NO_ID
        return cls.OURS if ids == {identity.id} else cls.ANOTHERS


class Step(Enum):
    """How the shop opens."""

    # Makes and funds all accounts, then says so in the row.
    FUND = auto()
    # Takes over the accounts that carry no id, then says so in the row.
    ADOPT = auto()
    # All is there but what the catalog has gained since.
    GO_ON = auto()


class Refusal(StrEnum):
    """Why the shop does not open, and what to do."""

    LOST = (
        "TIGERFANS_LEDGER names an empty ledger, but this shop was funded on one before: bring that"
        " back (mount its disk, or restore a backup, see docs/operations.md) and start again."
    )
    ANOTHERS = (
        "TIGERFANS_LEDGER names the ledger of another shop: set it, or DATABASE_URL, so that both"
        " belong to one shop."
    )


DECISIONS: Final[Mapping[tuple[OnRow, OnLedger], Step | Refusal]] = {
    (OnRow.NOT_FUNDED, OnLedger.NOTHING): Step.FUND,
    (OnRow.NOT_FUNDED, OnLedger.OURS): Step.FUND,
    (OnRow.NOT_FUNDED, OnLedger.NO_ID): Step.ADOPT,
    (OnRow.NOT_FUNDED, OnLedger.ANOTHERS): Refusal.ANOTHERS,
    (OnRow.FUNDED, OnLedger.NOTHING): Refusal.LOST,
    (OnRow.FUNDED, OnLedger.OURS): Step.GO_ON,
    (OnRow.FUNDED, OnLedger.NO_ID): Refusal.ANOTHERS,
    (OnRow.FUNDED, OnLedger.ANOTHERS): Refusal.ANOTHERS,
    (OnRow.FUNDED_WITHOUT_ID, OnLedger.NOTHING): Refusal.LOST,
    (OnRow.FUNDED_WITHOUT_ID, OnLedger.OURS): Refusal.ANOTHERS,
    (OnRow.FUNDED_WITHOUT_ID, OnLedger.NO_ID): Step.GO_ON,
    (OnRow.FUNDED_WITHOUT_ID, OnLedger.ANOTHERS): Refusal.ANOTHERS,
}


def decide(identity: Identity, ids: frozenset[bytes]) -> Step | Refusal:
    """How the shop opens on a ledger whose accounts carry these ids."""
    return DECISIONS[OnRow.of(identity), OnLedger.of(ids, identity)]


def ids_carried(accounts: bytes) -> frozenset[bytes]:
    """The ids that the records of accounts carry."""
    return frozenset(u128(account.user_data_128) for account in Account.unpack_all(accounts))
