"""Which ledger the shop's sales are on: decided once for a data folder, and then kept.

A ledger that TIGERFANS_LEDGER names is used as it is. Otherwise the shop uses what it used before;
a new shop uses TigerBeetle where its server is found, and the embedded ledger elsewhere. Orders in
PostgreSQL belong to the sales on one ledger, so a shop is never moved to another one silently.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tigerfans.settings.folder import DataFolder, usable, write_whole
from tigerfans.settings.settings import SettingsError
from tigerfans.stack import tigerbeetle
from tigerfans.stack.ports import free_port
from tigerfans.stack.programs import Program


@dataclass(frozen=True, slots=True)
class LedgerChoice:
    """A ledger to sell on.

    `url` is the value for TIGERFANS_LEDGER; `identity` is what stays the same wherever its server
    listens, and is recorded; `program` is its server, where the stack starts one.
    """

    url: str
    identity: str
    description: str
    program: Program | None = None
    advice: str | None = None


def choose(configured: str | None, folder: DataFolder, environ: Mapping[str, str]) -> LedgerChoice:
    """Chooses, and formats TigerBeetle's file where it is new; raises `SettingsError`."""
    recorded = _recorded(folder)
    if configured is not None:
        choice = _configured(configured, folder)
        _must_be(recorded, choice.identity, folder)
        return choice
    binary = tigerbeetle.find_binary(environ, Path.cwd())
    embedded = _configured(f"embedded:{folder.embedded_ledger}", folder)
    if recorded == embedded.identity or (recorded is None and binary is None):
        return _with_advice(embedded, binary)
    if binary is None or (recorded is not None and not folder.tigerbeetle_file.exists()):
        raise SettingsError(
            f"The sales of the shop in TIGERFANS_DATA={folder.root} are on the ledger {recorded},"
            " which is not here: set TIGERBEETLE_BIN or TIGERFANS_LEDGER."
        )
    choice = _local_tigerbeetle(binary, folder)
    _must_be(recorded, choice.identity, folder)
    return choice


def record(choice: LedgerChoice, folder: DataFolder) -> None:
    """Remembers the choice, for as long as the data folder lives; raises `SettingsError`."""
    if _recorded(folder) != choice.identity:
        with usable():
            write_whole(folder.ledger_choice, f"{choice.identity}\n".encode(), durably=True)


def _recorded(folder: DataFolder) -> str | None:
    if not folder.ledger_choice.exists():
        return None
    with usable():
        return folder.ledger_choice.read_text(errors="replace").strip() or None


def _must_be(recorded: str | None, identity: str, folder: DataFolder) -> None:
    if recorded not in (None, identity):
        raise SettingsError(
            f"The sales of the shop in TIGERFANS_DATA={folder.root} are on the ledger {recorded},"
            f" not on {identity}: set TIGERFANS_LEDGER back, or give the new shop a folder"
            " of its own in TIGERFANS_DATA."
        )


def _configured(ledger: str, folder: DataFolder) -> LedgerChoice:
    kind, _, place = ledger.partition(":")
    if kind == "embedded":
        path = Path(place).absolute()
        # A data folder may be moved as a whole.
        inside = path.is_relative_to(folder.root)
        return LedgerChoice(
            url=f"embedded:{path}",
            identity=f"embedded:{path.relative_to(folder.root) if inside else path}",
            description=f"embedded, in {path}",
        )
    addresses, _, cluster = place.removeprefix("//").partition("/")
    return LedgerChoice(
        url=ledger,
        identity=f"tigerbeetle:{int(cluster)}",
        description=f"TigerBeetle at {addresses}, cluster {cluster}",
    )


def _local_tigerbeetle(binary: Path, folder: DataFolder) -> LedgerChoice:
    file = folder.tigerbeetle_file
    tigerbeetle.check_version(binary)
    tigerbeetle.initialise(binary, file)
    cluster = tigerbeetle.inspect(binary, file).cluster
    port = free_port(tigerbeetle.HOST)
    return LedgerChoice(
        url=tigerbeetle.ledger_url(port, cluster),
        identity=f"tigerbeetle:{cluster}",
        description=f"TigerBeetle {tigerbeetle.VERSION}, in {file}",
        program=tigerbeetle.program(binary, file, port),
    )


def _with_advice(embedded: LedgerChoice, binary: Path | None) -> LedgerChoice:
    if binary is None:
        advice = (
            "To sell on TigerBeetle: `make tigerbeetle` (or `tigerfans tigerbeetle`),"
            " then start with a new TIGERFANS_DATA."
        )
    else:
        advice = (
            "TigerBeetle is here, but this shop's sales are not on it:"
            " to use it, start with a new TIGERFANS_DATA."
        )
    return replace(embedded, advice=advice)
