import re
import socket
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.offers import OFFER, OFFER_FILE
from tigerfans.settings import settings as settings_module
from tigerfans.settings.settings import (
    FOOT_LINKS,
    HOST_NAME_CHARACTERS_MAX,
    HOST_SETTINGS,
    PROVIDERS,
    AdminSettings,
    CatalogSettings,
    HttpSettings,
    LimitSettings,
    MailSettings,
    PaymentSettings,
    ProviderRow,
    SequencerSettings,
    Settings,
    SettingsError,
    StoreSettings,
    unknown_variables,
    without_offer,
)
from tigerfans.settings.stripe_settings import StripeSettings

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "settings.md"

OWN_SECRETS = {
    "MOCK_SECRET": "one",
    "TIGERFANS_TICKET_SECRET": "two",
    "ADMIN_PASSWORD": "three",
}
# The tests' own show.
SOLD = {"TIGERFANS_OFFER": str(OFFER_FILE)}
PRODUCTION = OWN_SECRETS | {"TIGERFANS_ENV": "production", "TIGERFANS_DEMO": "1"}


def documented() -> dict[str, str]:
    """The variables of docs/settings.md, each with its default as it is written there."""
    rows = [line.split("|") for line in DOCUMENTATION.read_text().splitlines() if "| `" in line]
    return {row[1].strip(" `"): row[2].strip() for row in rows}


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings()


def test_an_empty_variable_counts_as_not_set() -> None:
    environ = dict.fromkeys(Settings().to_environment(), "")
    assert Settings.from_environment(environ) == Settings()


def test_settings_are_read_back_from_the_environment_they_make() -> None:
    settings = Settings(
        offer=OFFER,
        catalog=CatalogSettings({"A": 1, "B": 2}, goodies=3),
        http=HttpSettings(
            host="::",
            port=1,
            workers=64,
            pins_workers=False,
            connections=9,
            backlog=8,
            public_url="https://tickets.example.org:8443",
        ),
        sequencer=SequencerSettings(Path("/run/a.sock"), metrics_host="::1", metrics_port=2),
        stores=StoreSettings("postgresql://u@/d?host=/run", "unix:///run/redis.sock", 7),
        payments=PaymentSettings("mockpay", ("new", "old"), "https://example.com/payments/webhook"),
        mail=MailSettings("smtp://u:p@mail.example.org", "tickets@example.org", 99),
        admin=AdminSettings("boss", "word"),
        limits=LimitSettings(3, 1, (ip_network("127.0.0.1"), ip_network("fd00::/8"))),
        links={"Imprint": "https://example.org/imprint", "Contact": "mailto:fans@example.org"},
        ledger="tigerbeetle://10.0.0.1:3000,10.0.0.2:3000/340282366920938463463374607431768211455",
        data=Path("/var/lib/tigerfans"),
        host_name="tickets-1",
        hold_seconds=60,
        ticket_secret="secret",
        bench=True,
        demo=True,
    )
    assert Settings.from_environment(settings.to_environment()) == settings


@given(st.integers(1, 65535), st.integers(1, 64), st.text("abc/.", min_size=1))
def test_any_ports_workers_and_folder_are_read_back(port: int, workers: int, data: str) -> None:
    settings = Settings(http=HttpSettings(port=port, workers=workers), data=Path(data))
    assert Settings.from_environment(settings.to_environment()) == settings


