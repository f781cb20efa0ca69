import csv
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from tigerfans.booking.ids import OrderId
from tigerfans.http.office.csv_files import csv_lines
from tigerfans.http.office.order_export import COLUMNS, order_cells
from tigerfans.office.order_search import Stored
from tigerfans.stores.orders import Order, OrderStatus

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ORDER = Order(
    id=OrderId(b"\0" + bytes(range(1, 16))),
    status=OrderStatus.PAID,
    cls="A",
    amount_cents=6500,
    currency="eur",
    email='"quoted, with a comma"@example.org',
    created_at=NOON,
    paid_at=NOON,
    ticket_code="TF-7K3M-92QX-HD4W",
    got_goodie=True,
)


def test_an_order_is_read_back_from_its_line() -> None:
    lines = csv_lines([COLUMNS, order_cells(Stored(ORDER, NOON, None, None))])
    (row,) = csv.DictReader(lines.splitlines())
    assert row == {
        "order_id": ORDER.id.hex_digits,
        "status": "PAID",
        "cls": "A",
        "amount_cents": "6500",
        "currency": "eur",
        "email": '"quoted, with a comma"@example.org',
        "ticket_code": "TF-7K3M-92QX-HD4W",
        "got_goodie": "yes",
        "created_at": "2026-11-22T12:00:00+00:00",
        "paid_at": "2026-11-22T12:00:00+00:00",
        "recorded_at": "2026-11-22T12:00:00+00:00",
        "refunded_at": "",
        "qty": "1",
        "more_ticket_codes": "",
        "tickets_refunded": "0",
        "payment_reference": "",
    }


def test_an_order_of_several_tickets_has_the_codes_of_all_of_them() -> None:
    several = replace(ORDER, qty=3, amount_cents=3 * 6500, more_ticket_codes=("TF-2", "TF-3"))
    lines = csv_lines([COLUMNS, order_cells(Stored(several, NOON, None, None))])
    (row,) = csv.DictReader(lines.splitlines())
    assert (row["qty"], row["amount_cents"], row["more_ticket_codes"]) == (
        "3",
        "19500",
        "TF-2 TF-3",
    )


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        "=cmd|'/c calc'!A0@x.io",
        "+1@x.io",
        "-1@x.io",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "＝1",
        "＠x",
    ],
)
def test_no_cell_is_a_formula(cell: str) -> None:
    (row,) = csv.reader([csv_lines([[cell]])])
    assert row == [f"'{cell}"]


@pytest.mark.parametrize(
    "cell", ["", "ada@example.org", "o'hara@example.org", "1=1@x.io", '"=1"@x']
)
def test_what_is_no_formula_stays_as_it_is(cell: str) -> None:
    (row,) = csv.reader([csv_lines([["first", cell]])])
    assert row == ["first", cell]
