"""Where the stores and the sequencer of a data folder's shop are found.

`tigerfans up` starts them there; the office's commands look for them there.
"""

from dataclasses import replace
from pathlib import Path
from typing import Final

from tigerfans.settings.folder import DataFolder
from tigerfans.settings.settings import Settings

# Who the shop is to the PostgreSQL that `tigerfans up` starts, and its database there.
ROLE: Final = "tigerfans"
DATABASE: Final = "tigerfans"


def located(settings: Settings, folder: DataFolder) -> Settings:
    """The settings with which the stores and the sequencer of the folder's shop are found."""
    stores = settings.stores
    return replace(
        settings,
        stores=replace(
            stores,
            database_url=stores.database_url or database_url(postgres_sockets(folder)),
            redis_url=stores.redis_url or redis_url(redis_socket(folder)),
        ),
        data=folder.root,
        sequencer=replace(settings.sequencer, socket=_sequencer_socket(settings, folder)),
    )


def with_stores(settings: Settings) -> Settings:
    """The same for a look at a shop: one of `tigerfans up` has its stores in its folder, and where
    there is no folder none is made.
    """
    stores = settings.stores
    if (stores.database_url and stores.redis_url) or not settings.data.is_dir():
        return settings
    return located(settings, DataFolder(settings.data))


def redis_socket(folder: DataFolder) -> Path:
    return folder.sockets / "redis.sock"


def postgres_sockets(folder: DataFolder) -> Path:
    return folder.sockets / "pg"


def database_url(socket_folder: Path, database: str = DATABASE) -> str:
    """The value of DATABASE_URL; the folder's path is plain (see `folder`)."""
    return f"postgresql://{ROLE}@/{database}?host={socket_folder}"


def redis_url(socket: Path) -> str:
    """The value of REDIS_URL; the socket's path is plain (see `folder`)."""
    return f"unix://{socket}"


def _sequencer_socket(settings: Settings, folder: DataFolder) -> Path:
    """The socket that was asked for; by default one whose path is short enough."""
    default = Settings.from_environment({"TIGERFANS_DATA": str(settings.data)}).sequencer.socket
    chosen = settings.sequencer.socket
    return folder.sockets / chosen.name if chosen == default else chosen.absolute()
