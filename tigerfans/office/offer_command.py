"""`tigerfans offer init` and `tigerfans offer check`: the file of an event, begun and checked.

Both look at nothing but the file.
"""

import re
import sys
import time
from pathlib import Path
from typing import Final

from tigerfans.offer.catalog import Catalog, TicketClass
from tigerfans.offer.file import DEMO_FILE, OfferError, read_offer
from tigerfans.offer.show import moment_words
from tigerfans.offer.windows import SaleState

EXIT_GOOD: Final = 0
EXIT_USAGE: Final = 2


def init(path: Path) -> int:
    """Writes the demonstration's file as a beginning; leaves alone what is there."""
    # Its picture lies beside it in the package.
    text = re.sub(r"^logo = .*$", '# logo = "logo.svg"', DEMO_FILE.read_text(), flags=re.MULTILINE)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        print(f"{path} is there already, and stays as it is: name another file.", file=sys.stderr)
        return EXIT_USAGE
    except OSError as error:
        print(f"{path} cannot be written: {error.strerror}.", file=sys.stderr)
        return EXIT_USAGE
    print(
        f"{path} is there. Change it, look it over with `tigerfans offer check {path}`, and sell it"
        f" with `TIGERFANS_OFFER={path} tigerfans up`."
    )
    return EXIT_GOOD


def check(path: Path) -> int:
    """Names each mistake with its line; or says what a shop would sell."""
    try:
        offer = read_offer(path)
    except OfferError as error:
        for sentence in error.sentences:
            print(sentence, file=sys.stderr)
        return EXIT_USAGE
    show, now = offer.show, time.time()
    print(f"{show.name}, {moment_words(show.starts_at)}, {show.venue}.")
    for each in Catalog.build(offer).classes:
        print(
            f"{each.code}, number {each.tickets.ledger}: {each.name}, {offer.price(each.listing)},"
            f" {each.tickets.capacity:,} tickets, {_sale(each, now)}."
        )
    if offer.tickets_per_order > 1:
        print(f"An order has up to {offer.tickets_per_order} tickets.")
    if offer.goodie.count:
        print(f"{offer.goodie.name}: for the first {offer.goodie.count:,} paid orders.")
    return EXIT_GOOD


def _sale(ticket_class: TicketClass, now: float) -> str:
    window, state = ticket_class.listing.window, ticket_class.sale_state(now)
    if state is SaleState.NOT_YET and window.opens_at is not None:
        return f"on sale from {moment_words(window.opens_at)}"
    closes = "" if window.closes_at is None else moment_words(window.closes_at)
    return f"on sale until {closes}" if state is SaleState.OPEN else f"not on sale since {closes}"
