"""`tigerfans migrate`: brings the database of the orders to the schema of this version."""

import asyncio
import sys
from typing import Final

from tigerfans.errors import UnavailableError
from tigerfans.settings.folder import DataFolder
from tigerfans.settings.located import located
from tigerfans.settings.settings import Settings, SettingsError
from tigerfans.stores.schema import MIGRATIONS, migrate

EXIT_DONE: Final = 0
EXIT_AWAY: Final = 1


def run(settings: Settings) -> int:
    """Says which version the database had and has; 1 where it does not answer.

    It takes as long as it takes, and one that is killed is to be run again. Raises
    `SettingsError` for the database of a newer version.
    """
    if settings.stores.database_url is None:
        settings = located(settings, DataFolder(settings.data))
    url = settings.stores.database_url
    if url is None:
        raise SettingsError("DATABASE_URL must name the PostgreSQL database of the orders.")
    try:
        before = asyncio.run(migrate(url))
    except UnavailableError as error:
        print(error, file=sys.stderr)
        return EXIT_AWAY
    if before > len(MIGRATIONS):
        print(f"The database has schema version {before}, on which this version works as well.")
    else:
        print(f"The database had schema version {before} and has {len(MIGRATIONS)}.")
    return EXIT_DONE
