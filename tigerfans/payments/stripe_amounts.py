"""Amounts as Stripe takes them, and which prices it takes; nothing here needs its library.

From Stripe's documentation on currencies:

- Amounts are whole numbers of a currency's minor unit, which is ISO 4217's but for a few: the
  ariary is whole, and so are the crown of Iceland and the shilling of Uganda, but these two are in
  hundredths for compatibility, which have to be 00.
- Where a unit has thousandths, the last digit has to be 0, of what is charged and of what is
  refunded.
- What can be charged at least depends on the currency that the account is settled in. The least of
  the shop's own is taken for it, which is about as much in any other.
"""

from collections.abc import Iterator
from typing import Final

from tigerfans.offer.money import digits_of, money
from tigerfans.offer.offer import Offer
from tigerfans.payments.base import UnreadableWebhookError

_ZERO_DECIMAL: Final = frozenset(
    "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split()  # noqa: SIM905
)
_THREE_DECIMAL: Final = frozenset(("bhd", "jod", "kwd", "omr", "tnd"))
_THREE_DECIMAL_STEP: Final = 10

# In Stripe's minor units.
_CHARGED_MIN: Final = {
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


def problems(offer: Offer) -> Iterator[str]:
    """Why Stripe cannot take what an offer costs, each as a sentence.

    What it takes of one ticket it takes of several, and gives back of each.
    """
    currency = offer.currency
    if not can_be_sold_in(currency):
        yield (
            f"Stripe does not take {currency.upper()} as this shop counts it: sell in another"
            " currency."
        )
        return
    for listing in offer.listings:
        price = listing.price_cents
        if currency in _THREE_DECIMAL and price % _THREE_DECIMAL_STEP:
            yield (
                f"Stripe takes no price of {money(price, currency)}, as class {listing.code} has:"
                f" in {currency.upper()} the last digit has to be 0."
            )
        # Nothing at all cannot be paid anywhere.
        least = max(1, from_minor_units(_CHARGED_MIN.get(currency, 0), currency))
        if price < least:
            yield (
                f"Stripe charges {money(least, currency)} at least, and class {listing.code} costs"
                f" {money(price, currency)}."
            )


def can_be_sold_in(currency: str) -> bool:
    """Whether Stripe has as many decimals of a currency as the shop has."""
    return _stripe_digits(currency) >= digits_of(currency)


def to_minor_units(amount: int, currency: str) -> int:
    """An amount of the shop's, as Stripe takes it."""
    return amount * _factor(currency)


def from_minor_units(amount: int, currency: str) -> int:
    """An amount of Stripe's as the shop has it; raises `UnreadableWebhookError` where there is no
    such amount.
    """
    whole, rest = divmod(amount, _factor(currency))
    if rest:
        raise UnreadableWebhookError(f"There is no amount of {amount} of {currency}.")
    return whole


def _factor(currency: str) -> int:
    return int(10 ** max(0, _stripe_digits(currency) - digits_of(currency)))


def _stripe_digits(currency: str) -> int:
    return 0 if currency in _ZERO_DECIMAL else 3 if currency in _THREE_DECIMAL else 2
