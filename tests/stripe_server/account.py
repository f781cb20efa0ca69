"""What becomes of a payment: sessions, payment intents, charges and refunds, and the events that
tell of them.

Every method does its work at once, without waiting, and whoever calls commits: so a request is done
as a whole or not at all, also where the server is killed. From Stripe's documentation:

- A session is open until it is paid, its time is over, or the shop expires it. It has no payment
  intent before somebody tries to pay (since API version 2022-08-01).
- A declined card leaves it open; each attempt is a charge of its own.
- A method that takes days completes the session `unpaid`; what came of it is told later, once.
- With `capture_method` manual, a session is complete and `unpaid` until it is captured.
"""

import heapq
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from tests.stripe_server import money, objects
from tests.stripe_server.errors import ApiError, missing, refused
from tests.stripe_server.params import Params
from tests.stripe_server.store import Store, Thing

SESSION: Final = "checkout.session"
INTENT: Final = "payment_intent"
CHARGE: Final = "charge"
REFUND: Final = "refund"
EVENT: Final = "event"
# As messages call them.
WORDS: Final = {SESSION: "checkout.session", INTENT: "payment_intent"}

SESSION_SECONDS_MIN: Final = 30 * 60
SESSION_SECONDS_MAX: Final = 24 * 60 * 60
LINE_ITEMS_MAX: Final = 100
PLACEHOLDER: Final = "{CHECKOUT_SESSION_ID}"

# How a buyer's attempt to pay can go. A debit is decided later, by `settle`.
How = Literal["card", "declined", "insufficient_funds", "debit"]
Outcome = Literal["succeeded", "failed"]
_DECLINES: Final = {
    "declined": ("generic_decline", "Your card was declined."),
    "insufficient_funds": ("insufficient_funds", "Your card has insufficient funds."),
}
_METHODS: Final = {"card": "card", "debit": "sepa_debit"}


@dataclass
class Terms:
    """What tests may want to be otherwise than at Stripe."""

    # The hosted page, without the session's id.
    page: str
    session_seconds_min: int = SESSION_SECONDS_MIN
    # After how long a debit has succeeded; None leaves it to `settle`.
    debit_seconds: float | None = None


