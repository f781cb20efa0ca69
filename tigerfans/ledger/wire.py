"""TigerBeetle's wire format: 128-byte accounts and transfers, 16-byte results, status codes.

Everything that crosses the socket to the sequencer, and from there to the ledger, is a
concatenation of these records. All fields are little-endian. The 128-bit fields (ids, amounts,
`user_data_128`) stay `bytes` in the structs, because the hot path only copies them; the named
tuples below, with plain integers, are for everything that is not hot.

Source: TigerBeetle 0.17.9, `tigerbeetle.bindings`.
"""

from enum import IntEnum, IntFlag
from struct import Struct
from typing import Final, NamedTuple, Self

ID_SIZE: Final = 16
ACCOUNT_SIZE: Final = 128
TRANSFER_SIZE: Final = 128
ACCOUNT_FILTER_SIZE: Final = 128
RESULT_SIZE: Final = 16

# Accounts and transfers keep their u16 flags at the same place.
FLAGS_OFFSET: Final = 118

U128_MAX: Final = 2**128 - 1
# A post or void of this amount means "all that is pending".
AMOUNT_MAX: Final = U128_MAX.to_bytes(16, "little")

# id, debit_account_id, credit_account_id, amount, pending_id, user_data_128,
# user_data_64, user_data_32, timeout (seconds), ledger, code, flags, timestamp (ns)
TRANSFER: Final = Struct("<16s16s16s16s16s16sQIIIHHQ")

# id, debits_pending, debits_posted, credits_pending, credits_posted, user_data_128,
# user_data_64, user_data_32, reserved, ledger, code, flags, timestamp (ns)
ACCOUNT: Final = Struct("<16s16s16s16s16s16sQIIIHHQ")

# account_id, user_data_128, user_data_64, user_data_32, code, timestamp_min and timestamp_max (ns,
# inclusive, 0 for none), limit, flags
ACCOUNT_FILTER: Final = Struct("<16s16sQIH58xQQII")

# timestamp (ns), status, reserved
RESULT: Final = Struct("<QII")


class Operation(IntEnum):
    """What a ledger can be asked; the numbers are TigerBeetle's own."""

    LOOKUP_ACCOUNTS = 140
    LOOKUP_TRANSFERS = 141
    GET_ACCOUNT_TRANSFERS = 142
    CREATE_ACCOUNTS = 146
    CREATE_TRANSFERS = 147


# These are answered with one result for each record, the others with the records that were found.
CREATES: Final = (Operation.CREATE_ACCOUNTS, Operation.CREATE_TRANSFERS)

RECORD_SIZE: Final = {
    Operation.LOOKUP_ACCOUNTS: ID_SIZE,
    Operation.LOOKUP_TRANSFERS: ID_SIZE,
    Operation.GET_ACCOUNT_TRANSFERS: ACCOUNT_FILTER_SIZE,
    Operation.CREATE_ACCOUNTS: ACCOUNT_SIZE,
    Operation.CREATE_TRANSFERS: TRANSFER_SIZE,
}


class AccountFlags(IntFlag):
    LINKED = 1 << 0
    DEBITS_MUST_NOT_EXCEED_CREDITS = 1 << 1
    CREDITS_MUST_NOT_EXCEED_DEBITS = 1 << 2
    HISTORY = 1 << 3
    IMPORTED = 1 << 4
    CLOSED = 1 << 5


class TransferFlags(IntFlag):
    LINKED = 1 << 0
    PENDING = 1 << 1
    POST_PENDING_TRANSFER = 1 << 2
    VOID_PENDING_TRANSFER = 1 << 3
    BALANCING_DEBIT = 1 << 4
    BALANCING_CREDIT = 1 << 5
    CLOSING_DEBIT = 1 << 6
    CLOSING_CREDIT = 1 << 7
    IMPORTED = 1 << 8


class AccountFilterFlags(IntFlag):
    """Which transfers of an account a filter takes."""

    DEBITS = 1 << 0
    CREDITS = 1 << 1
    REVERSED = 1 << 2


