"""What one buyer was told about one order, and whether the shop ever took it back.

Every answer goes through here as it comes. An answer that contradicts an earlier one, or what was
really paid, is written down; so is every answer that is no answer a shop may give (a 500, a 404 for
an order that is known). The audit compares the rest with the stores.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.faults.exchange import Answer
from tests.faults.plan import MOCKPAY, BuyerPlan, Delivery, Ways
from tigerfans.payments.base import EventType

CHARGED = frozenset({"PAID", "PAID_UNFULFILLED"})
# Where it was learned before the owner gave it back.
EVER_CHARGED = CHARGED | {"REFUNDED"}
NOT_CHARGED = frozenset({"FAILED", "CANCELED"})
UNPAID = frozenset({"PENDING", "EXPIRED"})
# So often a buyer hears that all tickets are on hold; fewer times than a key has attempts.
REFUSALS_MAX = 4
# What a ticket shows never changes.
TICKET_FIELDS = (
    "order_id",
    "cls",
    "qty",
    "amount",
    "paid_at",
    "ticket_code",
    "tickets",
    "got_goodie",
)


class Known(NamedTuple):
    """What a buyer had been told when a question left: an answer is measured by that alone.

    Answers to questions that were under way at the same time may overtake each other.
    """

    final_status: str | None
    is_settled: bool


@dataclass
class Purchase:
    """One order from the buyer's side.

    `sent` are the events that the provider may have told the shop, `confirmed` those that it was
    given a 2xx for, with the status it was told.
    """

    plan: BuyerPlan
    ways: Ways = MOCKPAY
    order_id: str | None = None
    # What the checkout told all of it costs, in cents: from then on that is agreed.
    amount: int | None = None
    is_sold_out: bool = False
    # How often all tickets were on hold.
    refusals: int = 0
    # The first key's order ran out before its buyer heard of it: so many others were taken since.
    new_keys: int = 0
    is_key_used: bool = False
    unanswered_checkouts: int = 0
    sent: set[EventType] = field(default_factory=set)
    confirmed: dict[EventType, str] = field(default_factory=dict)
    # What the shop said last about a charge; it is final.
    final_status: str | None = None
    ticket: dict[str, Any] | None = None
    doing: str = "has not come yet"
    # By which the shop knows the browser that placed the hold.
    cookie: str = ""
    # The tickets that the owner was told to refund, by their numbers from 0 on.
    refunded: set[int] = field(default_factory=set)
    # Those that a door has let in, each with the scan that it was.
    inside: dict[int, bytes] = field(default_factory=dict)
    # An order that got no tickets, and whose money the owner was told to give back.
    is_given_back: bool = False
    # Redis forgot the session, so that the provider was made to tell it after all.
    is_told_after_all: bool = False
    violations: list[str] = field(default_factory=list)

    @property
    def price(self) -> int | None:
        """What was agreed for one ticket; None where that is no number of cents."""
        amount = self.amount or 0
        return None if amount % self.plan.qty else amount // self.plan.qty

    @property
    def is_charged(self) -> bool:
        """Whether the provider has taken money."""
        return EventType.SUCCEEDED in self.sent

    @property
    def is_refunded(self) -> bool:
        """Whether all of its tickets are."""
        return len(self.refunded) == self.plan.qty

    @property
    def email_may_be_unknown(self) -> bool:
        return self.plan.intent in self.ways.email_unknown

    @property
    def is_never_told(self) -> bool:
        """Whether the shop has to ask what became of it."""
        is_kept = self.plan.delivery is Delivery.NEVER_TOLD
        return is_kept and self.is_charged and not self.is_told_after_all

    @property
    def is_held(self) -> bool:
        return self.order_id is not None

    @property
    def key(self) -> str | None:
        key = self.plan.idempotency_key
        return f"{key}-{self.new_keys}" if self.new_keys else key

    @property
    def wants_new_key(self) -> bool:
        """Whether its key is used up, and its order is none that the buyer could pay."""
        return self.is_key_used and not self.is_held and not self.gives_up

    @property
    def gives_up(self) -> bool:
        return self.is_sold_out or self.refusals >= REFUSALS_MAX

    def take_new_key(self) -> None:
        self.new_keys += 1
        self.is_key_used = False

    @property
    def known(self) -> Known:
        return Known(self.final_status, bool(self.confirmed))

    def accuse(self, sentence: str) -> None:
        """The shop broke a promise."""
        self.violations.append(f"buyer {self.plan.number} ({self.order_id}): {sentence}")

    def hear_trouble(self, what: str, answer: Answer) -> None:
        """Every answer that is not the one hoped for: only a 503 that says when to try again."""
        if answer.status != 503:
            self.accuse(f"{what} was answered with {answer}")
        elif "retry-after" not in answer.headers:
            self.accuse(f"{what} was answered with a 503 without Retry-After")

    def hear_held(self, body: dict[str, Any], prices: Collection[int]) -> None:
        """A checkout was answered with 200; `prices` are all that its class was ever sold at."""
        if self.order_id not in (None, body["order_id"]):
            self.accuse(f"the same key gave another order, {body['order_id']}")
        if self.is_sold_out:
            self.accuse("a ticket was held after its class was told sold out")
        if self.amount not in (None, body["amount"]):
            self.accuse(f"{self.amount} was agreed, and the same key gave {body['amount']}")
        self.order_id = body["order_id"]
        self.amount = body["amount"]
        if self.price not in prices:
            self.accuse(
                f"{self.amount} was told for {self.plan.qty}, and that was never a price of its"
                " class"
            )
        expected = (self.ways.page.format(order_id=self.order_id), "eur")
        if (body["redirect_url"], body["currency"]) != expected:
            self.accuse(f"the checkout was answered with {body}")

    def hear_cookie(self, header: str) -> None:
        """What a browser keeps of a Set-Cookie."""
        self.cookie = header.partition(";")[0] or self.cookie

    def hear_refused(self, answer: Answer, known: str | None) -> None:
        """A checkout was answered with 409; `known` was its order when it was asked for."""
        body = answer.json()
        state = body.get("state")
        if known is not None:
            self.accuse(f"{state} was told after the same key held a ticket")
        if state == "too_few":
            if not 0 < body["available"] < self.plan.qty:
                self.accuse(f"{body['available']} are left, and {self.plan.qty} were refused")
        elif state not in ("on_hold", "sold_out"):
            self.accuse(f"a checkout was refused with {answer}")
        if ("retry-after" in answer.headers) != (state == "on_hold"):
            self.accuse("a refusal says when to try again where all is on hold, and only there")
        if state == "sold_out":
            self.is_sold_out = True
        else:
            self.refusals += 1

    def hear_closed(self, body: dict[str, Any]) -> None:
        """A checkout was answered with 403."""
        if body.get("state") != "closed" or self.plan.cls != "B":
            self.accuse(f"a sale was told not to be on: {body}")

    def hear_used_key(self, body: dict[str, Any]) -> None:
        """A checkout was answered with 409, and another key is needed."""
        # Nobody sends another body, none is refused so often, and only who knows an order pays it.
        if body.get("order_status") != "EXPIRED":
            self.accuse(f"the key was told to be used up: {body}")
        self.is_key_used = True

    def hear_settled(self, event_type: EventType, body: dict[str, Any], known: Known) -> None:
        """A webhook was answered with 2xx: what it says is durable."""
        status = self._as_paid(body["order_status"])
        # The end of a session after that of its hold, say, tells nothing.
        if status is None and event_type is not EventType.SUCCEEDED:
            return
        self.confirmed[event_type] = status
        if event_type is EventType.SUCCEEDED and status not in CHARGED:
            self.accuse(f"a payment that succeeded was confirmed as {status}")
        self._hear_status(status, known)

    def hear_order(self, body: dict[str, Any], known: Known) -> None:
        """The order's status was asked for and told."""
        if body["order_id"] != self.order_id:
            self.accuse(f"another order's answer was given: {body}")
            return
        agreed = (self.plan.cls, self.plan.qty, self.amount)
        if (body["cls"], body["qty"], body["amount"]) != agreed:
            self.accuse(f"the order reads {body}")
        self._hear_status(self._as_paid(body["status"]), known)
        if body["status"] == "PAID":
            # A release that sells one ticket at a time names no others.
            ticket = {name: body[name] for name in TICKET_FIELDS if name in body}
            if "tickets" in ticket:
                ticket["tickets"] = [self._as_sold(*each) for each in enumerate(ticket["tickets"])]
            if self.ticket not in (None, ticket):
                self.accuse(f"the ticket changed from {self.ticket} to {ticket}")
            if not ticket["ticket_code"] or not ticket["paid_at"]:
                self.accuse(f"a paid order has no ticket: {ticket}")
            codes = ticket_codes_told(ticket)
            if len(set(codes)) != self.plan.qty or codes[0] != ticket["ticket_code"]:
                self.accuse(f"an order of {self.plan.qty} has the tickets {codes}")
            self.ticket = ticket

    def _as_sold(self, number: int, ticket: dict[str, Any]) -> dict[str, Any]:
        """A ticket without its refund, where the owner was told to give it back."""
        if number not in self.refunded:
            return ticket
        return {name: told for name, told in ticket.items() if name != "refunded_at"}

    def _as_paid(self, status: str) -> str:
        """What is refunded was paid: whoever is told late, or asks late, hears of both."""
        return "PAID" if status == "REFUNDED" and self.is_refunded else status

    def _hear_status(self, status: str, known: Known) -> None:
        if status in CHARGED:
            if not self.is_charged:
                self.accuse(f"{status} was told and nobody has paid")
            if self.final_status not in (None, status):
                self.accuse(f"{self.final_status} became {status}")
            self.final_status = status
        elif known.final_status is not None:
            self.accuse(f"{known.final_status} was told before, {status} now")
        elif status in NOT_CHARGED:
            if not self.sent - {EventType.SUCCEEDED}:
                self.accuse(f"{status} was told without any such event")
        elif status not in UNPAID:
            self.accuse(f"the unknown status {status} was told")
        elif known.is_settled:
            self.accuse(f"{status} was told after an event was confirmed")


def ticket_codes_told(ticket: Mapping[str, Any]) -> list[str]:
    """The codes of a paid order's tickets; a release that knows of one only names that."""
    told = ticket.get("tickets")
    return [ticket["ticket_code"]] if told is None else [each["code"] for each in told]
