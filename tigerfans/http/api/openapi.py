"""The OpenAPI description, at /schema: what Litestar knows, and the raw ASGI routes it does not.

It is served as plain JSON: the viewers that come with Litestar load their scripts from other
hosts, and no page here does.
"""

from typing import Final

from litestar import Litestar
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Parameter,
    PathItem,
    RequestBody,
    Schema,
)

from tigerfans import __version__
from tigerfans.booking.ids import ORDER_ID_HEX_DIGITS
from tigerfans.booking.inventory import StockState
from tigerfans.offer.catalog import LISTINGS
from tigerfans.office.order_search import TEXT_CHARACTERS_MAX, Kind
from tigerfans.payments.base import EventType, PaymentProvider
from tigerfans.payments.mockpay import MockPay
from tigerfans.shop.checkout import EMAIL_CHARACTERS_MAX, ENDED, IDEMPOTENCY_KEY_CHARACTERS_MAX
from tigerfans.shop.payment import UNMATCHED
from tigerfans.stores.orders import OrderStatus

OPENAPI_CONFIG: Final = OpenAPIConfig(
    title="TigerFans",
    version=__version__,
    description="Hold a ticket, pay for it, see what became of it. Amounts are in cents.",
    render_plugins=[JsonRenderPlugin(path=["/openapi.json", "/"])],
)

_TEXT: Final = Schema(type=OpenAPIType.STRING)
_COUNT: Final = Schema(type=OpenAPIType.INTEGER, minimum=0)
_FLAG: Final = Schema(type=OpenAPIType.BOOLEAN)
_CLASS: Final = Schema(type=OpenAPIType.STRING, enum=[listing.code for listing in LISTINGS])
_ORDER_ID: Final = Schema(
    type=OpenAPIType.STRING, pattern=f"^[0-9a-f]{{{ORDER_ID_HEX_DIGITS - 2}}}00$"
)


def describe_raw_routes(app: Litestar, provider: PaymentProvider) -> None:
    """Adds the raw routes to the application's schema."""
    paths = {
        "/api/checkout": PathItem(post=_CHECKOUT),
        "/api/orders/{order_id}": PathItem(get=_ORDER_STATUS),
        "/api/orders/{order_id}/events": PathItem(get=_ORDER_EVENTS),
        "/api/orders/{order_id}/qr.png": PathItem(get=_document("image/png", "QrPng")),
        "/api/orders/{order_id}/qr.svg": PathItem(get=_document("image/svg+xml", "QrSvg")),
        "/api/orders/{order_id}/ticket.ics": PathItem(get=_document("text/calendar", "Calendar")),
        "/api/inventory": PathItem(get=_INVENTORY),
        "/payments/webhook": PathItem(post=_webhook(provider)),
        "/api/admin/orders.csv": PathItem(get=_ORDERS_CSV),
    }
    if any(route.path == "/api/accounting/reserve" for route in app.routes):
        paths |= {
            "/api/accounting/reserve": PathItem(get=_RESERVE),
            "/api/accounting/commit": PathItem(get=_COMMIT),
        }
    app.openapi_schema.paths = {**(app.openapi_schema.paths or {}), **paths}


def _object(**properties: Schema) -> Schema:
    return Schema(type=OpenAPIType.OBJECT, properties=dict(properties), required=list(properties))


def _nullable(kind: OpenAPIType) -> Schema:
    return Schema(type=[kind, OpenAPIType.NULL])


def _answer(
    description: str, schema: Schema, media_type: str = "application/json"
) -> OpenAPIResponse:
    return OpenAPIResponse(
        description=description, content={media_type: OpenAPIMediaType(schema=schema)}
    )


def _problem(description: str) -> OpenAPIResponse:
    return _answer(description, _object(detail=_TEXT))


def _body(schema: Schema) -> RequestBody:
    return RequestBody(required=True, content={"application/json": OpenAPIMediaType(schema=schema)})


_BUSY: Final = _problem("Busy, or a store is away: try again after Retry-After seconds.")

_CHECKOUT: Final = Operation(
    operation_id="Checkout",
    summary="Hold one ticket for a while.",
    parameters=[
        Parameter(
            name="Idempotency-Key",
            param_in="header",
            required=False,
            description=(
                "The same key and body give the same order, however often, while it can be paid"
                " and once it is paid. A key that was refused may be sent again."
            ),
            schema=Schema(
                type=OpenAPIType.STRING, min_length=1, max_length=IDEMPOTENCY_KEY_CHARACTERS_MAX
            ),
        )
    ],
    request_body=_body(
        _object(
            cls=_CLASS,
            customer_email=Schema(type=OpenAPIType.STRING, max_length=EMAIL_CHARACTERS_MAX),
        )
    ),
    responses={
        "200": _answer(
            "The ticket is held.",
            _object(order_id=_ORDER_ID, redirect_url=_TEXT, amount=_COUNT, currency=_TEXT),
        ),
        "400": _problem("The class or the email address is not valid."),
        "409": _answer(
            "No ticket is left, as state says: the class is sold out, or all the rest of it is on"
            " hold, and may come back after Retry-After seconds. Or, where new_key_needed is true,"
            " the Idempotency-Key is used up: with another body, by too many refusals, or by an"
            " order that ended as order_status says.",
            Schema(
                type=OpenAPIType.OBJECT,
                properties={
                    "detail": _TEXT,
                    "state": Schema(
                        type=OpenAPIType.STRING,
                        enum=[str(StockState.ON_HOLD), str(StockState.SOLD_OUT)],
                    ),
                    "new_key_needed": _FLAG,
                    "order_status": Schema(
                        type=OpenAPIType.STRING, enum=[str(status) for status in ENDED]
                    ),
                },
                required=["detail"],
            ),
        ),
        "413": _problem("The body is too large."),
        "429": _problem(
            "As many are on hold for this client or email as may be: take a new Idempotency-Key"
            " after Retry-After seconds."
        ),
        "503": _BUSY,
    },
)

