"""What is logged and counted of an order: each step once, the lines of a moment together."""

import asyncio
import json
from typing import Any

import pytest

from tests.shops import OpenShop, event
from tigerfans.booking.ids import OrderId
from tigerfans.errors import SoldOutError, TooManyHoldsError, UnavailableError
from tigerfans.offer.catalog import ClassCode
from tigerfans.payments.base import EventType
from tigerfans.shop.hold_limits import HoldLimits
from tigerfans.shop.shop import Shop
from tigerfans.telemetry.steps import Step, StepLog

EMAIL = "fan@example.org"
ONE = OrderId(b"\0" + bytes(range(1, 16)))
TWO = OrderId(b"\0" + bytes(range(2, 17)))


# --- The lines -------------------------------------------------------------------------------


async def test_the_steps_of_a_moment_are_written_as_one_by_themselves() -> None:
    written = asyncio.Queue[bytes]()
    log = StepLog("production", "worker-1", written.put_nowait)
    log.note(Step.HELD, ONE, "A")
    log.note(Step.PAID, TWO, "B")
    assert (await written.get()).count(b"\n") == 2
    log.note(Step.REFUND_DUE, ONE, "A")
    assert (await written.get()).count(b"\n") == 1


async def test_what_is_written_at_the_end_is_written_once() -> None:
    written: list[bytes] = []
    log = StepLog("production", "worker-1", written.append)
    log.note(Step.HELD, ONE, "A")
    log.flush()
    log.flush()
    assert len(written) == 1


async def test_in_production_a_line_is_json_and_names_the_order_without_opening_it() -> None:
    written: list[bytes] = []
    log = StepLog("production", 'a "worker"', written.append)
    log.note(Step.REFUND_DUE, ONE, "A")
    log.flush()
    line = json.loads(written[0])
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "process": 'a "worker"',
        "logger": "tigerfans.order",
        "message": "refund due",
        "order": ONE.hex_digits[:16],
        "cls": "A",
    }


async def test_in_development_a_line_is_for_a_person() -> None:
    written: list[bytes] = []
    log = StepLog("development", "worker-1", written.append)
    log.note(Step.HELD, ONE, "A")
    log.flush()
    _, words = written[0].decode().split(" ", 1)
    assert words == f"INFO tigerfans.order: held A {ONE.hex_digits[:16]}\n"


async def test_a_full_disk_costs_lines_and_nothing_else() -> None:
    def full(lines: bytes) -> None:
        raise OSError

    log = StepLog("production", "worker-1", full)
    log.note(Step.HELD, ONE, "A")
    log.flush()
    log.note(Step.PAID, ONE, "A")
    log.flush()


# --- When they are taken ---------------------------------------------------------------------

Taken = list[tuple[Step, str, ClassCode]]


async def open_noting(open_shop: OpenShop, **settings: Any) -> tuple[Shop, Taken]:
    taken: Taken = []

    def note(step: Step, order_id: OrderId, cls: ClassCode) -> None:
        taken.append((step, order_id.hex_digits, cls))

    return await open_shop(on_step=note, **settings), taken


async def test_a_purchase_takes_two_steps(open_shop: OpenShop) -> None:
    shop, taken = await open_noting(open_shop)
    checkout = await shop.checkout("A", EMAIL)
    await shop.settle(event(checkout, EventType.SUCCEEDED))
    assert taken == [(step, checkout.order_id, "A") for step in (Step.HELD, Step.PAID)]


@pytest.mark.parametrize(
    ("event_type", "step"), [(EventType.FAILED, Step.FAILED), (EventType.CANCELED, Step.CANCELED)]
)
async def test_a_payment_that_fails_and_succeeds_later_is_told_as_both(
    open_shop: OpenShop, event_type: EventType, step: Step
) -> None:
    shop, taken = await open_noting(open_shop)
    checkout = await shop.checkout("B", EMAIL)
    await shop.settle(event(checkout, event_type))
    await shop.settle(event(checkout, EventType.SUCCEEDED))
    assert [taken_step for taken_step, _, _ in taken] == [Step.HELD, step, Step.PAID]


async def test_what_is_told_again_is_no_step(open_shop: OpenShop) -> None:
    shop, taken = await open_noting(open_shop)
    succeeded = event(await shop.checkout("A", EMAIL), EventType.SUCCEEDED)
    await asyncio.gather(*(shop.settle(succeeded) for _ in range(5)))
    await shop.settle(succeeded)
    assert [step for step, _, _ in taken] == [Step.HELD, Step.PAID]


async def test_sold_out_is_no_step(open_shop: OpenShop) -> None:
    shop, taken = await open_noting(open_shop, tickets_a=0)
    with pytest.raises(SoldOutError):
        await shop.checkout("A", EMAIL)
    assert taken == []


async def test_what_is_held_over_a_limit_is_told_as_given_back(open_shop: OpenShop) -> None:
    shop, taken = await open_noting(open_shop, limits=HoldLimits("secret", per_client=1))
    await shop.checkout("A", EMAIL, client="192.0.2.7")
    with pytest.raises(TooManyHoldsError):
        await shop.checkout("A", EMAIL, client="192.0.2.7")
    assert [step for step, _, _ in taken] == [Step.HELD, Step.GIVEN_BACK]


@pytest.mark.parametrize("is_paid", [False, True])
async def test_a_checkout_that_is_sent_again_is_held_once(
    open_shop: OpenShop, is_paid: bool
) -> None:
    shop, taken = await open_noting(open_shop)
    checkout = await shop.checkout("A", EMAIL, "key-1")
    if is_paid:
        await shop.settle(event(checkout))
        await shop.sessions._finishes.drain()
    for _ in range(3):
        assert await shop.checkout("A", EMAIL, "key-1") == checkout
    assert [step for step, _, _ in taken].count(Step.HELD) == 1
    assert shop.counters.steps[Step.HELD] == 1


async def test_a_hold_is_told_once_its_session_is_saved_and_it_can_be_paid(
    open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, taken = await open_noting(open_shop)

    async def fail(*_: object) -> None:
        raise UnavailableError

    with monkeypatch.context() as redis_is_away:
        redis_is_away.setattr(shop.sessions, "save", fail)
        with pytest.raises(UnavailableError):
            await shop.checkout("A", EMAIL, "key-1")
    assert taken == []
    checkout = await shop.checkout("A", EMAIL, "key-1")
    assert taken == [(Step.HELD, checkout.order_id, "A")]


async def test_a_refund_takes_two_steps_and_asking_again_none(open_shop: OpenShop) -> None:
    shop, taken = await open_noting(open_shop, tickets_a=1)
    first = await shop.checkout("A", EMAIL)
    await shop.settle(event(first, EventType.FAILED))
    await shop.checkout("A", EMAIL)
    await shop.settle(event(first, EventType.SUCCEEDED))
    order_id = OrderId.parse(first.order_id)
    assert order_id
    await shop.refund(order_id, "admin")
    await shop.refund(order_id, "admin")
    steps = [step for step, of, _ in taken if of == first.order_id]
    assert steps == [Step.HELD, Step.FAILED, Step.REFUND_DUE, Step.REFUNDED]
    assert shop.counters.steps[Step.REFUNDED] == 1
