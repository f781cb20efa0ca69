"""The moment a shop opens: it is asked whether it is ready, and says where it is found."""

import asyncio
from typing import Final

import httpx

from tigerfans.settings.folder import MAIL_FOLDER, DataFolder
from tigerfans.settings.settings import DEFAULT_ADMIN_PASSWORD, Settings
from tigerfans.stack.plan import Plan
from tigerfans.stack.service import ServiceError

READY_TIMEOUT_S: Final = 30.0
READY_PAUSE_S: Final = 0.05
READY_REQUEST_TIMEOUT_S: Final = 10.0


async def until_ready(url: str) -> None:
    """Waits for `GET /readyz` to answer 200; raises `ServiceError` with what it said instead."""
    answer = "no answer"
    try:
        # The environment may name a proxy, which has no business here.
        async with (
            asyncio.timeout(READY_TIMEOUT_S),
            httpx.AsyncClient(trust_env=False, timeout=READY_REQUEST_TIMEOUT_S) as client,
        ):
            while True:
                try:
                    response = await client.get(f"{url}/readyz")
                except httpx.TransportError as error:
                    answer = f"{type(error).__name__}: {error}"
                else:
                    if response.status_code == httpx.codes.OK:
                        return
                    answer = f"{response.status_code} {response.text}"
                await asyncio.sleep(READY_PAUSE_S)
    except TimeoutError:
        raise ServiceError(
            f"The shop was not ready within {READY_TIMEOUT_S:.0f} s; /readyz says: {answer}"
        ) from None


def banner(plan: Plan) -> str:
    """What a person wants to know about a shop that has just opened."""
    settings = plan.settings
    metrics = f"{settings.sequencer.metrics_host}:{settings.sequencer.metrics_port}"
    url = settings.http.public_url or settings.http.url
    lines = {
        "shop": url,
        "admin": f"{url}/admin  ({_login(settings)})",
        "metrics": f"http://{metrics}/metrics",
        "ledger": plan.ledger.description,
        "workers": str(settings.http.workers),
        "payments": settings.payments.description,
        "mail": _mail(settings, plan.folder),
        "data": f"{plan.folder.root}  (logs in {plan.folder.logs.name}/)",
    }
    table = "\n".join(f"  {name:<8}  {text}" for name, text in lines.items())
    advice = f"\n{plan.ledger.advice}\n" if plan.ledger.advice else ""
    return f"\nTigerFans is open.\n\n{table}\n{advice}\nCtrl-C stops everything.\n"


def _mail(settings: Settings, folder: DataFolder) -> str:
    server = settings.mail.server
    if server is None:
        return f"files in {folder.root / MAIL_FOLDER}  (no SMTP_URL is set)"
    return f"by {server}, from {settings.mail_sender}"


def _login(settings: Settings) -> str:
    if settings.admin.password == DEFAULT_ADMIN_PASSWORD:
        return f"{settings.admin.username} / {DEFAULT_ADMIN_PASSWORD}"
    return f"{settings.admin.username}, with the ADMIN_PASSWORD that is set"
