"""The hosted page: where a buyer pays, with a button for each way it can end.

It works without a script. As at Stripe, a declined card leaves the buyer on the page, what is paid
leads back to the shop's success address, and a session that is over says so.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Final, TypeVar, get_args
from urllib.parse import parse_qs

from jinja2 import Environment, FileSystemLoader

from tests.stripe_server import money
from tests.stripe_server.account import (
    INTENT,
    SESSION,
    Account,
    How,
    Outcome,
    return_address,
)
from tests.stripe_server.errors import ApiError
from tests.stripe_server.store import Store, Thing
from tests.stripe_server.wire import Answer, Request

PATH: Final = "/c/pay/"
BANK: Final = "/bank"
HTML: Final = {"content-type": "text/html; charset=utf-8", "cache-control": "no-store"}

HOWS: Final[Sequence[How]] = get_args(How)
OUTCOMES: Final[Sequence[Outcome]] = get_args(Outcome)

Choice = TypeVar("Choice", bound=str)

_templates = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)


class HostedPage:
    def __init__(self, account: Account, store: Store) -> None:
        self._account = account
        self._store = store

    def answer(self, request: Request) -> Answer:
        """The pages at `PATH`, and the one that says what this server is."""
        self._account.pass_due()
        self._store.commit()
        if request.path == "/":
            return _rendered(title="Test provider", session=None)
        rest = request.path.removeprefix(PATH)
        session = self._store.find(SESSION, rest.removesuffix(BANK))
        if session is None or rest == request.path:
            return Answer(HTTPStatus.NOT_FOUND, b"There is no such page.", HTML)
        if request.method == "POST":
            values = parse_qs(request.body.decode())
            press = self._decide if rest.endswith(BANK) else self._press
            return press(session, values)
        return self._shown(session)

    def _press(self, session: Thing, values: dict[str, list[str]]) -> Answer:
        how = _chosen(values, "how", HOWS)
        if how is None:
            return Answer(HTTPStatus.BAD_REQUEST, b"There is no such button.", HTML)
        email = values.get("email", [None])[0]
        session = self._changed(lambda: self._account.attempt(session["id"], how, email))
        is_over = session["status"] == "complete"
        return _see(return_address(session) if is_over else PATH + session["id"])

    def _decide(self, session: Thing, values: dict[str, list[str]]) -> Answer:
        outcome = _chosen(values, "outcome", OUTCOMES)
        if outcome is None:
            return Answer(HTTPStatus.BAD_REQUEST, b"There is no such button.", HTML)
        try:
            session = self._changed(lambda: self._account.settle(session["id"], outcome))
        except ApiError:
            # It was decided before, which the page says.
            return _see(PATH + session["id"])
        return _see(return_address(session))

    def _changed(self, change: Callable[[], Thing]) -> Thing:
        session = change()
        self._store.commit()
        return session

    def _shown(self, session: Thing) -> Answer:
        currency = session["currency"]
        intent = self._store.find(INTENT, session["payment_intent"] or "") or {}
        error = intent.get("last_payment_error") or {}
        amount = money.words(session["amount_total"], currency)
        until = datetime.fromtimestamp(session["expires_at"], UTC)
        return _rendered(
            title=f"Pay {amount}",
            session=session,
            amount=amount,
            items=[
                item | {"amount": money.words(item["amount_total"], currency)}
                for item in session["_line_items"]
            ],
            declined=error.get("message"),
            is_at_the_bank=intent.get("status") == "processing",
            path=PATH + session["id"],
            back=return_address(session),
            until=f"{until:%H:%M} UTC",
        )


def _chosen(values: dict[str, list[str]], name: str, choices: Sequence[Choice]) -> Choice | None:
    chosen = values.get(name, [""])[0]
    return next((choice for choice in choices if choice == chosen), None)


def _see(address: str) -> Answer:
    return Answer(HTTPStatus.SEE_OTHER, headers={"location": address})


def _rendered(**values: object) -> Answer:
    body = _templates.get_template("page.html").render(**values)
    return Answer(HTTPStatus.OK, body.encode(), HTML)
