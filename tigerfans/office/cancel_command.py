"""`tigerfans cancel`: cancels the show by its name, and tells how far its refunds are."""

from contextlib import AsyncExitStack
from functools import partial

from tigerfans.assembly import look_at_shop
from tigerfans.office import at_shop
from tigerfans.settings.settings import Settings
from tigerfans.shop.cancellation import close_all
from tigerfans.stores.audit import system_user
from tigerfans.stores.show_cancellation import Cancellation, Progress

NAME = "cancel"


def run(settings: Settings, show: str | None = None) -> int:
    """Cancels where a `show` is named, and prints what there is to say; 0.

    Raises `SettingsError` where the shop cannot be reached, or the name is another one.
    """
    cancellation, progress = at_shop.take(settings, partial(_cancel, show=show))
    print(told(settings.offer.show.name, cancellation, progress))
    return 0


async def _cancel(settings: Settings, show: str | None) -> tuple[Cancellation | None, Progress]:
    async with AsyncExitStack() as stack:
        shop = (await look_at_shop(stack, settings, NAME)).shop
        if show is not None:
            by = system_user()
            await shop.cancel(show, by)
            # At once, whether there is a clerk or not.
            await close_all(shop, by)
        return await shop.cancellation.find(), await shop.cancellation.progress()


def told(show: str, cancellation: Cancellation | None, progress: Progress) -> str:
    """A sentence or two for a person."""
    if cancellation is None:
        return f"{show} is not canceled. To cancel it for good: tigerfans cancel {show!r}"
    words = [
        f"{show} was canceled by {cancellation.canceled_by} on"
        f" {cancellation.canceled_at:%Y-%m-%d %H:%M:%S} UTC.",
        f"{progress.refunded:,} of {progress.orders:,} paid orders have their money back.",
    ]
    if progress.used:
        words.append(f"Of {progress.used:,} a ticket was used at the door: that money stays.")
    if progress.is_under_way:
        words.append("The clerk goes on.")
    if progress.failing:
        words.append(
            f"Of {progress.failing:,} the payment provider has not confirmed it yet: each is tried"
            " again."
        )
    return " ".join(words)
