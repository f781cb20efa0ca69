"""The command `tigerfans`: where the process's arguments and settings are read.

What was asked for wrongly is answered in one sentence on stderr, with exit code 2. Each command
imports its own part of the package when it runs, so that a worker does not load the stack.
"""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tigerfans import __version__
from tigerfans.command_help import HELP
from tigerfans.offer.taken import named_offer, sold_offer
from tigerfans.settings.settings import (
    FindOffer,
    Settings,
    SettingsError,
    clerk_name,
    unknown_variables,
    without_offer,
    worker_name,
)

EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130
OFFER_FILE: Final = Path("offer.toml")

logger = logging.getLogger(__name__)

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    parsed = _parser().parse_args(arguments)
    command: Command = parsed.command
    try:
        return command(parsed)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tigerfans",
        description="A ticket shop that sells a hall in seconds and never sells a seat twice.",
        epilog="Settings are environment variables; docs/settings.md lists them.",
    )
    parser.add_argument("--version", action="version", version=f"tigerfans {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    groups = {"": commands}
    for group, summary in (
        ("offer", "Begin the file of an event, check it, or have the shop sell it."),
        ("user", "Say who may enter the box office."),
        ("ledger", "Check or copy a ledger."),
    ):
        members = commands.add_parser(group, help=summary, description=summary)
        groups[group] = members.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, command: Command, summary: str) -> argparse.ArgumentParser:
        group, _, last = name.rpartition(" ")
        added = groups[group].add_parser(
            last,
            help=summary,
            description=summary,
            epilog=str(HELP[name]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(command=command)
        return added

    add("up", _up, "Start the shop with everything it needs, and keep it running until Ctrl-C.")
    ps = add("ps", _ps, "Print each process of the running shop, as one JSON object a line.")
    ps.add_argument(
        "--hosts", action="store_true", help="print each host of the shop, and what is wrong there"
    )
    add("reload", _reload, "Replace workers and clerk of the running shop, one after the other.")
    add("sequencer", _sequencer, "Run the sequencer alone.")
    add("migrate", _migrate, "Bring the database of the orders to the schema of this version.")
    init = add("offer init", _offer_init, "Write a file to describe an event in, with comments.")
    check = add("offer check", _offer_check, "Name every mistake in the file of an event.")
    for command in (init, check):
        where = f"{OFFER_FILE} where none is named"
        command.add_argument("file", type=Path, nargs="?", default=OFFER_FILE, help=where)
    add("offer take", _offer_take, "Have what starts from now on sell what the file says.")
    worker = add("worker", _worker, "Run one HTTP worker alone.")
    worker.add_argument(
        "--number", type=int, required=True, help="which of them it is, counted from 1"
    )
    clerk = add("clerk", _clerk, "Run alone what does the work that can wait.")
    clerk.add_argument("--number", type=int, default=1, help="which of them it is, 1 by default")
    replay_summary = "Replay recorded scenarios against the ledger that TIGERFANS_LEDGER names."
    replay = add("ledger replay", _replay, replay_summary)
    replay.add_argument("file", type=Path, help="recorded scenarios, one JSON object a line")
    backup_summary = "Copy the embedded ledger of the running shop, and check the copy."
    backup = add("ledger backup", _backup, backup_summary)
    backup.add_argument("file", type=Path, help="where the copy goes; must not be there yet")
    reconcile = add(
        "reconcile", _reconcile, "Compare the ledger with the orders, while the shop sells."
    )
    reconcile.add_argument("--json", action="store_true", help="print the whole report as JSON")
    reconcile.add_argument(
        "--repair",
        action="store_true",
        help="store the order of a sale that has none, settle a payment that nobody told",
    )
    reconcile.add_argument(
        "--provider",
        action="store_true",
        help="compare what the payment provider has charged with the orders instead",
    )
    reconcile.add_argument(
        "--days", type=int, help="how far back, with --provider; two weeks by default"
    )
    stock = add("stock", _stock, "Show what there is of each class, or change it.")
    stock.add_argument("cls", nargs="?", metavar="CLASS", help="the code of a class")
    stock.add_argument("change", nargs="?", help="+50, -50, close or open")
    stock.add_argument(
        "--number", type=int, help="refuse it unless the next change has this number"
    )
    stock.add_argument("--json", action="store_true", help="print it as JSON")
    user = add("user add", _user_add, "Let somebody into the box office.")
    user.add_argument("--role", required=True, help="owner, office or door")
    password = add("user passwd", _user_passwd, "Give somebody another password.")
    role = add("user role", _user_role, "Give somebody another role.")
    remove = add("user rm", _user_rm, "Let somebody in no more.")
    for each in (user, password, role, remove):
        each.add_argument("name", help="what they type at the login, letter by letter")
    for each in (user, password):
        each.add_argument(
            "--generate", action="store_true", help="make the password, and print it once"
        )
    role.add_argument("role", help="owner, office or door")
    add("user ls", _user_ls, "List who may enter the box office.")
    cancel = add("cancel", _cancel, "Cancel the show for good, and give all money back.")
    where = "the show's name; without it, only say how far a cancellation is"
    cancel.add_argument("show", nargs="?", help=where)
    add("tune", _tune, "Measure which number of workers suits this machine, in about a minute.")
    doctor = add("doctor", _doctor, "Look at a deployment, and say what to change.")
    doctor.add_argument("--json", action="store_true", help="print all of it as JSON")
    add("tigerbeetle", _tigerbeetle, "Download the TigerBeetle server into ./bin.")
    return parser


def _settings(
    process: str | None = None, *, sells: bool = True, find_offer: FindOffer = sold_offer
) -> Settings:
    """The settings, and a word on each that is none; a `process` logs to stderr from here on.

    The offer is the one that was taken over, unless `find_offer` finds another. What does not sell
    starts whatever is wrong with it.
    """
    environ = os.environ if sells else without_offer(os.environ)
    settings = Settings.from_environment(environ, find_offer if sells else named_offer)
    if process is not None:
        from tigerfans.telemetry.logs import log_to_stderr

        log_to_stderr(settings.environment, process)
    for sentence in unknown_variables(environ, settings.offer).values():
        logger.warning(sentence)
    return settings


def _up(_: argparse.Namespace) -> int:
    from tigerfans.stack import up

    return up.run(_settings(find_offer=named_offer), os.environ)


def _ps(arguments: argparse.Namespace) -> int:
    if arguments.hosts:
        from tigerfans.hosts import command

        return command.run(_settings())
    from tigerfans.stack import control

    return control.ps(_settings(sells=False))


def _reload(_: argparse.Namespace) -> int:
    from tigerfans.stack import control

    return control.reload(_settings(find_offer=named_offer))


def _offer_init(arguments: argparse.Namespace) -> int:
    from tigerfans.office.offer_command import init

    return init(arguments.file)


def _offer_check(arguments: argparse.Namespace) -> int:
    from tigerfans.office.offer_command import check

    return check(arguments.file)


def _offer_take(_: argparse.Namespace) -> int:
    from tigerfans.office.offer_taking import run

    return run(os.environ)


def _sequencer(_: argparse.Namespace) -> int:
    from tigerfans.sequencer.main import run

    return run(_settings("sequencer", sells=False))


def _migrate(_: argparse.Namespace) -> int:
    from tigerfans.office.migrate_command import run

    return run(_settings("migrate"))


def _worker(arguments: argparse.Namespace) -> int:
    from tigerfans.http.serving.worker import run

    return run(_settings(worker_name(arguments.number)), arguments.number)


def _clerk(arguments: argparse.Namespace) -> int:
    from tigerfans.clerk.clerk import run

    return run(_settings(clerk_name(arguments.number)), arguments.number)


def _replay(arguments: argparse.Namespace) -> int:
    from tigerfans.ledger.replay import run

    return run(_settings(sells=False), arguments.file)


def _backup(arguments: argparse.Namespace) -> int:
    from tigerfans.office.backup_command import run

    return run(_settings(sells=False), arguments.file)


def _reconcile(arguments: argparse.Namespace) -> int:
    from tigerfans.office import reconcile_command

    as_json, repair, days = arguments.json, arguments.repair, arguments.days
    if arguments.provider:
        return reconcile_command.run_provider(
            _settings(), as_json=as_json, repair=repair, days=days
        )
    if days is not None:
        raise SettingsError("--days says how far back to look at the provider: add --provider.")
    return reconcile_command.run(_settings(), as_json=as_json, repair=repair)


def _user_add(arguments: argparse.Namespace) -> int:
    from tigerfans.office import user_command

    name, role = arguments.name, arguments.role
    return user_command.add(_settings(sells=False), name, role, generate=arguments.generate)


def _user_passwd(arguments: argparse.Namespace) -> int:
    from tigerfans.office import user_command

    settings, name = _settings(sells=False), arguments.name
    return user_command.change_password(settings, name, generate=arguments.generate)


def _user_role(arguments: argparse.Namespace) -> int:
    from tigerfans.office import user_command

    return user_command.change_role(_settings(sells=False), arguments.name, arguments.role)


def _user_rm(arguments: argparse.Namespace) -> int:
    from tigerfans.office import user_command

    return user_command.remove(_settings(sells=False), arguments.name)


def _user_ls(_: argparse.Namespace) -> int:
    from tigerfans.office import user_command

    return user_command.ls(_settings(sells=False))


def _stock(arguments: argparse.Namespace) -> int:
    from tigerfans.office.stock_command import run

    return run(
        _settings(),
        arguments.cls,
        arguments.change,
        number=arguments.number,
        as_json=arguments.json,
    )


def _cancel(arguments: argparse.Namespace) -> int:
    from tigerfans.office.cancel_command import run

    return run(_settings(), arguments.show)


def _tune(_: argparse.Namespace) -> int:
    from tigerfans.office import tuning

    return tuning.run()


def _doctor(arguments: argparse.Namespace) -> int:
    from tigerfans.doctor.command import run

    return run(os.environ, as_json=arguments.json)


def _tigerbeetle(_: argparse.Namespace) -> int:
    from tigerfans.stack.download import main as download

    return download()
