"""All settings, read from the environment in one place: one frozen dataclass for each concern.

`Settings.from_environment(os.environ)` is called once, by the command line; everything else is
handed the values it needs. A variable that cannot be read raises `SettingsError` with a sentence
that names it. `Settings.to_environment` is the way back, for the processes the stack starts.
"""

import difflib
import ipaddress
import re
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args
from urllib.parse import urlsplit

from tigerfans.offer.catalog import Catalog
from tigerfans.offer.file import OfferError, demo
from tigerfans.offer.offer import GOODIES_SETTING, TICKETS_SETTING, ClassCode, Offer
from tigerfans.offer.taken import named_offer
from tigerfans.settings.smtp_url import SmtpServer, read_smtp_url
from tigerfans.settings.store_urls import (
    SENTINEL_SCHEME,
    UrlError,
    check_redis_url,
    is_sentinel_url,
    read_database_url,
    read_sentinel_url,
)
from tigerfans.settings.stripe_settings import (
    SESSIONS_PER_SECOND,
    SESSIONS_PER_SECOND_MAX,
    StripeSettings,
)

DEFAULT_WEBHOOK_SECRET: Final = "supersecret"  # noqa: S105
DEFAULT_TICKET_SECRET: Final = "supersecret-tickets"  # noqa: S105
DEFAULT_ADMIN_PASSWORD: Final = "supasecret"  # noqa: S105

WORKERS_MAX: Final = 64
TICKETS_MAX: Final = 1_000_000_000
HOLD_SECONDS_MAX: Final = 24 * 3600
SECRETS_MAX: Final = 2
CONNECTIONS_MAX: Final = 1_000_000
BACKLOG_MAX: Final = 65_535
# One writes orders, one reads them, one is for everything else.
DATABASE_CONNECTIONS_MIN: Final = 3
DATABASE_CONNECTIONS_MAX: Final = 64
# Redis writes a buyer's holds anew with each, and looks through them to refuse one.
HOLDS_PER_BUYER_MAX: Final = 200
# Of a household or a small office, but not of somebody who takes the hall.
HOLDS_PER_CLIENT_IN_PRODUCTION: Final = 20
# A signed code says which key it is of in one byte.
DOOR_KEY_MAX: Final = 255
# What a small relay takes from one sender, without asking who that is.
MAILS_PER_SECOND: Final = 10
MAILS_PER_SECOND_MAX: Final = 100

Environment = Literal["development", "production"]
Network = IPv4Network | IPv6Network
# Takes the name of the event's file, empty for none, and the data folder.
FindOffer = Callable[[str, Path], Offer]

ProviderName = Literal["mockpay", "stripe"]


class ProviderRow(NamedTuple):
    """A payment provider: the variable of the secrets that its webhooks are signed by, the secret
    that a shop without one has, None where it cannot start, and whether its buyers pay nothing.
    """

    secrets_setting: str
    default_secret: str | None = DEFAULT_WEBHOOK_SECRET
    is_demo: bool = False


# The payment providers there are; `payments.providers` has how each is made.
PROVIDERS: Final[Mapping[ProviderName, ProviderRow]] = {
    "mockpay": ProviderRow("MOCK_SECRET", is_demo=True),
    "stripe": ProviderRow("STRIPE_WEBHOOK_SECRETS", default_secret=None),
}
# What a buyer's page links to at its foot, each with the variable that says where it is, in place
# of the offer.
FOOT_LINKS: Final[Mapping[str, str]] = {
    "Imprint": "TIGERFANS_IMPRINT_URL",
    "Terms": "TIGERFANS_TERMS_URL",
    "Privacy": "TIGERFANS_PRIVACY_URL",
    "Contact": "TIGERFANS_CONTACT_URL",
}
# What may differ from host to host of one shop; every other setting has to be the same on all.
HOST_SETTINGS: Final = frozenset(
    {
        "TIGERFANS_HOST_NAME",
        "TIGERFANS_HOST",
        "TIGERFANS_PORT",
        "TIGERFANS_WORKERS",
        "TIGERFANS_PIN_WORKERS",
        "TIGERFANS_CONNECTIONS",
        "TIGERFANS_BACKLOG",
        "TIGERFANS_METRICS_ADDRESS",
        "TIGERFANS_DATABASE_CONNECTIONS",
        "TIGERFANS_SEQUENCER_SOCKET",
        "TIGERFANS_DATA",
    }
)
# What a host may be called, and of the machine's name as much as is taken.
HOST_NAME_CHARACTERS_MAX: Final = 50
# What a variable begins with that is certainly meant for the shop.
PREFIX: Final = "TIGERFANS_"
_HOST_NAME: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{HOST_NAME_CHARACTERS_MAX - 1}}}")
# What mails can come from: plain, for it stands in their headers.
_MAIL_ADDRESS: Final = re.compile(r"[A-Za-z0-9._+-]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
# How much of a name has to be right for another one to be meant.
LIKENESS_MIN: Final = 0.6
_CLERK: Final = "clerk-"
DEFAULT_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}


