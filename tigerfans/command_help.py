"""What `--help` of a command ends with: the settings it uses, its exit codes, and an example.

A row for each command, and nothing else; `cli` prints it. Tests hold the settings to those of
docs/settings.md, and each command to a row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# What every command that reads settings ends with for one that cannot be used.
_USAGE: Final = {2: "it was asked for wrongly, or a setting cannot be used: a sentence says which"}
_INTERRUPTED: Final = {130: "Ctrl-C ended it"}

_SHOP: Final = ("TIGERFANS_DATA",)
_STORES: Final = ("DATABASE_URL", "REDIS_URL")
_PEOPLE: Final = (*_SHOP, "DATABASE_URL", "ADMIN_USERNAME")
_PEOPLE_CODES: Final = {
    0: "it is done",
    1: "the database does not answer",
    2: "it was asked for wrongly, or a setting cannot be used: a sentence says which",
    **_INTERRUPTED,
}
_OPEN_SHOP: Final = (*_SHOP, *_STORES, "TIGERFANS_SEQUENCER_SOCKET", "TIGERFANS_TICKET_SECRET")


@dataclass(frozen=True, slots=True)
class Help:
    """The end of a command's help; no `settings` means that it reads none."""

    exit_codes: Mapping[int, str]
    example: str
    settings: tuple[str, ...] = ()
    # What the settings above are, where they are not all.
    more_settings: str = "Each is an environment variable; docs/settings.md explains them."

    def __str__(self) -> str:
        settings = "".join(f"  {name}\n" for name in self.settings)
        codes = "".join(f"  {code:<5}{words}\n" for code, words in self.exit_codes.items())
        more = self.more_settings if self.settings else "None."
        example = "".join(f"  {line}\n" for line in self.example.splitlines())
        return f"settings:\n{settings}  {more}\n\nexit codes:\n{codes}\nexample:\n{example}"