class AccountStatus(IntEnum):
    """The outcome of creating one account."""

    CREATED = 0xFFFFFFFF
    LINKED_EVENT_FAILED = 1
    LINKED_EVENT_CHAIN_OPEN = 2
    TIMESTAMP_MUST_BE_ZERO = 3
    RESERVED_FIELD = 4
    RESERVED_FLAG = 5
    ID_MUST_NOT_BE_ZERO = 6
    ID_MUST_NOT_BE_INT_MAX = 7
    FLAGS_ARE_MUTUALLY_EXCLUSIVE = 8
    DEBITS_PENDING_MUST_BE_ZERO = 9
    DEBITS_POSTED_MUST_BE_ZERO = 10
    CREDITS_PENDING_MUST_BE_ZERO = 11
    CREDITS_POSTED_MUST_BE_ZERO = 12
    LEDGER_MUST_NOT_BE_ZERO = 13
    CODE_MUST_NOT_BE_ZERO = 14
    EXISTS_WITH_DIFFERENT_FLAGS = 15
    EXISTS_WITH_DIFFERENT_USER_DATA_128 = 16
    EXISTS_WITH_DIFFERENT_USER_DATA_64 = 17
    EXISTS_WITH_DIFFERENT_USER_DATA_32 = 18
    EXISTS_WITH_DIFFERENT_LEDGER = 19
    EXISTS_WITH_DIFFERENT_CODE = 20
    EXISTS = 21
    IMPORTED_EVENT_EXPECTED = 22
    IMPORTED_EVENT_NOT_EXPECTED = 23
    IMPORTED_EVENT_TIMESTAMP_OUT_OF_RANGE = 24
    IMPORTED_EVENT_TIMESTAMP_MUST_NOT_ADVANCE = 25
    IMPORTED_EVENT_TIMESTAMP_MUST_NOT_REGRESS = 26


class TransferStatus(IntEnum):
    """The outcome of creating one transfer."""

    CREATED = 0xFFFFFFFF
    LINKED_EVENT_FAILED = 1
    LINKED_EVENT_CHAIN_OPEN = 2
    TIMESTAMP_MUST_BE_ZERO = 3
    RESERVED_FLAG = 4
    ID_MUST_NOT_BE_ZERO = 5
    ID_MUST_NOT_BE_INT_MAX = 6
    FLAGS_ARE_MUTUALLY_EXCLUSIVE = 7
    DEBIT_ACCOUNT_ID_MUST_NOT_BE_ZERO = 8
    DEBIT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX = 9
    CREDIT_ACCOUNT_ID_MUST_NOT_BE_ZERO = 10
    CREDIT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX = 11
    ACCOUNTS_MUST_BE_DIFFERENT = 12
    PENDING_ID_MUST_BE_ZERO = 13
    PENDING_ID_MUST_NOT_BE_ZERO = 14
    PENDING_ID_MUST_NOT_BE_INT_MAX = 15
    PENDING_ID_MUST_BE_DIFFERENT = 16
    TIMEOUT_RESERVED_FOR_PENDING_TRANSFER = 17
    LEDGER_MUST_NOT_BE_ZERO = 19
    CODE_MUST_NOT_BE_ZERO = 20
    DEBIT_ACCOUNT_NOT_FOUND = 21
    CREDIT_ACCOUNT_NOT_FOUND = 22
    ACCOUNTS_MUST_HAVE_THE_SAME_LEDGER = 23
    TRANSFER_MUST_HAVE_THE_SAME_LEDGER_AS_ACCOUNTS = 24
    PENDING_TRANSFER_NOT_FOUND = 25
    PENDING_TRANSFER_NOT_PENDING = 26
    PENDING_TRANSFER_HAS_DIFFERENT_DEBIT_ACCOUNT_ID = 27
    PENDING_TRANSFER_HAS_DIFFERENT_CREDIT_ACCOUNT_ID = 28
    PENDING_TRANSFER_HAS_DIFFERENT_LEDGER = 29
    PENDING_TRANSFER_HAS_DIFFERENT_CODE = 30
    EXCEEDS_PENDING_TRANSFER_AMOUNT = 31
    PENDING_TRANSFER_HAS_DIFFERENT_AMOUNT = 32
    PENDING_TRANSFER_ALREADY_POSTED = 33
    PENDING_TRANSFER_ALREADY_VOIDED = 34
    PENDING_TRANSFER_EXPIRED = 35
    EXISTS_WITH_DIFFERENT_FLAGS = 36
    EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT_ID = 37
    EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT_ID = 38
    EXISTS_WITH_DIFFERENT_AMOUNT = 39
    EXISTS_WITH_DIFFERENT_PENDING_ID = 40
    EXISTS_WITH_DIFFERENT_USER_DATA_128 = 41
    EXISTS_WITH_DIFFERENT_USER_DATA_64 = 42
    EXISTS_WITH_DIFFERENT_USER_DATA_32 = 43
    EXISTS_WITH_DIFFERENT_TIMEOUT = 44
    EXISTS_WITH_DIFFERENT_CODE = 45
    EXISTS = 46
    OVERFLOWS_DEBITS_PENDING = 47
    OVERFLOWS_CREDITS_PENDING = 48
    OVERFLOWS_DEBITS_POSTED = 49
    OVERFLOWS_CREDITS_POSTED = 50
    OVERFLOWS_DEBITS = 51
    OVERFLOWS_CREDITS = 52
    OVERFLOWS_TIMEOUT = 53
    EXCEEDS_CREDITS = 54
    EXCEEDS_DEBITS = 55
    IMPORTED_EVENT_EXPECTED = 56
    IMPORTED_EVENT_NOT_EXPECTED = 57
    IMPORTED_EVENT_TIMESTAMP_OUT_OF_RANGE = 58
    IMPORTED_EVENT_TIMESTAMP_MUST_NOT_ADVANCE = 59
    IMPORTED_EVENT_TIMESTAMP_MUST_NOT_REGRESS = 60
    IMPORTED_EVENT_TIMESTAMP_MUST_POSTDATE_DEBIT_ACCOUNT = 61
    IMPORTED_EVENT_TIMESTAMP_MUST_POSTDATE_CREDIT_ACCOUNT = 62
    IMPORTED_EVENT_TIMEOUT_MUST_BE_ZERO = 63
    CLOSING_TRANSFER_MUST_BE_PENDING = 64
    DEBIT_ACCOUNT_ALREADY_CLOSED = 65
    CREDIT_ACCOUNT_ALREADY_CLOSED = 66
    EXISTS_WITH_DIFFERENT_LEDGER = 67
    ID_ALREADY_FAILED = 68


