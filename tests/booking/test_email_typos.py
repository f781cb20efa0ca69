"""Which address was probably meant."""

from typing import Final

import pytest

from tigerfans.booking.email_typos import DOMAINS, likely_meant

# A browser asks its script the same.
MEANT: Final = {
    "ada@exmaple.con": "ada@example.com",
    "ada@gmial.com": "ada@gmail.com",
    "ada@gmail.con": "ada@gmail.com",
    "ada@gmail.co": "ada@gmail.com",
    "Ada@GMAL.com": "Ada@gmail.com",
    "ada@gmaill.com": "ada@gmail.com",
    "ada@hotnail.com": "ada@hotmail.com",
    "ada@gmx.ne": "ada@gmx.net",
    "ada@t-onlin.de": "ada@t-online.de",
    "ada@yaho.co.uk": "ada@yahoo.co.uk",
    "ada@work.exampel.ogr": "ada@work.exampel.org",
    "ada@my-own-shop.con": "ada@my-own-shop.com",
    " ada@gmial.com ": "ada@gmail.com",
}
AS_LIKELY_AS_ANY: Final = (
    "",
    "ada",
    "ada@",
    "@gmial.com",
    "ada@gmail",
    "ada@con",
    "ada@mail.com",
    "ada@email.com",
    "ada@love.com",
    "ada@gmx.fr",
    "ada@hotmail.be",
    "ada@yahoo.com.ar",
    "ada@example.organic",
    "ada@constructor",
    "ada@a.__proto__",
    "ada@bücher.example",
    "ada@example.org\u200b",
    "ada@exam\u202eple.org",
)


@pytest.mark.parametrize(("typed", "meant"), MEANT.items())
def test_a_slip_is_asked_about(typed: str, meant: str) -> None:
    assert likely_meant(typed) == meant


@pytest.mark.parametrize("typed", [*AS_LIKELY_AS_ANY, *(f"ada@{domain}" for domain in DOMAINS)])
def test_what_may_well_be_meant_is_not(typed: str) -> None:
    assert likely_meant(typed) is None
