"""Every page of the shop, in every state it can be in: to be checked, and to be photographed."""

from typing import Final, NamedTuple

import msgspec
from playwright.sync_api import Page

from tests.browser.box_office import BRIEF_TICKETS_A, BoxOffice, Held
from tests.browser.stripe_office import StripeOffice
from tests.stack.running_shop import until
from tigerfans import __version__
from tigerfans.hosts.report import Sample

_MAJOR, _MINOR, _ = __version__.split(".")
NEXT_VERSION: Final = f"{_MAJOR}.{int(_MINOR) + 1}.0"
SILENT_HOST: Final = "tickets-3"
GUEST: Final = "a guest"
INSIDE: Final = "somebody inside"


class Scene(NamedTuple):
    """A page: its path, which names orders of a `Stage`, and words by which it is known.

    It is shown in a browser that has a ticket on hold, or in one that has none; of a shop that has
    more hosts, or of one that has none; with `is_stripe`, of the one that sells by Stripe. At the
    door, `scanned` is scanned: a guest's ticket, that of somebody who is inside, or a text.
    """

    path: str
    words: str
    is_brief: bool = False
    has_hold: bool = False
    has_hosts: bool = False
    is_stripe: bool = False
    scanned: str = ""


SCENES: Final = {
    "landing": Scene("/", "The ways in"),
    "checkout": Scene("/demo/checkout?cls=A", "Which one?"),
    "checkout-held": Scene("/demo/checkout", "You have a ticket on hold", has_hold=True),
    "checkout-failed": Scene(
        "/demo/checkout?status=failed&order_id={failed.order_id}", "The payment failed"
    ),
    "checkout-canceled": Scene(
        "/demo/checkout?status=canceled&order_id={canceled.order_id}", "You canceled the payment"
    ),
    "checkout-sold-out": Scene("/demo/checkout", "Sold out", is_brief=True),
    "payment": Scene("{open.payment_path}", "Your ticket is held for"),
    "payment-expired": Scene("{expired.payment_path}", "Your hold has expired", is_brief=True),
    "payment-finished": Scene("{paid.payment_path}", "This payment is finished"),
    "payment-line": Scene("{waiting.payment_path}", "Your ticket is yours", is_stripe=True),
    "order-waiting": Scene("{open.order_path}", "Waiting for your payment"),
    "order-under-way": Scene("{under_way.order_path}", "Your payment is under way", is_stripe=True),
    "order-ticket": Scene("{paid.order_path}", "You are in"),
    "order-failed": Scene("{failed.order_path}", "The payment failed"),
    "order-canceled": Scene("{canceled.order_path}", "You canceled the payment"),
    "order-expired": Scene("{expired.order_path}", "Your hold has expired", is_brief=True),
    "order-sold-out": Scene("{unfulfilled.order_path}", "Paid, but sold out", is_brief=True),
    "order-unknown": Scene("/demo/success?order_id=unknown", "We do not know this order"),
    "again": Scene("/demo/again", "Is the page or the mail with your ticket gone?"),
    "again-asked": Scene("/demo/again?asked=1", "Look among the unwanted mail"),
    "not-found": Scene("/nothing", "There is nothing here"),
    "admin": Scene("/admin", "Box office"),
    "admin-hosts": Scene("/admin", SILENT_HOST, has_hosts=True),
    "admin-refunds": Scene("/admin", "Refunds due", is_brief=True),
    "admin-unmatched": Scene("/admin", "It is not what the order costs.", is_brief=True),
    "admin-stock": Scene("/admin/stock", "Close the sale"),
    "admin-mails": Scene("/admin/mails", "Not arrived"),
    "admin-people": Scene("/admin/people", "Who may enter"),
    "admin-door": Scene("/admin/door", "a phone"),
    "door": Scene("/door", "Where are you?"),
    "door-in": Scene("/door", "Come in", scanned=GUEST),
    "door-inside": Scene("/door", "Already inside", scanned=INSIDE),
    "door-unknown": Scene("/door", "Not one of our tickets", scanned="TF-0000-0000-0000"),
    "admin-order": Scene("/admin/orders/{paid.order_id}", "What was ordered"),
    "admin-order-refund": Scene(
        "/admin/orders/{unfulfilled.order_id}", "Refund €65.00", is_brief=True
    ),
}


def add_hosts(office: BoxOffice) -> None:
    """Has two more hosts: one sells, of another release, its clock off; one is gone."""
    own = msgspec.structs.replace(office.own_report(), clock_ms=0)
    workers, clerks = (
        tuple(msgspec.structs.replace(process, version=NEXT_VERSION) for process in processes)
        for processes in (own.workers, own.clerks)
    )
    sample = Sample(
        held_per_second=5.8,
        paid_per_second=4.6,
        transfers_per_second=19.6,
        batch_transfers=2.9,
        ledger_milliseconds=1.7,
        workers=2,
        clerks=1,
    )
    office.tell_of_host(
        msgspec.structs.replace(
            own,
            name="tickets-2",
            version=NEXT_VERSION,
            workers=workers,
            clerks=clerks,
            sample=sample,
            clock_ms=2_400,
        )
    )
    office.tell_of_host(msgspec.structs.replace(own, name=SILENT_HOST), silent_seconds=250)
    # The figures are all hosts' together.
    until(lambda: office.workers() == len(own.workers) + sample.workers)


