"""From settings to what the stack runs: which servers it has to start, and the settings with which
the shop's own processes find them.

Prepares the servers' data where it is new. All that can be wrong with settings shows here, as a
`SettingsError`, before anything runs.
"""

import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tigerfans.settings.folder import DataFolder, usable
from tigerfans.settings.located import located, postgres_sockets, redis_socket
from tigerfans.settings.settings import Settings, SettingsError
from tigerfans.stack import ledger_choice, ports, postgres, programs, redis
from tigerfans.stack.ledger_choice import LedgerChoice
from tigerfans.stack.programs import Program

# To PostgreSQL, beyond those of workers and clerk: for people and their tools.
CONNECTIONS_SPARE: Final = 20


@dataclass(frozen=True, slots=True)
class Fleet:
    """The programs of a stack. Servers start together, and stop one by one, the last first.

    The migration runs to its end before workers and the clerk start, at a reload too; there the
    offer is taken over after it.
    """

    servers: Sequence[Program]
    migration: Program
    taking: Program
    sequencer: Program
    workers: Sequence[Program]
    clerk: Program


@dataclass(frozen=True, slots=True)
class Plan:
    """A shop that is about to start: settings in which nothing is left open, and its programs."""

    settings: Settings
    folder: DataFolder
    ledger: LedgerChoice
    fleet: Fleet
    # The workers' sockets; whoever runs the plan closes them.
    listeners: Sequence[socket.socket]


def prepare(settings: Settings, folder: DataFolder, environ: Mapping[str, str]) -> Plan:
    """Decides what to start; raises `SettingsError`."""
    ledger = ledger_choice.choose(settings.ledger, folder, environ)
    servers = [] if ledger.program is None else [ledger.program]
    if settings.stores.redis_url is None:
        with usable():
            redis.remove_remains(folder.redis)
        servers.insert(0, redis.program(folder.redis, redis_socket(folder)))
    if settings.stores.database_url is None:
        sockets = postgres_sockets(folder)
        # Beside the workers there is a clerk, and during a reload one process more.
        processes_max = settings.http.workers + 2
        connections = processes_max * settings.stores.database_connections + CONNECTIONS_SPARE
        servers.insert(0, _prepare_postgres(folder.postgres, sockets, connections))
    settings = replace(located(settings, folder), ledger=ledger.url)
    listeners = ports.open_listeners(settings)
    fleet = Fleet(
        servers=servers,
        migration=programs.migration(settings),
        taking=programs.taking(settings),
        sequencer=programs.sequencer(settings),
        workers=[
            programs.worker(settings, number, listener.fileno())
            for number, listener in enumerate(listeners, start=1)
        ],
        clerk=programs.clerk(settings, 1),
    )
    return Plan(settings, folder, ledger, fleet, listeners)


def _prepare_postgres(data: Path, sockets: Path, connections_max: int) -> Program:
    user = postgres.choose_user(data, sockets)
    try:
        with usable():
            postgres.initialise(data, user)
            postgres.remove_stale_locks(data, sockets)
            postgres.own_folder(sockets, user)
    except subprocess.CalledProcessError as error:
        reason = postgres.complaint(error.output)
        raise SettingsError(
            f"PostgreSQL cannot keep its data below TIGERFANS_DATA: {reason}"
        ) from error
    return postgres.program(data, sockets, user, connections_max=connections_max)
