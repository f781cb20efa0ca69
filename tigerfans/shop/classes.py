"""Whether the offer may take the place of the one before: what was sold stays what it is.

A class's code stands in its orders, its number on its accounts, and the currency in what was paid.
None of them may change, and no class may go, where a ticket was ever sold or is on hold: one that
was refunded has its order, its sale and its money still. The numbers are compared before the ledger
is touched; how many tickets there were, the ledger says.

A class that nobody bought may go. A worker that sells the offer of before may hold a ticket of it
still, until it is replaced too; so what it was remains known (`Booking.know`), and once it has gone
only its code and its number are guarded.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tigerfans.booking.transfers import Booking
from tigerfans.ledger.base import Submit
from tigerfans.ledger.wire import Account, Operation, u128
from tigerfans.offer.catalog import Catalog, Part
from tigerfans.settings.settings import SettingsError
from tigerfans.stores.identity import IdentityRow
from tigerfans.stores.ticket_classes import KnownClass


async def check_classes(known: Sequence[KnownClass], catalog: Catalog, submit: Submit) -> None:
    """Raises `SettingsError` where the offer takes something away that was sold; `known` are the
    classes that the shop has ever opened with.
    """
    now = {each.code: each for each in _classes(catalog)}
    changed = [each for each in known if _is_changed(each, now)]
    if not changed:
        return
    taken = await _taken(submit, {each.ledger for each in changed})
    for before in changed:
        if taken.get(before.ledger):
            raise SettingsError(_refusal(before, now.get(before.code), taken[before.ledger]))


async def remember_classes(identity: IdentityRow, catalog: Catalog) -> None:
    """From now on, these are the shop's."""
    wanted = _classes(catalog)
    if set(wanted) != {each for each in await identity.classes() if not each.is_dropped}:
        await identity.keep_classes(wanted)


def know_classes(known: Iterable[KnownClass], booking: Booking) -> None:
    """What was held of a class that is dropped can be paid."""
    booking.know((each.code, each.ledger) for each in known)


def _is_changed(before: KnownClass, now: Mapping[str, KnownClass]) -> bool:
    if not before.is_dropped:
        return now.get(before.code) != before
    return any(
        (each.code == before.code or each.ledger == before.ledger)
        and each != before._replace(is_dropped=False)
        for each in now.values()
    )


def _classes(catalog: Catalog) -> list[KnownClass]:
    return [KnownClass(c.code, c.tickets.ledger, catalog.currency) for c in catalog.classes]


async def _taken(submit: Submit, ledgers: Iterable[int]) -> Mapping[int, int]:
    """How many tickets were ever sold or are on hold, by number; what has no account has none."""
    parts = (Part.SOLD, Part.INSIDE)
    ids = b"".join(u128(ledger << 8 | part) for ledger in ledgers for part in parts)
    taken: Counter[int] = Counter()
    for account in Account.unpack_all(await submit(Operation.LOOKUP_ACCOUNTS, ids)):
        if account.id & 0xFF == Part.SOLD:
            taken[account.ledger] += account.credits_posted + account.credits_pending
        else:
            # What came back to those that are sold since its admission was undone.
            taken[account.ledger] -= account.debits_posted
    return taken


def _refusal(before: KnownClass, now: KnownClass | None, taken: int) -> str:
    """What the offer may not change, in a sentence."""
    were, are = ("was", "is") if taken == 1 else ("were", "are")
    tickets = f"{taken:,} of its tickets {were} sold or {are} on hold"
    if now is None:
        return f"The offer has no class {before.code} any more, but {tickets}: list it again."
    if now.ledger != before.ledger:
        return (
            f"The offer gives class {before.code} the number {now.ledger}, but {tickets} under"
            f" {before.ledger}: give it that number again."
        )
    return (
        f"The offer sells class {before.code} in {now.currency.upper()}, but {tickets} in"
        f" {before.currency.upper()}: only a new shop has another currency."
    )