def test_the_sequencers_socket_is_in_the_data_folder() -> None:
    settings = Settings.from_environment({"TIGERFANS_DATA": "/srv/shop"})
    assert settings.sequencer.socket == Path("/srv/shop/run/sequencer.sock")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TIGERFANS_PORT", "http"),
        ("TIGERFANS_PORT", "0"),
        ("TIGERFANS_PORT", "65536"),
        ("TIGERFANS_WORKERS", "0"),
        ("TIGERFANS_DOOR_KEY", "0"),
        ("TIGERFANS_DOOR_KEY", "256"),
        ("TIGERFANS_WORKERS", "65"),
        ("TIGERFANS_WORKERS", "1.5"),
        ("TIGERFANS_CONNECTIONS", "0"),
        ("TIGERFANS_BACKLOG", "65536"),
        ("TIGERFANS_DATABASE_CONNECTIONS", "2"),
        ("TIGERFANS_TICKETS_A", "-1"),
        ("TIGERFANS_TICKETS_B", "1000000001"),
        ("TIGERFANS_GOODIES", "many"),
        ("TIGERFANS_HOLD_SECONDS", "0"),
        ("TIGERFANS_HOLD_SECONDS", "86401"),
        ("TIGERFANS_HOLDS_PER_CLIENT", "-1"),
        ("TIGERFANS_HOLDS_PER_EMAIL", "201"),
        ("TIGERFANS_TRUSTED_PROXIES", "caddy"),
        ("TIGERFANS_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("TIGERFANS_TRUSTED_PROXIES", "127.0.0.1,"),
        ("TIGERFANS_METRICS_ADDRESS", "8001"),
        ("TIGERFANS_METRICS_ADDRESS", "localhost:"),
        ("TIGERFANS_METRICS_ADDRESS", "localhost:70000"),
        ("TIGERFANS_HOST_NAME", "-tickets"),
        ("TIGERFANS_HOST_NAME", "tickets 1"),
        ("TIGERFANS_HOST_NAME", "x" * (HOST_NAME_CHARACTERS_MAX + 1)),
        ("TIGERFANS_BENCH", "yes"),
        ("TIGERFANS_DEMO", "no money"),
        ("TIGERFANS_ENV", "staging"),
        ("TIGERFANS_PAYMENT_PROVIDER", "barter"),
        ("TIGERFANS_LEDGER", "sqlite:ledger"),
        ("TIGERFANS_LEDGER", "embedded:"),
        ("TIGERFANS_LEDGER", "tigerbeetle://127.0.0.1:3000"),
        ("TIGERFANS_LEDGER", "tigerbeetle://127.0.0.1:3000/x"),
        ("TIGERFANS_LEDGER", f"tigerbeetle://127.0.0.1:3000/{2**128}"),
        ("DATABASE_URL", "mysql://localhost/shop"),
        ("REDIS_URL", "localhost:6379"),
        ("MOCK_WEBHOOK_URL", "ftp://localhost"),
        ("TIGERFANS_PUBLIC_URL", "tickets.example.org"),
        ("TIGERFANS_PUBLIC_URL", "https://"),
        ("TIGERFANS_PUBLIC_URL", "ftp://tickets.example.org"),
        ("TIGERFANS_PUBLIC_URL", "https://tickets.example.org/shop"),
        ("TIGERFANS_PUBLIC_URL", "https://tickets.example.org?a=b"),
        ("TIGERFANS_PUBLIC_URL", "https://user@tickets.example.org"),
        ("TIGERFANS_PUBLIC_URL", "https://tickets.example.org:99999"),
        ("TIGERFANS_PUBLIC_URL", "https://" + "a" * 64 + ".example"),
        ("TIGERFANS_IMPRINT_URL", "/imprint"),
        ("TIGERFANS_CONTACT_URL", "javascript:alert(1)"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_in_one_sentence(variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment(SOLD | {variable: value})
    assert str(raised.value).startswith(variable)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("https://tickets.example.org", "https://tickets.example.org"),
        ("HTTPS://Tickets.Example.org:443/", "https://tickets.example.org"),
        ("http://tickets.example.org:80", "http://tickets.example.org"),
        ("http://tickets.example.org:443", "http://tickets.example.org:443"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("http://[2001:DB8::7]:8000", "http://[2001:db8::7]:8000"),
    ],
)
def test_the_public_address_is_read_as_a_browser_writes_it(given: str, origin: str) -> None:
    settings = Settings.from_environment({"TIGERFANS_PUBLIC_URL": given})
    assert settings.http.public_url == origin


def test_webhooks_come_to_the_public_address_unless_another_one_is_named() -> None:
    assert Settings().webhook_url == "http://127.0.0.1:8000/payments/webhook"
    public = {"TIGERFANS_PUBLIC_URL": "https://tickets.example.org/"}
    read = Settings.from_environment(public)
    assert read.webhook_url == "https://tickets.example.org/payments/webhook"
    named = Settings.from_environment(public | {"MOCK_WEBHOOK_URL": "http://127.0.0.1:1/hook"})
    assert named.webhook_url == "http://127.0.0.1:1/hook"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("TIGERFANS_TICKET_B", "TIGERFANS_TICKETS_B"),
        ("TIGERFANS_WORKER", "TIGERFANS_WORKERS"),
        ("TIGERFANS_HOLD_SECOND", "TIGERFANS_HOLD_SECONDS"),
        ("TIGERFANS_COLOUR", None),
    ],
)
def test_a_variable_that_is_no_setting_is_told_with_the_nearest_that_is(
    name: str, meant: str | None
) -> None:
    told = unknown_variables({name: "200", "TIGERFANS_PORT": "1", "HOME": "/", "MOCK_X": ""}, OFFER)
    assert told.keys() == {name}
    assert told[name].startswith(f"{name} is no setting")
    assert (f"Is {meant} meant?" in told[name]) if meant else ("docs/settings.md" in told[name])


