"""Amounts as Stripe takes them: whole numbers of a currency's minor unit, with what its
documentation on currencies says of each. That is not ISO 4217 everywhere.
"""

from typing import Final

from tests.stripe_server.errors import ApiError

# The amount is the number of whole units.
ZERO_DECIMAL: Final = frozenset(
    "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split()  # noqa: SIM905
)
# Without smaller units too, and yet in hundredths, which have to be 00.
WHOLE_IN_HUNDREDTHS: Final = frozenset(("isk", "ugx"))
# In thousandths, of which the last has to be 0.
THREE_DECIMAL: Final = frozenset(("bhd", "jod", "kwd", "omr", "tnd"))

# What can be charged at least, where the account is settled in that currency. Of others it is what
# converts to as much, for which this server has no rates.
AMOUNT_MIN: Final = {
    "aed": 200,
    "aud": 50,
    "brl": 50,
    "cad": 50,
    "chf": 50,
    "czk": 1500,
    "dkk": 250,
    "eur": 50,
    "gbp": 30,
    "hkd": 400,
    "huf": 17500,
    "inr": 50,
    "jpy": 50,
    "mxn": 1000,
    "myr": 200,
    "nok": 300,
    "nzd": 50,
    "pln": 200,
    "ron": 200,
    "sek": 300,
    "sgd": 50,
    "thb": 1000,
    "usd": 50,
}
# Eight digits.
AMOUNT_MAX: Final = 99_999_999


def digits_of(currency: str) -> int:
    """How many decimals an amount has: 2 of `isk`, which has no smaller unit, 3 of `kwd`."""
    return 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2


def words(amount: int, currency: str) -> str:
    """Such as `65.00 EUR`."""
    digits = digits_of(currency)
    whole, part = divmod(amount, 10**digits)
    return f"{whole}{f'.{part:0{digits}d}' if digits else ''} {currency.upper()}"


def check_unit(amount: int, currency: str, param: str) -> None:
    """Raises for an amount that the currency has not."""
    if currency in WHOLE_IN_HUNDREDTHS and amount % 100:
        message = f"Invalid {currency} amount: it has no decimals, so the last two digits must be 0"
        raise ApiError(message, param=param)
    if currency in THREE_DECIMAL and amount % 10:
        message = f"Invalid {currency} amount: the last digit must be 0"
        raise ApiError(message, param=param)


def check_total(amount: int, currency: str) -> None:
    """Raises for what is too little or too much to be charged."""
    least = AMOUNT_MIN.get(currency, 1)
    if amount < least:
        message = (
            "The Checkout Session's total amount due must add up to at least "
            f"{words(least, currency)}"
        )
        raise ApiError(message, code="amount_too_small")
    if amount > AMOUNT_MAX:
        message = (
            "The Checkout Session's total amount due must be no more than "
            f"{words(AMOUNT_MAX, currency)}"
        )
        raise ApiError(message, code="amount_too_large")
