"""The duties that there are: each is leased, so that several clerks do each thing once."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import pytest

from tests.clerk.desk import desk_of
from tests.shops import OpenShop
from tigerfans.clerk.duties import DUTIES, Round
from tigerfans.payments.mockpay import DELIVERIES_AT_ONCE_MAX, MockPay
from tigerfans.payments.outbox import Webhook
from tigerfans.shop.shop import Shop

NAMES = [duty.name for duty in DUTIES]
ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"

Send = Callable[[bytes], Awaitable[str | None]]


def mockpay_of(shop: Shop) -> MockPay:
    assert isinstance(shop.provider, MockPay)
    return shop.provider


def begin(shop: Shop, name: str) -> Round:
    [duty] = [duty for duty in DUTIES if duty.name == name]
    do_round = duty.begin(desk_of(shop))
    assert do_round is not None
    return do_round


async def add_due(shop: Shop, count: int) -> set[bytes]:
    """Webhooks that whoever stored them did not deliver."""
    bodies = {f"webhook {number}".encode() for number in range(count)}
    for body in bodies:
        order_id = uuid4().hex
        await mockpay_of(shop).outbox.add(Webhook(uuid4(), body), order_id, "payment.succeeded")
    async with shop.orders.database.connection(writes=True) as connection:
        await connection.execute("UPDATE mockpay_webhooks SET next_attempt_at = now()")
    return bodies


def test_every_duty_has_a_name_and_a_pause_of_its_own() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert all(duty.pause_seconds > 0 for duty in DUTIES)


def test_the_page_names_the_duties_that_there_are() -> None:
    _, _, chapter = ARCHITECTURE.read_text().partition("## Inside a clerk")
    table, _, _ = chapter.partition("\n## ")
    assert re.findall(r"^\| ([a-z ]+) \|", table, re.MULTILINE) == ["duty", *NAMES]


@pytest.mark.parametrize("name", NAMES)
async def test_a_round_with_nothing_to_do_says_that_no_more_is_due(shop: Shop, name: str) -> None:
    assert await begin(shop, name)() is False


async def test_two_clerks_at_once_deliver_each_webhook_once(
    open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    clerks: list[Shop] = [await open_shop(), await open_shop()]
    bodies = await add_due(clerks[0], DELIVERIES_AT_ONCE_MAX + 5)
    sent: list[bytes] = []

    async def send(body: bytes) -> None:
        sent.append(body)

    for clerk in clerks:
        monkeypatch.setattr(mockpay_of(clerk), "_send", send)
    are_more_due = await asyncio.gather(*(begin(clerk, "deliveries")() for clerk in clerks))
    assert sorted(sent) == sorted(bodies)
    # One had as many as it takes, and looks again at once.
    assert sorted(are_more_due) == [False, True]


async def test_what_a_killed_clerk_was_about_to_deliver_comes_back_when_its_lease_ends(
    open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed, other = await open_shop(), await open_shop()
    bodies = await add_due(killed, 3)
    under_way = asyncio.Event()
    sent: list[bytes] = []

    async def hang(_: bytes) -> None:
        under_way.set()
        await asyncio.Event().wait()

    async def send(body: bytes) -> None:
        sent.append(body)

    monkeypatch.setattr(mockpay_of(killed), "_send", hang)
    monkeypatch.setattr(mockpay_of(other), "_send", send)
    delivering = asyncio.ensure_future(begin(killed, "deliveries")())
    await under_way.wait()
    delivering.cancel()
    await asyncio.wait([delivering])

    await begin(other, "deliveries")()
    assert sent == []
    async with other.orders.database.connection(writes=True) as connection:
        # Which its lease has moved into the future.
        await connection.execute(
            "UPDATE mockpay_webhooks SET next_attempt_at = next_attempt_at - interval '15 s'"
        )
    await begin(other, "deliveries")()
    assert sorted(sent) == sorted(bodies)
