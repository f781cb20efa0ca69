"""The Litestar application: routes, and how errors read to a program and to a browser."""

from typing import Any

from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler

from tigerfans.caching import Cached
from tigerfans.door.door import Door
from tigerfans.http.answer_headers import add_missing_headers
from tigerfans.http.api.accounting import accounting_routes
from tigerfans.http.api.buying import buying_routes
from tigerfans.http.api.documents import Documents
from tigerfans.http.api.door_keys import door_keys_route
from tigerfans.http.api.health import health_routes
from tigerfans.http.api.openapi import describe_routes, openapi_config
from tigerfans.http.api.order_status import order_route
from tigerfans.http.api.order_stream import OrderStreams
from tigerfans.http.api.show import show_route
from tigerfans.http.api.webhook import webhook_route
from tigerfans.http.client_address import ClientAddresses
from tigerfans.http.door.door_page import door_page_router, door_worker_route
from tigerfans.http.door.frames import frames_route
from tigerfans.http.door.scanning import scanning_routes
from tigerfans.http.held_cookies import HeldCookies
from tigerfans.http.office.admin import admin_routes
from tigerfans.http.office.admin_door import admin_door_routes, door_office_router
from tigerfans.http.office.admin_mails import admin_mail_routes, mail_pages_router
from tigerfans.http.office.admin_money import PROGRESS_SECONDS, admin_money_routes, money_router
from tigerfans.http.office.admin_orders import admin_order_routes
from tigerfans.http.office.admin_pages import admin_pages_router
from tigerfans.http.office.admin_people import audit_route, people_router
from tigerfans.http.office.admin_stock import admin_stock_routes, stock_page_router
from tigerfans.http.office.admin_unmatched import admin_unmatched_routes
from tigerfans.http.office.auth import PUBLIC_URL, basic_auth_guard
from tigerfans.http.office.guesses import GUESS_RATE, Guesses
from tigerfans.http.office.logins import Logins
from tigerfans.http.office.passes import Passes, add_pass
from tigerfans.http.office.sequencer_history import SequencerHistory
from tigerfans.http.pages.again_page import Askers, again_router
from tigerfans.http.pages.bench_page import bench_router, find_charts
from tigerfans.http.pages.mockpay_page import mockpay_buttons, mockpay_page
from tigerfans.http.pages.pay_page import pay_pages
from tigerfans.http.pages.rendering import Renderer, wants_page
from tigerfans.http.pages.robots import robots_route
from tigerfans.http.pages.schema_page import SchemaPage, find_viewer, schema_router
from tigerfans.http.pages.shop_pages import pages_router
from tigerfans.http.problems import Problem, explain_or_log
from tigerfans.http.reading import BODY_BYTES_MAX, JsonRequest
from tigerfans.http.wording import sentence
from tigerfans.office.accounts import Accounts
from tigerfans.office.door_log import DoorLog
from tigerfans.office.order_search import OrderSearch
from tigerfans.office.passwords import Passwords
from tigerfans.office.revenue import Revenues
from tigerfans.office.story import Stories
from tigerfans.payments.mockpay import MockPay
from tigerfans.payments.outbox import Outbox
from tigerfans.settings.settings import Settings
from tigerfans.shop.shop import Shop
from tigerfans.stores.audit import Audit
from tigerfans.stores.door_scans import DoorScans
from tigerfans.stores.mail_requests import MailRequests
from tigerfans.stores.mails import Mails
from tigerfans.stores.people import People
from tigerfans.stores.token_bucket import SharedTokenBucket