HELP: Final[Mapping[str, Help]] = {
    "up": Help(
        {0: "it was stopped, by Ctrl-C or SIGTERM", 1: "something it needs did not start"} | _USAGE,
        "TIGERFANS_PORT=9000 TIGERFANS_WORKERS=4 tigerfans up",
        (
            "TIGERFANS_OFFER",
            "TIGERFANS_DATA",
            "TIGERFANS_HOST",
            "TIGERFANS_PORT",
            "TIGERFANS_WORKERS",
        ),
        "And all others: docs/settings.md explains them. Each is an environment variable.",
    ),
    "ps": Help(
        {
            0: "a shop runs there; with --hosts, nothing is wrong with its hosts",
            1: "none does; or something is, and a sentence says what",
        }
        | _USAGE,
        "TIGERFANS_DATA=/srv/shop tigerfans ps\ntigerfans ps --hosts",
        (*_SHOP, *_STORES),
    ),
    "reload": Help(
        {
            0: "all workers and the clerk were replaced",
            1: "some were not, a sentence says why; or no shop runs there",
        }
        | _USAGE
        | _INTERRUPTED,
        "tigerfans reload",
        (*_SHOP, "TIGERFANS_OFFER", "TIGERFANS_WORKERS"),
    ),
    "offer init": Help(
        {
            0: "the file is there",
            2: "it was there before, or cannot be written: a sentence says which",
        },
        "tigerfans offer init offer.toml",
    ),
    "offer check": Help(
        {0: "a shop can sell it", 2: "it has mistakes: each is named with its line"},
        "tigerfans offer check offer.toml",
    ),
    "offer take": Help(
        {
            0: "what starts from now on sells it",
            1: "nobody says whether it takes away what was sold; nothing has changed",
        }
        | _USAGE,
        "TIGERFANS_OFFER=offer.toml tigerfans offer take",
        ("TIGERFANS_OFFER", "DATABASE_URL", *_SHOP, "TIGERFANS_SEQUENCER_SOCKET"),
    ),
    "sequencer": Help(
        {0: "it was stopped by SIGTERM", 1: "its ledger was lost, or its addresses are taken"}
        | _USAGE,
        "TIGERFANS_LEDGER=tigerbeetle://127.0.0.1:3000/0 tigerfans sequencer",
        ("TIGERFANS_LEDGER", "TIGERFANS_SEQUENCER_SOCKET", "TIGERFANS_METRICS_ADDRESS"),
    ),
    "migrate": Help(
        {0: "the database has this version's schema", 1: "PostgreSQL is away, or takes no writes"}
        | _USAGE
        | _INTERRUPTED,
        "DATABASE_URL=postgresql://shop@db.example/shop tigerfans migrate",
        ("DATABASE_URL", *_SHOP),
    ),
    "worker": Help(
        {0: "it was stopped by SIGTERM", 1: "a store was away, or something in it failed"} | _USAGE,
        "tigerfans worker --number 1",
        (*_STORES, "TIGERFANS_SEQUENCER_SOCKET", "TIGERFANS_PORT", "TIGERFANS_WORKERS"),
        "And all others of the shop: docs/settings.md explains them.",
    ),
    "clerk": Help(
        {0: "it was stopped by SIGTERM", 1: "a store was away, or something in it failed"} | _USAGE,
        "tigerfans clerk",
        (*_STORES, "TIGERFANS_SEQUENCER_SOCKET", "MOCK_WEBHOOK_URL"),
        "And all others of the shop: docs/settings.md explains them.",
    ),
    "ledger replay": Help(
        {0: "the ledger answered as recorded", 1: "it differed", 2: "it could not be asked"}
        | _INTERRUPTED,
        "TIGERFANS_LEDGER=embedded:/tmp/ledger tigerfans ledger replay recorded.jsonl.gz",
        ("TIGERFANS_LEDGER",),
    ),
    "ledger backup": Help(
        {0: "the copy is made, and whole", 2: "it was not made: a sentence says why"}
        | _INTERRUPTED,
        "tigerfans ledger backup /var/backups/ledger.sqlite",
        (*_SHOP, "TIGERFANS_SEQUENCER_SOCKET"),
    ),
    "reconcile": Help(
        {
            0: "ledger and orders say the same, and no payment waits; with --provider, all that it"
            " charged is in the orders",
            1: "they differ, or a payment waits for the operator",
            2: "the shop cannot be looked at, or a setting cannot be used",
        }
        | _INTERRUPTED,
        "tigerfans reconcile --json > report.json\ntigerfans reconcile --provider --days 30",
        _OPEN_SHOP,
    ),
    "user add": Help(
        _PEOPLE_CODES,
        "tigerfans user add ada --role office\ntigerfans user add gate-1 --role door --generate",
        _PEOPLE,
    ),
    "user passwd": Help(
        _PEOPLE_CODES,
        "tigerfans user passwd ada\npass show tickets/ada | tigerfans user passwd ada",
        _PEOPLE,
    ),
    "user role": Help(_PEOPLE_CODES, "tigerfans user role ada owner", _PEOPLE),
    "user rm": Help(_PEOPLE_CODES, "tigerfans user rm ada", _PEOPLE),
    "user ls": Help(_PEOPLE_CODES, "tigerfans user ls", _PEOPLE),
    "stock": Help(
        {0: "it is shown, and changed where that was asked for"}
        | {2: "the change was refused, or the shop cannot be reached: a sentence says why"}
        | _INTERRUPTED,
        "tigerfans stock\ntigerfans stock B +50\ntigerfans stock B close",
        _OPEN_SHOP,
    ),
    "cancel": Help(
        {0: "it is canceled, or what was asked is told"}
        | {2: "the name is another one, or the shop cannot be reached: a sentence says why"}
        | _INTERRUPTED,
        'tigerfans cancel\ntigerfans cancel "Jazz in June"',
        _OPEN_SHOP,
    ),
    "tune": Help(
        {0: "it measured, and names a number", 1: "nothing could be measured"}
        | _USAGE
        | _INTERRUPTED,
        "tigerfans tune",
    ),
    "doctor": Help(
        {
            0: "nothing is bad",
            1: "something is, a setting too: the table says what to change",
            2: "it was asked for wrongly",
        }
        | _INTERRUPTED,
        "tigerfans doctor --json > doctor.json",
        ("TIGERFANS_DATA", "TIGERFANS_ENV"),
        "And all others, for it judges them: docs/settings.md explains them.",
    ),
    "tigerbeetle": Help(
        {0: "the server is in ./bin", 2: "it could not be downloaded: a sentence says why"}
        | _INTERRUPTED,
        "tigerfans tigerbeetle && TIGERBEETLE_BIN=bin/tigerbeetle tigerfans up",
    ),
}
