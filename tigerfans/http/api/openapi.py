"""The OpenAPI description: what Litestar knows, and the raw ASGI routes it does not.

What an answer says stands in the `msgspec` structs by which it is made, each beside its handler;
their models here follow from those. Of the routes that the framework knows, only what it says of
errors is replaced: ours are a `ProblemAnswer`.
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from inspect import cleandoc
from typing import Any, Final

import msgspec
from litestar import Litestar, Router
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin
from litestar.openapi.spec import (
    Components,
    OpenAPIFormat,
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
from litestar.routes import ASGIRoute
from litestar.types import Method
from litestar.types.internal_types import PathParameterDefinition

from tigerfans import __version__
from tigerfans.booking.email_address import EMAIL_CHARACTERS_MAX
from tigerfans.door.door import SCANS_MAX
from tigerfans.http.api.accounting import TransferIdsAnswer
from tigerfans.http.api.buying import CheckoutBody, HoldAnswer, StockAnswer
from tigerfans.http.api.door_keys import DoorKeyAnswer, DoorKeysAnswer
from tigerfans.http.api.show import LimitsAnswer, PaymentAnswer, ShowAnswer, class_answer
from tigerfans.http.api.webhook import WebhookAnswer
from tigerfans.http.door.frames import FRAMES_PATH
from tigerfans.http.door.scanning import SCANS_PATH, UNDO_PATH, ScanBody
from tigerfans.http.office.auth import OPERATOR
from tigerfans.http.problems import ProblemAnswer, RefusalAnswer
from tigerfans.offer.catalog import Catalog
from tigerfans.offer.tables import TICKETS_PER_ORDER_MAX
from tigerfans.office.order_search import TEXT_CHARACTERS_MAX, Kind
from tigerfans.office.permissions import Permission, roles_with
from tigerfans.payments.base import EventType, PaymentEvent, PaymentProvider
from tigerfans.payments.mockpay import MockPay
from tigerfans.shop.answers import OrderAnswer, OrderIdText, TicketAnswer
from tigerfans.shop.checkout import IDEMPOTENCY_KEY_CHARACTERS_MAX
from tigerfans.shop.payment import UNMATCHED
from tigerfans.stores.orders import OrderStatus

_PROVIDER: Final = "provider"
_SIGNATURE: Final = "base64(HMAC-SHA256(secret, body))"

_DESCRIPTION: Final = """
Hold tickets, pay for them, see what became of them. An amount is a whole number of the smallest
unit that ISO 4217 gives its `currency`: 6500 is EUR 65.00, JPY 6,500 and KWD 6.500.

1. `GET /api/show` says what is on offer, and `GET /api/inventory` what is left of it.
2. `POST /api/checkout` holds a ticket, or `qty` of one class: all of them or none. Send an
   `Idempotency-Key` of your own, such as a UUID: then a request whose answer got lost can be sent
   again, and still holds them once.
3. Send the buyer to `redirect_url`, to pay there.
4. `GET /api/orders/{order_id}` says what became of it, and `…/events` says so by itself. Where it
   is `PAID`, `…/ticket.png` is the ticket, and `…/tickets/1/ticket.png` the second one of several.
   What is `FAILED`, `CANCELED` or `EXPIRED` may still
   become that, where the provider tells of another try.

What goes wrong is a JSON object whose `detail` is a sentence that can be shown. After a 403, 409,
429 or 503 with `Retry-After`, the same request may be sent again in so many seconds.
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
    Tag("door", "What tickets' codes are checked by, and who gets in."),
    Tag("payments", "What the payment provider tells the shop."),
    Tag(OPERATOR, "The box office, behind its login."),
    Tag("health", "Whether this worker is alive, and can sell."),
]
_LOGIN: Final = SecurityScheme(
    type="http",
    scheme="basic",
    description=(
        "`ADMIN_USERNAME` and `ADMIN_PASSWORD`, or somebody of `tigerfans user`. A route names the"
        " permission that it takes."
    ),
)


