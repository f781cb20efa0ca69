"""Are the secrets secret, and is nothing open to the world that should not be?"""

import importlib.util
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from tigerfans.doctor.findings import Findings
from tigerfans.offer.file import OfferError
from tigerfans.offer.taken import TakenOffer, find_taken
from tigerfans.offer.windows import SaleState
from tigerfans.payments import stripe_amounts
from tigerfans.settings.settings import Settings, is_loopback, unknown_variables

# Of random letters and digits, nobody guesses so many.
SECRET_CHARACTERS_MIN: Final = 16
PASSWORD_CHARACTERS_MIN: Final = 12

AREA: Final = "settings"
OFFER_FILE: Final = "the event's file"
# Of the extra `door`: `door.pictures` imports it where somebody sends a picture.
PICTURE_READER: Final = "zxingcpp"


def check_variables(environ: Mapping[str, str], settings: Settings) -> Findings:
    """Is everything that was set for the shop a setting?"""
    findings = Findings(AREA, settings.environment)
    for name, sentence in unknown_variables(environ, settings.offer).items():
        findings.warn(name, "no setting", sentence)
    return findings


def check_configuration(settings: Settings) -> Findings:
    findings = Findings(AREA, settings.environment)
    if settings.environment == "production":
        findings.good("TIGERFANS_ENV", "production")
    else:
        findings.warn("TIGERFANS_ENV", "development", "Set TIGERFANS_ENV=production.")
    _check_offer(settings, findings)
    _check_secrets(settings, findings)
    _check_provider(settings, findings)
    findings.required(
        "TIGERFANS_BENCH",
        not settings.bench,
        "1" if settings.bench else "0",
        "Unset it: it lets anybody take tickets without paying.",
    )
    _check_addresses(settings, findings)
    _check_public_url(settings, findings)
    _check_limits(settings, findings)
    _check_door(settings, findings)
    return findings


def _check_offer(settings: Settings, findings: Findings) -> None:
    """That it can be read was seen when the settings were."""
    offer, now = settings.offer, time.time()
    classes = settings.build_catalog().classes
    found = f"{offer.show.name}, {offer.path or 'the demonstration'}"
    if all(each.sale_state(now) is SaleState.ENDED for each in classes):
        advice = "Set on_sale_until, or ends_at, to a later time, and reload the shop."
        findings.warn("TIGERFANS_OFFER", f"{found}: nothing is on sale any more", advice)
    else:
        findings.good("TIGERFANS_OFFER", found)
    if offer.path is not None:
        _check_taken(offer.path, find_taken(settings.data), findings)


def _check_taken(path: Path, taken: TakenOffer | None, findings: Findings) -> None:
    """Is what the shop sells what its file says?"""
    if taken is None or taken.path != str(path):
        found = "not taken over: a process that starts again sells what the file says by then"
        findings.warn(OFFER_FILE, found, "Take it over, by `tigerfans offer take`.")
        return
    try:
        is_changed = TakenOffer.of(path) != taken
    except OfferError as error:
        findings.warn(OFFER_FILE, str(error), "Correct it; until then the shop sells what it did.")
        return
    if is_changed:
        found = "has changed since it was taken over"
        advice = "Reload the shop (`tigerfans offer take`, and replace the workers)."
        findings.warn(OFFER_FILE, found, advice)
    else:
        findings.good(OFFER_FILE, "what the shop sells")


def _check_secrets(settings: Settings, findings: Findings) -> None:
    webhook, ticket = settings.payments.secrets, settings.ticket_secret
    password = settings.admin.password
    defaults = settings.default_secrets()
    is_reached = not is_loopback(settings.http.host)
    for name, length, length_min in (
        (
            settings.payments.secret_setting,
            min(map(len, webhook), default=0),
            SECRET_CHARACTERS_MIN,
        ),
        ("TIGERFANS_TICKET_SECRET", len(ticket), SECRET_CHARACTERS_MIN),
        ("ADMIN_PASSWORD", len(password), PASSWORD_CHARACTERS_MIN),
    ):
        if name in defaults:
            found = "not set, or the default, which everybody knows"
            advice = "Set it to the output of `openssl rand -hex 24`."
            if settings.payments.takes_money:
                findings.bad(name, f"{found}, and buyers pay real money", advice)
            elif is_reached:
                findings.bad(name, f"{found}, and other machines reach the shop", advice)
            else:
                findings.required(name, False, found, advice)
        elif name == "STRIPE_WEBHOOK_SECRETS":
            # Stripe makes them, and the shop knows them by their form.
            findings.good(name, "set")
        elif length < length_min:
            advice = f"Take at least {length_min} random characters: `openssl rand -hex 24`."
            findings.warn(name, f"{length} characters", advice)
        else:
            findings.good(name, f"set, {length} characters")
    if len({*webhook, ticket, password}) < len(webhook) + 2:
        findings.warn("secrets", "one is used twice", "Give each its own.")


