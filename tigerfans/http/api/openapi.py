"""The OpenAPI description: what Litestar knows, and the raw ASGI routes it does not.

What an answer says stands in the `msgspec` structs by which it is made, each beside its handler;
their models here follow from those. Of the routes that the framework knows, only what it says of
errors is replaced: ours are a `ProblemAnswer`.
"""

from collections.abc import Iterable
from inspect import cleandoc
from typing import Any, Final

import msgspec
from litestar import Litestar, Router
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin
from litestar.openapi.spec import (
    Components,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Parameter,
    PathItem,
    Reference,
    RequestBody,
    Schema,
    SecurityScheme,
    Tag,
)
from litestar.types import Method
from litestar.types.internal_types import PathParameterDefinition

from tigerfans import __version__
from tigerfans.booking.email_address import EMAIL_CHARACTERS_MAX
from tigerfans.booking.inventory import StockState
from tigerfans.http.api.accounting import TransferIdsAnswer
from tigerfans.http.api.buying import CheckoutBody, HoldAnswer, InventoryAnswer, StockAnswer
from tigerfans.http.api.show import LimitsAnswer, PaymentAnswer, ShowAnswer, TicketClassAnswer
from tigerfans.http.api.webhook import WebhookAnswer
from tigerfans.http.office.auth import OPERATOR
from tigerfans.http.problems import ProblemAnswer, RefusalAnswer
from tigerfans.offer.catalog import LISTINGS
from tigerfans.offer.show import SHOW
from tigerfans.office.order_search import TEXT_CHARACTERS_MAX, Kind
from tigerfans.payments.base import EventType, PaymentEvent, PaymentProvider
from tigerfans.payments.mockpay import MockPay
from tigerfans.shop.answers import OrderAnswer, OrderIdText
from tigerfans.shop.checkout import IDEMPOTENCY_KEY_CHARACTERS_MAX
from tigerfans.shop.payment import UNMATCHED
from tigerfans.stores.orders import OrderStatus

_PROVIDER: Final = "provider"
_SIGNATURE: Final = "base64(HMAC-SHA256(secret, body))"

_DESCRIPTION: Final = """
Hold a ticket, pay for it, see what became of it. Amounts are in cents.

1. `GET /api/show` says what is on offer, and `GET /api/inventory` what is left of it.
2. `POST /api/checkout` holds a ticket. Send an `Idempotency-Key` of your own, such as a UUID: then
   a request whose answer got lost can be sent again, and still holds one ticket.
3. Send the buyer to `redirect_url`, to pay there.
4. `GET /api/orders/{order_id}` says what became of it, and `…/events` says so by itself. Where it
   is `PAID`, `…/ticket.png` is the ticket. What is `FAILED`, `CANCELED` or `EXPIRED` may still
   become that, where the provider tells of another try.

What goes wrong is a JSON object whose `detail` is a sentence that can be shown. After a 409, 429 or
503 with `Retry-After`, the same request may be sent again in so many seconds.
"""


def operation_id(
    handler: HTTPRouteHandler, method: Method, path: list[str | PathParameterDefinition]
) -> str:
    """The name of a handler's function, as clients write it: `find_orders` is `findOrders`."""
    first, *more = handler.handler_name.split("_")
    return first + "".join(word.title() for word in more)


def openapi_config(page: OpenAPIRenderPlugin, router: Router) -> OpenAPIConfig:
    """The framework's part of it: at `router`, as a `page` for readers and as JSON."""
    return OpenAPIConfig(
        title="TigerFans",
        version=__version__,
        description=_DESCRIPTION.strip(),
        tags=_TAGS,
        components=Components(security_schemes={OPERATOR: _LOGIN}),
        use_handler_docstrings=True,
        operation_id_creator=operation_id,
        openapi_router=router,
        render_plugins=[page, JsonRenderPlugin()],
    )


_TAGS: Final = [
    Tag("buying", "What is on offer, and a hold on a ticket."),
    Tag("orders", "What became of an order, and its ticket. Its id is all that is asked for."),
    Tag("payments", "What the payment provider tells the shop."),
    Tag(OPERATOR, "The box office, behind its login."),
    Tag("health", "Whether this worker is alive, and can sell."),
]
_LOGIN: Final = SecurityScheme(
    type="http", scheme="basic", description="`ADMIN_USERNAME` and `ADMIN_PASSWORD`."
)


