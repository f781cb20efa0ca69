"""Currencies and amounts."""

from decimal import Decimal

import pytest

from tigerfans.offer.money import currencies, decimal_text, digits_of, money, smallest_units


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (6500, "eur", "€65.00"),
        (1500, "jpy", "¥1,500"),
        (1500, "kwd", "KWD\xa01.500"),
        (3500, "chf", "CHF\xa035.00"),
        (0, "eur", "€0.00"),
        (123456789, "usd", "$1,234,567.89"),
    ],
)
def test_an_amount_reads_as_in_its_currency(amount: int, currency: str, text: str) -> None:
    assert money(amount, currency) == text


def test_the_smallest_unit_is_the_currencys_own() -> None:
    assert [digits_of(each) for each in ("eur", "JPY", "kwd", "iqd")] == [2, 0, 3, 3]
    assert smallest_units(Decimal("0.1"), "eur") == 10
    assert smallest_units(Decimal("0.001"), "eur") is None
    assert smallest_units(Decimal("1.0"), "jpy") == 1
    assert decimal_text(1, "kwd") == "0.001"
    assert decimal_text(100, "jpy") == "100"


def test_only_currencies_that_somebody_pays_in_are_some() -> None:
    assert {"EUR", "CHF", "JPY", "KWD", "USD"} <= currencies()
    assert not {"DEM", "XAU", "XXX", "eur"} & currencies()