UNKNOWN_ORDER_ID: Final = "0" * 30 + "00"


class Late(NamedTuple):
    """Orders of the shop with brief holds whose payment comes, or may come, after the hold."""

    expired: Held
    unfulfilled: Held
    # Its ticket was sold to somebody else meanwhile, and its payment is still open.
    doomed: Held


def make_late(brief: BoxOffice) -> Late:
    """Lets holds expire and sells class A out behind the back of two of them."""
    late = Late(brief.hold("B"), *(brief.hold("A") for _ in range(BRIEF_TICKETS_A)))
    for held in late:
        brief.until_expired(held)
    for _ in range(BRIEF_TICKETS_A):
        brief.buy("A")
    brief.end(late.unfulfilled, "succeeded")
    return late


# A verdict is looked at for longer than it stays.
STAYING: Final = """
    () => {
        const { setTimeout } = window;
        window.setTimeout = (act, ms) => ms > 5000 ? 0 : setTimeout(act, ms);
    }
"""


def scan_at_door(tab: Page, text: str) -> None:
    """Scans at the gate "North"; what comes of it stays to be looked at."""
    tab.evaluate(STAYING)
    gate = tab.get_by_label("Where are you?")
    gate.fill("North")
    gate.press("Tab")
    tab.keyboard.type(text)
    tab.keyboard.press("Enter")


class Stage:
    """All shops, with the orders that the scenes show."""

    def __init__(
        self, patient: BoxOffice, brief: BoxOffice, late: Late, by_stripe: StripeOffice
    ) -> None:
        self._patient, self._brief, self._by_stripe = patient, brief, by_stripe
        self._inside = patient.ticket_code(patient.buy())
        patient.scan("North", self._inside)
        # Another device was offline, and let it in again.
        patient.scan("South", self._inside, "already_inside", device="a phone", offline=True)
        patient.let_out(patient.scan("North", patient.ticket_code(patient.buy())))
        self._orders = {
            "waiting": by_stripe.hold(),
            "under_way": by_stripe.hold(),
            "open": patient.hold(),
            "paid": patient.buy(),
            "failed": patient.end(patient.hold(), "failed"),
            "canceled": patient.end(patient.hold(), "canceled"),
            **late._asdict(),
        }
        by_stripe.attempt(self._orders["under_way"], "debit")
        by_stripe.put_far_back(self._orders["waiting"])
        # Where there are more hosts than one, for a scene.
        self._many_hosts: BoxOffice | None = None
        self._cookie = patient.hold_in_a_browser()
        patient.let_in("ada", "office")
        patient.let_in("gate-1", "door")
        brief.tell_unmatched(late.expired.order_id)
        brief.tell_unmatched(UNKNOWN_ORDER_ID, currency="doubloons", amount=1234567890123)
        brief.tell_unmatched("the order of " + "x" * 60, customer_email="")
        brief.tell_unmatched_body(
            b'{"type": "payment.settled", "reference": "' + b"7" * 300 + b'"}'
        )

    def url(self, scene: Scene) -> str:
        return self._office(scene).url + scene.path.format(**self._orders)

    def _office(self, scene: Scene) -> BoxOffice:
        if scene.is_stripe:
            return self._by_stripe
        return self._brief if scene.is_brief else self._patient

    def show(self, tab: Page, scene: Scene) -> None:
        """Opens a scene's page, in a tab whose browser keeps nothing of the one before."""
        tab.context.clear_cookies()
        # The page before has its origin's; a blank one has none.
        tab.evaluate("() => { try { localStorage.clear(); sessionStorage.clear(); } catch {} }")
        url = self.url(scene)
        if scene.has_hold:
            name, value = self._cookie
            tab.context.add_cookies([{"name": name, "value": value, "url": url}])
        self._show_hosts(self._office(scene), are_many=scene.has_hosts)
        tab.goto(url)
        if scene.scanned:
            scan_at_door(tab, self._text_of(scene.scanned))

    def _text_of(self, scanned: str) -> str:
        if scanned == INSIDE:
            return self._inside
        patient = self._patient
        return patient.ticket_code(patient.buy()) if scanned == GUEST else scanned

    def _show_hosts(self, office: BoxOffice, *, are_many: bool) -> None:
        if self._many_hosts is not None:
            self._many_hosts.forget_hosts()
        self._many_hosts = office if are_many else None
        if are_many:
            add_hosts(office)
