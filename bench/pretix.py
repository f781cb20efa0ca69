"""pretix, as it is measured beside this shop: installed apart, with stores of this run.

    python3.11 -m venv pretix
    pretix/bin/pip install pretix==2026.8.0 gunicorn

It is no dependency of this shop, and nothing of it is changed. It runs as its own documentation
says: gunicorn with four workers, a celery worker, PostgreSQL and Redis. It sells one product of one
event, with one quota, and mails nobody.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Final

from bench.errors import BenchError
from bench.stack import HOST, process_cpu_seconds, stop_process
from tigerfans.settings.located import ROLE
from tigerfans.stack.ports import free_port
from tigerfans.stack.programs import launch_command

GUNICORN_WORKERS: Final = 4
# Its migrations are several hundred.
PREPARE_SECONDS_MAX: Final = 600.0
START_SECONDS_MAX: Final = 120.0
POLL_SECONDS: Final = 0.2
ORGANIZER: Final = "bench"
EVENT: Final = "show"
STOCK: Final = 1_000_000

# What its interface has no request for: an organizer, and a token to ask for all else with.
_SET_UP: Final = f"""
from datetime import timedelta
from django.utils.timezone import now
from django_scopes import scopes_disabled
from pretix.base.models import Organizer
with scopes_disabled():
    organizer = Organizer.objects.create(name="{ORGANIZER}", slug="{ORGANIZER}")
    team = organizer.teams.create(
        name="bench", all_events=True,
        all_event_permissions=True, all_organizer_permissions=True,
    )
    event = organizer.events.create(
        name="{EVENT}", slug="{EVENT}", currency="EUR", live=True,
        date_from=now() + timedelta(days=90),
    )
    item = event.items.create(name="Ticket", default_price=65)
    event.quotas.create(name="Hall", size={STOCK}).items.add(item)
    print("set up", team.tokens.create(name="bench").token, item.pk)
"""


@dataclass(frozen=True, slots=True)
class Pretix:
    """A pretix that runs: the address of its event's orders, and what it is asked with."""

    orders_url: str
    token: str
    item: int
    processes: tuple["subprocess.Popen[bytes]", ...]

    def cpu_seconds(self) -> float:
        """Of gunicorn and celery."""
        return sum(process_cpu_seconds(process.pid) for process in self.processes)


@contextmanager
def running_pretix(
    environment: Path, database: str, sockets: Path, redis_socket: Path, folder: Path
) -> Iterator[Pretix]:
    """Prepares and starts it from its virtual environment; raises `BenchError`.

    `database` is an empty one of the PostgreSQL whose socket lies in `sockets`.
    """
    programs = environment.absolute() / "bin"
    if not (programs / "gunicorn").exists():
        raise BenchError(f"{environment} is no virtual environment with pretix and gunicorn in it.")
    port = free_port(HOST)
    variables = _variables(port, database, sockets, redis_socket, folder)
    python = str(programs / "python")
    _prepare([python, "-m", "pretix", "migrate"], variables)
    printed = _prepare([python, "-m", "pretix", "shell", "-c", _SET_UP], variables)
    token, item = printed.rpartition("set up ")[2].split()
    with ExitStack() as stack:
        bound = ("--bind", f"{HOST}:{port}", "--workers", str(GUNICORN_WORKERS))
        server = (str(programs / "gunicorn"), "pretix.wsgi", *bound)
        celery = (str(programs / "celery"), "-A", "pretix.celery_app", "worker")
        processes = tuple(
            stack.enter_context(_running(command, variables, folder))
            for command in (server, celery)
        )
        path = f"/api/v1/organizers/{ORGANIZER}/events/{EVENT}/orders/"
        yield Pretix(f"http://{HOST}:{port}{path}", token, int(item), processes)


def _variables(
    port: int, database: str, sockets: Path, redis_socket: Path, folder: Path
) -> dict[str, str]:
    """Its settings, as it reads them from its environment."""
    data = folder / "pretix"
    data.mkdir(exist_ok=True)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(data),
        "DJANGO_SETTINGS_MODULE": "pretix.settings",
        "PRETIX_PRETIX_DATADIR": str(data),
        "PRETIX_PRETIX_URL": f"http://{HOST}:{port}",
        "PRETIX_DATABASE_BACKEND": "postgresql",
        "PRETIX_DATABASE_NAME": database,
        "PRETIX_DATABASE_USER": ROLE,
        "PRETIX_DATABASE_HOST": str(sockets),
        "PRETIX_REDIS_LOCATION": f"unix://{redis_socket}?db=2",
        "PRETIX_REDIS_SESSIONS": "true",
        "PRETIX_CELERY_BROKER": f"redis+socket://{redis_socket}?virtual_host=3",
        "PRETIX_CELERY_BACKEND": f"redis+socket://{redis_socket}?virtual_host=4",
    }


def _prepare(command: Sequence[str], variables: dict[str, str]) -> str:
    """What one of its commands printed; raises `BenchError` where it fails."""
    try:
        finished = subprocess.run(
            command,
            env=variables,
            check=False,
            capture_output=True,
            text=True,
            timeout=PREPARE_SECONDS_MAX,
        )
    except subprocess.TimeoutExpired:
        raise BenchError(f"pretix was not ready after {PREPARE_SECONDS_MAX:.0f} s.") from None
    if finished.returncode != 0:
        raise BenchError(f"pretix cannot be set up: {finished.stderr.strip()}")
    return finished.stdout


@contextmanager
def _running(
    command: Sequence[str], variables: dict[str, str], folder: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    with (folder / f"{Path(command[0]).name}.log").open("wb") as log:
        process = subprocess.Popen(
            launch_command(command, None, SIGTERM),
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            process_group=0,
        )
    try:
        yield process
    finally:
        stop_process(process)
        # Children whose parent had to be killed.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, SIGKILL)
