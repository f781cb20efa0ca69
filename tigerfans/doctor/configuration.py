"""Are the secrets secret, and is nothing open to the world that should not be?"""

import ipaddress
from typing import Final

from tigerfans.doctor.findings import Findings
from tigerfans.settings.settings import (
    DEFAULT_ADMIN_PASSWORD,
    DEFAULT_TICKET_SECRET,
    DEFAULT_WEBHOOK_SECRET,
    Settings,
)

# Of random letters and digits, nobody guesses so many.
SECRET_CHARACTERS_MIN: Final = 16
PASSWORD_CHARACTERS_MIN: Final = 12

AREA: Final = "settings"


def check_configuration(settings: Settings) -> Findings:
    findings = Findings(AREA, settings.environment)
    if settings.environment == "production":
        findings.good("TIGERFANS_ENV", "production")
    else:
        findings.warn("TIGERFANS_ENV", "development", "Set TIGERFANS_ENV=production.")
    _check_secrets(settings, findings)
    findings.required(
        "TIGERFANS_BENCH",
        not settings.bench,
        "1" if settings.bench else "0",
        "Unset it: it lets anybody take tickets without paying.",
    )
    _check_addresses(settings, findings)
    return findings


def _check_secrets(settings: Settings, findings: Findings) -> None:
    webhook, ticket = settings.payments.secrets, settings.ticket_secret
    password = settings.admin.password
    for name, is_default, length, length_min in (
        (
            settings.payments.secret_setting,
            DEFAULT_WEBHOOK_SECRET in webhook,
            min(map(len, webhook)),
            SECRET_CHARACTERS_MIN,
        ),
        (
            "TIGERFANS_TICKET_SECRET",
            ticket == DEFAULT_TICKET_SECRET,
            len(ticket),
            SECRET_CHARACTERS_MIN,
        ),
        (
            "ADMIN_PASSWORD",
            password == DEFAULT_ADMIN_PASSWORD,
            len(password),
            PASSWORD_CHARACTERS_MIN,
        ),
    ):
        if is_default:
            found = "not set, or the default, which everybody knows"
            findings.required(name, False, found, "Set it to the output of `openssl rand -hex 24`.")
        elif length < length_min:
            advice = f"Take at least {length_min} random characters: `openssl rand -hex 24`."
            findings.warn(name, f"{length} characters", advice)
        else:
            findings.good(name, f"set, {length} characters")
    if len({*webhook, ticket, password}) < len(webhook) + 2:
        findings.warn("secrets", "one is used twice", "Give each its own.")


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


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