class SettingsError(Exception):
    """A setting cannot be used; the message is one sentence that names its variable."""


@dataclass(frozen=True, slots=True)
class CatalogSettings:
    """How much there is to sell, where it is not as the offer says: tickets of classes by their
    codes, and goodies.
    """

    tickets: Mapping[ClassCode, int] = field(default_factory=dict)
    goodies: int | None = None


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Where the shop listens, with how many worker processes, and what each of them takes on."""

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 2
    # Each to a core of its own, as far as that can be done evenly.
    pins_workers: bool = True
    # Open connections, idle ones too. Past it new ones wait in the kernel's queue, which holds
    # `backlog` of them; past that they are refused.
    connections: int = 4096
    backlog: int = 2048
    # Where everybody else reaches the shop, as a browser names it: `https://tickets.example.org`.
    # None where nobody has said so.
    public_url: str | None = None

    @property
    def url(self) -> str:
        """Where this machine reaches the shop."""
        return _local_url(self.host, self.port)


@dataclass(frozen=True, slots=True)
class SequencerSettings:
    """The sequencer's socket for workers, and its address (`host:port`) for metrics."""

    socket: Path = Path("data/run/sequencer.sock")
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 8001

    @property
    def metrics_url(self) -> str:
        """Where this machine reaches the sequencer's pages."""
        return _local_url(self.metrics_host, self.metrics_port)


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """PostgreSQL and Redis; None means that `tigerfans up` starts one."""

    database_url: str | None = field(default=None, repr=False)
    redis_url: str | None = field(default=None, repr=False)
    # Of each worker, those that its batchers keep included.
    database_connections: int = 4


@dataclass(frozen=True, slots=True)
class PaymentSettings:
    """The payment provider and the secret of its webhooks; where MockPay sends its own."""

    provider: ProviderName = "mockpay"
    # While it is rotated there are two, and both are accepted: the first one signs.
    secrets: tuple[str, ...] = field(default=(DEFAULT_WEBHOOK_SECRET,), repr=False)
    # None: to this shop.
    webhook_url: str | None = None
    stripe: StripeSettings = field(default_factory=StripeSettings)

    @property
    def takes_money(self) -> bool:
        is_test = self.provider == "stripe" and not self.stripe.takes_money
        return not (PROVIDERS[self.provider].is_demo or is_test)

    @property
    def description(self) -> str:
        """Who takes the money, and whether it is any, in the operator's words."""
        if self.provider == "stripe":
            return self.stripe.description
        is_demo = PROVIDERS[self.provider].is_demo
        return f"{self.provider}, which takes no money" if is_demo else self.provider

    @property
    def secret_setting(self) -> str:
        """The variable that holds the secret, such as `MOCK_SECRET`."""
        return PROVIDERS[self.provider].secrets_setting


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """How many tickets one buyer may have on hold, 0 for no limit; and who tells buyers apart.

    `holds_per_email` is None where the offer says it. `trusted_proxies` are those whose
    X-Forwarded-For is believed.
    """

    holds_per_client: int = 0
    holds_per_email: int | None = None
    trusted_proxies: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class MailSettings:
    """Who takes the mails to buyers; where nobody does, they are files in the data folder."""

    smtp_url: str | None = field(default=None, repr=False)
    # None: the offer's contact, where that is an address.
    sender: str | None = None
    # Of all clerks together.
    per_second: int = MAILS_PER_SECOND

    @property
    def server(self) -> SmtpServer | None:
        return None if self.smtp_url is None else _smtp_server(self.smtp_url)


