"""What JSON is accepted, and that a hostile text costs little."""

from typing import Any

import msgspec
import pytest

from tigerfans.json_input import DEPTH_MAX, InvalidJsonError, decode


class Body(msgspec.Struct):
    cls: str
    more: Any = None


decoder = msgspec.json.Decoder(Body)
any_text = msgspec.json.Decoder()


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def test_json_of_the_type_is_read() -> None:
    assert decode(decoder, b'{"cls": "A", "more": [1]}') == Body("A", [1])


@pytest.mark.parametrize("text", [b"", b"no", b"[]", b"{}", b'{"cls": 1}', b'{"cls": "\xff"}'])
def test_anything_else_is_refused_in_a_sentence(text: bytes) -> None:
    with pytest.raises(InvalidJsonError, match=r"."):
        decode(decoder, text)


def test_it_may_be_nested_to_a_depth_of_ours_and_no_deeper() -> None:
    deepest = b'{"cls": "A", "more": %s}' % nested(DEPTH_MAX - 1)
    assert decode(decoder, deepest).cls == "A"
    # Less than any version of Python would refuse.
    with pytest.raises(InvalidJsonError, match=f"more than {DEPTH_MAX} levels"):
        decode(decoder, deepest.replace(b"[]", b"[[]]"))
    with pytest.raises(InvalidJsonError, match=f"more than {DEPTH_MAX} levels"):
        decode(decoder, b'{"unknown": %s}' % nested(DEPTH_MAX))


def test_many_that_are_not_in_one_another_are_not_deep() -> None:
    many = b"[%s]" % b",".join([b'{"a":[]}'] * DEPTH_MAX)
    assert len(decode(any_text, many)) == DEPTH_MAX


def test_brackets_in_a_string_are_not_deep() -> None:
    string = rb"\"[{\\" * DEPTH_MAX
    assert decode(any_text, b'["%s"]' % string) == ['"[{\\' * DEPTH_MAX]


def test_a_caller_that_stands_deep_itself_is_answered_the_same() -> None:
    def call(frames: int) -> Any:
        return call(frames - 1) if frames else decode(any_text, nested(DEPTH_MAX))

    assert call(500)