def describe_routes(app: Litestar, provider: PaymentProvider) -> None:
    """Puts the raw routes into the application's schema, and our errors to its own."""
    schema = app.openapi_schema
    known = schema.paths or {}
    for path in known.values():
        if path.get is not None:
            _correct(path.get, changes=False)
        if path.post is not None:
            _correct(path.post, changes=True)
    benchmarks = any(route.path == "/api/accounting/reserve" for route in app.routes)
    schema.paths = known | _PATHS | _webhook(provider) | (_BENCHMARKS if benchmarks else {})
    components = schema.components
    components.schemas = {**_COMPONENTS, **components.schemas}
    if benchmarks:
        schema.tags = [*(schema.tags or ()), Tag("benchmarks", "Only with `TIGERFANS_BENCH=1`.")]
    components.security_schemes = {
        **(components.security_schemes or {}),
        _PROVIDER: SecurityScheme(
            type="apiKey",
            name=provider.signature_header,
            security_scheme_in="header",
            # Another provider signs in a way of its own.
            description=_SIGNATURE if isinstance(provider, MockPay) else None,
        ),
    }


# --- Models ------------------------------------------------------------------------------------

_MODELS: Final = (
    CheckoutBody,
    HoldAnswer,
    InventoryAnswer,
    OrderAnswer,
    PaymentEvent,
    ProblemAnswer,
    RefusalAnswer,
    ShowAnswer,
    StockAnswer,
    TransferIdsAnswer,
    WebhookAnswer,
)
_COMPONENTS: Final[dict[str, Any]] = msgspec.json.schema_components(
    _MODELS, ref_template="#/components/schemas/{name}"
)[1]
for _model in _COMPONENTS.values():
    # They are docstrings, with the indentation of our code.
    if "description" in _model:
        _model["description"] = cleandoc(_model["description"])

_TEXT: Final = Schema(type=OpenAPIType.STRING)
_ORDER_ID: Final = "0199a3f0c5b77d2e4f8a1b6c3d9e5f00"

_STOCK: Final = StockAnswer(
    capacity=1_000,
    sold=830,
    active_holds=25,
    available=145,
    state=StockState.ON_SALE,
    going_fast=False,
    sold_out=False,
    timestamp="2026-11-28T12:00:00.123456+00:00",
)

# One of each, as it is sent: what a reader looks at first.
EXAMPLES: Final[dict[type[msgspec.Struct], msgspec.Struct]] = {
    CheckoutBody: CheckoutBody(cls=LISTINGS[0].code, customer_email="ada@example.org"),
    HoldAnswer: HoldAnswer(
        order_id=_ORDER_ID,
        redirect_url=f"https://pay.example.org/{_ORDER_ID}",
        amount=LISTINGS[0].price_cents,
        currency="eur",
    ),
    InventoryAnswer: InventoryAnswer(**{listing.code: _STOCK for listing in LISTINGS}),
    OrderAnswer: OrderAnswer(
        order_id=_ORDER_ID,
        status=OrderStatus.PAID,
        cls=LISTINGS[0].code,
        qty=1,
        amount=LISTINGS[0].price_cents,
        currency="eur",
        paid_at="2026-11-28T12:00:00.123456+00:00",
        ticket_code="TF-7K3M-92QX-HD4W",
        got_goodie=True,
    ),
    PaymentEvent: PaymentEvent(
        type=EventType.SUCCEEDED,
        payment_session_id=f"mock_{_ORDER_ID}",
        order_id=_ORDER_ID,
        amount=LISTINGS[0].price_cents,
        currency="eur",
    ),
    RefusalAnswer: RefusalAnswer(
        detail="Sold out: every ticket of this class is sold.", state="sold_out"
    ),
    ShowAnswer: ShowAnswer(
        name=SHOW.name,
        venue=SHOW.venue,
        starts_at=SHOW.starts_at.isoformat(),
        ends_at=SHOW.ends_at.isoformat(),
        currency="eur",
        classes=[
            TicketClassAnswer(each.code, each.name, each.price_cents, list(each.perks), 1_000)
            for each in LISTINGS
        ],
        goodies=100,
        hold_seconds=300,
        limits=LimitsAnswer(
            tickets_per_order=1,
            holds_per_client=20,
            holds_per_email=0,
            email_characters=EMAIL_CHARACTERS_MAX,
            idempotency_key_characters=IDEMPOTENCY_KEY_CHARACTERS_MAX,
        ),
        payment=PaymentAnswer(provider="Example Pay", demo=False),
        links={"Imprint": "https://example.org/imprint"},
    ),
    WebhookAnswer: WebhookAnswer(ok=True, order_status=OrderStatus.PAID),
}


