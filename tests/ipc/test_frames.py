from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tigerfans.ipc.frames import (
    HEADER,
    HEADER_SIZE,
    HELLO,
    NAME_SIZE_MAX,
    PAYLOAD_SIZE_MAX,
    SENTENCE_SIZE_MAX,
    Frame,
    FrameDecoder,
    FrameError,
    Hello,
    Status,
    decode_hello,
    decode_sentence,
    encode,
    encode_hello,
    encode_sentence,
)
from tigerfans.ledger.wire import Operation

frames = st.lists(
    st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**16 - 1), st.binary(max_size=300)),
    max_size=8,
)


def decode(data: bytes) -> list[Frame]:
    return FrameDecoder().feed(data)


@given(frames, st.data())
def test_any_split_of_the_stream_gives_the_same_frames(
    sent: list[Frame], data: st.DataObject
) -> None:
    stream = b"".join(encode(*frame) for frame in sent)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=20))
    decoder = FrameDecoder()
    received = []
    for start, end in pairwise([0, *sorted(cuts), len(stream)]):
        received += decoder.feed(stream[start:end])
    assert received == sent
    assert repr(decoder) == "<FrameDecoder 0 of 12 bytes>"


@given(frames)
def test_a_stream_fed_byte_by_byte_gives_the_same_frames(sent: list[Frame]) -> None:
    stream = b"".join(encode(*frame) for frame in sent)
    decoder = FrameDecoder()
    received = [frame for byte in stream for frame in decoder.feed(bytes([byte]))]
    assert received == sent


@given(st.binary())
def test_garbage_is_an_error_or_waits_for_the_rest_of_one_frame(garbage: bytes) -> None:
    decoder = FrameDecoder()
    try:
        received = decoder.feed(garbage)
    except FrameError:
        return
    rest = garbage.removeprefix(b"".join(encode(*frame) for frame in received))
    waiting, wanted = len(rest), HEADER_SIZE
    if waiting >= HEADER_SIZE:
        wanted += HEADER.unpack_from(rest)[0]
    assert repr(decoder) == f"<FrameDecoder {waiting} of {wanted} bytes>"
    assert wanted <= HEADER_SIZE + PAYLOAD_SIZE_MAX


@given(
    st.binary(max_size=400),
    st.one_of(
        st.tuples(st.integers(PAYLOAD_SIZE_MAX + 1, 2**32 - 1), st.just(0)),
        st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 2**16 - 1)),
    ),
)
def test_an_impossible_header_is_an_error_as_soon_as_it_is_there(
    payload: bytes, impossible: tuple[int, int]
) -> None:
    length, reserved = impossible
    decoder = FrameDecoder()
    decoder.feed(encode(1, 147, payload))
    header = HEADER.pack(length, 1, 147, reserved)
    assert decoder.feed(header[:-1]) == []
    with pytest.raises(FrameError, match="bytes that are not a frame"):
        decoder.feed(header[-1:])


@given(st.binary(max_size=100))
def test_no_garbage_passes_for_a_hello(payload: bytes) -> None:
    with pytest.raises(FrameError):
        decode_hello((0, HELLO, payload))


@given(
    st.text(min_size=1, max_size=16).filter(str.isprintable),
    st.integers(0, 2**32 - 1),
)
def test_a_hello_is_read_back(name: str, records_max: int) -> None:
    hello = Hello(name, records_max)
    assert decode_hello(*decode(encode_hello(hello))) == hello


@pytest.mark.parametrize("name", ["", "x" * (NAME_SIZE_MAX + 1), "line\nbreak"])
def test_a_name_that_is_not_one_is_refused(name: str) -> None:
    with pytest.raises(FrameError, match="must be 1 to 64 printable bytes"):
        decode_hello(*decode(encode_hello(Hello(name))))


def test_another_version_of_the_protocol_is_told_in_a_sentence() -> None:
    ((_, _, payload),) = decode(encode_hello(Hello("worker-1")))
    newer = payload[:8] + (2).to_bytes(2, "little") + payload[10:]
    with pytest.raises(FrameError, match=r"speaks version 2 .* speaks version 1; restart"):
        decode_hello((0, HELLO, newer))


def test_a_stranger_is_told_apart() -> None:
    ((_, _, payload),) = decode(encode_hello(Hello("worker-1")))
    with pytest.raises(FrameError, match="not a part of this shop"):
        decode_hello((0, HELLO, b"STRANGER" + payload[8:]))


def test_a_request_in_place_of_a_hello_is_refused() -> None:
    with pytest.raises(FrameError, match="did not say hello first"):
        decode_hello((1, Operation.CREATE_TRANSFERS, bytes(128)))


def test_a_name_that_is_not_utf_8_is_refused() -> None:
    ((_, _, payload),) = decode(encode_hello(Hello("worker-1")))
    with pytest.raises(FrameError, match="not UTF-8"):
        decode_hello((0, HELLO, payload + b"\xff"))


def test_a_long_sentence_is_cut_and_stays_readable() -> None:
    ((correlation, code, payload),) = decode(encode_sentence(7, Status.BUSY, "é" * 1000))
    assert (correlation, code, len(payload)) == (7, Status.BUSY, SENTENCE_SIZE_MAX)
    assert decode_sentence(payload[:-1]).startswith("é" * 255)


def test_the_header_on_the_wire_is_what_the_documentation_says() -> None:
    assert encode(0x01020304, 147, b"xyz") == bytes([3, 0, 0, 0, 4, 3, 2, 1, 147, 0, 0, 0, *b"xyz"])
