"""This machine: versions, the kernel's limits, the clock, and room on the disks."""

import ctypes
import importlib.metadata
import os
import platform
import re
import resource
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tigerfans.doctor.findings import Findings
from tigerfans.settings.settings import WORKERS_MAX, Settings, is_clerk

AREA: Final = "machine"
SEQUENCER: Final = "sequencer"
THIS_SHELL: Final = "this shell"

# What a worker, or a clerk, has open beside its buyers' connections: stores, files, the event loop.
FILES_SPARE: Final = 200
DISK_BYTES_MIN: Final = 1 << 30
DISK_BYTES_LOW: Final = 10 << 30
DISK_SHARE_LOW: Final = 0.1
# Nothing on these survives a reboot.
VOLATILE_FILESYSTEMS: Final = frozenset({"tmpfs", "ramfs", "devtmpfs"})

_PINNED: Final = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?(>=|==)([0-9][0-9.]*)")
# What adjtimex(2) returns while nobody keeps the clock right.
_TIME_ERROR: Final = 5
_TIMEX_BYTES: Final = 512


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system below a folder; `kind` is empty where it is not known."""

    path: Path
    free_bytes: int
    total_bytes: int
    kind: str


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """`packages` are those that are older than what we need, as "installed, needed"; `open_files`
    is each process's limit by its name; None where the system does not tell.
    """

    python: str
    packages: Mapping[str, tuple[str, str]]
    open_files: Mapping[str, int]
    somaxconn: int | None
    is_clock_kept: bool | None
    disks: tuple[Disk, ...]


def read_machine(pids: Mapping[str, int], folders: Iterable[Path]) -> MachineFacts:
    """`pids` are the shop's processes by name; without any, the limits are those of this one."""
    limits = {name: limit for name, pid in pids.items() if (limit := _open_files(pid))}
    return MachineFacts(
        python=platform.python_version(),
        packages=_outdated_packages(),
        open_files=limits or {THIS_SHELL: resource.getrlimit(resource.RLIMIT_NOFILE)[0]},
        somaxconn=_somaxconn(),
        is_clock_kept=_is_clock_kept(),
        disks=tuple(disk for folder in folders if (disk := read_disk(folder))),
    )


def judge_machine(facts: MachineFacts, settings: Settings) -> Findings:
    findings = Findings(AREA, settings.environment)
    findings.good("Python", facts.python)
    for name, (installed, needed) in facts.packages.items():
        findings.bad(name, installed, f"Install {needed}: `pip install --upgrade tigerfans`.")
    if not facts.packages:
        findings.good("packages", "all new enough")
    _judge_limits(facts, settings, findings)
    if facts.is_clock_kept is None:
        findings.warn("clock", "the kernel does not tell", "See that NTP keeps it right.")
    else:
        findings.required(
            "clock",
            facts.is_clock_kept,
            "kept right by NTP" if facts.is_clock_kept else "nobody keeps it right",
            "Start chrony or systemd-timesyncd: sales are dated by it, and holds end by it.",
        )
    for disk in facts.disks:
        judge_disk(disk, findings)
    return findings


def _judge_limits(facts: MachineFacts, settings: Settings, findings: Findings) -> None:
    of_a_clerk = settings.stores.database_connections + FILES_SPARE
    of_a_worker = settings.http.connections + of_a_clerk
    for name, limit in facts.open_files.items():
        needed = of_a_clerk if is_clerk(name) else of_a_worker
        if name == SEQUENCER:
            # It has the workers' connections only.
            needed = WORKERS_MAX + FILES_SPARE
        advice = f"Allow at least {needed:,}: LimitNOFILE= in its unit, or `ulimit -n`."
        if name != THIS_SHELL:
            findings.required(f"open files, {name}", limit >= needed, f"{limit:,}", advice)
        elif limit < needed:
            # Units have limits of their own, and none of them runs.
            findings.warn(f"open files, {name}", f"{limit:,}", advice)
    if facts.somaxconn is not None:
        backlog = settings.http.backlog
        findings.required(
            "net.core.somaxconn",
            facts.somaxconn >= backlog,
            f"{facts.somaxconn:,}",
            f"`sysctl net.core.somaxconn={backlog}`: TIGERFANS_BACKLOG is cut to it.",
        )


def judge_disk(disk: Disk, findings: Findings) -> None:
    """Is there room, and does what is written there outlive a reboot?"""
    subject = f"disk of {disk.path}"
    found = f"{disk.free_bytes / (1 << 30):,.1f} of {disk.total_bytes / (1 << 30):,.1f} GiB free"
    if disk.kind in VOLATILE_FILESYSTEMS:
        findings.bad(subject, f"{disk.kind}, in memory", "Put it on a disk: a reboot empties it.")
    elif disk.free_bytes < DISK_BYTES_MIN:
        findings.bad(subject, found, "Make room: without it, no ticket is sold.")
    elif disk.free_bytes < min(DISK_BYTES_LOW, DISK_SHARE_LOW * disk.total_bytes):
        findings.warn(subject, found, "Make room before it runs out.")
    else:
        findings.good(subject, found)


def version_tuple(version: str) -> tuple[int, ...]:
    """The numbers a version begins with, to be compared."""
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[a-z+-]", version)[0]))


def _outdated_packages() -> dict[str, tuple[str, str]]:
    outdated = {}
    for requirement in importlib.metadata.requires("tigerfans") or []:
        match = _PINNED.match(requirement)
        if match is None or "extra ==" in requirement:
            continue
        name, relation, needed = match.groups()
        installed = importlib.metadata.version(name)
        is_exact = relation == "=="
        if (is_exact and installed != needed) or version_tuple(installed) < version_tuple(needed):
            outdated[name] = installed, f"{name}{relation}{needed}"
    return outdated


def _open_files(pid: int) -> int | None:
    with suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
            if line.startswith("Max open files"):
                return int(line.split()[3])
    return None


def _somaxconn() -> int | None:
    with suppress(OSError, ValueError):
        return int(Path("/proc/sys/net/core/somaxconn").read_text())
    return None


def _is_clock_kept() -> bool | None:
    """Asks the kernel, which whoever keeps the clock tells that it is right."""
    try:
        # Zeros ask for nothing to be changed; the kernel fills in what is.
        state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except AttributeError:  # not on this system
        return None
    return None if state < 0 else state != _TIME_ERROR


def read_disk(folder: Path) -> Disk | None:
    """None where there is no such folder, or none that we may see."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return Disk(folder, usage.free, usage.total, _filesystem(folder))


def _filesystem(folder: Path) -> str:
    """The kind of the file system that is mounted nearest above a folder."""
    path, kind, nearest = os.path.realpath(folder), "", ""
    with suppress(OSError):
        for line in Path("/proc/self/mounts").read_text().splitlines():
            _, mounted_at, found, *_ = line.split()
            if os.path.commonpath([path, mounted_at]) == mounted_at and mounted_at >= nearest:
                nearest, kind = mounted_at, found
    return kind
