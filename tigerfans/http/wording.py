"""What the framework refuses, in a sentence for a person; it speaks of types.

Of a body it says little: nearly all are read by our own code, which knows better what to say of
them.
"""

import re
from typing import Any, Final

from litestar.exceptions import HTTPException

_WORDS: Final = (
    (re.compile(r"Expected `int`.*, got .*"), "must be a whole number"),
    (re.compile(r"Expected `bool`.*, got .*"), "must be true or false"),
    (re.compile(r"Expected `int` >= (\d+)"), "must be at least {}"),
    (re.compile(r"Expected `int` <= (\d+)"), "must be at most {}"),
    (re.compile(r"Expected `str` of length <= (\d+)"), "may have at most {} characters"),
)
_BODY_WORDS: Final = (
    (re.compile(r"Object missing required field `(\w+)`"), "{} is missing"),
    (re.compile(r"Object contains unknown field"), "The body has a field that nobody knows"),
    (re.compile(r"Expected `object`, got"), "The body has to be a JSON object"),
    # Nothing was sent: the framework names what has no value.
    (re.compile(r"'data'"), "The body is missing"),
)
_OTHERWISE: Final = "cannot be read"
_TOO_LARGE: Final = "The request's body is larger than this takes."
_BODY: Final = "The form cannot be read: each of its fields may be sent only once"


def sentence(error: HTTPException) -> str:
    """What the error says to whoever sent the request; it names what was wrong with it."""
    if error.status_code == 413:
        return _TOO_LARGE
    extra = error.extra if isinstance(error.extra, list) else []
    fields = [_field(each) for each in extra if isinstance(each, dict) and "key" in each]
    return f"{', '.join(fields)}." if fields else error.detail


def _field(refused: dict[str, Any]) -> str:
    if refused.get("key") == "data" and refused.get("source") == "body":
        for pattern, words in _BODY_WORDS:
            if matched := pattern.match(str(refused.get("message", ""))):
                return words.format(*matched.groups())
        return _BODY
    for pattern, words in _WORDS:
        if matched := pattern.fullmatch(str(refused.get("message", ""))):
            return f"{refused['key']} {words.format(*matched.groups())}"
    return f"{refused['key']} {_OTHERWISE}"
