"""What is sent to the ledger for each step."""

from dataclasses import replace

from tests.offers import OFFER, catalog_with
from tests.shops import catalog_at
from tigerfans.booking.ends import Scan, Ticket, is_undo, scan_of
from tigerfans.booking.ids import OrderId
from tigerfans.booking.transfers import Booking, fingerprint
from tigerfans.ledger.wire import (
    Account,
    AccountFlags,
    Transfer,
    TransferFlags,
)
from tigerfans.offer.catalog import HALL_LEDGER, Catalog, Part
from tigerfans.offer.tables import CLASSES_MAX

CATALOG = catalog_with({"A": 20, "B": 30}, goodies=5)
PREMIUM, STANDARD = CATALOG.classes[:2]
BOOKING = Booking(CATALOG, hold_seconds=300)
LIMITED = Booking(Catalog.build(replace(OFFER, people_inside=40)), hold_seconds=300)
ORDER = OrderId(b"\0" + bytes(range(1, 16)))
TICKET = Ticket(ORDER, 2)
SCAN = Scan(bytes(range(100, 116)), scanned_ms=1_795_000_000_000, gate=7)


def test_a_hold_is_one_pending_transfer_from_budget_to_sold_with_a_timeout() -> None:
    body = fingerprint("A", "fan@example.org")
    [hold] = Transfer.unpack_all(BOOKING.hold(ORDER, "A", body))
    assert hold == Transfer(
        id=int.from_bytes(ORDER, "little"),
        debit_account_id=PREMIUM.tickets.budget_account_id,
        credit_account_id=PREMIUM.tickets.sold_account_id,
        amount=1,
        user_data_128=int.from_bytes(body, "little"),
        user_data_32=6500,
        timeout=300,
        ledger=PREMIUM.tickets.ledger,
        code=hold.code,
        flags=TransferFlags.PENDING,
    )


def test_a_hold_of_several_tickets_has_their_number_and_the_price_of_one() -> None:
    one, three = (
        Transfer.unpack_all(BOOKING.hold(ORDER, "A", fingerprint("A", "fan@example.org", qty), qty))
        for qty in (1, 3)
    )
    assert three == [one[0]._replace(amount=3, user_data_128=three[0].user_data_128)]
    assert three[0].user_data_128 != one[0].user_data_128
    hold = BOOKING.hold_of(three[0].pack())
    assert hold is not None
    assert (hold.qty, hold.price_cents) == (3, 6500)


def test_a_late_sale_holds_as_many_as_the_first_hold_did() -> None:
    one, three = (Transfer.unpack_all(BOOKING.late_sale(ORDER, "A", 6500, qty)) for qty in (1, 3))
    assert three == [one[0]._replace(amount=3), *one[1:]]


def test_a_sale_is_a_linked_post_a_goodie_and_a_post_alone() -> None:
    with_goodie, goodie, alone = Transfer.unpack_all(BOOKING.sale(ORDER, "B"))
    hold_id = int.from_bytes(ORDER, "little")
    assert [t.id & 0xFF for t in (with_goodie, goodie, alone)] == [1, 2, 3]
    assert with_goodie.flags == TransferFlags.POST_PENDING_TRANSFER | TransferFlags.LINKED
    assert alone.flags == TransferFlags.POST_PENDING_TRANSFER
    assert with_goodie.pending_id == alone.pending_id == hold_id
    assert goodie.ledger == CATALOG.goodies.ledger
    assert (goodie.amount, goodie.flags, goodie.pending_id) == (1, 0, 0)


def test_a_late_sale_places_a_second_hold_and_sells_against_it() -> None:
    hold, with_goodie, goodie, alone = Transfer.unpack_all(BOOKING.late_sale(ORDER, "A", 6500))
    assert [t.id & 0xFF for t in (hold, with_goodie, goodie, alone)] == [5, 6, 7, 8]
    assert hold.flags == TransferFlags.PENDING
    assert with_goodie.pending_id == alone.pending_id == hold.id


def test_a_late_sale_is_the_same_whatever_the_settings_are_at_its_replay() -> None:
    later = Booking(catalog_at({"A": 7500}, {"A": 20, "B": 30}, goodies=5), hold_seconds=7)
    assert later.late_sale(ORDER, "A", 6500) == BOOKING.late_sale(ORDER, "A", 6500)