def _media(model: type[msgspec.Struct]) -> dict[str, OpenAPIMediaType]:
    example = EXAMPLES.get(model)
    return {
        "application/json": OpenAPIMediaType(
            schema=Reference(ref=f"#/components/schemas/{model.__name__}"),
            example=None if example is None else msgspec.to_builtins(example),
        )
    }


def _answer(description: str, model: type[msgspec.Struct]) -> OpenAPIResponse:
    return OpenAPIResponse(description=description, content=_media(model))


def _document(description: str, media_type: str) -> OpenAPIResponse:
    return OpenAPIResponse(
        description=description, content={media_type: OpenAPIMediaType(schema=_TEXT)}
    )


def _problem(description: str) -> OpenAPIResponse:
    return _answer(description, ProblemAnswer)


# --- Errors ------------------------------------------------------------------------------------

_BUSY: Final = _problem("Busy, or a store is away: try again after Retry-After seconds.")
_NO_ORDER: Final = _problem("There is no such order.")
_INVALID: Final = _problem("The request is not valid.")
_OPERATORS: Final = {
    "401": _problem("The login is missing or wrong."),
    "429": _problem("Too many guess the login at this time: try again after Retry-After seconds."),
}
_ELSEWHERE: Final = _problem("It does not come from the shop's own pages.")
_NOTHING: Final = _problem("There is no such thing.")


def _correct(operation: Operation, *, changes: bool) -> None:
    """What the framework says of errors, as it is here; and a first line that says what it does."""
    responses = operation.responses or {}
    tags = operation.tags or ()
    if "400" in responses:
        responses["400"] = _INVALID
    if any(parameter.param_in == "path" for parameter in _parameters(operation)):
        responses["404"] = _NOTHING
    if OPERATOR in tags:
        responses |= _OPERATORS | ({"403": _ELSEWHERE} if changes else {})
    if "health" not in tags:
        responses["503"] = _BUSY
    operation.responses = responses
    summary, _, more = (operation.description or "").partition("\n")
    operation.summary, operation.description = summary or operation.summary, more.strip() or None


def _parameters(operation: Operation) -> Iterable[Parameter]:
    return (each for each in operation.parameters or () if isinstance(each, Parameter))


# --- Raw routes --------------------------------------------------------------------------------

_ORDER_ID_PARAMETER: Final = Parameter(
    name="order_id",
    param_in="path",
    required=True,
    schema=msgspec.json.schema(OrderIdText),  # type: ignore[arg-type]
)

_CHECKOUT: Final = Operation(
    operation_id="holdTicket",
    tags=["buying"],
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
    request_body=RequestBody(required=True, content=_media(CheckoutBody)),
    responses={
        "200": _answer("The ticket is held.", HoldAnswer),
        "400": _answer("The class, the email address or the key is not valid.", RefusalAnswer),
        "408": _problem("The request took too long to arrive."),
        "409": _answer(
            "No ticket is left, as state says: the class is sold out, or all the rest of it is on"
            " hold, and may come back after Retry-After seconds. Or, where new_key_needed is true,"
            " the Idempotency-Key is used up: with another body, by too many refusals, or by an"
            " order that ended as order_status says.",
            RefusalAnswer,
        ),
        "413": _problem("The body is too large."),
        "429": _problem(
            "As many are on hold for this client or email as may be: take a new Idempotency-Key"
            " after Retry-After seconds."
        ),
        "503": _BUSY,
    },
)

_SHOW: Final = Operation(
    operation_id="getShow",
    tags=["buying"],
    summary="The show, its ticket classes and their prices.",
    description="Nothing of it changes while the shop runs.",
    responses={"200": _answer("What is on offer.", ShowAnswer)},
)

_INVENTORY: Final = Operation(
    operation_id="getInventory",
    tags=["buying"],
    summary="What is left of each class, at most 100 ms ago.",
    responses={"200": _answer("The stock of each class.", InventoryAnswer), "503": _BUSY},
)

_ORDER_STATUS: Final = Operation(
    operation_id="getOrder",
    tags=["orders"],
    summary="What became of an order.",
    parameters=[_ORDER_ID_PARAMETER],
    responses={"200": _answer("The order.", OrderAnswer), "404": _NO_ORDER, "503": _BUSY},
)