def u128(value: int) -> bytes:
    """The 16 little-endian bytes of a 128-bit integer."""
    return value.to_bytes(16, "little")


class Transfer(NamedTuple):
    """One transfer with integer fields; `timeout` is in seconds, `timestamp` in nanoseconds."""

    id: int = 0
    debit_account_id: int = 0
    credit_account_id: int = 0
    amount: int = 0
    pending_id: int = 0
    user_data_128: int = 0
    user_data_64: int = 0
    user_data_32: int = 0
    timeout: int = 0
    ledger: int = 0
    code: int = 0
    flags: int = 0
    timestamp: int = 0

    def pack(self) -> bytes:
        return TRANSFER.pack(*map(u128, self[:6]), *self[6:])

    @classmethod
    def unpack_all(cls, records: bytes) -> list[Self]:
        """Reads a concatenation of whole 128-byte records."""
        return [
            cls(*(int.from_bytes(field, "little") for field in fields[:6]), *fields[6:])
            for fields in TRANSFER.iter_unpack(records)
        ]


class Account(NamedTuple):
    """One account with integer fields; `timestamp` is in nanoseconds."""

    id: int = 0
    debits_pending: int = 0
    debits_posted: int = 0
    credits_pending: int = 0
    credits_posted: int = 0
    user_data_128: int = 0
    user_data_64: int = 0
    user_data_32: int = 0
    reserved: int = 0
    ledger: int = 0
    code: int = 0
    flags: int = 0
    timestamp: int = 0

    def pack(self) -> bytes:
        return ACCOUNT.pack(*map(u128, self[:6]), *self[6:])

    @classmethod
    def unpack_all(cls, records: bytes) -> list[Self]:
        """Reads a concatenation of whole 128-byte records."""
        return [
            cls(*(int.from_bytes(field, "little") for field in fields[:6]), *fields[6:])
            for fields in ACCOUNT.iter_unpack(records)
        ]


class AccountFilter(NamedTuple):
    """Asks for an account's transfers, the oldest first; at most `limit` of them.

    Timestamps are in nanoseconds, both ends included; 0 leaves that end open.
    """

    account_id: int
    timestamp_min: int
    timestamp_max: int
    limit: int
    flags: int

    def pack(self) -> bytes:
        account_id, *rest = self
        return ACCOUNT_FILTER.pack(u128(account_id), u128(0), 0, 0, 0, *rest)


class Result(NamedTuple):
    """The outcome of one record. For `created` and `exists`, `timestamp` is when it was created."""

    timestamp: int
    status: int

    @classmethod
    def unpack_all(cls, records: bytes) -> list[Self]:
        return [cls(timestamp, status) for timestamp, status, _ in RESULT.iter_unpack(records)]
