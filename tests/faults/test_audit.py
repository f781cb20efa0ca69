"""That the proof would fail if something were lost: each kind of loss, and the sentence it gets."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.faults.at_mockpay import event_body
from tests.faults.audit import OnLedger, Stores, audit
from tests.faults.exchange import Answer
from tests.faults.mailbox import Mail
from tests.faults.plan import WAYS, BuyerPlan, Delivery, FaultKind, Intent, RunPlan
from tests.faults.provider import Books
from tests.faults.purchase import Purchase
from tigerfans.booking.ids import Purpose
from tigerfans.booking.inventory import Inventory
from tigerfans.ledger.wire import Transfer
from tigerfans.payments.base import EventType

ORDER_ID = "01" * 15 + "00"
PAID_AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PAID_AT_NS = int(PAID_AT.timestamp()) * 10**9
PLAN = RunPlan(seed=1, orders=20)
BUYER = BuyerPlan(0, "B", 1, "fan@example.org", "key", Intent.PAY, Delivery.PLAIN, False, False)
PRICE = 3500
SOLD = Transfer(timestamp=PAID_AT_NS, amount=1)
PLACED = Transfer(timestamp=PAID_AT_NS, user_data_32=PRICE, amount=1)
# What the class was sold at, before and after.
PRICES = (PRICE, 4100)


HELD = {
    "order_id": ORDER_ID,
    "redirect_url": f"/mockpay/mock_{ORDER_ID}",
    "amount": PRICE,
    "currency": "eur",
}


def told(**changes: Any) -> dict[str, Any]:
    """What the shop says of the paid order."""
    return {
        "order_id": ORDER_ID,
        "status": "PAID",
        "cls": "B",
        "qty": 1,
        "amount": PRICE,
        "paid_at": "2026-11-22T12:00:00+00:00",
        "ticket_code": "TF-1",
        "tickets": [{"code": "TF-1"}],
        "got_goodie": True,
    } | changes


def bought() -> Purchase:
    """A purchase in which all went well."""
    purchase = Purchase(BUYER)
    purchase.hear_held(HELD, PRICES)
    purchase.sent.add(EventType.SUCCEEDED)
    purchase.hear_settled(EventType.SUCCEEDED, {"order_status": "PAID"}, purchase.known)
    purchase.hear_order(told(), purchase.known)
    return purchase


def stores(
    *, sold: int = 1, held: int = 0, goodies: int = 1, ledger: Any = None, **row: Any
) -> Stores:
    """What the stores hold after that purchase, with changes."""
    order = {
        "status": "PAID",
        "cls": "B",
        "email": BUYER.email,
        "qty": 1,
        "amount_cents": PRICE,
        "got_goodie": True,
        "paid_at": PAID_AT,
        "ticket_code": "TF-1",
        "more_ticket_codes": None,
        "refunded_at": None,
        "payment_reference": "pi_1",
    }
    transfers = {Purpose.HOLD: PLACED, Purpose.SALE_WITH_GOODIE: SOLD, Purpose.GOODIE: SOLD}
    return Stores(
        orders={ORDER_ID: order | row},
        on_ledger={ORDER_ID: OnLedger(transfers if ledger is None else ledger)},
        stock=[
            Inventory(PLAN.tickets_a, 0, 0),
            Inventory(PLAN.tickets_b, held, sold),
            Inventory(PLAN.goodies, 0, goodies),
        ],
    )


def test_a_purchase_in_which_all_went_well_is_clean() -> None:
    found = audit(PLAN, [bought()], stores())
    assert found.violations == []
    assert (found.attempted, found.paid, found.lost, found.sold_twice) == (1, 1, 0, 0)


def test_a_charged_order_that_postgresql_does_not_know_is_lost() -> None:
    found = audit(PLAN, [bought()], stores()._replace(orders={}))
    assert found.lost == 1
    assert any("charged is True, and the order is None" in v for v in found.violations)


def test_a_paid_order_without_a_sale_on_the_ledger_is_lost() -> None:
    found = audit(PLAN, [bought()], stores(ledger={Purpose.HOLD: PLACED}))
    assert found.lost == 1
    assert any("sold 0 times" in v for v in found.violations)


def test_an_order_that_was_sold_late_as_well_is_sold_twice() -> None:
    twice = {Purpose.HOLD: PLACED, Purpose.SALE: SOLD, Purpose.LATE_SALE: SOLD}
    found = audit(PLAN, [bought()], stores(ledger=twice, sold=2, got_goodie=False))
    assert found.sold_twice == 1
    assert any("sold 2 times" in v for v in found.violations)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"status": "PAID_UNFULFILLED"}, "PAID was told, and the order is PAID_UNFULFILLED"),
        ({"email": "other@example.org"}, "for other@example.org"),
        ({"amount_cents": 4100}, "1 for 3500 were agreed, and the order says 1 for 4100"),
        ({"qty": 2}, "1 for 3500 were agreed, and the order says 2 for 3500"),
        ({"got_goodie": False}, "1 goodies were granted, the order says otherwise"),
        ({"paid_at": datetime(2026, 11, 22, 13, 0, tzinfo=UTC)}, "it was sold at"),
        ({"ticket_code": "TF-2"}, "the ticket was told as"),
        ({"more_ticket_codes": ["TF-2"]}, "the ticket was told as"),
        ({"sold": 2}, "class B: 1 of 100 were sold"),
        ({"held": 1}, "class B: 0 (+0) are held"),
        ({"goodies": 2}, "goodies: 1 paid"),
    ],
)
def test_a_store_that_says_something_else_is_found(changes: Any, sentence: str) -> None:
    found = audit(PLAN, [bought()], stores(**changes))
    assert any(sentence in violation for violation in found.violations), found.violations


@pytest.mark.parametrize(
    ("inside", "sentence"),
    [
        ({}, "were let in, and the ledger says {}"),
        ({0: [b"another"]}, "were let in, and the ledger says {0: [b'another']}"),
        ({0: [b"scan", b"another"]}, "were let in, and the ledger says"),
        ({0: [b"scan"], 1: [b"scan"]}, "were let in, and the ledger says"),
    ],
)
def test_a_ticket_that_is_not_inside_by_the_one_scan_that_was_told_so_is_found(
    inside: Any, sentence: str
) -> None:
    clean = stores()
    purchase = bought()
    purchase.inside[0] = b"scan"
    transfers = clean.on_ledger[ORDER_ID].transfers
    for on_ledger, violations in (({0: [b"scan"]}, 0), (inside, 1)):
        seen = OnLedger(transfers, inside=on_ledger)
        found = audit(PLAN, [purchase], clean._replace(on_ledger={ORDER_ID: seen}))
        assert len(found.violations) == violations
    assert sentence in found.violations[0]


def test_a_ticket_that_is_inside_and_was_given_back_is_found() -> None:
    clean = stores()
    purchase = bought()
    purchase.inside[0] = b"scan"
    seen = OnLedger(clean.on_ledger[ORDER_ID].transfers, {0: SOLD}, {0: [b"scan"]})
    found = audit(PLAN, [purchase], clean._replace(on_ledger={ORDER_ID: seen}))
    assert any("tickets {0} are inside, and were given back" in v for v in found.violations)


@pytest.mark.parametrize("wrong", [Purpose.HOLD, Purpose.LATE_HOLD])
def test_a_hold_at_another_price_than_the_agreed_one_is_found(wrong: Purpose) -> None:
    clean = stores()
    transfers = clean.on_ledger[ORDER_ID].transfers
    at_new_price = transfers | {wrong: Transfer(user_data_32=4100, amount=1)}
    found = audit(PLAN, [bought()], clean._replace(on_ledger={ORDER_ID: OnLedger(at_new_price)}))
    assert found.violations == [
        f"order {ORDER_ID}: 1 at 3500 were agreed, and a hold of it says 1 at 4100"
    ]


def test_an_order_that_was_agreed_on_at_a_new_price_is_clean_and_counted() -> None:
    purchase = Purchase(BUYER)
    purchase.hear_held(HELD | {"amount": 4100}, PRICES)
    purchase.sent.add(EventType.SUCCEEDED)
    purchase.hear_order(told(amount=4100), purchase.known)
    placed = Transfer(timestamp=PAID_AT_NS, user_data_32=4100, amount=1)
    transfers = stores().on_ledger[ORDER_ID].transfers | {Purpose.HOLD: placed}
    found = audit(PLAN, [purchase], stores(ledger=transfers, amount_cents=4100))
    assert (found.violations, found.at_new_price) == ([], 1)
    assert audit(PLAN, [bought()], stores()).at_new_price == 0


def test_an_order_of_several_is_sold_whole_and_its_price_is_that_of_one() -> None:
    buyer = replace(BUYER, qty=3)
    purchase = Purchase(buyer)
    purchase.hear_held(HELD | {"amount": 3 * PRICE}, PRICES)
    purchase.sent.add(EventType.SUCCEEDED)
    tickets = [{"code": code} for code in ("TF-1", "TF-2", "TF-3")]
    purchase.hear_order(told(qty=3, amount=3 * PRICE, tickets=tickets), purchase.known)
    ledger = {
        Purpose.HOLD: PLACED._replace(amount=3),
        Purpose.SALE_WITH_GOODIE: SOLD._replace(amount=3),
        Purpose.GOODIE: SOLD,
    }
    row: Any = {"qty": 3, "amount_cents": 3 * PRICE, "more_ticket_codes": ["TF-2", "TF-3"]}
    found = audit(PLAN, [purchase], stores(ledger=ledger, sold=3, **row))
    assert (found.violations, found.paid, found.tickets) == ([], 1, 3)
    # Two of them, say.
    ledger[Purpose.SALE_WITH_GOODIE] = SOLD._replace(amount=2)
    found = audit(PLAN, [purchase], stores(ledger=ledger, sold=2, **row))
    assert found.violations == [f"order {ORDER_ID}: 2 of its 3 tickets were sold"]
    for amount in (3 * PRICE + 1, 3 * 3400):
        strange = Purchase(buyer)
        strange.hear_held(HELD | {"amount": amount}, PRICES)
        assert "was never a price of its class" in strange.violations[0]


def test_too_few_is_told_where_some_are_left_and_fewer_than_were_asked_for() -> None:
    purchase = Purchase(replace(BUYER, cls="A", qty=3))
    purchase.hear_refused(Answer(409, {}, b'{"state": "too_few", "available": 2}'), None)
    assert not purchase.violations
    purchase.hear_refused(Answer(409, {}, b'{"state": "too_few", "available": 3}'), None)
    assert "3 are left, and 3 were refused" in purchase.violations[0]


def test_a_checkout_at_what_was_never_a_price_is_found() -> None:
    purchase = Purchase(BUYER)
    purchase.hear_held(HELD | {"amount": 3499}, PRICES)
    [violation] = purchase.violations
    assert "3499 was told for 1, and that was never a price of its class" in violation


def test_the_same_key_at_another_price_is_found_even_where_the_class_is_sold_at_it() -> None:
    purchase = bought()
    purchase.hear_held(HELD | {"amount": 4100}, PRICES)
    [violation] = purchase.violations
    assert "3500 was agreed, and the same key gave 4100" in violation


def test_what_is_paid_is_what_was_agreed() -> None:
    event = json.loads(event_body(BUYER, ORDER_ID, 4100, EventType.SUCCEEDED))
    assert event["amount"] == 4100


def test_a_payment_that_fits_no_order_is_found_because_nobody_sends_any() -> None:
    unmatched = [{"order_id": ORDER_ID, "reason": "amount"}]
    found = audit(PLAN, [bought()], stores()._replace(unmatched=unmatched))
    assert found.violations == [f"the payment of order {ORDER_ID} fits no order: amount"]


ONE = Mail("a", ["TF-1"])


@pytest.mark.parametrize(
    ("mails", "sentence"),
    [
        ({}, "was to get one mail of ['TF-1'], and got []"),
        ({BUYER.email: [Mail("a", ["TF-2"])]}, "and got [{'TF-2'}]"),
        ({BUYER.email: [ONE, Mail("b", ["TF-1"])]}, "and got [{'TF-1'}, {'TF-1'}]"),
        ({BUYER.email: [ONE, Mail("b", ["TF-1"], is_refund=True)]}, "to hear that set() went back"),
        (
            {BUYER.email: [ONE], "other@example.org": [Mail("b", ["TF-1"])]},
            "other@example.org was to get one mail of [], and got [{'TF-1'}]",
        ),
    ],
    ids=["none", "another's", "two", "of a refund", "a stranger's"],
)
def test_a_mail_that_is_missing_wrong_or_too_much_is_found(mails: Any, sentence: str) -> None:
    mailed = stores()._replace(mails={BUYER.email: [ONE]})
    assert audit(PLAN, [bought()], mailed).violations == []
    [violation] = audit(PLAN, [bought()], mailed._replace(mails=mails)).violations
    assert sentence in violation


ENDED = {0: Transfer(timestamp=PAID_AT_NS, amount=1)}
GIVEN_BACK = {"ticket": 0, "amount_cents": PRICE, "given_back_at": PAID_AT}
BACK = Mail("b", ["TF-1"], is_refund=True)


def refunded(*, ends: Any = None, rows: Any = None, mails: Any = (ONE, BACK), **row: Any) -> Stores:
    """What the stores hold after that purchase was refunded, with changes."""
    after = stores(sold=0, **{"status": "REFUNDED"} | row)
    order = after.on_ledger[ORDER_ID]._replace(ends=ENDED if ends is None else ends)
    return after._replace(
        on_ledger={ORDER_ID: order},
        refunds={ORDER_ID: [GIVEN_BACK] if rows is None else rows},
        mails={BUYER.email: mails},
    )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, ""),
        # Refunded before its tickets were mailed.
        ({"mails": [BACK]}, ""),
        ({"mails": [ONE]}, "was to hear that {'TF-1'} went back: []"),
        ({"mails": [ONE, BACK, BACK]}, "was to hear that {'TF-1'} went back"),
        ({"status": "PAID"}, "1 were refunded, and the order is PAID"),
        ({"ends": {}}, "{0} were refunded, and set() ended"),
        ({"rows": [GIVEN_BACK | {"given_back_at": None}]}, "{0} were refunded, and {} given back"),
        ({"rows": [GIVEN_BACK | {"amount_cents": 1}]}, "{0} were refunded, and {0: 1} given back"),
    ],
)
def test_a_refund_is_in_postgresql_on_the_ledger_and_in_a_mail_once(
    changes: Any, sentence: str
) -> None:
    purchase = bought()
    purchase.refunded = {0}
    found = audit(PLAN, [purchase], refunded(**changes))
    assert (found.paid, found.lost) == (1, 0)
    if sentence:
        assert any(sentence in violation for violation in found.violations), found.violations
    else:
        assert (found.violations, found.refunded) == ([], 1)


def test_a_ticket_that_nobody_refunded_and_that_came_back_is_found() -> None:
    found = audit(PLAN, [bought()], refunded())
    assert any("and {0: 3500} given back" in violation for violation in found.violations)


def books_of(charged: dict[str, int], given_back: dict[str, int] | None = None) -> Books:
    return Books(charged, given_back or {}, {ORDER_ID: "pi_1"})


@pytest.mark.parametrize(
    ("books", "off"),
    [
        (books_of({ORDER_ID: PRICE}), 0),
        # Charged and never heard of, charged too much, not charged at all, given back.
        (books_of({ORDER_ID: PRICE, "03" * 16: 4100}), 4100),
        (books_of({ORDER_ID: 2 * PRICE}), PRICE),
        (books_of({}), PRICE),
        (books_of({ORDER_ID: PRICE}, {ORDER_ID: PRICE}), PRICE),
    ],
)
def test_a_provider_whose_books_say_otherwise_is_found_to_the_cent(books: Books, off: int) -> None:
    found = audit(PLAN, [bought()], stores()._replace(books=books))
    assert (found.charged_cents, found.cents_off) == (sum(books.charged.values()), off)
    assert bool(found.violations) == bool(off)
    assert all("the provider has" in violation for violation in found.violations)


def test_an_order_that_does_not_know_what_its_provider_calls_the_payment_is_found() -> None:
    unknown = stores(payment_reference=None)._replace(books=books_of({ORDER_ID: PRICE}))
    [violation] = audit(PLAN, [bought()], unknown).violations
    assert "its payment is pi_1, and the order says None" in violation


def test_a_refund_that_the_provider_did_not_make_is_found() -> None:
    purchase = bought()
    purchase.refunded = {0}
    made = refunded()._replace(books=books_of({ORDER_ID: PRICE}, {ORDER_ID: PRICE}))
    assert audit(PLAN, [purchase], made).violations == []
    not_made = made._replace(books=books_of({ORDER_ID: PRICE}))
    assert audit(PLAN, [purchase], not_made).cents_off == PRICE


@pytest.mark.parametrize("given_back_at", [None, PAID_AT])
def test_an_order_without_tickets_is_given_back_once_it_is_told_to_be(given_back_at: Any) -> None:
    purchase = Purchase(BUYER, order_id=ORDER_ID, amount=PRICE, sent={EventType.SUCCEEDED})
    purchase.is_given_back = True
    row = {"status": "PAID_UNFULFILLED", "refunded_at": given_back_at, "got_goodie": False}
    due = stores(ledger={Purpose.HOLD: PLACED}, sold=0, goodies=0, ticket_code=None, **row)
    books = books_of({ORDER_ID: PRICE}, {ORDER_ID: PRICE})
    mails = {BUYER.email: [Mail("a", []), *[Mail("b", [], is_refund=True)] * bool(given_back_at)]}
    found = audit(PLAN, [purchase], due._replace(books=books, mails=mails))
    assert bool(found.violations) == (given_back_at is None)
    assert (found.refunds_due, found.due_given_back, found.lost) == (1, 1, 0)


def never_told() -> Purchase:
    """A payment that nobody told the shop."""
    plan = replace(BUYER, intent=Intent.PAY_AT_MOCKPAY, delivery=Delivery.NEVER_TOLD)
    return Purchase(plan, order_id=ORDER_ID, amount=PRICE, sent={EventType.SUCCEEDED})


def test_a_payment_that_nobody_told_and_nobody_asked_about_is_lost() -> None:
    found = audit(PLAN, [never_told()], stores(ledger={Purpose.HOLD: PLACED})._replace(orders={}))
    assert (found.lost, found.learned) == (1, 0)


def test_a_payment_that_nobody_told_is_learned_unless_it_was_told_after_all() -> None:
    assert audit(PLAN, [never_told()], stores()).learned == 1
    told_after_all = never_told()
    told_after_all.is_told_after_all = True
    found = audit(PLAN, [told_after_all], stores())
    assert (found.learned, found.violations) == (0, [])


def test_an_order_of_nobody_and_a_ticket_that_exists_twice_are_found() -> None:
    clean = stores()
    stranger = "02" * 15 + "00"
    orders = clean.orders | {stranger: clean.orders[ORDER_ID]}
    found = audit(PLAN, [bought()], clean._replace(orders=orders))
    assert f"order {stranger} is nobody's" in found.violations
    assert "the ticket TF-1 exists twice" in found.violations


SOLD_OUT = Answer(409, {}, b'{"state": "sold_out"}')
ON_HOLD = Answer(409, {"retry-after": "10"}, b'{"state": "on_hold"}')


@pytest.mark.parametrize("refusal", [SOLD_OUT, ON_HOLD])
def test_a_refusal_in_a_class_with_room_for_everybody_is_a_lie(refusal: Answer) -> None:
    purchase = Purchase(BUYER)
    purchase.hear_refused(refusal, None)
    nothing = stores(sold=0, goodies=0, ledger={})._replace(orders={}, on_ledger={})
    assert "buyer 0 was refused in class B" in audit(PLAN, [purchase], nothing).violations


def test_sold_out_of_a_class_that_is_not_sold_in_the_end_is_a_lie() -> None:
    purchase = Purchase(BUYER)
    purchase.hear_refused(SOLD_OUT, None)
    nothing = stores(sold=0, goodies=0, ledger={})._replace(orders={}, on_ledger={})
    [_, violation] = audit(PLAN, [purchase], nothing).violations
    assert violation.startswith("class B was told sold out, and in the end it is")


@pytest.mark.parametrize(
    "refusal",
    [
        Answer(409, {}, ON_HOLD.body),
        Answer(409, ON_HOLD.headers, SOLD_OUT.body),
        Answer(409, {}, b'{"detail": "No."}'),
    ],
)
def test_a_refusal_that_does_not_say_whether_tickets_may_come_back_is_wrong(
    refusal: Answer,
) -> None:
    purchase = Purchase(BUYER)
    purchase.hear_refused(refusal, None)
    assert purchase.violations


def test_a_ticket_that_comes_back_is_fair_and_one_that_was_sold_is_not() -> None:
    purchase = bought()
    purchase.hear_refused(ON_HOLD, None)
    purchase.hear_held(HELD, PRICES)
    assert not purchase.violations
    purchase.hear_refused(SOLD_OUT, None)
    purchase.hear_held(HELD, PRICES)
    assert "after its class was told sold out" in purchase.violations[0]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (told(status="PENDING", ticket_code=None), "PAID was told before, PENDING now"),
        (told(status="PAID_UNFULFILLED"), "PAID became PAID_UNFULFILLED"),
        (told(ticket_code="TF-2"), "the ticket changed"),
        (told(tickets=[{"code": "TF-1"}, {"code": "TF-2"}]), "an order of 1 has the tickets"),
        (told(order_id="03" * 16), "another order's answer was given"),
        (told(amount=6500), "the order reads"),
    ],
)
def test_an_answer_that_takes_another_one_back_is_found(
    answer: dict[str, Any], sentence: str
) -> None:
    purchase = bought()
    purchase.hear_order(answer, purchase.known)
    assert any(sentence in violation for violation in purchase.violations), purchase.violations


def test_a_payment_that_is_told_late_was_refunded_meanwhile_and_by_nobody_else() -> None:
    purchase = bought()
    purchase.refunded = {0}
    purchase.hear_settled(EventType.SUCCEEDED, {"order_status": "REFUNDED"}, purchase.known)
    assert purchase.violations == []
    purchase.refunded = set()
    purchase.hear_settled(EventType.SUCCEEDED, {"order_status": "REFUNDED"}, purchase.known)
    assert "was confirmed as REFUNDED" in purchase.violations[0]


def test_a_ticket_is_shown_as_refunded_once_the_owner_was_told_to_and_never_before() -> None:
    shown = told(tickets=[{"code": "TF-1", "refunded_at": PAID_AT.isoformat()}])
    purchase = bought()
    purchase.hear_order(shown, purchase.known)
    assert "the ticket changed" in purchase.violations[0]
    purchase = bought()
    purchase.refunded = {0}
    purchase.hear_order(shown, purchase.known)
    assert purchase.violations == []


def test_an_answer_to_an_older_question_takes_nothing_back() -> None:
    purchase = Purchase(BUYER, order_id=ORDER_ID, sent={EventType.SUCCEEDED, EventType.FAILED})
    before = purchase.known
    purchase.hear_settled(EventType.SUCCEEDED, {"order_status": "PAID"}, before)
    purchase.hear_settled(EventType.FAILED, {"order_status": "FAILED"}, before)
    assert purchase.violations == []


def test_the_same_key_with_two_orders_is_found() -> None:
    purchase = bought()
    other = {"order_id": "05" * 15 + "00", "redirect_url": "", "amount": PRICE, "currency": "eur"}
    purchase.hear_held(other, PRICES)
    assert any("the same key gave another order" in v for v in purchase.violations)


@pytest.mark.parametrize(
    ("status", "headers", "is_allowed"),
    [(503, {"retry-after": "1"}, True), (503, {}, False), (500, {}, False), (404, {}, False)],
)
def test_only_a_503_that_says_when_to_try_again_is_an_answer_to_a_genuine_webhook(
    status: int, headers: dict[str, str], is_allowed: bool
) -> None:
    purchase = bought()
    purchase.hear_trouble("a webhook", Answer(status, headers, b""))
    assert bool(purchase.violations) != is_allowed


@pytest.mark.parametrize("provider", WAYS)
def test_a_seed_means_the_same_buyers_and_faults_each_time_and_a_deck_holds_every_fault(
    provider: str,
) -> None:
    # Enough for a whole deck, and for buyers of every kind.
    plan, again = (RunPlan(seed=5, provider=provider, orders=400) for _ in range(2))
    assert list(plan.buyers()) == list(again.buyers())
    dealt = list(plan.faults())
    assert dealt == list(again.faults())
    assert len(dealt) == plan.fault_count
    others = {kind for ways in WAYS.values() for kind in ways.faults} - {*plan.ways.faults}
    assert {fault.kind for _, fault in dealt} == set(FaultKind) - others
    assert {buyer.qty for buyer in plan.buyers()} == {1, 2, 3, 4}
    assert {buyer.intent for buyer in plan.buyers()} == plan.ways.intents.keys()
    assert {buyer.delivery for buyer in plan.buyers()} == set(Delivery)


def test_a_refusal_after_the_same_key_held_a_ticket_is_a_lie() -> None:
    purchase = bought()
    purchase.hear_refused(ON_HOLD, purchase.order_id)
    assert "after the same key held a ticket" in purchase.violations[0]


def test_a_key_that_is_told_to_be_used_up_and_is_not_is_a_lie() -> None:
    purchase = Purchase(BUYER)
    purchase.hear_used_key({"new_key_needed": True, "order_status": "EXPIRED"})
    assert not purchase.violations
    assert purchase.wants_new_key
    purchase.hear_used_key({"new_key_needed": True})
    assert purchase.violations