class Account:
    """One account, in test mode and in live mode. `announce` is given each event, and its number
    of receivers is asked of `receivers`.
    """

    def __init__(
        self,
        store: Store,
        terms: Terms,
        announce: Callable[[Thing], None],
        receivers: Callable[[Thing], int],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.terms = terms
        self._announce = announce
        self._receivers = receivers
        self._clock = clock
        # What the request under way is called in the events it leads to.
        self.request: Thing = {"id": None, "idempotency_key": None}
        self._ends: list[tuple[float, str]] = []
        self._debits: list[tuple[float, str]] = []
        self._resume()

    def _resume(self) -> None:
        for session in self.store.all(SESSION):
            self._watch(session)
        for intent in self.store.all(INTENT):
            if intent["status"] == "processing" and intent.get("_settles_at") is not None:
                heapq.heappush(self._debits, (intent["_settles_at"], intent["id"]))

    # Sessions

    def create_session(self, params: Params, *, is_live: bool) -> Thing:
        now = self._now()
        given = _session_fields(params)
        expires_at = self._expires_at(params, now)
        wanted = params.section("payment_intent_data")
        intent = {
            "capture_method": wanted.one_of(
                "capture_method", "automatic", "automatic_async", "manual"
            )
            or "automatic_async",
            "metadata": wanted.metadata(),
            "description": wanted.text("description"),
        }
        email = params.text("customer_email", 800)
        items = _line_items(params, created=now, is_live=is_live)
        params.done()
        currency, total = items[0]["currency"], sum(item["amount_total"] for item in items)
        money.check_total(total, currency)
        session = objects.session(
            created=now,
            expires_at=expires_at,
            is_live=is_live,
            currency=currency,
            amount=total,
            email=email,
            page=self.terms.page,
            given=given,
        )
        session["_line_items"] = items
        session["_intent"] = intent
        self._put(session)
        self._watch(session)
        return session

    def expire_session(self, session: Thing) -> Thing:
        if session["status"] != "open":
            raise refused(
                'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout '
                f"Session has a status of `{session['status']}`."
            )
        self._expire(session)
        return session

    def _expire(self, session: Thing) -> None:
        session |= {"status": "expired", "url": None}
        self._put(session)
        if session["payment_intent"] is not None:
            intent = self.store.get(INTENT, session["payment_intent"])
            self._cancel(intent, "automatic")
        self._tell("checkout.session.expired", session)

    def pass_due(self) -> None:
        """Does what is due by now: sessions end, and debits are decided."""
        now = self._clock()
        while self._ends and self._ends[0][0] <= now:
            session = self.store.get(SESSION, heapq.heappop(self._ends)[1])
            if session["status"] == "open" and session["expires_at"] <= now:
                self._expire(session)
        while self._debits and self._debits[0][0] <= now:
            intent = self.store.get(INTENT, heapq.heappop(self._debits)[1])
            if intent["status"] == "processing":
                self.settle(intent["_session"], "succeeded")

    def pass_time(self, seconds: float) -> None:
        """As if all sessions had been opened so much earlier, and all debits begun."""
        for session in self.store.all(SESSION):
            session["created"] -= int(seconds)
            session["expires_at"] -= int(seconds)
            self.store.put(SESSION, session["id"], session)
        for intent in self.store.all(INTENT):
            if intent.get("_settles_at") is not None:
                intent["_settles_at"] -= seconds
                self.store.put(INTENT, intent["id"], intent)
        self._ends.clear()
        self._debits.clear()
        self._resume()
        self.pass_due()

    # What a buyer does on the page

    def attempt(self, session_id: str, how: How, email: str | None = None) -> Thing:
        """A buyer tries to pay; the session as it is then. One that is not open stays as it is.

        `email` is what the page asks for where the shop gave none.
        """
        session = self._session(session_id)
        if session["status"] != "open":
            return session
        intent = self._intent_of(session)
        method = _METHODS.get(how, "card")
        email = session["customer_email"] or email
        if email is not None:
            session["customer_details"] = objects.customer_details(email)
        charge = objects.charge(intent, email, method, self._now())
        intent |= {"latest_charge": charge["id"], "payment_method": charge["payment_method"]}
        if how in _DECLINES:
            self._decline(intent, charge, *_DECLINES[how])
            return session
        session |= {"status": "complete", "url": None}
        self._put(session)
        if how == "debit":
            self._begin_debit(intent, charge)
        elif intent["capture_method"] == "manual":
            intent |= {"status": "requires_capture", "amount_capturable": intent["amount"]}
            self._put(charge, intent)
            self._tell("charge.succeeded", charge)
            self._tell("payment_intent.amount_capturable_updated", intent)
        else:
            session["payment_status"] = "paid"
            self._receive(intent, charge, intent["amount"])
        self._tell("checkout.session.completed", session)
        return session

    def _begin_debit(self, intent: Thing, charge: Thing) -> None:
        charge["status"] = "pending"
        charge["paid"] = False
        intent["status"] = "processing"
        intent["_settles_at"] = None
        if self.terms.debit_seconds is not None:
            intent["_settles_at"] = self._clock() + self.terms.debit_seconds
            heapq.heappush(self._debits, (intent["_settles_at"], intent["id"]))
        self._put(charge, intent)
        self._tell("charge.pending", charge)
        self._tell("payment_intent.processing", intent)

    def settle(self, session_id: str, outcome: Outcome) -> Thing:
        """What came of a debit, days later; the session as it is then."""
        session = self._session(session_id)
        intent = self.store.find(INTENT, session["payment_intent"] or "")
        if intent is None or intent["status"] != "processing":
            raise refused("Nothing of this session is under way at a bank.")
        charge = self.store.get(CHARGE, intent["latest_charge"])
        if outcome == "succeeded":
            session["payment_status"] = "paid"
            charge |= {"status": "succeeded", "paid": True}
            self._put(session)
            self._receive(intent, charge, intent["amount"])
        else:
            self._decline(intent, charge, "debit_not_authorized", "The bank refused the debit.")
        self._tell(f"checkout.session.async_payment_{outcome}", session)
        return session

    def _receive(self, intent: Thing, charge: Thing, amount: int) -> None:
        """Money comes in, once for each charge."""
        intent |= {
            "status": "succeeded",
            "amount_received": amount,
            "amount_capturable": 0,
            "last_payment_error": None,
        }
        # What is authorised and not captured goes back to the card, which is no refund.
        charge |= {
            "captured": True,
            "amount_captured": amount,
            "balance_transaction": objects.new_id("txn_3"),
            "amount_refunded": intent["amount"] - amount,
        }
        self._put(charge, intent)
        manual = intent["capture_method"] == "manual"
        self._tell("charge.captured" if manual else "charge.succeeded", charge)
        self._tell("payment_intent.succeeded", intent)

    def _decline(self, intent: Thing, charge: Thing, decline_code: str, message: str) -> None:
        charge |= {
            "status": "failed",
            "paid": False,
            "failure_code": "card_declined",
            "failure_message": message,
        }
        intent |= {
            "status": "requires_payment_method",
            "payment_method": None,
            "last_payment_error": objects.card_error("card_declined", decline_code, message),
        }
        self._put(charge, intent)
        self._tell("charge.failed", charge)
        self._tell("payment_intent.payment_failed", intent)

    def _intent_of(self, session: Thing) -> Thing:
        if session["payment_intent"] is not None:
            return self.store.get(INTENT, session["payment_intent"])
        intent = objects.intent(session, self._now())
        session["payment_intent"] = intent["id"]
        self._put(intent, session)
        self._tell("payment_intent.created", intent)
        return intent

    # What a shop does with a payment

    def capture(self, intent: Thing, params: Params) -> Thing:
        amount = params.whole("amount_to_capture", 1)
        params.done()
        if intent["status"] != "requires_capture":
            raise refused(
                "This PaymentIntent could not be captured because it has a status of "
                f"{intent['status']}. Only a PaymentIntent with one of the following statuses may "
                "be captured: requires_capture.",
                "payment_intent_unexpected_state",
            )
        amount = intent["amount"] if amount is None else amount
        money.check_unit(amount, intent["currency"], "amount_to_capture")
        if amount > intent["amount_capturable"]:
            raise refused(
                "The amount to capture is greater than what can be captured, "
                f"{money.words(intent['amount_capturable'], intent['currency'])}.",
                "amount_too_large",
                "amount_to_capture",
            )
        session = self._session(intent["_session"])
        session["payment_status"] = "paid"
        self._put(session)
        self._receive(intent, self.store.get(CHARGE, intent["latest_charge"]), amount)
        return intent

    def cancel(self, intent: Thing, params: Params) -> Thing:
        reason = params.one_of(
            "cancellation_reason", "duplicate", "fraudulent", "requested_by_customer", "abandoned"
        )
        params.done()
        if intent["status"] != "requires_capture":
            # So say the library's own words on `cancel`.
            raise refused(
                "You can directly cancel the PaymentIntent of a Checkout Session only when it has "
                f"a status of requires_capture. This one has a status of {intent['status']}. "
                "Expire the Checkout Session instead.",
                "payment_intent_unexpected_state",
            )
        self._cancel(intent, reason)
        return intent

    def _cancel(self, intent: Thing, reason: str | None) -> None:
        was_authorised = intent["status"] == "requires_capture"
        intent |= {
            "status": "canceled",
            "canceled_at": self._now(),
            "cancellation_reason": reason,
            "amount_capturable": 0,
        }
        self._put(intent)
        self._tell("payment_intent.canceled", intent)
        if was_authorised:
            # No money came in: it is a charge that was never captured, and no refund.
            charge = self.store.get(CHARGE, intent["latest_charge"])
            charge |= {"refunded": True, "amount_refunded": charge["amount"]}
            self._put(charge)
            self._tell("charge.refunded", charge)

    def refund(self, params: Params, *, is_live: bool) -> Thing:
        amount = params.whole("amount", 1)
        reason = params.one_of("reason", "duplicate", "fraudulent", "requested_by_customer")
        metadata = params.metadata()
        intent_id, charge_id = params.text("payment_intent"), params.text("charge")
        params.done()
        charge = self._charge_to_refund(intent_id, charge_id, is_live=is_live)
        left = charge["amount_captured"] - self.given_back(charge)
        if left == 0:
            raise refused(
                f"Charge {charge['id']} has already been refunded.", "charge_already_refunded"
            )
        amount = left if amount is None else amount
        money.check_unit(amount, charge["currency"], "amount")
        if amount > left:
            wanted, there = (money.words(each, charge["currency"]) for each in (amount, left))
            raise refused(
                f"Refund amount ({wanted}) is greater than unrefunded amount on charge ({there})",
                param="amount",
            )
        refund = objects.refund(
            charge, amount=amount, reason=reason, metadata=metadata, created=self._now()
        )
        charge.setdefault("_refunds", []).append(refund["id"])
        self._put(refund)
        self._note_refunds(charge)
        self._tell("refund.created", refund)
        self._tell("charge.refunded", charge)
        return refund

    def fail_refund(self, refund_id: str) -> Thing:
        """The buyer's bank did not take it, days later: the money is the shop's again."""
        refund = self.store.find(REFUND, refund_id)
        if refund is None:
            raise missing("refund", refund_id)
        refund |= {
            "status": "failed",
            "failure_reason": "expired_or_canceled_card",
            "failure_balance_transaction": objects.new_id("txn_3"),
        }
        self._put(refund)
        self._note_refunds(self.store.get(CHARGE, refund["charge"]))
        self._tell("refund.failed", refund)
        self._tell("charge.refund.updated", refund)
        return refund

    def dispute(self, session_id: str) -> Thing:
        """The buyer's bank asks for the money back; the session."""
        session = self._session(session_id)
        intent = self.store.get(INTENT, session["payment_intent"])
        charge = self.store.get(CHARGE, intent["latest_charge"])
        charge["disputed"] = True
        self._put(charge)
        return session

    def given_back(self, charge: Thing) -> int:
        refunds = (self.store.get(REFUND, each) for each in charge.get("_refunds", ()))
        return sum(refund["amount"] for refund in refunds if refund["status"] != "failed")

    def _note_refunds(self, charge: Thing) -> None:
        given_back = self.given_back(charge)
        charge["amount_refunded"] = charge["amount"] - charge["amount_captured"] + given_back
        charge["refunded"] = given_back == charge["amount_captured"]
        self._put(charge)

    def _charge_to_refund(
        self, intent_id: str | None, charge_id: str | None, *, is_live: bool
    ) -> Thing:
        if intent_id is not None:
            intent = self.find(INTENT, intent_id, is_live=is_live, param="payment_intent")
            charge_id = intent["latest_charge"]
            if intent["status"] != "succeeded" or charge_id is None:
                raise refused(
                    f"This PaymentIntent ({intent_id}) does not have a successful charge to refund."
                )
        if charge_id is None:
            raise ApiError(
                "One of the following params should be provided for this request: payment_intent "
                "or charge."
            )
        charge = self.find(CHARGE, charge_id, is_live=is_live, param="charge")
        if not charge["captured"]:
            raise refused(f"Charge {charge_id} has not been captured: cancel it instead.")
        return charge

    # What there is

    def find(self, kind: str, identifier: str, *, is_live: bool, param: str = "id") -> Thing:
        thing = self.store.find(kind, identifier)
        if thing is None:
            raise missing(WORDS.get(kind, kind), identifier, param)
        if livemode(thing) != is_live:
            error = missing(WORDS.get(kind, kind), identifier, param)
            has, used = ("test", "live") if is_live else ("live", "test")
            error.message += (
                f"; a similar object exists in {has} mode, but a {used} mode key was used to make "
                "this request."
            )
            raise error
        return thing

    def money(self, *, is_live: bool) -> dict[str, dict[str, int]]:
        """By currency: what was charged, what was refunded, and what is left."""
        charged: Counter[str] = Counter()
        refunded: Counter[str] = Counter()
        for charge in self.store.all(CHARGE):
            if charge["livemode"] == is_live and charge["captured"]:
                charged[charge["currency"]] += charge["amount_captured"]
                refunded[charge["currency"]] += self.given_back(charge)
        return {
            currency: {
                "charged": charged[currency],
                "refunded": refunded[currency],
                "left": charged[currency] - refunded[currency],
            }
            for currency in sorted(charged)
        }

    def payments(self) -> list[Thing]:
        """Each session and what became of its money, the oldest first."""
        return [self._payment(session) for session in self.store.all(SESSION)]

    def _payment(self, session: Thing) -> Thing:
        charged = refunded = 0
        intent = self.store.find(INTENT, session["payment_intent"] or "")
        if intent is not None and intent["latest_charge"] is not None:
            charge = self.store.get(CHARGE, intent["latest_charge"])
            if charge["captured"]:
                charged, refunded = charge["amount_captured"], self.given_back(charge)
        return {
            "session": session["id"],
            "client_reference_id": session["client_reference_id"],
            "metadata": session["metadata"],
            "currency": session["currency"],
            "amount": session["amount_total"],
            "status": session["status"],
            "payment_status": session["payment_status"],
            "payment_intent": session["payment_intent"],
            "charged": charged,
            "refunded": refunded,
        }

    # Events

    def tell(self, kind: str, thing: Thing, *, is_live: bool) -> Thing:
        """An event, such as one of a type that no shop asks for."""
        event = objects.event(
            kind,
            orjson.loads(orjson.dumps(objects.shown(thing))),
            created=self._now(),
            is_live=is_live,
            request=dict(self.request),
            endpoints=0,
        )
        event["pending_webhooks"] = self._receivers(event)
        self._put(event)
        self._announce(event)
        return event

    def _tell(self, kind: str, thing: Thing) -> None:
        self.tell(kind, thing, is_live=livemode(thing))

    # Small things

    def _session(self, session_id: str) -> Thing:
        session = self.store.find(SESSION, session_id)
        if session is None:
            raise missing(WORDS[SESSION], session_id)
        return session

    def _put(self, *things: Thing) -> None:
        for thing in things:
            self.store.put(thing["object"], thing["id"], thing)

    def _watch(self, session: Thing) -> None:
        if session["status"] == "open":
            heapq.heappush(self._ends, (session["expires_at"], session["id"]))

    def _expires_at(self, params: Params, now: int) -> int:
        expires_at = params.whole("expires_at", 1)
        if expires_at is None:
            return now + SESSION_SECONDS_MAX
        if expires_at - now < self.terms.session_seconds_min:
            least = f"{self.terms.session_seconds_min / 60:g} minutes"
            raise ApiError(
                "The `expires_at` timestamp must be at least "
                f"{least} from Checkout Session creation.",
                param="expires_at",
            )
        if expires_at - now > SESSION_SECONDS_MAX:
            raise ApiError(
                "The `expires_at` timestamp must be less than 24 hours from Checkout Session "
                "creation.",
                param="expires_at",
            )
        return expires_at

    def _now(self) -> int:
        return int(self._clock())


def livemode(thing: Thing) -> bool:
    # A refund shows none.
    return bool(thing["_livemode"] if thing["object"] == REFUND else thing["livemode"])


def return_address(session: Thing) -> str:
    """Where a buyer goes who has paid."""
    address = str(session["success_url"])
    return address.replace(PLACEHOLDER, session["id"])


def _session_fields(params: Params) -> dict[str, Any]:
    """What a session shows as it was sent; raises for what this server does not know."""
    if params.one_of("mode", "payment", "setup", "subscription") != "payment":
        raise ApiError("This test server knows sessions of the mode `payment` only.", param="mode")
    if params.one_of("ui_mode", "hosted_page", "embedded_page", "elements", "form") not in (
        None,
        "hosted_page",
    ):
        raise ApiError("This test server knows the hosted page only.", param="ui_mode")
    methods = params.texts("payment_method_types")
    unknown = set(methods) - set(_METHODS.values())
    if unknown:
        known = " and ".join(_METHODS.values())
        message = f"This test server knows the payment methods {known} only."
        raise ApiError(message, param="payment_method_types")
    given: dict[str, Any] = {
        "success_url": params.required_text("success_url"),
        "cancel_url": params.text("cancel_url"),
        "client_reference_id": params.text("client_reference_id", 200),
        "metadata": params.metadata(),
        "locale": params.text("locale"),
        "submit_type": params.one_of("submit_type", "auto", "book", "donate", "pay"),
    }
    for name in ("success_url", "cancel_url"):
        address = given[name]
        if address is not None and not address.startswith(("https://", "http://")):
            raise ApiError("Not a valid URL", code="url_invalid", param=name)
    return given | ({"payment_method_types": methods} if methods else {})


def _line_items(params: Params, *, created: int, is_live: bool) -> list[Thing]:
    wanted = params.each("line_items")
    if not wanted:
        message = "Missing required param: line_items."
        raise ApiError(message, code="parameter_missing", param="line_items")
    if len(wanted) > LINE_ITEMS_MAX:
        message = f"There can be up to {LINE_ITEMS_MAX} line items."
        raise ApiError(message, param="line_items")
    items = []
    for item in wanted:
        price = item.section("price_data")
        product = price.section("product_data")
        name = product.required_text("name")
        product.text("description")
        product.metadata()
        currency = price.required_text("currency").lower()
        if not (len(currency) == 3 and currency.isascii() and currency.isalpha()):
            raise ApiError(f"Invalid currency: {currency}", param="line_items[0][price_data]")
        unit_amount = price.whole("unit_amount")
        if unit_amount is None:
            message = "Missing required param: line_items[0][price_data][unit_amount]."
            raise ApiError(message, code="parameter_missing", param="line_items")
        money.check_unit(unit_amount, currency, "line_items")
        quantity = item.whole("quantity", 1, 999_999)
        if quantity is None:
            message = "Missing required param: line_items[0][quantity]."
            raise ApiError(message, code="parameter_missing", param="line_items")
        items.append(
            objects.line_item(
                name=name,
                unit_amount=unit_amount,
                quantity=quantity,
                currency=currency,
                created=created,
                is_live=is_live,
            )
        )
    if len({item["currency"] for item in items}) > 1:
        raise ApiError("All line items must be in the same currency.", param="line_items")
    return items
