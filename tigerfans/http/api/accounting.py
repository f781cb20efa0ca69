"""Bare ledger operations over HTTP, for benchmarks only: no session, no order, nobody pays.

Open only with TIGERFANS_BENCH=1; otherwise these routes do not exist.
"""

from urllib.parse import parse_qs

import msgspec
from litestar.types import ControllerRouterHandler, HTTPScope, Receive

from tigerfans.booking.ids import OrderId, Purpose
from tigerfans.booking.outcomes import HOLDS, SaleOutcome, decode_hold, decode_sale
from tigerfans.errors import InvalidRequestError
from tigerfans.http.api.raw import json_route
from tigerfans.ledger.wire import U128_MAX, Operation, u128
from tigerfans.shop.shop import Shop
from tigerfans.shop.stock import refusal

_NO_BODY = bytes(16)


class TransferIdsAnswer(msgspec.Struct):
    """The ids of a bare hold and of its goodie, as decimal numbers: 128 bits are no JSON number."""

    tb_transfer_id: str
    goodie_tb_transfer_id: str


def accounting_routes(shop: Shop) -> list[ControllerRouterHandler]:
    async def reserve(scope: HTTPScope, receive: Receive) -> bytes:
        order_id = OrderId.new()
        hold = shop.booking.hold(order_id, "A", _NO_BODY)
        outcome, _ = decode_hold(await shop.submit(Operation.CREATE_TRANSFERS, hold))
        if outcome not in HOLDS:
            raise await refusal(shop, "A")
        return _ids(order_id)

    async def commit(scope: HTTPScope, receive: Receive) -> bytes:
        order_id = _order_id(scope["query_string"])
        sale = shop.booking.sale(order_id, "A")
        outcome, _ = decode_sale(await shop.submit(Operation.CREATE_TRANSFERS, sale))
        if outcome not in (SaleOutcome.SOLD, SaleOutcome.SOLD_WITH_GOODIE):
            raise InvalidRequestError(f"Not sold: {outcome.value}.")
        return _ids(order_id)

    return [
        json_route("GET", "/api/accounting/reserve", reserve),
        json_route("GET", "/api/accounting/commit", commit),
    ]


def _ids(order_id: OrderId) -> bytes:
    hold = int.from_bytes(order_id, "little")
    goodie = int.from_bytes(order_id.transfer_id(Purpose.GOODIE), "little")
    return b'{"tb_transfer_id":"%d","goodie_tb_transfer_id":"%d"}' % (hold, goodie)


def _order_id(query: bytes) -> OrderId:
    try:
        values = parse_qs(query.decode("latin-1"), max_num_fields=10)
        hold = int(values["tb_transfer_id"][0])
        goodie = int(values["goodie_tb_transfer_id"][0])
    except (KeyError, ValueError):
        raise InvalidRequestError("Please give both ids as decimal numbers.") from None
    if not 0 < hold <= U128_MAX or goodie != hold | Purpose.GOODIE or hold & 0xFF:
        raise InvalidRequestError("These ids are not of one reservation.")
    return OrderId(u128(hold))
