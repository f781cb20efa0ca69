"""Refunds over a real ledger, Redis and PostgreSQL: of orders, of tickets, and cut at each step."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from tests.offers import UP_TO_FOUR
from tests.shop.test_shop import answer, wipe_where
from tests.shops import OpenShop, event
from tigerfans.booking.ends import Scan, Ticket
from tigerfans.booking.ids import OrderId
from tigerfans.booking.outcomes import AdmissionOutcome, decode_admissions
from tigerfans.errors import (
    InvalidRequestError,
    NotRefundedError,
    ProviderError,
    UnavailableError,
    UnknownOrderError,
)
from tigerfans.ledger.base import LedgerUnavailableError
from tigerfans.ledger.wire import Account, Operation, u128
from tigerfans.payments.base import EventType, PaymentEvent
from tigerfans.payments.mockpay import MockPay
from tigerfans.shop import refund
from tigerfans.shop.checkout import Checkout
from tigerfans.shop.refund import finish
from tigerfans.shop.shop import Shop
from tigerfans.stores.mails import MailKind, Mails
from tigerfans.stores.orders import Order, OrderStatus

EMAIL: Final = "fan@example.org"
OWNER: Final = "owner"
PRICE: Final = 6500
SCAN: Final = Scan(bytes(range(16)), scanned_ms=1_000, gate=1)


class Provider(MockPay):
    """Gives back what it is asked for once for a key, as a real one; may fail, or be slow."""

    def __init__(self) -> None:
        self.given_back: dict[str, int] = {}
        self.asked = 0
        self.error: Exception | None = None
        self.loses_answers = False
        self.waits: Awaitable[object] | None = None

    async def refund(self, order_id: str, reference: str | None, amount: int, key: str) -> None:
        self.asked += 1
        if self.waits is not None:
            await self.waits
        if self.error is not None:
            raise self.error
        assert self.given_back.setdefault(key, amount) == amount
        if self.loses_answers:
            raise ConnectionError("its answer got lost")

    async def look_up(self, order_id: str) -> PaymentEvent | None:
        return None

    async def close(self) -> None:
        """It sends no webhooks."""


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
async def shop(open_shop: OpenShop, provider: Provider) -> Shop:
    shop: Shop = await open_shop(offer=UP_TO_FOUR, provider=provider)
    return shop


async def paid(shop: Shop, qty: int = 1, cls: str = "A") -> tuple[Checkout, OrderId]:
    checkout = await shop.checkout(cls, EMAIL, qty=qty)
    assert (await shop.settle(event(checkout))).order_status == "PAID"
    order_id = OrderId.parse(checkout.order_id)
    assert order_id is not None
    return checkout, order_id


async def stock(shop: Shop, cls: str = "A") -> tuple[int, int, int]:
    """Available, held, sold, straight from the ledger."""
    resource = shop.classes[cls].tickets
    ids = u128(resource.budget_account_id) + u128(resource.sold_account_id)
    budget, sold = Account.unpack_all(await shop.submit(Operation.LOOKUP_ACCOUNTS, ids))
    available = budget.credits_posted - budget.debits_posted - budget.debits_pending
    return available, budget.debits_pending, sold.credits_posted - sold.debits_posted


async def order_of(shop: Shop, order_id: OrderId) -> Order:
    order = await shop.orders.find(order_id)
    assert order is not None
    return order


async def refund_mails(shop: Shop, order_id: OrderId) -> list[int]:
    """The numbers of the mails that tell its buyer of a refund."""
    mails = await Mails(shop.orders.database).of(order_id)
    return sorted(mail.key.number for mail in mails if mail.key.kind is MailKind.REFUNDED)


async def test_a_refunded_order_is_refunded_and_its_tickets_are_back_in_stock(
    shop: Shop, provider: Provider
) -> None:
    checkout, order_id = await paid(shop, qty=3)
    order = await shop.refund(order_id, OWNER)
    assert order.status is OrderStatus.REFUNDED
    assert order.refunded_at is not None
    assert order.tickets_valid == []
    assert provider.given_back == {f"{order_id.hex_digits}-0": 3 * PRICE}
    assert await stock(shop) == (10, 0, 0)
    assert (await answer(shop, checkout))["status"] == "REFUNDED"
    rows = await shop.ticket_refunds.of(order_id)
    assert [(row.ticket, row.first, row.amount_cents) for row in rows] == [
        (0, 0, PRICE),
        (1, 0, PRICE),
        (2, 0, PRICE),
    ]
    assert {row.asked_by for row in rows} == {OWNER}
    assert await refund_mails(shop, order_id) == [0]


async def test_one_ticket_of_an_order_is_refunded_and_the_others_stay_valid(
    shop: Shop, provider: Provider
) -> None:
    checkout, order_id = await paid(shop, qty=3)
    order = await shop.refund(order_id, OWNER, [1])
    assert (order.status, order.refunded_at) == (OrderStatus.PAID, None)
    assert order.tickets_valid == [0, 2]
    assert provider.given_back == {f"{order_id.hex_digits}-1": PRICE}
    assert await stock(shop) == (8, 0, 2)
    assert (await answer(shop, checkout))["status"] == "PAID"
    assert await refund_mails(shop, order_id) == [1]
    # Then all that is left of it.
    order = await shop.refund(order_id, OWNER)
    assert order.status is OrderStatus.REFUNDED
    assert provider.given_back == {
        f"{order_id.hex_digits}-1": PRICE,
        f"{order_id.hex_digits}-0": 2 * PRICE,
    }
    assert await refund_mails(shop, order_id) == [0, 1]
    assert await stock(shop) == (10, 0, 0)


async def test_a_ticket_that_was_refunded_can_be_bought_again(open_shop: OpenShop) -> None:
    shop = await open_shop(tickets_a=1, provider=Provider())
    _, order_id = await paid(shop)
    await shop.refund(order_id, OWNER)
    _, next_one = await paid(shop)
    assert (await order_of(shop, next_one)).status is OrderStatus.PAID
    assert await stock(shop) == (0, 0, 1)


async def test_a_refund_that_is_asked_for_again_gives_back_nothing_more(
    shop: Shop, provider: Provider
) -> None:
    _, order_id = await paid(shop, qty=2)
    first = await shop.refund(order_id, OWNER)
    assert await shop.refund(order_id, "another") == first
    assert await shop.refund(order_id, OWNER, [0]) == first
    assert provider.asked == 1
    assert await stock(shop) == (10, 0, 0)


async def test_owners_on_all_workers_who_press_at_once_give_the_money_back_once(
    open_shop: OpenShop, provider: Provider
) -> None:
    workers = [await open_shop(offer=UP_TO_FOUR, provider=provider) for _ in range(2)]
    _, order_id = await paid(workers[0], qty=4)
    wanted = [None, [0], [1, 2], [3], [0, 3], None]
    await asyncio.gather(
        *(worker.refund(order_id, OWNER, tickets) for worker in workers for tickets in wanted)
    )
    order = await order_of(workers[0], order_id)
    assert order.status is OrderStatus.REFUNDED
    assert sum(provider.given_back.values()) == 4 * PRICE
    assert await stock(workers[0]) == (10, 0, 0)


@pytest.mark.parametrize("redis_is_wiped", [False, True])
async def test_a_webhook_that_is_told_again_leaves_a_refunded_order_refunded(
    shop: Shop, redis_url: str, redis_is_wiped: bool
) -> None:
    checkout, order_id = await paid(shop, qty=2)
    await shop.refund(order_id, OWNER)
    await wipe_where(redis_is_wiped, redis_url)
    for event_type in (EventType.SUCCEEDED, EventType.CANCELED):
        settled = await shop.settle(event(checkout, event_type))
        assert (settled.order_status, settled.is_replay) == ("REFUNDED", True)
    assert (await answer(shop, checkout))["status"] == "REFUNDED"
    assert await stock(shop) == (10, 0, 0)


async def test_a_refund_and_webhooks_that_are_told_again_meanwhile_get_along(
    open_shop: OpenShop, provider: Provider
) -> None:
    workers = [await open_shop(offer=UP_TO_FOUR, provider=provider) for _ in range(2)]
    checkout, order_id = await paid(workers[0], qty=4)
    tellings = [worker.settle(event(checkout)) for worker in workers * 10]
    await asyncio.gather(*tellings[:10], workers[0].refund(order_id, OWNER), *tellings[10:])
    assert (await order_of(workers[1], order_id)).status is OrderStatus.REFUNDED
    assert await stock(workers[0]) == (10, 0, 0)


async def test_only_what_was_paid_is_refunded(shop: Shop, provider: Provider) -> None:
    unpaid = await shop.checkout("A", EMAIL)
    failed = await shop.checkout("A", EMAIL)
    await shop.settle(event(failed, EventType.FAILED))
    order_id = OrderId.parse(failed.order_id)
    assert order_id is not None
    with pytest.raises(InvalidRequestError, match="not paid"):
        await shop.refund(order_id, OWNER)
    waiting = OrderId.parse(unpaid.order_id)
    assert waiting is not None
    for unknown in (waiting, OrderId.new()):
        with pytest.raises(UnknownOrderError):
            await shop.refund(unknown, OWNER)
    assert provider.asked == 0


async def test_an_order_has_only_the_tickets_it_has(shop: Shop, provider: Provider) -> None:
    _, order_id = await paid(shop, qty=2)
    for number in (-1, 2, 63):
        with pytest.raises(InvalidRequestError, match="no such ticket"):
            await shop.refund(order_id, OWNER, [0, number])
    assert await shop.ticket_refunds.of(order_id) == []
    assert await stock(shop) == (8, 0, 2)


async def test_an_order_that_got_no_ticket_is_given_back_as_a_whole(
    open_shop: OpenShop, provider: Provider
) -> None:
    shop = await open_shop(tickets_a=1, provider=provider)
    late = await shop.checkout("A", EMAIL)
    await shop.settle(event(late, EventType.FAILED))
    await shop.checkout("A", EMAIL)
    assert (await shop.settle(event(late))).order_status == "PAID_UNFULFILLED"
    order_id = OrderId.parse(late.order_id)
    assert order_id is not None
    with pytest.raises(InvalidRequestError, match="no tickets"):
        await shop.refund(order_id, OWNER, [0])
    assert provider.asked == 0
    order = await shop.refund(order_id, OWNER)
    assert (order.status, order.refunded_at is None) == (OrderStatus.PAID_UNFULFILLED, False)
    assert provider.given_back == {late.order_id: PRICE}


async def use_at_the_door(shop: Shop, order_id: OrderId, *tickets: int) -> None:
    """Tickets go inside, as the door sends them."""
    for ticket in tickets:
        admission = shop.booking.admission(Ticket(order_id, ticket), "A", SCAN)
        await shop.submit(Operation.CREATE_TRANSFERS, admission)


async def let_out(shop: Shop, order_id: OrderId, ticket: int, attempt: int = 0) -> None:
    of = Ticket(order_id, ticket)
    undo = shop.booking.undo(of, "A", SCAN, attempt, has_place=False)
    await shop.submit(Operation.CREATE_TRANSFERS, undo)


async def test_a_ticket_that_was_used_is_not_refunded_and_the_others_are(
    shop: Shop, provider: Provider
) -> None:
    _, order_id = await paid(shop, qty=3)
    await use_at_the_door(shop, order_id, 0)
    for _ in range(2):
        with pytest.raises(NotRefundedError, match="Ticket 1 was used at the door"):
            await shop.refund(order_id, OWNER)
        # The key is of a ticket that was taken back, so no other refund has it.
        assert provider.given_back == {f"{order_id.hex_digits}-1": 2 * PRICE}
    order = await order_of(shop, order_id)
    assert (order.status, order.tickets_valid) == (OrderStatus.PAID, [0])
    assert [row.ticket for row in await shop.ticket_refunds.of(order_id)] == [1, 2]


async def test_a_ticket_whose_admission_was_undone_is_refunded_with_the_others(
    shop: Shop, provider: Provider
) -> None:
    _, order_id = await paid(shop, qty=3)
    await use_at_the_door(shop, order_id, 0, 2)
    await let_out(shop, order_id, 0)
    again = shop.booking.admission(Ticket(order_id, 0), "A", SCAN, attempt=1)
    await shop.submit(Operation.CREATE_TRANSFERS, again)
    await let_out(shop, order_id, 0, attempt=1)
    with pytest.raises(NotRefundedError, match="Ticket 3 was used at the door"):
        await shop.refund(order_id, OWNER)
    assert provider.given_back == {f"{order_id.hex_digits}-0": 2 * PRICE}
    assert (await order_of(shop, order_id)).tickets_valid == [2]
    assert await stock(shop) == (9, 0, 0)
    await let_out(shop, order_id, 2)
    assert (await shop.refund(order_id, OWNER)).status is OrderStatus.REFUNDED
    # Whoever lets one in now, is told so.
    late = shop.booking.admission(Ticket(order_id, 0), "A", SCAN, attempt=2)
    told = decode_admissions(await shop.submit(Operation.CREATE_TRANSFERS, late))
    assert told[0][0] is AdmissionOutcome.REFUNDED


async def test_a_refusal_that_is_heard_of_late_forgets_no_ticket_that_was_taken_back_since(
    shop: Shop,
) -> None:
    _, order_id = await paid(shop, qty=2)
    await shop.ticket_refunds.ask(order_id, [0], OWNER)
    asked = await shop.ticket_refunds.of(order_id)
    # Whoever was refused before the admission was undone.
    await shop.ticket_refunds.taken_back(order_id, {}, {0: "was used at the door"})
    at = datetime.now(UTC)
    [row] = await shop.ticket_refunds.taken_back(order_id, {0: at}, {}, asked)
    assert (row.ticket, row.first, row.asked_by, row.taken_back_at) == (0, 0, OWNER, at)
    assert (await order_of(shop, order_id)).tickets_valid == [1]


# --- Who fails, and who dies -----------------------------------------------------------------


async def test_while_the_provider_fails_the_ticket_is_back_and_the_money_is_due(
    shop: Shop, provider: Provider
) -> None:
    _, order_id = await paid(shop)
    provider.error = ConnectionError("away")
    for _ in range(2):
        with pytest.raises(ProviderError):
            await shop.refund(order_id, OWNER)
    order = await order_of(shop, order_id)
    assert (order.status, order.tickets_valid) == (OrderStatus.PAID, [])
    due, total = await shop.ticket_refunds.due(10)
    assert total == 1
    assert (due[0].attempts, due[0].given_back_at) == (2, None)
    assert await stock(shop) == (10, 0, 0)
    provider.error = None
    assert (await shop.refund(order_id, OWNER)).status is OrderStatus.REFUNDED
    assert (await shop.ticket_refunds.due(10))[1] == 0


async def test_a_provider_whose_answers_get_lost_gives_back_once(
    shop: Shop, provider: Provider
) -> None:
    _, order_id = await paid(shop, qty=2)
    provider.loses_answers = True
    with pytest.raises(ProviderError):
        await shop.refund(order_id, OWNER)
    provider.loses_answers = False
    assert (await shop.refund(order_id, OWNER)).status is OrderStatus.REFUNDED
    assert provider.given_back == {f"{order_id.hex_digits}-0": 2 * PRICE}


async def test_a_provider_that_hangs_is_given_up_for_now(
    shop: Shop, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, order_id = await paid(shop)
    provider.waits = asyncio.Event().wait()
    with monkeypatch.context() as impatient:
        impatient.setattr(refund, "REFUND_SECONDS_MAX", 0.01)
        with pytest.raises(ProviderError):
            await shop.refund(order_id, OWNER)
    provider.waits = None
    assert (await shop.refund(order_id, OWNER)).status is OrderStatus.REFUNDED


async def test_without_postgresql_nothing_is_taken_or_given_back(
    shop: Shop, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, order_id = await paid(shop)

    async def is_away(*asked: object) -> None:
        raise UnavailableError

    with monkeypatch.context() as without_postgresql:
        without_postgresql.setattr(shop.ticket_refunds, "ask", is_away)
        with pytest.raises(UnavailableError):
            await shop.refund(order_id, OWNER)
    assert provider.asked == 0
    assert await stock(shop) == (9, 0, 1)


async def test_without_redis_a_refund_is_done_and_told_later(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout, order_id = await paid(shop)

    async def is_away(order_ids: object) -> None:
        raise UnavailableError

    with monkeypatch.context() as without_redis:
        without_redis.setattr(shop.sessions, "forget", is_away)
        assert (await shop.refund(order_id, OWNER)).status is OrderStatus.REFUNDED
    await shop.sessions.forget([order_id])
    assert (await answer(shop, checkout))["status"] == "REFUNDED"


async def test_without_the_ledger_a_refund_is_asked_for_and_gives_nothing_back(
    shop: Shop, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, order_id = await paid(shop)

    async def is_away(*asked: object) -> bytes:
        raise LedgerUnavailableError

    with monkeypatch.context() as without_ledger:
        without_ledger.setattr(shop.ledger, "submit", is_away)
        with pytest.raises(LedgerUnavailableError):
            await shop.refund(order_id, OWNER)
    assert provider.asked == 0
    assert (await order_of(shop, order_id)).tickets_valid == [0]
    assert await finish(shop, await order_of(shop, order_id)) == {}
    assert (await order_of(shop, order_id)).status is OrderStatus.REFUNDED


class KilledError(BaseException):
    """The process that did this is no more."""


STEPS: Final = ("ask", "of", "submit", "taken_back", "forget", "refund", "given_back")


@pytest.mark.parametrize("is_done", [False, True], ids=["before it", "after it"])
@pytest.mark.parametrize("step", STEPS)
async def test_a_refund_that_is_killed_at_any_step_is_finished_by_the_next(
    shop: Shop,
    provider: Provider,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    is_done: bool,
) -> None:
    checkout, order_id = await paid(shop, qty=3)
    await use_at_the_door(shop, order_id, 0)
    places: dict[str, Any] = {"submit": shop.ledger, "refund": provider, "forget": shop.sessions}
    place = places.get(step, shop.ticket_refunds)
    whole: Callable[..., Awaitable[Any]] = getattr(place, step)

    async def killed(*arguments: Any, **named: Any) -> None:
        if is_done:
            await whole(*arguments, **named)
        raise KilledError

    with monkeypatch.context() as cut:
        cut.setattr(place, step, killed)
        with pytest.raises(KilledError):
            await shop.refund(order_id, OWNER)
    was_asked = step != "ask" or is_done
    if was_asked:
        # As the clerk does, without anybody who presses.
        await finish(shop, await order_of(shop, order_id))
    else:
        with pytest.raises(NotRefundedError):
            await shop.refund(order_id, OWNER)
    order = await order_of(shop, order_id)
    assert (order.status, order.tickets_valid) == (OrderStatus.PAID, [0])
    assert provider.given_back == {f"{order_id.hex_digits}-1": 2 * PRICE}
    assert (await shop.ticket_refunds.due(10))[1] == 0
    assert await refund_mails(shop, order_id) == [1]
    assert (await stock(shop))[0] == 9
    await shop.sessions.forget([order_id])
    assert (await answer(shop, checkout))["status"] == "PAID"