def describe_routes(app: Litestar, provider: PaymentProvider, catalog: Catalog) -> None:
    """Puts the raw routes into the application's schema, and our errors to its own; the examples
    and the classes are those of the catalog.
    """
    schema = app.openapi_schema
    known = schema.paths or {}
    for path in known.values():
        if path.get is not None:
            _correct(path.get)
        if path.post is not None:
            _correct(path.post)
    benchmarks = any(route.path == "/api/accounting/reserve" for route in app.routes)
    ours = _PATHS | _webhook(provider) | (_BENCHMARKS if benchmarks else {})
    codes = [each.code for each in catalog.classes]
    for place, body in _BODIES.items():
        operation = known[place].post
        if operation is not None:
            operation.request_body = body
    for place, refusals in _REFUSALS.items():
        operation = known[place].post
        if operation is not None:
            operation.responses = {**(operation.responses or {}), **refusals}
    schema.paths = known | _illustrated(ours, examples(catalog))
    _name_permissions(app, schema.paths)
    components = schema.components
    components.schemas = {**_components(codes), **components.schemas}
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

MODELS: Final = (
    CheckoutBody,
    DoorKeysAnswer,
    HoldAnswer,
    OrderAnswer,
    PaymentEvent,
    ProblemAnswer,
    RefusalAnswer,
    ScanBody,
    ShowAnswer,
    StockAnswer,
    TransferIdsAnswer,
    WebhookAnswer,
)


def inventory_answer(codes: Sequence[str]) -> type[msgspec.Struct]:
    """A stock for each class, by its code: a name for the schema, and a plain dict in an answer."""
    return msgspec.defstruct("InventoryAnswer", [(code, StockAnswer) for code in codes])


def _components(codes: Sequence[str]) -> dict[str, Any]:
    components: dict[str, Any] = msgspec.json.schema_components(
        (*MODELS, inventory_answer(codes)), ref_template="#/components/schemas/{name}"
    )[1]
    for model in components.values():
        # They are docstrings, with the indentation of our code.
        if "description" in model:
            model["description"] = cleandoc(model["description"])
    # What can be bought. An order may be of a class that the offer has dropped since.
    for model in ("CheckoutBody", "TicketClassAnswer"):
        components[model]["properties"]["cls"]["enum"] = list(codes)
    return components


_TEXT: Final = Schema(type=OpenAPIType.STRING)
_ORDER_ID: Final = "0199a3f0c5b77d2e4f8a1b6c3d9e5f00"

_STOCK: Final = StockAnswer(
    capacity=1_000,
    sold=830,
    active_holds=25,
    available=145,
    state="on_sale",
    going_fast=False,
    sold_out=False,
    timestamp="2026-11-28T12:00:00.123456+00:00",
)


