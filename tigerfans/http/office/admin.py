"""The operator's JSON API, behind the login: figures, and what waits for somebody.

Orders are in `admin_orders`.
"""

import math
import time
from typing import Any, Final

from litestar import MediaType, Response, Router, get
from litestar.types import Guard

from tigerfans.caching import Cached
from tigerfans.hosts.roster import Roster
from tigerfans.http.office.admin_orders import ITEMS_MAX, Limit
from tigerfans.http.office.answers import (
    GoodiesAnswer,
    HostsAnswer,
    OrderItem,
    PendingAnswer,
    RefundsAnswer,
    SessionItem,
    WebhookItem,
    WebhooksAnswer,
)
from tigerfans.http.office.auth import OPERATOR
from tigerfans.http.office.parameters import known_parameters
from tigerfans.http.office.sequencer_history import SequencerHistory
from tigerfans.office.permissions import Permission
from tigerfans.payments.outbox import Outbox
from tigerfans.shop.payment_line import estimate
from tigerfans.shop.shop import Shop

# They say something new once a second.
HOSTS_CACHE_SECONDS: Final = 1.0


def admin_routes(shop: Shop, outbox: Outbox, sequencer: SequencerHistory, guard: Guard) -> Router:
    hosts = Cached(Roster(shop.sessions.store).read, HOSTS_CACHE_SECONDS)

    @get("/api/pending", permission=Permission.SEE, parameters=("limit",))
    async def list_pending(limit: Limit = ITEMS_MAX) -> PendingAnswer:
        """The latest payment sessions that can still be paid."""
        sessions, total = await shop.sessions.pending(limit)
        now_ms = time.time_ns() // 1_000_000
        page_url, currency = shop.provider.page_url, shop.catalog.currency
        items = [
            SessionItem.of(each, currency, page_url(each.order_id.hex_digits), now_ms)
            for each in sessions
        ]
        line = await estimate(shop)
        if line is None:
            return PendingAnswer(items, limit, total)
        wait, wait_max = math.ceil(line.wait_seconds), math.floor(line.wait_seconds_max)
        return PendingAnswer(items, limit, total, wait, wait_max)

    @get("/api/admin/goodies", permission=Permission.SEE)
    async def count_goodies() -> GoodiesAnswer:
        """How many goodies are granted, of how many."""
        stock = await shop.goodies()
        return GoodiesAnswer(used=stock.sold, limit=stock.capacity)

    @get("/api/admin/webhooks", permission=Permission.SEE, parameters=("limit",))
    async def list_webhooks(limit: Limit = ITEMS_MAX) -> WebhooksAnswer:
        """The oldest webhooks that nobody confirmed."""
        undelivered, total = await outbox.undelivered(limit)
        return WebhooksAnswer([WebhookItem.of(each) for each in undelivered], limit, total)

    @get("/api/admin/refunds", permission=Permission.SEE, parameters=("limit",))
    async def list_refunds(limit: Limit = ITEMS_MAX) -> RefundsAnswer:
        """The oldest orders that were paid and cannot be fulfilled."""
        due, total = await shop.orders.refunds_due(limit)
        return RefundsAnswer([OrderItem.of(order) for order in due], limit, total)

    @get("/api/admin/hosts", permission=Permission.SEE)
    async def list_hosts() -> HostsAnswer:
        """The shop's hosts, each with its last second, and what is wrong with them together."""
        return HostsAnswer.of(await hosts.get())

    @get("/api/admin/history", permission=Permission.SEE)
    async def get_history() -> Response[Any]:
        """The shop's last minutes, a list for each figure: see the sequencer's `/history`."""
        return Response(await sequencer.page(), media_type=MediaType.JSON)

    return Router(
        "/",
        route_handlers=[
            list_pending,
            count_goodies,
            list_webhooks,
            list_refunds,
            list_hosts,
            get_history,
        ],
        guards=[guard, known_parameters],
        response_headers={"cache-control": "no-store"},
        tags=[OPERATOR],
        security=[{OPERATOR: []}],
    )
