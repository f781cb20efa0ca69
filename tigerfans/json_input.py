"""JSON that was sent to us, read into a type of ours; the same texts on every version of Python.

The decoder recurses, and how deeply it may depends on the version of Python and on how deep its
caller stands. So the limit is our own, well below all of theirs. It relies on a body of bounded
size.
"""

import re
from itertools import accumulate
from typing import Final, TypeVar

import msgspec

# Arrays and objects in one another; the events of payment providers need about ten.
DEPTH_MAX: Final = 64

# One that does not end is a string as well: otherwise each of its quotes would be looked at as the
# start of another, all the way to the end.
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_STEPS: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in _STEPS)

T = TypeVar("T")


class InvalidJsonError(ValueError):
    """The text is not JSON of the type that was asked for; the message says where and why."""


def decode(decoder: msgspec.json.Decoder[T], text: bytes) -> T:
    """The text as the decoder's type; raises `InvalidJsonError` where it is none."""
    # To count costs 0.2 µs, and answers for nearly all there are.
    if text.count(b"[") + text.count(b"{") > DEPTH_MAX and _depth(text) > DEPTH_MAX:
        raise InvalidJsonError(f"JSON is nested more than {DEPTH_MAX} levels deep")
    try:
        return decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidJsonError(str(error)) from None


def _depth(text: bytes) -> int:
    """How deeply it is nested, up to where it stops being JSON."""
    brackets = _STRING.sub(b"", text).translate(None, _NO_BRACKETS)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0)