@dataclass(frozen=True, slots=True)
class AdminSettings:
    username: str = "admin"
    password: str = field(default=DEFAULT_ADMIN_PASSWORD, repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    offer: Offer = field(default_factory=demo, repr=False)
    catalog: CatalogSettings = field(default_factory=CatalogSettings)
    http: HttpSettings = HttpSettings()
    sequencer: SequencerSettings = SequencerSettings()
    stores: StoreSettings = StoreSettings()
    payments: PaymentSettings = PaymentSettings()
    limits: LimitSettings = LimitSettings()
    mail: MailSettings = MailSettings()
    admin: AdminSettings = AdminSettings()
    # At the foot of a buyer's page, in place of the offer's: addresses by their label.
    links: Mapping[str, str] = field(default_factory=dict)
    # `embedded:DIR`, `tigerbeetle://ADDR[,ADDR…]/CLUSTER`, or None: `tigerfans up` decides.
    ledger: str | None = None
    data: Path = Path("data")
    # Among those of its shop.
    host_name: str = field(default_factory=lambda: machine_name())
    hold_seconds: int = 300
    # Ticket codes, payment session ids and the order ids of idempotency keys derive from it.
    ticket_secret: str = field(default=DEFAULT_TICKET_SECRET, repr=False)
    # Which of the keys that derive from it signs tickets' QR codes.
    door_key: int = 1
    bench: bool = False
    # No money is meant: tickets may be given away, and the pages say so.
    demo: bool = False
    environment: Environment = "development"

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str], find_offer: FindOffer = named_offer
    ) -> "Settings":
        """Reads the variables listed in docs/settings.md; an empty one counts as not set.

        `find_offer` says which offer that is: the file as it is now, or `taken.sold_offer`. Raises
        `SettingsError` where one cannot be used, or where they are not safe to start with.
        """
        settings = cls.unchecked(environ, find_offer)
        settings.check()
        return settings

    @classmethod
    def unchecked(
        cls, environ: Mapping[str, str], find_offer: FindOffer = named_offer
    ) -> "Settings":
        """Reads the same, whether or not a shop may start with it."""
        return cls._read(_Reader(environ, find_offer))

    @classmethod
    def _read(cls, read: "_Reader") -> "Settings":
        data = Path(read.text("TIGERFANS_DATA", "data"))
        offer = read.offer("TIGERFANS_OFFER", data)
        metrics_host, metrics_port = read.address("TIGERFANS_METRICS_ADDRESS", "127.0.0.1:8001")
        provider = read.choice("TIGERFANS_PAYMENT_PROVIDER", ProviderName)
        environment = read.choice("TIGERFANS_ENV", Environment)
        holds_per_client = HOLDS_PER_CLIENT_IN_PRODUCTION if environment == "production" else 0
        return cls(
            offer=offer,
            catalog=CatalogSettings(
                tickets={
                    listing.code: amount
                    for listing in offer.listings
                    if (amount := read.optional_integer(listing.setting, 0, TICKETS_MAX))
                    is not None
                },
                goodies=read.optional_integer(GOODIES_SETTING, 0, TICKETS_MAX),
            ),
            http=HttpSettings(
                host=read.text("TIGERFANS_HOST", "127.0.0.1"),
                port=read.integer("TIGERFANS_PORT", 8000, 1, 65535),
                workers=read.integer("TIGERFANS_WORKERS", 2, 1, WORKERS_MAX),
                pins_workers=read.switch("TIGERFANS_PIN_WORKERS", default="1"),
                connections=read.integer("TIGERFANS_CONNECTIONS", 4096, 1, CONNECTIONS_MAX),
                backlog=read.integer("TIGERFANS_BACKLOG", 2048, 1, BACKLOG_MAX),
                public_url=read.origin("TIGERFANS_PUBLIC_URL"),
            ),
            sequencer=SequencerSettings(
                socket=Path(
                    read.text("TIGERFANS_SEQUENCER_SOCKET", str(data / "run" / "sequencer.sock"))
                ),
                metrics_host=metrics_host,
                metrics_port=metrics_port,
            ),
            stores=StoreSettings(
                database_url=read.database_url("DATABASE_URL"),
                redis_url=read.redis_url("REDIS_URL"),
                database_connections=read.integer(
                    "TIGERFANS_DATABASE_CONNECTIONS",
                    4,
                    DATABASE_CONNECTIONS_MIN,
                    DATABASE_CONNECTIONS_MAX,
                ),
            ),
            payments=PaymentSettings(
                provider=provider,
                secrets=read.secrets(*PROVIDERS[provider][:2]),
                webhook_url=read.url("MOCK_WEBHOOK_URL", ("http", "https")),
                stripe=StripeSettings(
                    secret_key=read.text("STRIPE_SECRET_KEY", ""),
                    sessions_per_second=read.integer(
                        "STRIPE_SESSIONS_PER_SECOND",
                        SESSIONS_PER_SECOND,
                        1,
                        SESSIONS_PER_SECOND_MAX,
                    ),
                    api_base=read.url("STRIPE_API_BASE", ("http", "https")),
                ),
            ),
            limits=LimitSettings(
                holds_per_client=read.integer(
                    "TIGERFANS_HOLDS_PER_CLIENT", holds_per_client, 0, HOLDS_PER_BUYER_MAX
                ),
                holds_per_email=read.optional_integer(
                    "TIGERFANS_HOLDS_PER_EMAIL", 0, HOLDS_PER_BUYER_MAX
                ),
                trusted_proxies=read.networks("TIGERFANS_TRUSTED_PROXIES"),
            ),
            mail=MailSettings(
                smtp_url=read.smtp_url("SMTP_URL"),
                sender=read.mail_address("TIGERFANS_MAIL_FROM"),
                per_second=read.integer(
                    "TIGERFANS_MAIL_PER_SECOND", MAILS_PER_SECOND, 1, MAILS_PER_SECOND_MAX
                ),
            ),
            admin=AdminSettings(
                username=read.text("ADMIN_USERNAME", "admin"),
                password=read.text("ADMIN_PASSWORD", DEFAULT_ADMIN_PASSWORD),
            ),
            links={
                label: url
                for label, name in FOOT_LINKS.items()
                if (url := read.url(name, ("http", "https", "mailto")))
            },
            ledger=read.ledger("TIGERFANS_LEDGER"),
            data=data,
            host_name=read.host_name("TIGERFANS_HOST_NAME"),
            hold_seconds=read.integer("TIGERFANS_HOLD_SECONDS", 300, 1, HOLD_SECONDS_MAX),
            ticket_secret=read.text("TIGERFANS_TICKET_SECRET", DEFAULT_TICKET_SECRET),
            door_key=read.integer("TIGERFANS_DOOR_KEY", 1, 1, DOOR_KEY_MAX),
            bench=read.switch("TIGERFANS_BENCH"),
            demo=read.switch("TIGERFANS_DEMO"),
            environment=environment,
        )

    def build_catalog(self) -> Catalog:
        """What is for sale, and how much of it."""
        return Catalog.build(self.offer, self.catalog.tickets, self.catalog.goodies)

    @property
    def holds_per_email(self) -> int:
        """How many tickets one email address may have on hold; 0 for any number."""
        named = self.limits.holds_per_email
        return self.offer.holds_per_email if named is None else named

    @property
    def foot_links(self) -> dict[str, str]:
        """At the foot of a buyer's page: addresses by their label."""
        named = {**self.offer.links, **self.links}
        return {label: named[label] for label in FOOT_LINKS if label in named}

    @property
    def mail_sender(self) -> str | None:
        """The address that mails come from; None where nobody has said."""
        contact = self.foot_links.get("Contact", "")
        address = contact.removeprefix("mailto:")
        is_address = address != contact and _MAIL_ADDRESS.fullmatch(address)
        return self.mail.sender or (address if is_address else None)

    @property
    def webhook_url(self) -> str:
        """Where the payment provider sends its webhooks."""
        base = self.http.public_url or self.http.url
        return self.payments.webhook_url or f"{base}/payments/webhook"

    def check(self) -> None:
        """Raises `SettingsError` where these settings would give tickets away."""
        self.check_listener(self.http.host, f"TIGERFANS_HOST={self.http.host}")
        provider = f"TIGERFANS_PAYMENT_PROVIDER={self.payments.provider}"
        if self.payments.provider == "stripe":
            self._check_stripe()
        if self.demo and self.payments.takes_money:
            raise SettingsError(
                f"TIGERFANS_DEMO=1 says that no money is taken, but {provider} takes it: unset"
                " one of them."
            )
        free = [each.code for each in self.offer.listings if each.price_cents == 0]
        if free and not PROVIDERS[self.payments.provider].is_demo:
            raise SettingsError(
                f"Class {free[0]} costs nothing, but {provider} cannot take a payment of nothing:"
                f" give it a price in {self.offer.path}."
            )
        if self.mail.smtp_url and self.mail_sender is None:
            raise SettingsError(
                "SMTP_URL says who takes the mails, but not whom they are from: set"
                " TIGERFANS_MAIL_FROM to an address of yours."
            )
        if self.environment != "production":
            return
        if secrets := self.default_secrets():
            raise SettingsError(
                f"TIGERFANS_ENV=production needs a value of your own for {', '.join(secrets)}."
            )
        if self.bench:
            raise SettingsError(
                "TIGERFANS_BENCH=1 opens unpaid sales and is refused with TIGERFANS_ENV=production."
            )
        if not (self.payments.takes_money or self.demo):
            if self.payments.provider == "stripe":
                raise SettingsError(
                    "STRIPE_SECRET_KEY is a test key, by which no money moves, and is refused with"
                    " TIGERFANS_ENV=production: give a live one, sk_live_… or rk_live_…, or set"
                    " TIGERFANS_DEMO=1 where no money is meant."
                )
            raise SettingsError(
                f"{provider} takes no money and is refused with TIGERFANS_ENV=production: name"
                " another provider, or set TIGERFANS_DEMO=1 where no money is meant."
            )

    def _check_stripe(self) -> None:
        """Raises `SettingsError` where nothing can be sold by Stripe."""
        in_production = self.environment == "production"
        stripe = self.payments.stripe
        for problem in stripe.problems(self.payments.secrets, in_production=in_production):
            raise SettingsError(problem)
        if in_production and not (self.http.public_url or "").startswith("https://"):
            raise SettingsError(
                "TIGERFANS_PUBLIC_URL must be set with TIGERFANS_PAYMENT_PROVIDER=stripe, and begin"
                " with https://: buyers come back to it from the payment."
            )

    def check_listener(self, host: str, said_by: str) -> None:
        """Raises `SettingsError` where others reach `host` and a secret is one they know."""
        if not is_loopback(host) and (secrets := self.default_secrets()):
            raise SettingsError(
                f"{said_by} lets other machines in, which needs a value of your own for"
                f" {', '.join(secrets)}."
            )

    def default_secrets(self) -> list[str]:
        """The variables whose secret is still the default, which everybody knows."""
        is_default = {
            self.payments.secret_setting: DEFAULT_WEBHOOK_SECRET in self.payments.secrets,
            "TIGERFANS_TICKET_SECRET": self.ticket_secret == DEFAULT_TICKET_SECRET,
            "ADMIN_PASSWORD": self.admin.password == DEFAULT_ADMIN_PASSWORD,
        }
        return [name for name, is_set in is_default.items() if is_set]

    def to_environment(self) -> dict[str, str]:
        """The variables that `from_environment` reads back as these settings."""
        optional = {
            "TIGERFANS_LEDGER": self.ledger,
            "DATABASE_URL": self.stores.database_url,
            "REDIS_URL": self.stores.redis_url,
            "MOCK_WEBHOOK_URL": self.payments.webhook_url,
            "TIGERFANS_TRUSTED_PROXIES": ",".join(map(str, self.limits.trusted_proxies)) or None,
            "TIGERFANS_PUBLIC_URL": self.http.public_url,
            "TIGERFANS_OFFER": None if self.offer.path is None else str(self.offer.path),
            **{
                f"{TICKETS_SETTING}{code}": str(amount)
                for code, amount in self.catalog.tickets.items()
            },
            GOODIES_SETTING: _text_of(self.catalog.goodies),
            "TIGERFANS_HOLDS_PER_EMAIL": _text_of(self.limits.holds_per_email),
            "STRIPE_SECRET_KEY": self.payments.stripe.secret_key or None,
            "STRIPE_API_BASE": self.payments.stripe.api_base,
            "SMTP_URL": self.mail.smtp_url,
            "TIGERFANS_MAIL_FROM": self.mail.sender,
            **{name: self.links.get(label) for label, name in FOOT_LINKS.items()},
        }
        metrics = f"{self.sequencer.metrics_host}:{self.sequencer.metrics_port}"
        return {
            "TIGERFANS_HOST_NAME": self.host_name,
            "TIGERFANS_HOST": self.http.host,
            "TIGERFANS_PORT": str(self.http.port),
            "TIGERFANS_WORKERS": str(self.http.workers),
            "TIGERFANS_PIN_WORKERS": "1" if self.http.pins_workers else "0",
            "TIGERFANS_CONNECTIONS": str(self.http.connections),
            "TIGERFANS_BACKLOG": str(self.http.backlog),
            "TIGERFANS_DATABASE_CONNECTIONS": str(self.stores.database_connections),
            "TIGERFANS_SEQUENCER_SOCKET": str(self.sequencer.socket),
            "TIGERFANS_METRICS_ADDRESS": metrics,
            "TIGERFANS_PAYMENT_PROVIDER": self.payments.provider,
            self.payments.secret_setting: ",".join(self.payments.secrets),
            "STRIPE_SESSIONS_PER_SECOND": str(self.payments.stripe.sessions_per_second),
            "TIGERFANS_HOLDS_PER_CLIENT": str(self.limits.holds_per_client),
            "TIGERFANS_MAIL_PER_SECOND": str(self.mail.per_second),
            "ADMIN_USERNAME": self.admin.username,
            "ADMIN_PASSWORD": self.admin.password,
            "TIGERFANS_DATA": str(self.data),
            "TIGERFANS_HOLD_SECONDS": str(self.hold_seconds),
            "TIGERFANS_TICKET_SECRET": self.ticket_secret,
            "TIGERFANS_DOOR_KEY": str(self.door_key),
            "TIGERFANS_BENCH": "1" if self.bench else "0",
            "TIGERFANS_DEMO": "1" if self.demo else "0",
            "TIGERFANS_ENV": self.environment,
            **{name: value for name, value in optional.items() if value is not None},
        }

    def shared(self) -> dict[str, str]:
        """The settings that have to be the same on all hosts of a shop; empty where not set."""
        environ = self.to_environment()
        names = _names(self.offer) | {row.secrets_setting for row in PROVIDERS.values()}
        return {name: environ.get(name, "") for name in sorted(names - HOST_SETTINGS)}