def test_a_late_hold_carries_the_price_that_was_agreed() -> None:
    assert Transfer.unpack_all(BOOKING.late_sale(ORDER, "A", 6400))[0].user_data_32 == 6400


def test_a_release_voids_the_hold() -> None:
    [release] = Transfer.unpack_all(BOOKING.release(ORDER, "A"))
    assert release.id & 0xFF == 4
    assert release.pending_id == int.from_bytes(ORDER, "little")
    assert release.flags == TransferFlags.VOID_PENDING_TRANSFER


def test_a_refund_moves_each_ticket_back_under_the_id_of_its_own_end() -> None:
    refunds = Transfer.unpack_all(BOOKING.refund(ORDER, "B", [0, 2, 63]))
    assert [refund.id & 0xFF for refund in refunds] == [0x80, 0x82, 0xBF]
    assert {refund.id & ~0xFF for refund in refunds} == {int.from_bytes(ORDER, "little")}
    for refund in refunds:
        assert refund == Transfer(
            id=refund.id,
            debit_account_id=STANDARD.tickets.sold_account_id,
            credit_account_id=STANDARD.tickets.budget_account_id,
            amount=1,
            ledger=STANDARD.tickets.ledger,
            code=refund.code,
        )


def test_a_refund_of_a_later_attempt_names_the_order_that_its_id_does_not() -> None:
    first, second = Transfer.unpack_all(BOOKING.refund(ORDER, "B", [0, 2], {2: 1}))
    assert (first.id, first.user_data_128) == (int.from_bytes(ORDER.end_id(0), "little"), 0)
    assert second.id == int.from_bytes(ORDER.end_id(2, 1), "little")
    assert second.user_data_128 == int.from_bytes(ORDER, "little")
    assert second.id & 0xFF == 0x82


def test_an_admission_moves_a_ticket_that_is_sold_inside_and_says_by_which_scan() -> None:
    [admission] = Transfer.unpack_all(BOOKING.admission(TICKET, "B", SCAN))
    assert admission == Transfer(
        id=int.from_bytes(ORDER.end_id(2), "little"),
        debit_account_id=STANDARD.tickets.sold_account_id,
        credit_account_id=STANDARD.tickets.inside_account_id,
        amount=1,
        user_data_128=int.from_bytes(SCAN.id, "little"),
        user_data_64=SCAN.scanned_ms,
        user_data_32=SCAN.gate,
        ledger=STANDARD.tickets.ledger,
        code=admission.code,
    )
    assert scan_of(admission) == SCAN
    [undo] = Transfer.unpack_all(BOOKING.undo(TICKET, "B", SCAN, 0, has_place=False))
    assert is_undo(undo)
    assert undo == Transfer(
        id=int.from_bytes(ORDER.undo_id(2), "little"),
        debit_account_id=STANDARD.tickets.inside_account_id,
        credit_account_id=STANDARD.tickets.sold_account_id,
        amount=1,
        user_data_128=int.from_bytes(SCAN.id, "little"),
        ledger=STANDARD.tickets.ledger,
        code=admission.code,
    )


def test_where_the_hall_has_a_limit_each_admission_takes_a_place_and_its_undo_gives_it_back() -> (
    None
):
    place, admission = Transfer.unpack_all(LIMITED.admission(TICKET, "B", SCAN))
    assert [admission] == Transfer.unpack_all(BOOKING.admission(TICKET, "B", SCAN))
    assert place.flags == TransferFlags.LINKED
    back, undo = Transfer.unpack_all(LIMITED.undo(TICKET, "B", SCAN, 0, has_place=True))
    assert [undo] == Transfer.unpack_all(LIMITED.undo(TICKET, "B", SCAN, 0, has_place=False))
    assert back.flags == TransferFlags.LINKED
    accounts = (place.debit_account_id, place.credit_account_id)
    assert (back.credit_account_id, back.debit_account_id) == accounts
    assert {place.ledger, back.ledger} == {HALL_LEDGER}


