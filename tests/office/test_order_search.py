"""The box office's searches, against a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest
from msgspec.structs import replace

from tests.harness.patience import patience
from tests.shops import latest
from tigerfans.booking.door_codes import DoorKeys
from tigerfans.booking.ids import OrderId
from tigerfans.errors import InvalidRequestError, UnavailableError
from tigerfans.office import order_search
from tigerfans.office.order_search import (
    COUNT_MAX,
    EXPORT_ROWS,
    Cursor,
    Kind,
    OrderSearch,
    Search,
    Stored,
)
from tigerfans.stores.database import Database
from tigerfans.stores.orders import Order, Orders, OrderStatus
from tigerfans.stores.schema import MIGRATIONS, migrate

NOON = datetime(2026, 11, 22, 12, 0, 0, 654321, UTC)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = await Database.connect(database_url)
    yield database
    await database.close()


@pytest.fixture
async def orders(database: Database) -> AsyncIterator[Orders]:
    orders = Orders(database)
    yield orders
    await orders.close()


@pytest.fixture
def search(database: Database) -> OrderSearch:
    return OrderSearch(database)


def paid(email: str = "ada@example.org", code: str = "TF-0000-0000-0000") -> Order:
    return Order(
        id=OrderId.new(),
        status=OrderStatus.PAID,
        cls="A",
        amount_cents=6500,
        currency="eur",
        email=email,
        created_at=NOON,
        paid_at=NOON,
        ticket_code=code,
    )


def unpaid(status: OrderStatus) -> Order:
    return replace(paid(), status=status, paid_at=None, ticket_code=None)


async def record(orders: Orders, *several: Order) -> None:
    """In this order, each at a time of its own."""
    for order in several:
        await orders.record(order)


async def found(search: OrderSearch, text: str = "", kind: Kind | None = None) -> list[Order]:
    wanted = Search(text, kind)
    page = await search.page(wanted, None, 10)
    assert await search.count(wanted) == len(page.orders)
    return [stored.order for stored in page.orders]


async def test_nothing_to_look_for_finds_all_the_latest_first(
    orders: Orders, search: OrderSearch
) -> None:
    first, second = paid(), unpaid(OrderStatus.FAILED)
    await record(orders, first, second)
    assert await found(search) == [second, first]


async def test_an_id_is_found_by_its_first_digits_in_either_case(
    orders: Orders, search: OrderSearch
) -> None:
    order = paid()
    other = replace(order, id=OrderId(b"\0" + bytes(15)))
    await record(orders, order, other)
    whole = order.id.hex_digits
    for text in (whole, whole.upper(), f" {whole} ", whole[:18], whole[:8]):
        assert await found(search, text) == [order]
    assert await found(search, "f" * 32) == []


@pytest.mark.parametrize(
    "text",
    [
        "TIGERFANS:{upper}:TF-7K3M-92QX-HD4W",
        # As a scanner types it whose keyboard is not this machine's, or has lost its signs.
        "tigerfansÖ{id}ÖTFß7K3Mß92QXßHD4W",
        "TIGERFANS{upper}TF7K3M92QXHD4W",
        "{signed}",
        "]q1{signed_small}",
        "https://tickets.example.org/demo/success?order_id={id}",
        "https://tickets.example.org/admin/orders/{id}.",
        "/mockpay/mock_{id}",
        "“{id}”)",
        "{uuid}",
        "{uuid_upper}",
        "{short}…",
    ],
)
async def test_an_id_is_found_in_whatever_stands_around_it(
    orders: Orders, search: OrderSearch, text: str
) -> None:
    order = paid()
    await record(orders, order, replace(order, id=OrderId(b"\0" + bytes(15))))
    digits = order.id.hex_digits
    uuid = str(UUID(digits))
    signed = DoorKeys("secret", "0badcafe").sign(order.id, 0, 1)
    shown = text.format(
        id=digits,
        upper=digits.upper(),
        uuid=uuid,
        uuid_upper=uuid.upper(),
        short=digits[:18],
        signed=signed,
        signed_small=signed.lower(),
    )
    assert await found(search, shown) == [order]


async def test_an_email_is_found_by_any_part_of_it_in_either_case(
    orders: Orders, search: OrderSearch
) -> None:
    ada, adam = paid("Ada@Example.org"), paid("adam@example.org")
    await record(orders, ada, adam, paid("bea@example.net"))
    assert await found(search, "ada") == [adam, ada]
    assert await found(search, "ADA@example.org") == [ada]
    assert await found(search, "EXAMPLE.org") == [adam, ada]
    assert await found(search, " @example.org ") == [adam, ada]


@pytest.mark.parametrize(
    ("kept", "text"),
    [
        ("Ümlaut@example.org", "ÜMLAUT@"),
        ("Ümlaut@example.org", "u\u0308mlaut"),
        ("ada@bücher.example", "xn--bcher-kva.example"),
        ("ada@bücher.example", "BÜCHER"),
        ("οδυσσεύς@example.org", "ΟΔΥΣΣΕΎΣ"),
        ("ada@ПОЧТА.рф", "почта.РФ"),
        ("ada@example.org", "a\u200bda@"),
        ("ada@example.org", "\ufeffada@example.org"),
        ("tf-7k@example.org", "tf-7k"),
        ("deadbeef@example.org", "deadbeef"),
        ("deadbeef@example.org", "DEADBEEF@"),
        ("0123456789abcdef0123456789abcd00@relay.example", "0123456789abcdef0123456789abcd00@"),
    ],
)
async def test_an_email_is_found_in_any_form_and_whatever_else_its_beginning_may_mean(
    orders: Orders, search: OrderSearch, kept: str, text: str
) -> None:
    order = paid(kept)
    await record(orders, order, paid("other@example.net"))
    assert await found(search, text) == [order]


async def test_all_that_a_text_may_mean_is_found(orders: Orders, search: OrderSearch) -> None:
    by_code, by_email = paid(code="TF-7K3M-92QX-HD4W"), paid("tf-7k3m@example.org")
    await record(orders, by_code, by_email)
    assert await found(search, "tf-7k3m") == [by_email, by_code]
    order = paid()
    by_email = paid(f"{order.id.hex_digits[:12]}@example.org")
    await record(orders, order, by_email)
    assert await found(search, order.id.hex_digits[:12]) == [by_email, order]


async def test_an_email_that_was_brought_later_is_found_as_well(
    orders: Orders, search: OrderSearch
) -> None:
    restored = paid(email="")
    canceled = replace(unpaid(OrderStatus.CANCELED), email="")
    await record(orders, restored, canceled)
    await record(orders, *(replace(paid("Ümlaut@x.io"), id=o.id) for o in (restored, canceled)))
    assert {order.id for order in await found(search, "ÜMLAUT")} == {restored.id, canceled.id}


@pytest.mark.parametrize("text", ["a%", "a_a", "a\\", "'; DROP TABLE orders; --", '"<img src'])
async def test_what_is_special_to_sql_is_a_letter_like_others(
    orders: Orders, search: OrderSearch, text: str
) -> None:
    order = paid(f"{text}@example.org")
    await record(orders, order, paid("ada@example.org"))
    assert await found(search, text) == [order]


@pytest.mark.parametrize("text", ["\u200b", "\ufeff\u202e", "\xad"])
async def test_what_nobody_sees_finds_nobody(
    orders: Orders, search: OrderSearch, text: str
) -> None:
    await record(orders, paid(), paid("ümlaut@example.org"))
    assert await found(search, text) == []


async def test_a_ticket_is_found_by_its_code_even_if_it_was_misread(
    orders: Orders, search: OrderSearch
) -> None:
    ticket = paid(code="TF-7K10-92QX-HD4W")
    await record(orders, ticket, paid(code="TF-8000-0000-0000"), unpaid(OrderStatus.FAILED))
    for text in (
        "TF-7K10-92QX-HD4W",
        "tf-7klo-92qx-hd4w",
        "TF7K1092QXHD4W",
        "7k10 92qx hd4w",
        "TF 7K10 92QX HD4W.",
        "TF-7K1",
        "tf7k10",
        "TF-7",
    ):
        assert await found(search, text) == [ticket]


async def test_an_order_is_found_by_the_code_of_any_of_its_tickets(
    orders: Orders, search: OrderSearch
) -> None:
    codes = ("TF-8000-0000-0000", "TF-9000-0000-0000")
    several = replace(paid(code="TF-7K10-92QX-HD4W"), qty=3, more_ticket_codes=codes)
    await record(orders, several, paid(), unpaid(OrderStatus.FAILED))
    for text in ("TF-7K10-92QX-HD4W", *codes, "tf9ooo00000000", "9000 0000 0000", "tf-80", "TF-9"):
        assert await found(search, text) == [several]
    assert await found(search, "TF-9000-0000-0001") == []


async def test_a_whole_code_is_looked_for_in_the_indexes_of_codes(database: Database) -> None:
    query, values = order_search.page_query(Search("TF-9000-0000-0000"), None, 10)
    async with database.connection() as connection, connection.transaction():
        # As with very many orders, whichever plan a handful of them would get.
        await connection.execute("SET LOCAL enable_seqscan = off")
        await connection.execute("SET LOCAL enable_indexscan = off")
        plan = str(await connection.fetch(f"EXPLAIN {query}", *values))
    assert "orders_ticket_code" in plan
    assert "orders_more_ticket_codes" in plan


async def test_the_beginning_of_a_code_costs_an_order_no_query_of_its_own(
    database: Database,
) -> None:
    query, values = order_search.page_query(Search("TF-9000"), None, 10)
    async with database.connection() as connection:
        plan = str(await connection.fetch(f"EXPLAIN {query}", *values))
    assert "more_ticket_codes" in plan
    assert "SubPlan" not in plan


async def test_each_kind_finds_its_orders(orders: Orders, search: OrderSearch) -> None:
    by_kind = {
        Kind.PAID: paid(),
        Kind.FAILED: unpaid(OrderStatus.FAILED),
        Kind.CANCELED: unpaid(OrderStatus.CANCELED),
        Kind.REFUND_DUE: unpaid(OrderStatus.PAID_UNFULFILLED),
        Kind.REFUNDED: unpaid(OrderStatus.PAID_UNFULFILLED),
    }
    await record(orders, *by_kind.values())
    await orders.mark_refunded(by_kind[Kind.REFUNDED].id, "admin")
    for kind, order in by_kind.items():
        assert [one.id for one in await found(search, kind=kind)] == [order.id]
        assert [one.id for one in await found(search, "ada", kind)] == [order.id]


async def test_a_letter_that_not_every_version_of_python_knows_is_found(
    orders: Orders, search: OrderSearch
) -> None:
    order = paid(email="\U00031350@example.org")
    await orders.record(order)
    assert await found(search, "\U00031350") == [order]


@pytest.mark.parametrize("text", ["\0", "ada\n@example.org", "a\x85b", "\ud800", "a" * 255])
async def test_what_no_order_can_hold_is_refused(search: OrderSearch, text: str) -> None:
    with pytest.raises(InvalidRequestError):
        await search.page(Search(text), None, 10)
    with pytest.raises(InvalidRequestError):
        await search.count(Search(text))


# --- Pages -----------------------------------------------------------------------------------


async def test_pages_hold_each_order_once_also_where_many_were_recorded_together(
    orders: Orders, search: OrderSearch
) -> None:
    together = [paid() for _ in range(9)]
    await asyncio.gather(*map(orders.record, together))
    seen: list[OrderId] = []
    after = None
    while True:
        page = await search.page(Search(), after, 4)
        seen += [stored.order.id for stored in page.orders]
        if page.next is None:
            break
        after = Cursor.parse(str(page.next))
    assert sorted(seen) == sorted(order.id for order in together)


@pytest.mark.parametrize(("text", "sorts"), [("ada@", True), ("", False)])
async def test_what_few_orders_have_is_not_looked_for_along_the_list(
    database: Database, text: str, *, sorts: bool
) -> None:
    query, values = order_search.page_query(Search(text), None, 10)
    async with database.connection() as connection, connection.transaction():
        # As with very many orders, whichever plan a handful of them would get.
        await connection.execute("SET LOCAL enable_seqscan = off")
        plan = await connection.fetch(f"EXPLAIN {query}", *values)
    assert ("Sort" in str(plan)) is sorts


async def test_what_is_found_among_the_newest_is_looked_for_no_further(
    orders: Orders, search: OrderSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_search, "NEWEST", 3)
    recorded = [paid("ada@example.org") for _ in range(4)]
    # Both are among the newest, of the others only the last one is.
    recorded += [paid("bob@example.org") for _ in range(2)]
    await record(orders, *recorded)
    for text, limit in (("bob", 1), ("ada", 3), ("example", 4)):
        seen: list[Order] = []
        after = None
        while seen == [] or after is not None:
            page = await search.page(Search(text), after, limit)
            seen += [stored.order for stored in page.orders]
            after = page.next
        assert seen == [order for order in reversed(recorded) if text in order.email]


async def test_a_full_last_page_has_no_next_one(orders: Orders, search: OrderSearch) -> None:
    await record(orders, paid(), paid())
    page = await search.page(Search(), None, 2)
    assert (len(page.orders), page.next) == (2, None)


@pytest.mark.parametrize("text", ["", "1", "1-", "-" + "0" * 32, "1-" + "0" * 31 + "1", "9" * 19])
def test_a_cursor_that_nobody_gave_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError):
        Cursor.parse(text)


async def test_counting_ends_where_it_says_more_than(
    search: OrderSearch, database_url: str
) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "INSERT INTO orders SELECT gen_random_uuid(), 'PAID', 'A', 1, 'eur', 'a@b.de', now(),"
        " now(), 'TF-1', false FROM generate_series(1, $1)",
        COUNT_MAX + 5,
    )
    await connection.close()
    assert await search.count(Search()) == COUNT_MAX + 1


# --- Export ----------------------------------------------------------------------------------


async def test_an_export_holds_every_order_found_the_oldest_first(
    orders: Orders, search: OrderSearch
) -> None:
    several = [paid() for _ in range(EXPORT_ROWS + 3)]
    await record(orders, unpaid(OrderStatus.FAILED))
    await asyncio.gather(*map(orders.record, several))
    batches = [batch async for batch in search.export(Search(kind=Kind.PAID))]
    exported = [stored for batch in batches for stored in batch]
    assert [len(batch) for batch in batches] == [EXPORT_ROWS, 3]
    assert {stored.order.id for stored in exported} == {order.id for order in several}
    places = [(stored.recorded_at, stored.order.id[::-1]) for stored in exported]
    assert places == sorted(places)


async def test_an_export_is_of_one_moment(orders: Orders, search: OrderSearch) -> None:
    await asyncio.gather(*(orders.record(paid()) for _ in range(EXPORT_ROWS)))
    failed = unpaid(OrderStatus.FAILED)
    await orders.record(failed)
    exported: list[Stored] = []
    async for batch in search.export(Search()):
        await orders.record(replace(paid(), id=failed.id))
        exported += batch
    assert [stored.order.status for stored in exported].count(OrderStatus.FAILED) == 1
    assert len(exported) == EXPORT_ROWS + 1


async def test_an_export_waits_for_the_one_before_it_and_not_for_ever(
    orders: Orders, search: OrderSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.gather(*(orders.record(paid()) for _ in range(2 * EXPORT_ROWS)))
    async with aclosing(search.export(Search())) as first:
        await anext(first)
        with monkeypatch.context() as patched:
            patched.setattr(order_search, "EXPORT_TURN_SECONDS_MAX", 0)
            with pytest.raises(UnavailableError, match="Another export"):
                await anext(search.export(Search()))
        second = search.export(Search())
        waiting = asyncio.ensure_future(anext(second))
    assert len(await waiting) == EXPORT_ROWS
    await second.aclose()
    assert len([batch async for batch in search.export(Search())]) == 2


async def test_an_export_that_was_given_up_leaves_nothing_open(
    orders: Orders, search: OrderSearch, database_url: str
) -> None:
    await asyncio.gather(*(orders.record(paid()) for _ in range(2 * EXPORT_ROWS)))
    async with aclosing(search.export(Search())) as export:
        await anext(export)
    assert len(await latest(orders)) == 10
    connection = await asyncpg.connect(database_url)
    try:
        idle = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"
        async with patience():
            while await connection.fetchval(idle):  # noqa: ASYNC110 (PostgreSQL has no event)
                await asyncio.sleep(0.01)
    finally:
        await connection.close()


# --- One order -------------------------------------------------------------------------------


async def test_an_order_that_was_paid_after_all_remembers_what_it_was_before(
    orders: Orders, search: OrderSearch
) -> None:
    canceled = unpaid(OrderStatus.CANCELED)
    await orders.record(canceled)
    before = await search.find(canceled.id)
    assert before
    assert before.earlier_status is None
    await orders.record(replace(paid(), id=canceled.id))
    after = await search.find(canceled.id)
    assert after
    assert after.order.status is OrderStatus.PAID
    assert after.earlier_status is OrderStatus.CANCELED
    assert after.earlier_at == before.recorded_at < after.recorded_at


async def test_an_unknown_order_is_none(search: OrderSearch) -> None:
    assert await search.find(OrderId.new()) is None


# --- The schema ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("email", "text"),
    [
        ("Ada@x.io", "ada@"),
        ("bär@x.io", "BÄR@"),
        # Where PostgreSQL's collation is C, it has no small letter for this one.
        ("ÜMLAUT@x.io", "ümlaut@"),
        ("ÜMLAUT@x.io", "ÜMLAUT@x.io"),
        ("straße@x.io", "STRASSE@"),
        ("bu\u0308cher@x.io", "bücher@"),
        ("a\u200bda@x.io", "ada@"),
        ("ada@XN--bcher-kva.example", "ada@bücher.example"),
    ],
)
async def test_orders_of_the_first_schema_are_found_with_the_latest(
    empty_database_url: str, email: str, text: str
) -> None:
    await migrate(empty_database_url, MIGRATIONS[:1])
    connection = await asyncpg.connect(empty_database_url)
    order = paid(email)
    await connection.execute(
        "INSERT INTO orders VALUES ($1, 'PAID', 'A', 6500, 'eur', $2, $3, $3, $4, false)",
        order.id.hex_digits,
        order.email,
        NOON,
        order.ticket_code,
    )
    await connection.close()
    await migrate(empty_database_url)
    database = await Database.connect(empty_database_url)
    assert await found(OrderSearch(database), text) == [order]
    await database.close()