def _names(offer: Offer) -> set[str]:
    """The variables that there are; which ones for tickets says the offer."""
    known = _Reader({}, lambda name, data: offer)
    Settings._read(known)
    return known.names


def unknown_variables(environ: Mapping[str, str], offer: Offer) -> dict[str, str]:
    """The variables that are meant for a shop and are no setting of one that sells that offer, each
    with a sentence.
    """
    known = _names(offer)
    return {
        name: _unknown(name, known)
        for name in sorted(environ)
        if name.startswith(PREFIX) and name not in known
    }


def without_offer(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables without the offer's, for a process that knows of no tickets.

    Nor of mails, which may come from the offer's contact.
    """
    return {
        name: value
        for name, value in environ.items()
        if name not in ("TIGERFANS_OFFER", "SMTP_URL") and not name.startswith(TICKETS_SETTING)
    }


def _unknown(name: str, known: Iterable[str]) -> str:
    rests = [setting.removeprefix(PREFIX) for setting in known if setting.startswith(PREFIX)]
    near = difflib.get_close_matches(name.removeprefix(PREFIX), rests, 1, LIKENESS_MIN)
    if near:
        return f"{name} is no setting, and nothing was done with it. Is {PREFIX}{near[0]} meant?"
    return f"{name} is no setting, and nothing was done with it: docs/settings.md has all of them."


def worker_name(number: int) -> str:
    """What `ps`, metrics and logs call a worker, by its number from 1 on."""
    return f"worker-{number}"


def clerk_name(number: int) -> str:
    """What `ps`, metrics and logs call a clerk, by its number from 1 on."""
    return f"{_CLERK}{number}"


def is_clerk(name: str) -> bool:
    """Whether the client of a sequencer that calls itself so is a clerk: it is no worker."""
    return name.startswith(_CLERK)


def machine_name() -> str:
    """What this machine calls itself, as far as a host may be called so."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname()).lstrip("._-")
    return name[:HOST_NAME_CHARACTERS_MAX] or "host"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there; of names, only one is known."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _smtp_server(url: str) -> SmtpServer:
    """The server of an SMTP_URL; raises `UrlError`."""
    try:
        is_near = is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        is_near = False
    return read_smtp_url(url, is_near=is_near)


def _text_of(number: int | None) -> str | None:
    return None if number is None else str(number)


def _scheme(url: str) -> str:
    return url.partition(":")[0].lower()


def _local_url(host: str, port: int) -> str:
    """How this machine reaches what listens there; a wildcard is reached over loopback."""
    host = host.strip("[]")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Reader:
    """Reads typed values; every failure is a `SettingsError` that names the variable."""

    def __init__(self, environ: Mapping[str, str], find_offer: FindOffer) -> None:
        self._environ = environ
        self._find_offer = find_offer
        # All that were asked for, which are all there are.
        self.names: set[str] = set()

    def text(self, name: str, default: str) -> str:
        self.names.add(name)
        return self._environ.get(name) or default

    def host_name(self, name: str) -> str:
        raw = self.text(name, machine_name())
        if not _HOST_NAME.fullmatch(raw):
            raise SettingsError(
                f"{name} must be 1 to {HOST_NAME_CHARACTERS_MAX} letters, digits, dots, hyphens and"
                f" underscores, with a letter or digit first, not {raw!r}."
            )
        return raw

    def secrets(self, name: str, default: str | None) -> tuple[str, ...]:
        """None where there is neither one nor a default: `Settings.check` refuses that."""
        raw = self.text(name, default or "")
        if not raw and default is None:
            return ()
        secrets = tuple(raw.split(","))
        if not all(secrets) or len(secrets) > SECRETS_MAX:
            raise SettingsError(f"{name} must be one secret, or two with a comma between them.")
        return secrets

    def integer(self, name: str, default: int, minimum: int, maximum: int) -> int:
        raw = self.text(name, str(default))
        try:
            value = int(raw)
        except ValueError:
            raise SettingsError(f"{name} must be a whole number, not {raw!r}.") from None
        if not minimum <= value <= maximum:
            raise SettingsError(f"{name} must be from {minimum} to {maximum}, not {value}.")
        return value

    def optional_integer(self, name: str, minimum: int, maximum: int) -> int | None:
        """None where it is not set: something else says it."""
        if not self.text(name, ""):
            return None
        return self.integer(name, minimum, minimum, maximum)

    def offer(self, name: str, data: Path) -> Offer:
        """The offer of the file that is named, the demonstration where none is."""
        try:
            return self._find_offer(self.text(name, ""), data)
        except OfferError as error:
            raise SettingsError(f"{name}: {error}") from None

    def switch(self, name: str, default: str = "0") -> bool:
        raw = self.text(name, default)
        if raw not in ("0", "1"):
            raise SettingsError(f"{name} must be 0 or 1, not {raw!r}.")
        return raw == "1"

    def address(self, name: str, default: str) -> tuple[str, int]:
        raw = self.text(name, default)
        host, _, port = raw.rpartition(":")
        if not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
            raise SettingsError(f"{name} must be host:port, not {raw!r}.")
        return host, int(port)

    def url(self, name: str, schemes: tuple[str, ...]) -> str | None:
        raw = self.text(name, "")
        if not raw:
            return None
        if _scheme(raw) not in schemes:
            expected = " or ".join(f"{scheme}://…" for scheme in schemes)
            raise SettingsError(f"{name} must be a URL such as {expected}.")
        return raw

    def database_url(self, name: str) -> str | None:
        raw = self.text(name, "")
        if not raw:
            return None
        try:
            read_database_url(raw)
        except UrlError as error:
            raise SettingsError(f"{name} {error}") from None
        return raw

    def redis_url(self, name: str) -> str | None:
        raw = self.text(name, "")
        try:
            if not is_sentinel_url(raw):
                check_redis_url(raw)
                return self.url(name, ("redis", "rediss", "unix", SENTINEL_SCHEME))
            read_sentinel_url(raw)
        except UrlError as error:
            raise SettingsError(f"{name} {error}") from None
        return raw

    def smtp_url(self, name: str) -> str | None:
        raw = self.text(name, "")
        if not raw:
            return None
        try:
            _smtp_server(raw)
        except UrlError as error:
            raise SettingsError(f"{name} {error}") from None
        return raw

    def mail_address(self, name: str) -> str | None:
        raw = self.text(name, "")
        if raw and not _MAIL_ADDRESS.fullmatch(raw):
            raise SettingsError(
                f"{name} must be a plain email address, such as tickets@example.org, not {raw!r}."
            )
        return raw or None

    def origin(self, name: str) -> str | None:
        """Scheme, host and port, written as a browser writes them in the header Origin."""
        raw = self.text(name, "")
        if not raw:
            return None
        try:
            parts = urlsplit(raw)
            host = (parts.hostname or "").encode("idna").decode()
            port = parts.port
        except ValueError:
            host, port = "", None
        is_plain = host and parts.username is None and parts.path in ("", "/")
        if parts.scheme not in DEFAULT_PORTS or not is_plain or parts.query or parts.fragment:
            raise SettingsError(
                f"{name} must be where the shop is, with nothing after the host, such as"
                " https://tickets.example.org."
            )
        host = f"[{host}]" if ":" in host else host
        is_default = port in (None, DEFAULT_PORTS[parts.scheme])
        return f"{parts.scheme}://{host}" + ("" if is_default else f":{port}")

    def networks(self, name: str) -> tuple[Network, ...]:
        raw = self.text(name, "")
        try:
            return tuple(ip_network(part.strip()) for part in raw.split(",") if raw)
        except ValueError:
            raise SettingsError(
                f"{name} must be addresses or networks such as 127.0.0.1,10.0.0.0/8, not {raw!r}."
            ) from None

    def ledger(self, name: str) -> str | None:
        raw = self.text(name, "")
        if not raw:
            return None
        if raw.startswith("embedded:") and len(raw) > len("embedded:"):
            return raw
        if raw.startswith("tigerbeetle://"):
            addresses, slash, cluster = raw.removeprefix("tigerbeetle://").partition("/")
            if addresses and slash and cluster.isdecimal() and int(cluster) < 2**128:
                return raw
        raise SettingsError(
            f"{name} must be embedded:DIR or tigerbeetle://ADDR[,ADDR…]/CLUSTER, not {raw!r}."
        )

    def choice(self, name: str, alternatives: Any) -> Any:
        """One of a `Literal`'s words; the first of them where none is given."""
        words = get_args(alternatives)
        word = self.text(name, words[0])
        if word not in words:
            raise SettingsError(f"{name} must be {' or '.join(words)}, not {word!r}.")
        return word