def test_a_place_is_of_one_scan_of_one_ticket() -> None:
    others = [
        (TICKET, Scan(bytes([9]) * 16, 0, 0)),
        (Ticket(ORDER, 3), SCAN),
        (Ticket(OrderId.new(), 2), SCAN),
    ]
    places = {
        LIMITED.admission(ticket, "B", scan)[:16] for ticket, scan in [(TICKET, SCAN), *others]
    }
    assert len(places) == 4
    # Another time, gate and attempt do not make it another one.
    same = LIMITED.admission(TICKET, "B", SCAN._replace(scanned_ms=1, gate=9), attempt=3)
    assert same[:16] == LIMITED.admission(TICKET, "B", SCAN)[:16]


def test_the_hall_has_accounts_and_is_funded_like_all_that_is_counted() -> None:
    accounts = {
        account.id & 0xFF
        for account in Account.unpack_all(LIMITED.accounts())
        if account.ledger == HALL_LEDGER
    }
    assert accounts == {Part.OPERATOR, Part.BUDGET, Part.SOLD}
    *_, funding = Transfer.unpack_all(LIMITED.funding())
    assert (funding.ledger, funding.amount) == (HALL_LEDGER, 40)
    assert len(LIMITED.account_ids()) // 16 == len(LIMITED.accounts()) // 128
    # What is told of the stock is told of classes and goodies.
    assert LIMITED.stock_accounts() == BOOKING.stock_accounts()


def test_tickets_of_a_class_that_was_dropped_have_where_to_go_at_the_door() -> None:
    booking = Booking(CATALOG, hold_seconds=300)
    assert booking.dropped_accounts() == b""
    booking.know([("B", 2), ("GONE", 77)])
    [inside] = Account.unpack_all(booking.dropped_accounts(bytes([1] * 16)))
    assert (inside.id, inside.ledger) == (77 << 8 | Part.INSIDE, 77)


def test_all_accounts_there_can_be_fit_into_one_request_to_a_server_for_development() -> None:
    listings = tuple(
        replace(OFFER.listings[0], code=f"C{n}", ledger=1_000 + n) for n in range(CLASSES_MAX)
    )
    offer = replace(OFFER, listings=listings, people_inside=40)
    accounts = Booking(Catalog.build(offer), hold_seconds=300).accounts()
    assert len(accounts) // 128 <= 253


def test_no_submission_ends_in_an_open_chain() -> None:
    submissions = [
        LIMITED.admission(TICKET, "B", SCAN),
        LIMITED.undo(TICKET, "B", SCAN, 0, has_place=True),
        BOOKING.hold(ORDER, "A", bytes(16)),
        BOOKING.sale(ORDER, "A"),
        BOOKING.late_sale(ORDER, "A", 6500),
        BOOKING.release(ORDER, "A"),
        BOOKING.funding(),
    ]
    for submission in submissions:
        assert not Transfer.unpack_all(submission)[-1].flags & TransferFlags.LINKED


def test_only_the_operator_is_not_limited_and_each_resource_has_its_own_ledger() -> None:
    accounts = Account.unpack_all(BOOKING.accounts())
    assert len({account.id for account in accounts}) == 5 * len(CATALOG.classes) + 4
    assert len({account.ledger for account in accounts}) == len(CATALOG.resources)
    limited = AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS
    unlimited = {account.id for account in accounts if not account.flags & limited}
    assert unlimited == {resource.operator_account_id for resource in CATALOG.resources}


def test_funding_moves_each_capacity_from_operator_to_budget() -> None:
    funding = Transfer.unpack_all(BOOKING.funding())
    amounts = {transfer.ledger: transfer.amount for transfer in funding if transfer.amount}
    assert amounts == {PREMIUM.tickets.ledger: 20, STANDARD.tickets.ledger: 30, 3: 5}
    assert len({transfer.id for transfer in funding}) == len(CATALOG.resources)


def test_a_hold_is_recognised_by_its_record() -> None:
    [sent] = Transfer.unpack_all(BOOKING.hold(ORDER, "B", fingerprint("B", "fan@example.org")))
    hold = BOOKING.hold_of(sent._replace(timestamp=1_000).pack())
    assert hold is not None
    assert hold.cls == STANDARD.code
    assert hold.fingerprint == fingerprint("B", "fan@example.org")
    assert hold.price_cents == 3500
    assert hold.expires_ns == hold.created_ns + 300 * 1_000_000_000


def test_a_sale_or_a_goodie_is_not_taken_for_a_hold() -> None:
    for transfer in Transfer.unpack_all(BOOKING.sale(ORDER, "A")):
        assert BOOKING.hold_of(transfer.pack()) is None