def test_no_setting_is_told_as_none() -> None:
    assert unknown_variables(dict.fromkeys(documented(), ""), OFFER) == {}


def test_a_secret_is_not_in_a_url_errors_message() -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment({"DATABASE_URL": "mysql://user:hidden@localhost/shop"})
    assert "hidden" not in str(raised.value)


def test_no_secret_is_shown_with_the_settings() -> None:
    settings = Settings.from_environment(OWN_SECRETS)
    shown = repr(settings)
    assert not [secret for secret in ("one", "two", "three") if f"'{secret}'" in shown]


@pytest.mark.parametrize("missing", ["MOCK_SECRET", "TIGERFANS_TICKET_SECRET", "ADMIN_PASSWORD"])
def test_production_needs_every_secret_to_be_your_own(missing: str) -> None:
    environ = {name: value for name, value in PRODUCTION.items() if name != missing}
    with pytest.raises(SettingsError, match=f"needs a value of your own for {missing}"):
        Settings.from_environment(environ)
    assert Settings.from_environment(PRODUCTION).environment == "production"


@pytest.mark.parametrize("missing", OWN_SECRETS)
@pytest.mark.parametrize("environment", ["development", "production"])
@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "[::]", "192.0.2.7", "2001:db8::7", "shop.example", "127.1"],  # noqa: S104
)
def test_wherever_other_machines_get_in_every_secret_has_to_be_your_own(
    host: str, environment: str, missing: str
) -> None:
    reached = PRODUCTION | {"TIGERFANS_HOST": host, "TIGERFANS_ENV": environment}
    assert Settings.from_environment(reached).http.host == host
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment(reached | {missing: ""})
    assert str(raised.value) == (
        f"TIGERFANS_HOST={host} lets other machines in, which needs a value of your own for"
        f" {missing}."
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "[::1]", "localhost"])
def test_on_this_machine_alone_a_developer_needs_no_secrets(host: str) -> None:
    assert Settings.from_environment({"TIGERFANS_HOST": host}).http.host == host


def test_production_refuses_mockpay_unless_no_money_is_meant() -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment(PRODUCTION | {"TIGERFANS_DEMO": "0"})
    assert str(raised.value) == (
        "TIGERFANS_PAYMENT_PROVIDER=mockpay takes no money and is refused with"
        " TIGERFANS_ENV=production: name another provider, or set TIGERFANS_DEMO=1 where no money"
        " is meant."
    )
    assert Settings.from_environment(PRODUCTION).demo