_MOCKPAY_EVENT: Final = _object(
    type=Schema(type=OpenAPIType.STRING, enum=[str(kind) for kind in EventType]),
    payment_session_id=_TEXT,
    order_id=_ORDER_ID,
    amount=_COUNT,
    currency=_TEXT,
)

_ORDER_ID_PARAMETER: Final = Parameter(
    name="order_id", param_in="path", required=True, schema=_ORDER_ID
)

_ORDER_STATUS: Final = Operation(
    operation_id="OrderStatus",
    summary="What became of an order.",
    parameters=[_ORDER_ID_PARAMETER],
    responses={
        "200": _answer(
            "The order.",
            _object(
                order_id=_ORDER_ID,
                status=Schema(
                    type=OpenAPIType.STRING, enum=[str(status) for status in OrderStatus]
                ),
                cls=_CLASS,
                qty=_COUNT,
                amount=_COUNT,
                currency=_TEXT,
                paid_at=_nullable(OpenAPIType.STRING),
                ticket_code=_nullable(OpenAPIType.STRING),
                got_goodie=_FLAG,
            ),
        ),
        "404": _problem("There is no such order."),
        "503": _BUSY,
    },
)

_ORDER_EVENTS: Final = Operation(
    operation_id="OrderEvents",
    summary="The order's public JSON now and on every change, until its final state.",
    parameters=[_ORDER_ID_PARAMETER],
    responses={
        "200": _answer("Server-sent events.", _TEXT, "text/event-stream"),
        "404": _problem("There is no such order."),
        "503": _BUSY,
    },
)

_STOCK: Final = _object(
    capacity=_COUNT,
    sold=_COUNT,
    active_holds=_COUNT,
    available=Schema(type=OpenAPIType.INTEGER),
    state=Schema(type=OpenAPIType.STRING, enum=list(map(str, StockState))),
    going_fast=_FLAG,
    sold_out=_FLAG,
    timestamp=_TEXT,
)

_INVENTORY: Final = Operation(
    operation_id="Inventory",
    summary="What is left of each class.",
    responses={
        "200": _answer("The stock.", _object(**{listing.code: _STOCK for listing in LISTINGS})),
        "503": _BUSY,
    },
)

_TRANSFER_IDS: Final = _object(tb_transfer_id=_TEXT, goodie_tb_transfer_id=_TEXT)

_RESERVE: Final = Operation(
    operation_id="Reserve",
    summary="A bare hold on the ledger, for benchmarks: no session, no order.",
    responses={
        "200": _answer("The ids that commit takes, as decimal numbers.", _TRANSFER_IDS),
        "409": _problem("Sold out."),
        "503": _BUSY,
    },
)

_COMMIT: Final = Operation(
    operation_id="Commit",
    summary="A bare sale of such a hold, for benchmarks.",
    parameters=[
        Parameter(name=name, param_in="query", required=True, schema=_TEXT)
        for name in ("tb_transfer_id", "goodie_tb_transfer_id")
    ],
    responses={
        "200": _answer("The ticket is sold.", _TRANSFER_IDS),
        "400": _problem("These are not the two ids of one hold, or it is gone."),
        "503": _BUSY,
    },
)

_ORDERS_CSV: Final = Operation(
    operation_id="OrdersCsv",
    summary="All orders that are looked for, as a file; for the operator.",
    parameters=[
        Parameter(
            name="q",
            param_in="query",
            required=False,
            description="As for /api/admin/orders.",
            schema=Schema(type=OpenAPIType.STRING, max_length=TEXT_CHARACTERS_MAX),
        ),
        Parameter(
            name="status",
            param_in="query",
            required=False,
            schema=Schema(type=OpenAPIType.STRING, enum=[str(kind) for kind in Kind]),
        ),
    ],
    responses={
        "200": _answer("One line for each order.", _TEXT, "text/csv"),
        "400": _problem("This cannot be searched for."),
        "401": _problem("The login is missing or wrong."),
        "503": _BUSY,
    },
)


def _document(media_type: str, operation_id: str) -> Operation:
    return Operation(
        operation_id=operation_id,
        summary="A document of a paid order.",
        parameters=[_ORDER_ID_PARAMETER],
        responses={
            "200": _answer("The document.", _TEXT, media_type),
            "404": _problem("There is no such order, or it has no ticket."),
            "503": _BUSY,
        },
    )


def _webhook(provider: PaymentProvider) -> Operation:
    """What MockPay sends; another provider signs and writes its body in a form of its own."""
    is_mockpay = isinstance(provider, MockPay)
    return Operation(
        operation_id="Webhook",
        summary="The payment provider tells the outcome of a payment.",
        parameters=[
            Parameter(
                name=provider.signature_header,
                param_in="header",
                required=True,
                description="base64(HMAC-SHA256(secret, body))" if is_mockpay else None,
                schema=_TEXT,
            )
        ],
        request_body=_body(_MOCKPAY_EVENT if is_mockpay else Schema(type=OpenAPIType.OBJECT)),
        responses={
            "200": _answer(
                "All of it is durable. What is genuine and fits no order is recorded as well:"
                f" {UNMATCHED} is a payment, null is an event that moves no money.",
                _object(ok=_FLAG, order_status=_nullable(OpenAPIType.STRING)),
            ),
            "400": _problem("The signature is not valid."),
            "413": _problem("The body is too large."),
            "503": _BUSY,
        },
    )
