"""Currencies and amounts: what one has as its smallest unit, and how an amount reads.

An amount is a whole number of the smallest unit everywhere, cents of EUR or yen of JPY. Which that
is says ISO 4217, and so do browsers; Babel, which knows how a currency is written, goes by custom.
"""

from decimal import Decimal
from functools import cache
from typing import Final

from babel.core import get_global
from babel.numbers import format_decimal, get_currency_symbol

# As the pages are written, and as the browser's `Intl.NumberFormat("en")` writes it.
LOCALE: Final = "en"

# ISO 4217's minor units, where they are not hundredths.
_DIGITS_USUAL: Final = 2
_DIGITS: Final = {
    **dict.fromkeys(
        (
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ),
        0,
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}


@cache
def currencies() -> frozenset[str]:
    """The codes of all currencies that are legal tender somewhere, in capitals."""
    # From, until, whether it is tender: of each currency a territory has had.
    territories = get_global("territory_currencies").values()
    return frozenset(
        code for had in territories for code, _, until, is_tender in had if is_tender and not until
    )


def digits_of(currency: str) -> int:
    """How many decimals amounts of it have: 2 of `eur`, 0 of `jpy`, 3 of `kwd`."""
    return _DIGITS.get(currency.upper(), _DIGITS_USUAL)


def smallest_units(price: Decimal, currency: str) -> int | None:
    """6500 from 65.00 of `eur`; None where the currency has no such amount."""
    units = price.scaleb(digits_of(currency))
    return int(units) if units == units.to_integral_value() else None


def decimal_text(amount: int, currency: str) -> str:
    """`65.00` from 6500 of `eur`."""
    digits = digits_of(currency)
    return f"{Decimal(amount).scaleb(-digits):.{digits}f}"


def money(amount: int, currency: str) -> str:
    """Such as `€65.00`, `¥1,500` or `CHF 35.00`, whose space does not break."""
    digits = digits_of(currency)
    pattern = "#,##0" + ("." + "0" * digits if digits else "")
    number = format_decimal(
        Decimal(amount).scaleb(-digits), pattern, LOCALE, decimal_quantization=False
    )
    symbol = get_currency_symbol(currency.upper(), LOCALE)
    return f"{symbol}\N{NO-BREAK SPACE}{number}" if symbol[-1:].isalpha() else f"{symbol}{number}"
