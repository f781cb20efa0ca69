"""Records with nothing but an id, and what the gated ledger answers to them."""

from tigerfans.ledger.wire import FLAGS_OFFSET, Result, TransferStatus, u128


def transfer(number: int, *, linked: bool = False) -> bytes:
    record = bytearray(u128(number) + bytes(112))
    record[FLAGS_OFFSET] = linked
    return bytes(record)


def created(*numbers: int) -> list[Result]:
    return [Result(number, TransferStatus.CREATED) for number in numbers]


def existing(*numbers: int) -> list[Result]:
    return [Result(number, TransferStatus.EXISTS) for number in numbers]