def _check_provider(settings: Settings, findings: Findings) -> None:
    payments = settings.payments
    in_production = settings.environment == "production"
    if payments.provider == "stripe":
        for problem in payments.stripe.problems(payments.secrets, in_production=in_production):
            advice = "Copy it from Stripe's Dashboard: docs/stripe.md says from where."
            findings.bad("TIGERFANS_PAYMENT_PROVIDER", problem, advice)
        if importlib.util.find_spec("stripe") is None:
            advice = "Install it: `pip install 'tigerfans[stripe]'`."
            findings.bad("TIGERFANS_PAYMENT_PROVIDER", "Stripe's library is missing", advice)
        for problem in stripe_amounts.problems(settings.offer):
            findings.bad("TIGERFANS_OFFER", problem, "Change it in the offer's file.")
    if payments.takes_money:
        findings.good("TIGERFANS_PAYMENT_PROVIDER", payments.description)
    elif settings.demo:
        found = f"{payments.provider}, a demonstration in which no money is meant"
        findings.good("TIGERFANS_PAYMENT_PROVIDER", found)
    else:
        findings.required(
            "TIGERFANS_PAYMENT_PROVIDER",
            False,
            payments.description,
            "Sell by one that takes money, or set TIGERFANS_DEMO=1 where none is meant.",
        )


def _check_addresses(settings: Settings, findings: Findings) -> None:
    http, sequencer = settings.http, settings.sequencer
    for name, host, port, advice in (
        (
            "TIGERFANS_HOST",
            http.host,
            http.port,
            "Listen on 127.0.0.1, behind a proxy that speaks HTTPS (ops/Caddyfile).",
        ),
        (
            "TIGERFANS_METRICS_ADDRESS",
            sequencer.metrics_host,
            sequencer.metrics_port,
            "Listen on 127.0.0.1: nothing there asks for a password.",
        ),
    ):
        if is_loopback(host):
            findings.good(name, f"{host}:{port}, this machine only")
        else:
            findings.warn(name, f"{host}:{port}, open to other machines", advice)


def _check_public_url(settings: Settings, findings: Findings) -> None:
    url = settings.http.public_url
    if url is None:
        found, advice = (
            "not set",
            "Set it to where buyers find the shop: links of mails lead there.",
        )
        findings.warn("TIGERFANS_PUBLIC_URL", found, advice)
    elif url.startswith("https://"):
        findings.good("TIGERFANS_PUBLIC_URL", url)
    else:
        advice = "Have a proxy speak HTTPS: the operator's password goes over the wire."
        findings.warn("TIGERFANS_PUBLIC_URL", url, advice)


def _check_limits(settings: Settings, findings: Findings) -> None:
    limits = settings.limits
    _check_tickets_per_order(settings, findings)
    name = "TIGERFANS_HOLDS_PER_CLIENT"
    if not limits.holds_per_client:
        advice = "Set it: without a limit, one client can keep every ticket on hold."
        findings.warn(name, "0, no limit", advice)
        return
    findings.good(name, f"{limits.holds_per_client:,}")
    # What listens on this machine only is reached from elsewhere through a proxy.
    findings.required(
        "TIGERFANS_TRUSTED_PROXIES",
        bool(limits.trusted_proxies) or not is_loopback(settings.http.host),
        ", ".join(map(str, limits.trusted_proxies)) or "not set",
        "Name the proxy in front of the shop: all buyers count as one client without it.",
    )


def _check_door(settings: Settings, findings: Findings) -> None:
    """Which codes let in, and may every telephone scan them?"""
    number = settings.door_key
    before = f" and of {number - 1}" if number > 1 else ""
    findings.good("TIGERFANS_DOOR_KEY", f"codes of key {number}{before} are valid")
    if find_spec(PICTURE_READER) is not None:
        findings.good(PICTURE_READER, "pictures of codes are read")
    else:
        advice = "Install the extra door: telephones whose browser finds no codes need it to scan."
        findings.warn(PICTURE_READER, "not installed", advice)


def _check_tickets_per_order(settings: Settings, findings: Findings) -> None:
    """Can anybody hold as many as the offer allows?"""
    offered = settings.offer.tickets_per_order
    limits = settings.limits.holds_per_client, settings.holds_per_email
    possible = min(limit or offered for limit in (offered, *limits))
    if possible < offered:
        found = f"{offered} by the event's file, and nobody may have more than {possible} on hold"
        advice = "Raise TIGERFANS_HOLDS_PER_CLIENT or TIGERFANS_HOLDS_PER_EMAIL, or lower it."
        findings.warn("tickets_per_order", found, advice)
