"""Which address was probably meant: a letter too many, too few, wrong or swapped in a domain that
many have. It is a question to the buyer, never a decision. No I/O.

The pages' script (`email.js`) asks the same of the same tables.
"""

from collections.abc import Mapping
from typing import Final

_DOMAINS: Final = """
    gmail.com googlemail.com outlook.com hotmail.com live.com msn.com yahoo.com ymail.com
    icloud.com me.com mac.com aol.com mail.com email.com proton.me protonmail.com fastmail.com
    zoho.com example.com example.org example.net
    gmx.de gmx.net gmx.at gmx.ch gmx.com web.de t-online.de freenet.de arcor.de posteo.de
    mailbox.org outlook.de hotmail.de live.de yahoo.de icloud.de bluewin.ch aon.at
    hotmail.co.uk yahoo.co.uk live.co.uk outlook.co.uk btinternet.com sky.com
    orange.fr wanadoo.fr free.fr laposte.net sfr.fr hotmail.fr yahoo.fr live.fr outlook.fr
    libero.it virgilio.it tiscali.it hotmail.it yahoo.it live.it outlook.it
    hotmail.es yahoo.es outlook.es telefonica.net ziggo.nl planet.nl live.nl hotmail.nl
    seznam.cz wp.pl onet.pl o2.pl interia.pl mail.ru yandex.ru yandex.com
    comcast.net verizon.net att.net sbcglobal.net cox.net bellsouth.net rogers.com shaw.ca
    yahoo.ca yahoo.co.jp yahoo.co.in yahoo.com.br yahoo.com.au uol.com.br bol.com.br
    qq.com foxmail.com naver.com daum.net rediffmail.com
"""
DOMAINS: Final = tuple(_DOMAINS.split())
# Of no domain there is.
ENDINGS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("con", "cmo", "ocm", "comm", "coom", "vom", "xom", "cpm", "conm"), "com"),
    **dict.fromkeys(("ogr", "rog", "orgg", "prg"), "org"),
    **dict.fromkeys(("nett", "nte", "ent"), "net"),
    "dee": "de",
}
# Of shorter names, too many are one letter from each other.
NAME_CHARACTERS_MIN: Final = 5
# Of any two letters, most are a country's.
COUNTRY_CHARACTERS: Final = 2

# What the pages' script needs to know.
TABLES: Final[Mapping[str, object]] = {
    "domains": DOMAINS,
    "endings": ENDINGS,
    "name_characters_min": NAME_CHARACTERS_MIN,
}

_KNOWN: Final = frozenset(DOMAINS)
_LABELS: Final = tuple(tuple(domain.split(".")) for domain in DOMAINS)


def likely_meant(email: str) -> str | None:
    """The address that was probably meant; None where this one is as likely as any."""
    local, at, domain = email.strip().rpartition("@")
    domain = domain.lower()
    # What is not ASCII is no slip of a finger, or is refused for what it is.
    if not (local and at and domain.isascii()) or domain in _KNOWN:
        return None
    labels = domain.split(".")
    for known in _LABELS:
        if _is_meant(labels, known):
            return f"{local}@{'.'.join(known)}"
    ending = ENDINGS.get(labels[-1])
    if ending is None or len(labels) == 1:
        return None
    return f"{local}@{'.'.join([*labels[:-1], ending])}"


def _is_meant(labels: list[str], known: tuple[str, ...]) -> bool:
    if len(labels) != len(known):
        return False
    if labels[0] != known[0] and len(known[0]) < NAME_CHARACTERS_MIN:
        return False
    return all(
        label == right or _is_slip(label, right) for label, right in zip(labels, known, strict=True)
    )


def _is_slip(typed: str, meant: str) -> bool:
    """Whether one letter makes the difference, or two that changed places."""
    if len(typed) == len(meant) == COUNTRY_CHARACTERS:
        return False
    start = 0
    while start < min(len(typed), len(meant)) and typed[start] == meant[start]:
        start += 1
    typed, meant = typed[start:], meant[start:]
    return (
        typed[1:] == meant[1:]
        or typed[1:] == meant
        or typed == meant[1:]
        or (typed[:2] == meant[1::-1] and typed[2:] == meant[2:])
    )
