"""The wire format against the TigerBeetle client's own, field by field."""

import ctypes
from enum import IntEnum, IntFlag

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tigerbeetle import bindings

from tigerfans.ledger import wire
from tigerfans.ledger.wire import (
    ACCOUNT,
    ACCOUNT_SIZE,
    FLAGS_OFFSET,
    RESULT,
    RESULT_SIZE,
    TRANSFER,
    TRANSFER_SIZE,
    Account,
    AccountFlags,
    AccountStatus,
    Operation,
    Result,
    Transfer,
    TransferFlags,
    TransferStatus,
)

u128s = st.integers(0, 2**128 - 1)
u64s = st.integers(0, 2**64 - 1)
u32s = st.integers(0, 2**32 - 1)
u16s = st.integers(0, 2**16 - 1)
FIELDS = (u128s, u128s, u128s, u128s, u128s, u128s, u64s, u32s, u32s, u32s, u16s, u16s, u64s)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (AccountStatus, bindings.CreateAccountStatus),
        (TransferStatus, bindings.CreateTransferStatus),
        (AccountFlags, bindings.AccountFlags),
        (TransferFlags, bindings.TransferFlags),
    ],
)
def test_names_and_numbers_are_tigerbeetles(
    ours: type[IntEnum | IntFlag], theirs: type[IntEnum | IntFlag]
) -> None:
    known = {name: int(value) for name, value in theirs.__members__.items() if name != "NONE"}
    assert {name: int(value) for name, value in ours.__members__.items()} == known


def test_operations_are_tigerbeetles() -> None:
    for operation in Operation:
        assert int(operation) == int(bindings.Operation[operation.name])


@pytest.mark.parametrize(
    ("record", "struct"), [(Account, bindings.CAccount), (Transfer, bindings.CTransfer)]
)
def test_every_field_lies_where_the_client_has_it(
    record: type[Account] | type[Transfer], struct: type[ctypes.Structure]
) -> None:
    assert ctypes.sizeof(struct) == ACCOUNT_SIZE == TRANSFER_SIZE == ACCOUNT.size == TRANSFER.size
    for name in record._fields:
        packed = record(**{name: 0x0101}).pack()
        field = getattr(struct, name)
        expected = bytearray(TRANSFER_SIZE)
        expected[field.offset : field.offset + 2] = b"\x01\x01"
        assert packed == bytes(expected), name
    assert struct.flags.offset == FLAGS_OFFSET


def test_a_result_is_the_clients() -> None:
    assert RESULT.size == RESULT_SIZE == ctypes.sizeof(bindings.CCreateTransferResult)
    raw = bytes(bindings.CCreateTransferResult(timestamp=2**63, status=2**32 - 1))
    assert Result.unpack_all(raw) == [Result(2**63, TransferStatus.CREATED)]


@given(st.lists(st.tuples(*FIELDS).map(Transfer._make), max_size=4))
def test_transfers_survive_packing(transfers: list[Transfer]) -> None:
    packed = b"".join(transfer.pack() for transfer in transfers)
    assert Transfer.unpack_all(packed) == transfers


@given(st.lists(st.tuples(*FIELDS).map(Account._make), max_size=4))
def test_accounts_survive_packing(accounts: list[Account]) -> None:
    packed = b"".join(account.pack() for account in accounts)
    assert Account.unpack_all(packed) == accounts


@given(u128s)
def test_128_bits_are_16_little_endian_bytes(value: int) -> None:
    assert int.from_bytes(wire.u128(value), "little") == value
    assert len(wire.u128(value)) == wire.ID_SIZE