_ORDER_EVENTS: Final = Operation(
    operation_id="followOrder",
    tags=["orders"],
    summary="The order now and on every change, until nothing of it can change any more.",
    description="Server-sent events; the data of each is what `getOrder` answers.",
    parameters=[_ORDER_ID_PARAMETER],
    responses={
        "200": _document("The events.", "text/event-stream"),
        "404": _NO_ORDER,
        "503": _BUSY,
    },
)

_ORDERS_CSV: Final = Operation(
    operation_id="exportOrders",
    tags=[OPERATOR],
    security=[{OPERATOR: []}],
    summary="All orders that are looked for, as a file.",
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
        "200": _document("One line for each order.", "text/csv"),
        "400": _INVALID,
        "503": _BUSY,
        **_OPERATORS,
    },
)

# Of `documents.DOCUMENTS`, by its name below the order: what it is called and what it is.
DOCUMENT_WORDS: Final = {
    "qr.png": ("image/png", "getQrPng", "The ticket's QR code as PNG."),
    "qr.svg": ("image/svg+xml", "getQrSvg", "The ticket's QR code as SVG."),
    "ticket.png": ("image/png", "getTicketPng", "The whole ticket as a picture of A6."),
    "ticket.pdf": ("application/pdf", "getTicketPdf", "The whole ticket as a page of A6."),
    "ticket.ics": ("text/calendar", "getCalendar", "The show as an entry for a calendar."),
}

_PATHS: Final = {
    "/api/show": PathItem(get=_SHOW),
    "/api/inventory": PathItem(get=_INVENTORY),
    "/api/checkout": PathItem(post=_CHECKOUT),
    "/api/orders/{order_id}": PathItem(get=_ORDER_STATUS),
    "/api/orders/{order_id}/events": PathItem(get=_ORDER_EVENTS),
    "/api/admin/orders.csv": PathItem(get=_ORDERS_CSV),
    **{
        f"/api/orders/{{order_id}}/{name}": PathItem(
            get=Operation(
                operation_id=name_of_it,
                tags=["orders"],
                summary=summary,
                parameters=[_ORDER_ID_PARAMETER],
                responses={
                    "200": _document("The document.", media_type),
                    "404": _problem("There is no such order, or it has no ticket."),
                    "503": _BUSY,
                },
            )
        )
        for name, (media_type, name_of_it, summary) in DOCUMENT_WORDS.items()
    },
}

_BENCHMARKS: Final = {
    "/api/accounting/reserve": PathItem(
        get=Operation(
            operation_id="reserve",
            tags=["benchmarks"],
            summary="A bare hold on the ledger: no session, no order.",
            responses={
                "200": _answer("The ids that commit takes.", TransferIdsAnswer),
                "409": _answer("None is left.", RefusalAnswer),
                "503": _BUSY,
            },
        )
    ),
    "/api/accounting/commit": PathItem(
        get=Operation(
            operation_id="commit",
            tags=["benchmarks"],
            summary="A bare sale of such a hold.",
            parameters=[
                Parameter(name=name, param_in="query", required=True, schema=_TEXT)
                for name in TransferIdsAnswer.__struct_fields__
            ],
            responses={
                "200": _answer("The ticket is sold.", TransferIdsAnswer),
                "400": _problem("These are not the two ids of one hold, or it is gone."),
                "503": _BUSY,
            },
        )
    ),
}


def _webhook(provider: PaymentProvider) -> dict[str, PathItem]:
    """What MockPay sends; another provider signs and writes its body in a form of its own."""
    event = {"application/json": OpenAPIMediaType(schema=Schema(type=OpenAPIType.OBJECT))}
    if isinstance(provider, MockPay):
        event = _media(PaymentEvent)
    operation = Operation(
        operation_id="tellPayment",
        tags=["payments"],
        security=[{_PROVIDER: []}],
        summary="The payment provider tells the outcome of a payment.",
        request_body=RequestBody(required=True, content=event),
        responses={
            "200": _answer(
                "All of it is durable. What is genuine and fits no order is recorded as well:"
                f" {UNMATCHED} is a payment, null is an event that moves no money.",
                WebhookAnswer,
            ),
            "400": _problem("The signature is not valid."),
            "408": _problem("The request took too long to arrive."),
            "413": _problem("The body is too large."),
            "503": _BUSY,
        },
    )
    return {"/payments/webhook": PathItem(post=operation)}
