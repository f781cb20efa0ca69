"""Is this worker alive, and can it sell? Answered by the event loop that does the selling."""

import asyncio
from collections.abc import Awaitable
from typing import Final

import msgspec
from litestar import Response, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import ControllerRouterHandler

from tigerfans.caching import Cached
from tigerfans.http.problems import RETRY_AFTER_SECONDS, ProblemAnswer, explain_or_log
from tigerfans.shop.shop import Shop

READY_SECONDS_MAX: Final = 3.0
# Whoever asks within this time shares one answer of a store: its connections are for the buyers.
PING_SECONDS: Final = 0.1


class HealthAnswer(msgspec.Struct):
    """How this worker is: `alive`, or `ready` to sell."""

    status: str


class NotReadyAnswer(ProblemAnswer):
    """Who does not answer: `ledger`, `redis` or `postgresql`."""

    away: list[str]


def health_routes(shop: Shop) -> list[ControllerRouterHandler]:
    redis = Cached(shop.sessions.ping, PING_SECONDS)
    postgresql = Cached(shop.orders.ping, PING_SECONDS)

    @get("/healthz", tags=["health"])
    async def get_health() -> HealthAnswer:
        """This worker is alive."""
        return HealthAnswer("alive")

    @get(
        "/readyz",
        tags=["health"],
        responses={503: ResponseSpec(NotReadyAnswer, description="Somebody does not answer.")},
    )
    async def get_readiness() -> Response[HealthAnswer | NotReadyAnswer]:
        """Ledger, Redis and PostgreSQL answer; else a 503 names those who do not."""
        checks: dict[str, Awaitable[object]] = {
            "ledger": shop.inventory(),
            "redis": redis.get(),
            "postgresql": postgresql.get(),
        }
        results = await asyncio.gather(*map(_answers, checks.values()))
        away = [name for name, is_up in zip(checks, results, strict=True) if not is_up]
        if not away:
            return Response(HealthAnswer("ready"))
        return Response(
            NotReadyAnswer(f"Not ready: {', '.join(away)} does not answer.", away),
            status_code=503,
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )

    return [get_health, get_readiness]


async def _answers(check: Awaitable[object]) -> bool:
    try:
        async with asyncio.timeout(READY_SECONDS_MAX):
            await check
    except TimeoutError:
        return False
    except Exception as error:
        explain_or_log(error)
        return False
    return True
