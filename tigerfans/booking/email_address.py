"""What an email address is, the one form in which it is kept, and the one in which it is found.

Which addresses there are decides email-validator, those of every script included. It also brings
them into one form: composed letters, and a domain in small letters of its own script. Whoever
types an address in another form means the same one, and finds the same order. No I/O.
"""

import re
from typing import Final
from unicodedata import normalize

import idna
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from tigerfans.errors import InvalidEmailError

EMAIL_CHARACTERS_MAX: Final = 254

# What nobody sees, or what is seen as something else: format characters, those that fonts pass
# over, and what stands for a letter that got lost. In an address they hide another one; around
# it, they came along from where it was copied.
_UNSEEN_SET: Final = (
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_UNSEEN: Final = re.compile(f"[{_UNSEEN_SET}]")
_AROUND: Final = re.compile(rf"^[\s{_UNSEEN_SET}]+|[\s{_UNSEEN_SET}]+$")

# The library refuses names that the whole net does not know. These an event within a network has,
# and whoever tries a shop out: they are taken off its list, as its manual says.
_KNOWN_TO_SOME: Final = frozenset({"local", "test"})
SPECIAL_USE_DOMAIN_NAMES[:] = [n for n in SPECIAL_USE_DOMAIN_NAMES if n not in _KNOWN_TO_SOME]

# Nearly all addresses, of which the library has nothing to say and nothing to change. To ask it all
# the same costs 27 µs of a checkout, and this costs half of one. A test holds it to the library.
_PLAIN: Final = re.compile(
    r"[a-z0-9]+(?:[._+-][a-z0-9]+)*@(?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+([a-z]{2,})"
)
_PLAIN_CHARACTERS_MAX: Final = 63
_SPECIAL_ENDINGS: Final = frozenset(name.rpartition(".")[2] for name in SPECIAL_USE_DOMAIN_NAMES)

_ASCII_LABEL: Final = re.compile(r"xn--[a-z0-9-]+")


def read_email(text: str) -> str:
    """The address that was typed, in the form in which it is kept; raises `InvalidEmailError`."""
    plain = _PLAIN.fullmatch(text)
    if plain and len(text) <= _PLAIN_CHARACTERS_MAX and plain[1] not in _SPECIAL_ENDINGS:
        return text
    text = _AROUND.sub("", text)
    if not text:
        raise InvalidEmailError("Please give an email address for the ticket.")
    if len(text) > EMAIL_CHARACTERS_MAX:
        raise InvalidEmailError(
            f"An email address has at most {EMAIL_CHARACTERS_MAX} characters; this one has"
            f" {len(text)}."
        )
    if _UNSEEN.search(text):
        raise InvalidEmailError(
            "This email address has a character in it that cannot be seen. Please type it anew."
        )
    try:
        return validate_email(text, check_deliverability=False, allow_quoted_local=True).normalized
    except EmailNotValidError as error:
        raise InvalidEmailError(f"This does not look like an email address. {error}") from None


def folded(text: str) -> str:
    """An address, or a part of one, in the form in which it is compared: the case of no script
    counts, and neither does how a letter is composed, or what nobody sees.
    """
    text = _UNSEEN.sub("", text)
    if not text.isascii():
        text = normalize("NFKC", normalize("NFKC", text).casefold())
    return _ASCII_LABEL.sub(_decoded, text.lower())


def _decoded(label: re.Match[str]) -> str:
    """A label of a domain as its own script writes it; one that is none, or no whole one, stays."""
    try:
        return folded(idna.decode(label[0]))
    except idna.IDNAError:
        return label[0]