def create_app(
    settings: Settings, shop: Shop, mockpay: MockPay | None, streams: OrderStreams | None = None
) -> Litestar:
    """The application over an open shop; it starts and stops nothing by itself.

    MockPay's page and buttons are there where `mockpay` is the shop's payment provider; with
    another one, the page that opens its payments.
    A process that stops hands its `streams` in, to end those that are open then.
    """
    renderer = Renderer(
        shop.catalog.offer,
        provider=shop.provider.name,
        demo=settings.demo,
        links=settings.foot_links,
    )
    outbox = Outbox(shop.orders.database)
    clients = ClientAddresses(settings.limits.trusted_proxies)
    held_cookies = HeldCookies(settings.ticket_secret, shop.hold_seconds)
    guesses = Guesses(
        SharedTokenBucket(shop.sessions.store.run, "guesses", GUESS_RATE, settings.http.workers)
    )
    people = People(shop.orders.database, settings.admin.username)
    passwords = Passwords()
    logins = Logins(settings.admin, people, passwords)
    guard = basic_auth_guard(logins, Passes(settings.ticket_secret), guesses, clients)
    audit = Audit(shop.orders.database)
    mails = Mails(shop.orders.database)
    search = OrderSearch(shop.orders.database)
    offer = shop.catalog.offer
    time_zone = offer.show.time_zone
    revenues = Revenues(
        shop.orders.database, time_zone, offer.currency, [c.code for c in offer.listings]
    )
    accounts = Accounts(search, shop.provider.session_id, time_zone, offer.vat_percent)
    progress = Cached(shop.cancellation.progress, PROGRESS_SECONDS)
    stories = Stories(shop, search, outbox)
    door = Door(shop, DoorScans(shop.orders.database))
    door_log = DoorLog(shop.orders.database)
    documents = Documents(shop, settings.http.public_url)
    routes: list[ControllerRouterHandler] = [
        *buying_routes(shop, clients, held_cookies),
        order_route(shop, streams or OrderStreams(shop.order_answer), documents),
        webhook_route(shop),
        show_route(shop, settings),
        door_keys_route(shop.door_keys),
        *health_routes(shop),
        admin_routes(shop, outbox, SequencerHistory(settings.sequencer), guard),
        admin_order_routes(shop, search, stories, door_log, guard),
        admin_unmatched_routes(shop, guard),
        admin_stock_routes(shop, guard),
        admin_money_routes(shop, revenues, accounts, progress, guard),
        audit_route(audit, guard),
        scanning_routes(door, shop.catalog, guard),
        admin_door_routes(door, door_log, shop.catalog, guard),
        admin_mail_routes(mails, shop.orders, guard),
        mail_pages_router(mails=mails, orders=shop.orders, renderer=renderer, guard=guard),
        again_router(
            requests=MailRequests(shop.orders.database),
            askers=Askers(shop.sessions.store.run, settings.ticket_secret, settings.http.workers),
            renderer=renderer,
            clients=clients,
        ),
        pages_router(shop=shop, renderer=renderer, clients=clients, cookies=held_cookies),
        door_office_router(catalog=shop.catalog, renderer=renderer, guard=guard),
        admin_pages_router(shop=shop, stories=stories, renderer=renderer, guard=guard),
        stock_page_router(shop=shop, renderer=renderer, guard=guard),
        money_router(
            shop=shop, revenues=revenues, progress=progress, renderer=renderer, guard=guard
        ),
        people_router(
            people=people,
            audit=audit,
            logins=logins,
            passwords=passwords,
            owner=settings.admin.username,
            renderer=renderer,
            guard=guard,
        ),
        frames_route(guard),
        door_page_router(door=door, catalog=shop.catalog, renderer=renderer, guard=guard),
        door_worker_route(renderer),
        bench_router(renderer, charts=find_charts()),
        renderer.static.router(),
        robots_route(),
    ]
    if mockpay:
        routes += [mockpay_page(shop, renderer), mockpay_buttons(shop, mockpay)]
    else:
        routes += pay_pages(shop, renderer, settings.http.public_url or settings.http.url)
    if settings.bench:
        routes += accounting_routes(shop)

    def on_error(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        problem = _problem(error)
        if wants_page(request):
            return renderer.error_page(
                request, problem.status_code, problem.detail, problem.headers
            )
        return Response(
            problem.answer,
            status_code=problem.status_code,
            headers=dict(problem.headers or {}),
        )

    app = Litestar(
        route_handlers=routes,
        exception_handlers={Exception: on_error},
        before_send=[add_pass, add_missing_headers],
        on_shutdown=[guesses.close, door.close],
        request_class=JsonRequest,
        request_max_body_size=BODY_BYTES_MAX,
        openapi_config=openapi_config(SchemaPage(renderer, find_viewer()), schema_router()),
        state=State({PUBLIC_URL: settings.http.public_url}),
        # The process that serves sets up logging, once for all.
        logging_config=None,
    )
    describe_routes(app, shop.provider, shop.catalog)
    return app


def _problem(error: Exception) -> Problem:
    if isinstance(error, HTTPException):
        return Problem(error.status_code, sentence(error), error.headers)
    return explain_or_log(error)