def test_a_provider_that_takes_money_is_no_demonstration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings_module, "PROVIDERS", {"mockpay": ProviderRow("MOCK_SECRET")})
    with pytest.raises(SettingsError, match="TIGERFANS_DEMO=1 says that no money is taken, but"):
        Settings.from_environment({"TIGERFANS_DEMO": "1"})
    Settings.from_environment(PRODUCTION | {"TIGERFANS_DEMO": "0"})


def test_production_lets_one_client_hold_twenty_tickets_unless_it_is_told_otherwise() -> None:
    assert Settings.from_environment(PRODUCTION).limits == LimitSettings(holds_per_client=20)
    unlimited = PRODUCTION | {"TIGERFANS_HOLDS_PER_CLIENT": "0"}
    assert Settings.from_environment(unlimited).limits.holds_per_client == 0


def test_production_refuses_the_benchmarks_endpoints() -> None:
    with pytest.raises(SettingsError, match="TIGERFANS_BENCH=1"):
        Settings.from_environment(PRODUCTION | {"TIGERFANS_BENCH": "1"})


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),  # noqa: S104
        ("::", "http://[::1]:8000"),
        ("::1", "http://[::1]:8000"),
        ("shop.example.com", "http://shop.example.com:8000"),
    ],
)
def test_the_shops_url_can_be_opened_on_this_machine(host: str, url: str) -> None:
    assert HttpSettings(host=host).url == url


def test_every_variable_is_documented_with_its_default() -> None:
    everything = replace(
        Settings(),
        offer=OFFER,
        catalog=CatalogSettings({"A": 1, "B": 1}, 1),
        ledger="embedded:data/ledger",
        stores=StoreSettings("postgresql://", "redis://"),
        payments=PaymentSettings(
            webhook_url="http://localhost",
            stripe=StripeSettings("sk_test_1", api_base="http://localhost"),
        ),
        limits=LimitSettings(holds_per_email=1, trusted_proxies=(ip_network("127.0.0.1"),)),
        http=HttpSettings(public_url="https://localhost"),
        mail=MailSettings("smtp://localhost", "tickets@example.org"),
        links=dict.fromkeys(FOOT_LINKS, "https://localhost"),
    ).to_environment()
    rows = documented()
    secrets = {row.secrets_setting for row in PROVIDERS.values()}
    assert everything.keys() | secrets | {"TIGERBEETLE_BIN"} == rows.keys()
    assert rows.pop("TIGERFANS_HOST_NAME") == "the machine's name"
    for name, value in Settings().to_environment().items():
        assert name == "TIGERFANS_HOST_NAME" or rows[name] == f"`{value}`"


def test_a_setting_is_the_same_on_all_hosts_or_said_to_be_each_hosts_own() -> None:
    shared = Settings().shared().keys()
    assert shared | HOST_SETTINGS == documented().keys() - {"TIGERBEETLE_BIN"}
    assert not shared & HOST_SETTINGS
    own = re.search(
        r"### One shop, many hosts\n.*?may differ", DOCUMENTATION.read_text(), re.DOTALL
    )
    assert own
    assert set(re.findall(r"`(TIGERFANS_\w+)`", own[0])) == HOST_SETTINGS


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        ("tickets-1.example.org", "tickets-1.example.org"),
        ("Anna's laptop", "Anna-s-laptop"),
        ("-", "host"),
        ("x" * 64, "x" * HOST_NAME_CHARACTERS_MAX),
    ],
)
def test_a_host_is_called_what_the_machine_is_as_far_as_a_host_may_be_called_so(
    monkeypatch: pytest.MonkeyPatch, machine: str, name: str
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: machine)
    assert Settings.from_environment({}).host_name == Settings().host_name == name
    assert Settings.from_environment({"TIGERFANS_HOST_NAME": name}).host_name == name


def offer_file(folder: Path, old: str = "", new: str = "") -> str:
    """A file with the tests' show, changed in one place."""
    file = folder / "offer.toml"
    file.write_text(OFFER_FILE.read_text().replace(old or "\0", new))
    return str(file)


