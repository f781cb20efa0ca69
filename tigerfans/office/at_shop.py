"""A step that a command takes at the shop that its settings name."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tigerfans.errors import ShopError, UnavailableError
from tigerfans.ledger.base import LEDGER_AWAY
from tigerfans.settings.folder import DataFolder
from tigerfans.settings.located import located
from tigerfans.settings.settings import Settings, SettingsError

Told = TypeVar("Told")


def take(settings: Settings, step: Callable[[Settings], Coroutine[Any, Any, Told]]) -> Told:
    """What the step tells, at the shop of the data folder where no stores are named.

    Raises `SettingsError` where the shop cannot be reached, or refuses the step.
    """
    if settings.stores.database_url is None or settings.stores.redis_url is None:
        settings = located(settings, DataFolder(settings.data))
    try:
        return asyncio.run(step(settings))
    except (UnavailableError, *LEDGER_AWAY, OSError) as error:
        raise SettingsError(f"The shop cannot be reached, is it running? {error}") from error
    except ShopError as error:
        raise SettingsError(str(error)) from error
