"""The frames of the socket between worker and sequencer: bytes in, frames out, and no I/O.

A frame is a 12-byte header and a payload, all little-endian:

    length u32 (of the payload)   correlation u32   code u16   reserved u16 (0)

On connect both ends send a hello, and nothing else before it. Then the worker sends requests,
and the sequencer one reply for each, in any order, with the request's correlation:

    request code       payload                             reply payload
    create_accounts    whole 128-byte accounts             a 16-byte result for each, in order
    create_transfers   whole 128-byte transfers            a 16-byte result for each, in order
    lookup_accounts    whole 16-byte ids                   the 128-byte accounts found, in order
    lookup_transfers   whole 16-byte ids                   the 128-byte transfers found, in order
    get_account_transfers  one 128-byte filter             the 128-byte transfers that pass it
    STATS              the worker's counters, see `stats`  (no reply)
    BACKUP             empty                               the path of a copy of the ledger, UTF-8

A reply's code is a `Status`; of all but OK the payload is a sentence for the log, or empty. A
status with correlation 0 is about the connection: the sequencer says why, then hangs up.

Relies on the payload sizes of `ledger.wire`. A peer that breaks a rule raises `FrameError`, and
its connection is of no more use; no frame makes a decoder hold more than one payload.
"""

from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

from tigerfans.ledger.base import RECORDS_MAX
from tigerfans.ledger.wire import TRANSFER_SIZE

PROTOCOL_VERSION: Final = 1

# Length of the payload, correlation, code, reserved.
HEADER: Final = Struct("<IIHH")
HEADER_SIZE: Final = HEADER.size

PAYLOAD_SIZE_MAX: Final = RECORDS_MAX * TRANSFER_SIZE
STATS_SIZE_MAX: Final = 64 * 1024
SENTENCE_SIZE_MAX: Final = 512
NAME_SIZE_MAX: Final = 64

# A worker has at most this many unanswered requests; one more is "busy" on either end.
REQUESTS_IN_FLIGHT_MAX: Final = 4096
# How long a peer may take to say hello.
HELLO_SECONDS_MAX: Final = 2.0

# Correlations are 1 to this, then 1 again.
CORRELATION_MAX: Final = 2**32 - 1
ABOUT_THE_CONNECTION: Final = 0

# Codes: 0 to 63 are statuses, 64 to 127 are the connection's own, from 128 the ledger's operations.
HELLO: Final = 64
STATS: Final = 65
BACKUP: Final = 66

MAGIC: Final = b"TIGRFANS"
# Magic, protocol version, reserved, records_max (0 from a worker); the name follows in UTF-8.
_HELLO: Final = Struct("<8sHHI")


class Status(IntEnum):
    """What a reply says about its request."""

    OK = 0
    BUSY = 1
    INVALID = 2
    TOO_LARGE = 3
    UNAVAILABLE = 4
    OUTCOME_UNKNOWN = 5


class FrameError(Exception):
    """The peer broke the protocol; the message says how."""


# Correlation, code, payload. A plain tuple: the sequencer makes one for each transfer sold.
Frame = tuple[int, int, bytes]


class Hello(NamedTuple):
    """Who is there: a worker by its name, or the sequencer by the kind of its ledger.

    `records_max` is the most records the ledger takes at once, as far as that is known by now.
    """

    name: str
    records_max: int = 0


def encode(correlation: int, code: int, payload: bytes = b"") -> bytes:
    """One whole frame."""
    return HEADER.pack(len(payload), correlation, code, 0) + payload


def encode_hello(hello: Hello) -> bytes:
    """The frame that opens a connection."""
    fixed = _HELLO.pack(MAGIC, PROTOCOL_VERSION, 0, hello.records_max)
    return encode(ABOUT_THE_CONNECTION, HELLO, fixed + hello.name.encode())


def encode_sentence(correlation: int, status: Status, sentence: str = "") -> bytes:
    """A reply that is not OK, with the reason in at most `SENTENCE_SIZE_MAX` bytes."""
    return encode(correlation, status, sentence.encode()[:SENTENCE_SIZE_MAX])


def decode_sentence(payload: bytes) -> str:
    """The reason in a reply that is not OK; it may be empty."""
    return payload[:SENTENCE_SIZE_MAX].decode("utf-8", "replace")


def decode_hello(frame: Frame) -> Hello:
    """Reads the first frame of a connection; raises `FrameError` unless it is a hello of ours."""
    _, code, payload = frame
    if code != HELLO or len(payload) < _HELLO.size:
        raise FrameError("The peer did not say hello first.")
    magic, version, _, records_max = _HELLO.unpack_from(payload)
    if magic != MAGIC:
        raise FrameError("The peer is not a part of this shop.")
    if version != PROTOCOL_VERSION:
        raise FrameError(
            f"The peer speaks version {version} of the protocol, this process speaks version"
            f" {PROTOCOL_VERSION}; restart the older of the two."
        )
    try:
        name = payload[_HELLO.size :].decode()
    except UnicodeDecodeError:
        raise FrameError("The peer's name is not UTF-8.") from None
    if not name.isprintable() or not 1 <= len(payload) - _HELLO.size <= NAME_SIZE_MAX:
        raise FrameError(f"The peer's name must be 1 to {NAME_SIZE_MAX} printable bytes.")
    return Hello(name, records_max)


class FrameDecoder:
    """Cuts a stream of bytes into frames, wherever the stream was split."""

    def __init__(self) -> None:
        self._rest = bytearray()
        # How many bytes `_rest` needs before it is worth another look.
        self._wanted = HEADER_SIZE

    def __repr__(self) -> str:
        return f"<FrameDecoder {len(self._rest)} of {self._wanted} bytes>"

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes; raises `FrameError` at the first impossible header.

        After an error the stream has no more boundaries, and the decoder must not be fed again.
        """
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        frames: list[Frame] = []
        start, end = 0, len(data)
        unpack = HEADER.unpack_from
        while end - start >= HEADER_SIZE:
            length, correlation, code, reserved = unpack(data, start)
            if reserved or length > PAYLOAD_SIZE_MAX:
                raise FrameError("The peer sent bytes that are not a frame.")
            payload_start = start + HEADER_SIZE
            payload_end = payload_start + length
            if payload_end > end:
                self._wanted = HEADER_SIZE + length
                break
            frames.append((correlation, code, data[payload_start:payload_end]))
            start = payload_end
        else:
            self._wanted = HEADER_SIZE
        if start < end:
            self._rest += data[start:]
        return frames