def test_the_offer_says_how_many_tickets_there_are_unless_a_variable_does(tmp_path: Path) -> None:
    named = {"TIGERFANS_OFFER": offer_file(tmp_path)}
    read = Settings.from_environment(named)
    assert [each.capacity for each in read.build_catalog().resources] == [5_000_000, 5_000_000, 100]
    amounts = named | {"TIGERFANS_TICKETS_B": "7", "TIGERFANS_GOODIES": "0"}
    read = Settings.from_environment(amounts)
    assert [each.capacity for each in read.build_catalog().resources] == [5_000_000, 7, 0]
    # What the file says is not handed on: whoever reads it later may find something else there.
    assert amounts.items() <= read.to_environment().items()
    assert "TIGERFANS_TICKETS_A" not in read.to_environment()


def test_a_class_has_a_variable_by_its_code(tmp_path: Path) -> None:
    named = {"TIGERFANS_OFFER": offer_file(tmp_path, '"B"', '"BALCONY"')}
    environ = named | {"TIGERFANS_TICKETS_BALCONY": "7", "TIGERFANS_TICKETS_B": "7"}
    read = Settings.from_environment(environ)
    assert read.build_catalog().classes[1].tickets.capacity == 7
    assert unknown_variables(environ, read.offer).keys() == {"TIGERFANS_TICKETS_B"}


def test_the_offers_limit_and_links_give_way_to_variables(tmp_path: Path) -> None:
    links = 'currency = "EUR"\nterms = "https://a.example/"\nimprint = "https://b.example/"'
    file = offer_file(tmp_path, 'currency = "EUR"', links)
    Path(file).write_text(Path(file).read_text() + "\n[limits]\nholds_per_email = 4\n")
    read = Settings.from_environment({"TIGERFANS_OFFER": file})
    assert read.holds_per_email == 4
    assert read.foot_links == {"Imprint": "https://b.example/", "Terms": "https://a.example/"}
    named = {"TIGERFANS_HOLDS_PER_EMAIL": "0", "TIGERFANS_TERMS_URL": "https://c.example/"}
    read = Settings.from_environment({"TIGERFANS_OFFER": file, **named})
    assert read.holds_per_email == 0
    assert read.foot_links == {"Imprint": "https://b.example/", "Terms": "https://c.example/"}


def test_a_mistake_in_the_offer_is_told_in_one_sentence_with_its_line(tmp_path: Path) -> None:
    file = offer_file(tmp_path, '"EUR"', '"EURO"')
    environ = {"TIGERFANS_OFFER": file, "TIGERFANS_TICKETS_A": "7", "TIGERFANS_PORT": "1"}
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment(environ)
    assert str(raised.value).startswith(f"TIGERFANS_OFFER: {file}:10: currency: nobody pays in")
    assert "\n" not in str(raised.value)
    # What sells nothing starts all the same.
    assert without_offer(environ) == {"TIGERFANS_PORT": "1"}


def test_what_sells_nothing_starts_where_mails_come_from_the_offers_contact(tmp_path: Path) -> None:
    file = offer_file(tmp_path, '"EUR"', '"EUR"\ncontact = "hello@example.org"')
    environ = {"TIGERFANS_OFFER": file, "SMTP_URL": "smtp://localhost"}
    assert Settings.from_environment(environ).mail_sender == "hello@example.org"
    Settings.from_environment(without_offer(environ))


def test_tickets_that_cost_nothing_need_a_provider_that_takes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"TIGERFANS_OFFER": offer_file(tmp_path, '"35.00"', "0")}
    assert Settings.from_environment(environ).offer.listings[1].price_cents == 0
    monkeypatch.setattr(settings_module, "PROVIDERS", {"mockpay": ProviderRow("MOCK_SECRET")})
    with pytest.raises(
        SettingsError, match="Class B costs nothing, but TIGERFANS_PAYMENT_PROVIDER"
    ):
        Settings.from_environment(environ)