def examples(catalog: Catalog) -> dict[str, Any]:
    """One of each model by its name, as it is sent: what a reader looks at first."""
    offer, first = catalog.offer, catalog.classes[0]
    show = offer.show
    shown = (
        CheckoutBody(cls=first.code, customer_email="ada@example.org"),
        DoorKeysAnswer(
            version=1,
            prefix="TIGER1",
            shop="0badcafe",
            keys=[DoorKeyAnswer(1, "dvL90KffYFWLhG1m4ZN-5roccfL_jWWlSV-Z7477My4")],
        ),
        HoldAnswer(
            order_id=_ORDER_ID,
            redirect_url=f"https://pay.example.org/{_ORDER_ID}",
            amount=first.price_cents,
            currency=offer.currency,
        ),
        OrderAnswer(
            order_id=_ORDER_ID,
            status=OrderStatus.PAID,
            cls=first.code,
            qty=1,
            amount=first.price_cents,
            currency=offer.currency,
            paid_at="2026-11-28T12:00:00.123456+00:00",
            ticket_code="TF-7K3M-92QX-HD4W",
            got_goodie=True,
            tickets=[TicketAnswer("TF-7K3M-92QX-HD4W")],
        ),
        PaymentEvent(
            type=EventType.SUCCEEDED,
            payment_session_id=f"mock_{_ORDER_ID}",
            order_id=_ORDER_ID,
            amount=first.price_cents,
            currency=offer.currency,
        ),
        RefusalAnswer(detail="Sold out: every ticket of this class is sold.", state="sold_out"),
        ShowAnswer(
            name=show.name,
            venue=show.venue,
            starts_at=show.starts_at.isoformat(),
            ends_at=show.ends_at.isoformat(),
            time_zone=show.time_zone,
            organiser=show.organiser,
            headline=show.headline,
            description=show.description,
            currency=offer.currency,
            classes=[class_answer(each, 1_000) for each in offer.listings],
            goodies=100,
            goodie=offer.goodie.name,
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
        WebhookAnswer(ok=True, order_status=OrderStatus.PAID),
    )
    stocks = {each.code: msgspec.to_builtins(_STOCK) for each in catalog.classes}
    return {
        **{type(each).__name__: msgspec.to_builtins(each) for each in shown},
        "InventoryAnswer": stocks,
    }


def _illustrated(paths: Mapping[str, PathItem], examples: Mapping[str, Any]) -> dict[str, PathItem]:
    """The paths, with an example for each model that has one."""
    copied = {path: deepcopy(item) for path, item in paths.items()}
    for item in copied.values():
        for operation in filter(None, (item.get, item.post)):
            bodies = [operation.request_body, *(operation.responses or {}).values()]
            for body in bodies:
                for media in (getattr(body, "content", None) or {}).values():
                    if isinstance(media.schema, Reference):
                        media.example = examples.get(media.schema.ref.rpartition("/")[2])
    return copied


def _media(model: str) -> dict[str, OpenAPIMediaType]:
    reference = Reference(ref=f"#/components/schemas/{model}")
    return {"application/json": OpenAPIMediaType(schema=reference)}


def _answer(description: str, model: type[msgspec.Struct]) -> OpenAPIResponse:
    return OpenAPIResponse(description=description, content=_media(model.__name__))


def _document(description: str, media_type: str) -> OpenAPIResponse:
    return OpenAPIResponse(
        description=description, content={media_type: OpenAPIMediaType(schema=_TEXT)}
    )


def _problem(description: str) -> OpenAPIResponse:
    return _answer(description, ProblemAnswer)


_PICTURE: Final = RequestBody(
    required=True,
    content={
        media_type: OpenAPIMediaType(
            schema=Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        )
        for media_type in ("image/jpeg", "image/png")
    },
)

_SCANS: Final = RequestBody(
    required=True,
    description="One answer to each of them, also to one that cannot be read.",
    content={
        "application/json": OpenAPIMediaType(
            schema=Schema(
                type=OpenAPIType.ARRAY,
                items=Reference(ref=f"#/components/schemas/{ScanBody.__name__}"),
                min_items=1,
                max_items=SCANS_MAX,
            )
        )
    },
)

# Of routes that read their bodies themselves.
_BODIES: Final = {FRAMES_PATH: _PICTURE, SCANS_PATH: _SCANS}


# --- Errors ------------------------------------------------------------------------------------

_BUSY: Final = _problem("Busy, or a store is away: try again after Retry-After seconds.")
_NO_ORDER: Final = _problem("There is no such order.")
_INVALID: Final = _problem("The request is not valid.")
_BODY_REFUSALS: Final = {
    "400": _INVALID,
    "408": _problem("The request took too long to arrive."),
    "413": _problem("The body is too large."),
}
# What the framework does not know that a route answers.
_REFUSALS: Final = {
    FRAMES_PATH: _BODY_REFUSALS | {"404": _problem("This shop reads no pictures.")},
    SCANS_PATH: _BODY_REFUSALS,
    UNDO_PATH: {
        "404": _problem("There is no such scan."),
        "409": _problem("This scan cannot be taken back, any more or by this device."),
    },
}
_OPERATORS: Final = {
    "401": _problem("The login is missing or wrong."),
    "429": _problem("Too many guess the login at this time: try again after Retry-After seconds."),
}
_NOTHING: Final = _problem("There is no such thing.")


def _correct(operation: Operation) -> None:
    """What the framework says of errors, as it is here; and a first line that says what it does."""
    responses = operation.responses or {}
    tags = operation.tags or ()
    if "400" in responses:
        responses["400"] = _INVALID
    if any(parameter.param_in == "path" for parameter in _parameters(operation)):
        responses["404"] = _NOTHING
    if OPERATOR in tags:
        responses |= _OPERATORS
    if "health" not in tags:
        responses["503"] = _BUSY
    operation.responses = responses
    summary, _, more = (operation.description or "").partition("\n")
    operation.summary, operation.description = summary or operation.summary, more.strip() or None


def _name_permissions(app: Litestar, paths: Mapping[str, PathItem]) -> None:
    """Says of each route of the operators' which permission it takes, and who has it."""
    for route in app.routes:
        handlers: Iterable[Any] = getattr(route, "route_handlers", ())
        if isinstance(route, ASGIRoute):
            handlers = [route.route_handler]
        for handler in handlers:
            permission: Permission | None = handler.opt.get("permission")
            item = paths.get(route.path_format)
            if permission is None or item is None:
                continue
            roles = " or ".join(roles_with(permission))
            words = f"The login may not do this: it takes the role {roles}."
            for method in getattr(handler, "http_methods", {"GET"}):
                operation = item.post if method == "POST" else item.get
                if operation is None:
                    continue
                if method == "POST":
                    words += " Or it does not come from the shop's own pages."
                operation.security = [{OPERATOR: [permission]}]
                operation.responses = (operation.responses or {}) | {"403": _problem(words)}


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
    summary="Hold one ticket for a while, or several.",
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
    request_body=RequestBody(required=True, content=_media(CheckoutBody.__name__)),
    responses={
        "200": _answer("What was asked for is held.", HoldAnswer),
        "400": _answer(
            "The class, the number, the email address or the key is not valid.", RefusalAnswer
        ),
        "403": _answer(
            "The class is not on sale: not yet, where there is a Retry-After, or not any more; or"
            " its sale is closed, as state says, until the operator opens it.",
            RefusalAnswer,
        ),
        "408": _problem("The request took too long to arrive."),
        "409": _answer(
            "No ticket is left, as state says: the class is sold out, or all the rest of it is on"
            " hold, and may come back after Retry-After seconds; or no more than are available. Or,"
            " where new_key_needed is true,"
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
    summary="The show, its ticket classes, their prices and when they are on sale.",
    description="It changes when the operator reloads the shop, and at no other time.",
    responses={"200": _answer("What is on offer.", ShowAnswer)},
)

_DOOR_KEYS: Final = Operation(
    operation_id="getDoorKeys",
    tags=["door"],
    summary="The public keys by which a ticket's code is checked, also without a network.",
    responses={"200": _answer("The one that signs, and the one before it.", DoorKeysAnswer)},
)

_INVENTORY: Final = Operation(
    operation_id="getInventory",
    tags=["buying"],
    summary="What is left of each class, at most 100 ms ago.",
    responses={
        "200": OpenAPIResponse("The stock of each class.", content=_media("InventoryAnswer")),
        "503": _BUSY,
    },
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

_DAY: Final = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.DATE)
_PAYMENTS_CSV: Final = Operation(
    operation_id="exportPayments",
    tags=[OPERATOR],
    security=[{OPERATOR: []}],
    summary="Payments and refunds of some days, at the venue, as a file.",
    parameters=[
        Parameter(name="first", param_in="query", required=False, schema=_DAY),
        Parameter(
            name="last",
            param_in="query",
            required=False,
            description="Included; without it, until now.",
            schema=_DAY,
        ),
    ],
    responses={
        "200": _document("One line for each payment and each refund.", "text/csv"),
        "400": _INVALID,
        "503": _BUSY,
        **_OPERATORS,
    },
)

_SCANS_CSV: Final = Operation(
    operation_id="exportScans",
    tags=["door", OPERATOR],
    security=[{OPERATOR: []}],
    summary="All scans of tickets at the door, as a file.",
    responses={
        "200": _document("One line for each scan of a ticket.", "text/csv"),
        "503": _BUSY,
        **_OPERATORS,
    },
)

# Of `documents.DOCUMENTS`, by its name below the order: what it is called and what it is.
DOCUMENT_WORDS: Final = {
    "qr.png": ("image/png", "getQrPng", "The first ticket's QR code as PNG."),
    "qr.svg": ("image/svg+xml", "getQrSvg", "The first ticket's QR code as SVG."),
    "ticket.png": ("image/png", "getTicketPng", "The whole first ticket as a picture of A6."),
    "ticket.pdf": ("application/pdf", "getTicketsPdf", "All tickets, each as a page of A6."),
    "ticket.ics": ("text/calendar", "getCalendar", "The show as an entry for a calendar."),
}

# Of `documents.OF_ONE_TICKET`, by its name below the ticket.
OF_ONE_TICKET_WORDS: Final = {
    "qr.png": ("image/png", "getQrPngOf", "A ticket's QR code as PNG."),
    "qr.svg": ("image/svg+xml", "getQrSvgOf", "A ticket's QR code as SVG."),
    "ticket.png": ("image/png", "getTicketPngOf", "A whole ticket as a picture of A6."),
}
_NUMBER_PARAMETER: Final = Parameter(
    name="number",
    param_in="path",
    required=True,
    description="From 0 on, as the order's `tickets` has them.",
    schema=Schema(type=OpenAPIType.INTEGER, minimum=0, maximum=TICKETS_PER_ORDER_MAX - 1),
)


def _documents(
    path: str, parameters: list[Parameter], words: Mapping[str, tuple[str, str, str]]
) -> dict[str, PathItem]:
    return {
        f"{path}/{name}": PathItem(
            get=Operation(
                operation_id=name_of_it,
                tags=["orders"],
                summary=summary,
                parameters=[*parameters],
                responses={
                    "200": _document("The document.", media_type),
                    "404": _problem("There is no such order, or it has no such ticket."),
                    "410": _problem("The ticket was refunded: it is not valid any more."),
                    "503": _BUSY,
                },
            )
        )
        for name, (media_type, name_of_it, summary) in words.items()
    }


_PATHS: Final = {
    "/api/show": PathItem(get=_SHOW),
    "/api/door/keys": PathItem(get=_DOOR_KEYS),
    "/api/inventory": PathItem(get=_INVENTORY),
    "/api/checkout": PathItem(post=_CHECKOUT),
    "/api/orders/{order_id}": PathItem(get=_ORDER_STATUS),
    "/api/orders/{order_id}/events": PathItem(get=_ORDER_EVENTS),
    "/api/admin/orders.csv": PathItem(get=_ORDERS_CSV),
    "/api/admin/payments.csv": PathItem(get=_PAYMENTS_CSV),
    "/api/admin/scans.csv": PathItem(get=_SCANS_CSV),
    **_documents("/api/orders/{order_id}", [_ORDER_ID_PARAMETER], DOCUMENT_WORDS),
    **_documents(
        "/api/orders/{order_id}/tickets/{number}",
        [_ORDER_ID_PARAMETER, _NUMBER_PARAMETER],
        OF_ONE_TICKET_WORDS,
    ),
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
        event = _media(PaymentEvent.__name__)
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
