"""What the doctor says of facts, good ones and bad ones; no I/O."""

import os
import stat
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from tests.offers import OFFER, catalog_with
from tigerfans.doctor import configuration
from tigerfans.doctor.configuration import check_configuration, check_variables
from tigerfans.doctor.findings import Finding, Findings, Verdict
from tigerfans.doctor.identity import IdentityFacts, judge_identity
from tigerfans.doctor.ledger import LedgerFacts, judge_ledger, judge_replicas, judge_socket
from tigerfans.doctor.machine import Disk, MachineFacts, judge_machine, version_tuple
from tigerfans.doctor.mail import MailFacts, judge_mail
from tigerfans.doctor.postgresql import PostgresqlFacts, judge_postgresql
from tigerfans.doctor.redis import RedisFacts, judge_access, judge_redis, judge_sentinels
from tigerfans.doctor.replication import HostFacts, judge_hosts, judge_replication
from tigerfans.doctor.shop import ShopFacts, judge_shop
from tigerfans.doctor.sockets import SocketFacts
from tigerfans.ledger.base import RECORDS_MAX
from tigerfans.ledger.replicas import Replicas
from tigerfans.settings.settings import (
    AdminSettings,
    HttpSettings,
    LimitSettings,
    MailSettings,
    PaymentSettings,
    SequencerSettings,
    Settings,
)
from tigerfans.settings.store_urls import Host
from tigerfans.settings.stripe_settings import StripeSettings
from tigerfans.shop.identity import NO_ID
from tigerfans.stores.identity import Identity, ShopId, secret_digest
from tigerfans.stores.mails import MailCounts, OutboxLook
from tigerfans.stores.migration import SchemaVersion
from tigerfans.stores.redis_primary import States
from tigerfans.stores.schema import MIGRATIONS

SECRET = "5f1c0d9e8b7a6f5e4d3c2b1a"
DEPLOYED = Settings(
    payments=PaymentSettings(secrets=("m" + SECRET,)),
    admin=AdminSettings(password="p" + SECRET),
    ticket_secret="t" + SECRET,
    demo=True,
    http=HttpSettings(public_url="https://tickets.example.org"),
    limits=LimitSettings(20, trusted_proxies=(ip_network("127.0.0.1"),)),
    environment="production",
)
CATALOG = catalog_with({"A": 10, "B": 20}, 5)


def wrong(findings: Iterable[Finding]) -> dict[str, Verdict]:
    """What is not as it should be; each of it comes with an advice, and nothing else does."""
    findings = list(findings)
    for finding in findings:
        assert bool(finding.advice) == (finding.verdict is not Verdict.GOOD), finding
    return {f.subject: f.verdict for f in findings if f.verdict is not Verdict.GOOD}


# --- Settings --------------------------------------------------------------------------------


def test_a_deployment_of_its_own_secrets_on_this_machine_is_good() -> None:
    assert wrong(check_configuration(DEPLOYED)) == {}


def test_a_variable_that_is_no_setting_is_named_with_the_one_that_was_meant() -> None:
    findings = check_variables({"TIGERFANS_TICKET_B": "9", "TIGERFANS_PORT": "1"}, DEPLOYED)
    assert wrong(findings) == {"TIGERFANS_TICKET_B": Verdict.WARNING}
    assert "TIGERFANS_TICKETS_B" in findings[0].advice


def test_the_settings_of_a_developer_are_worth_warnings_only() -> None:
    assert set(wrong(check_configuration(Settings())).values()) == {Verdict.WARNING}


def test_a_shop_that_reads_no_pictures_of_codes_is_told_who_needs_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(configuration, "PICTURE_READER", "no_such_package")
    assert wrong(check_configuration(DEPLOYED)) == {"no_such_package": Verdict.WARNING}


def test_the_keys_whose_codes_are_valid_are_told() -> None:
    found = {
        finding.found
        for number in (1, 3)
        for finding in check_configuration(replace(DEPLOYED, door_key=number))
        if finding.subject == "TIGERFANS_DOOR_KEY"
    }
    assert found == {"codes of key 1 are valid", "codes of key 3 and of 2 are valid"}


def test_every_secret_that_everybody_knows_is_named_in_production() -> None:
    production = Settings(http=DEPLOYED.http, limits=DEPLOYED.limits, environment="production")
    assert wrong(check_configuration(production)) == {
        "MOCK_SECRET": Verdict.BAD,
        "TIGERFANS_TICKET_SECRET": Verdict.BAD,
        "ADMIN_PASSWORD": Verdict.BAD,
        "TIGERFANS_PAYMENT_PROVIDER": Verdict.BAD,
    }


def test_default_secrets_are_bad_wherever_other_machines_get_in() -> None:
    reached = Settings(http=HttpSettings(host="192.0.2.7"))
    found = wrong(check_configuration(reached))
    for name in ("MOCK_SECRET", "TIGERFANS_TICKET_SECRET", "ADMIN_PASSWORD"):
        assert found[name] == Verdict.BAD


def test_known_secrets_are_bad_where_buyers_pay_real_money() -> None:
    stripe = PaymentSettings("stripe", ("whsec_1",), stripe=StripeSettings("rk_live_1"))
    found = wrong(check_configuration(Settings(payments=stripe)))
    for name in ("TIGERFANS_TICKET_SECRET", "ADMIN_PASSWORD"):
        assert found[name] == Verdict.BAD
    # Stripe makes it, of whatever length.
    assert "STRIPE_WEBHOOK_SECRETS" not in found
    test = replace(stripe, stripe=StripeSettings("rk_test_1"))
    deployed = wrong(check_configuration(replace(DEPLOYED, payments=test, demo=False)))
    assert deployed == {"TIGERFANS_PAYMENT_PROVIDER": Verdict.BAD}


def test_the_doctor_misses_the_library_of_stripe(monkeypatch: pytest.MonkeyPatch) -> None:
    stripe = PaymentSettings("stripe", ("whsec_1",), stripe=StripeSettings("rk_live_1"))
    sells = replace(DEPLOYED, payments=stripe, demo=False)
    assert wrong(check_configuration(sells)) == {}
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    (told,) = (f for f in check_configuration(sells) if f.verdict is Verdict.BAD)
    assert "pip install 'tigerfans[stripe]'" in told.advice


def test_a_provider_that_takes_no_money_is_bad_in_production_unless_none_is_meant() -> None:
    findings = check_configuration(replace(DEPLOYED, demo=False))
    assert wrong(findings) == {"TIGERFANS_PAYMENT_PROVIDER": Verdict.BAD}
    (told,) = (f for f in check_configuration(DEPLOYED) if "PROVIDER" in f.subject)
    assert "no money is meant" in told.found


@pytest.mark.parametrize(
    ("changes", "subject", "verdict"),
    [
        ({"payments": PaymentSettings(secrets=(SECRET, "short"))}, "MOCK_SECRET", "warning"),
        ({"ticket_secret": "short"}, "TIGERFANS_TICKET_SECRET", "warning"),
        ({"admin": AdminSettings(password="short")}, "ADMIN_PASSWORD", "warning"),
        ({"ticket_secret": "m" + SECRET}, "secrets", "warning"),
        ({"bench": True}, "TIGERFANS_BENCH", "bad"),
        ({"http": replace(DEPLOYED.http, host="0.0.0.0")}, "TIGERFANS_HOST", "warning"),  # noqa: S104
        ({"http": replace(DEPLOYED.http, host="shop.example")}, "TIGERFANS_HOST", "warning"),
        (
            {"sequencer": SequencerSettings(metrics_host="::")},
            "TIGERFANS_METRICS_ADDRESS",
            "warning",
        ),
        ({"http": HttpSettings()}, "TIGERFANS_PUBLIC_URL", "warning"),
        (
            {"http": HttpSettings(public_url="http://shop.example")},
            "TIGERFANS_PUBLIC_URL",
            "warning",
        ),
        ({"limits": LimitSettings()}, "TIGERFANS_HOLDS_PER_CLIENT", "warning"),
        ({"limits": LimitSettings(20)}, "TIGERFANS_TRUSTED_PROXIES", "bad"),
        ({"environment": "development"}, "TIGERFANS_ENV", "warning"),
        (
            {"offer": replace(OFFER, tickets_per_order=21, path=None)},
            "tickets_per_order",
            "warning",
        ),
    ],
)
def test_a_setting_that_is_not_fit_for_the_world_is_named(
    changes: dict[str, Any], subject: str, verdict: str
) -> None:
    assert wrong(check_configuration(replace(DEPLOYED, **changes))) == {subject: verdict}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]", "localhost"])
def test_every_name_of_this_machine_alone_is_good(host: str) -> None:
    assert (
        wrong(check_configuration(replace(DEPLOYED, http=replace(DEPLOYED.http, host=host)))) == {}
    )


# --- The machine -----------------------------------------------------------------------------

GIB = 1 << 30
MACHINE = MachineFacts(
    python="3.12.1",
    packages={},
    open_files={"worker-1": 1 << 20},
    somaxconn=4096,
    is_clock_kept=True,
    disks=(Disk(Path("/var"), 50 * GIB, 100 * GIB, "ext4"),),
)


def test_a_machine_with_room_limits_and_time_is_good() -> None:
    assert wrong(judge_machine(MACHINE, DEPLOYED)) == {}


@pytest.mark.parametrize(
    ("changes", "subject", "verdict"),
    [
        ({"packages": {"granian": ("2.7.0", "granian>=2.8")}}, "granian", "bad"),
        ({"open_files": {"worker-2": 1024}}, "open files, worker-2", "bad"),
        ({"open_files": {"sequencer": 256}}, "open files, sequencer", "bad"),
        ({"somaxconn": 128}, "net.core.somaxconn", "bad"),
        ({"is_clock_kept": False}, "clock", "bad"),
        ({"is_clock_kept": None}, "clock", "warning"),
        ({"disks": (Disk(Path("/"), GIB // 2, 100 * GIB, "ext4"),)}, "disk of /", "bad"),
        ({"disks": (Disk(Path("/"), 5 * GIB, 100 * GIB, "ext4"),)}, "disk of /", "warning"),
        ({"disks": (Disk(Path("/"), 50 * GIB, 99 * GIB, "tmpfs"),)}, "disk of /", "bad"),
    ],
)
def test_what_the_machine_lacks_is_named(
    changes: dict[str, Any], subject: str, verdict: str
) -> None:
    assert wrong(judge_machine(replace(MACHINE, **changes), DEPLOYED)) == {subject: verdict}


def test_the_sequencer_needs_no_files_for_buyers() -> None:
    for name in ("sequencer", "clerk-1"):
        assert wrong(judge_machine(replace(MACHINE, open_files={name: 1024}), DEPLOYED)) == {}


def test_the_limit_of_a_shell_says_little_of_a_deployment() -> None:
    facts = replace(MACHINE, open_files={"this shell": 1024})
    assert wrong(judge_machine(facts, DEPLOYED)) == {"open files, this shell": "warning"}


def test_a_developers_machine_may_do_without_some_of_it() -> None:
    facts = replace(MACHINE, open_files={"this shell": 256}, is_clock_kept=False)
    assert set(wrong(judge_machine(facts, Settings())).values()) == {Verdict.WARNING}


def test_what_the_system_does_not_tell_is_no_fault() -> None:
    facts = replace(MACHINE, somaxconn=None, open_files={}, disks=())
    assert wrong(judge_machine(facts, DEPLOYED)) == {}


def test_versions_are_compared_as_numbers() -> None:
    assert version_tuple("2.10.1") > version_tuple("2.9")
    assert version_tuple("0.20220715.0") == (0, 20220715, 0)
    assert version_tuple("3.0.0rc1") == version_tuple("3.0.0") == version_tuple("3.0.0+local")


# --- PostgreSQL ------------------------------------------------------------------------------

POSTGRESQL = PostgresqlFacts(
    settings={
        "server_version_num": "180004",
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "max_connections": "100",
        "superuser_reserved_connections": "3",
    },
    schema_version=SchemaVersion(len(MIGRATIONS)),
    data=None,
    clock_ahead_seconds=0.1,
)


def test_a_durable_postgresql_with_room_is_good() -> None:
    assert wrong(judge_postgresql(POSTGRESQL, DEPLOYED)) == {}


@pytest.mark.parametrize(
    ("name", "value", "subject", "verdict"),
    [
        ("server_version_num", "140012", "version", "bad"),
        ("fsync", "off", "fsync", "bad"),
        ("full_page_writes", "off", "full_page_writes", "bad"),
        ("synchronous_commit", "off", "synchronous_commit", "bad"),
        ("data_checksums", "off", "data_checksums", "warning"),
        ("server_encoding", "SQL_ASCII", "encoding", "bad"),
        ("max_connections", "14", "max_connections", "bad"),
    ],
)
def test_a_setting_of_postgresql_that_loses_orders_is_named(
    name: str, value: str, subject: str, verdict: str
) -> None:
    facts = replace(POSTGRESQL, settings={**POSTGRESQL.settings, name: value})
    assert wrong(judge_postgresql(facts, DEPLOYED)) == {subject: verdict}


def test_postgresql_needs_room_for_the_workers_and_clerks_of_all_hosts() -> None:
    facts = replace(POSTGRESQL, settings={**POSTGRESQL.settings, "max_connections": "70"})
    settings = replace(DEPLOYED, http=replace(DEPLOYED.http, workers=4))
    assert wrong(judge_postgresql(facts, settings)) == {}
    [needed] = [
        finding
        for finding in judge_postgresql(facts, settings, processes_by_host=[5, 5])
        if finding.verdict is Verdict.BAD
    ]
    assert needed.subject == "max_connections"
    assert needed.advice == "Allow 75 at least, for 15 workers and clerks of 3 hosts."


@pytest.mark.parametrize(
    "version",
    [
        SchemaVersion(),
        SchemaVersion(len(MIGRATIONS) - 1),
        SchemaVersion(len(MIGRATIONS) - 1, len(MIGRATIONS) - 1),
        SchemaVersion(len(MIGRATIONS) + 1),
        SchemaVersion(len(MIGRATIONS) + 1, len(MIGRATIONS) + 1),
    ],
)
def test_a_schema_of_another_version_is_named(version: SchemaVersion) -> None:
    facts = replace(POSTGRESQL, schema_version=version)
    assert wrong(judge_postgresql(facts, DEPLOYED)) == {"schema": "bad"}


def test_a_newer_schema_that_this_version_works_on_is_good() -> None:
    version = SchemaVersion(len(MIGRATIONS) + 1, len(MIGRATIONS))
    assert wrong(judge_postgresql(replace(POSTGRESQL, schema_version=version), DEPLOYED)) == {}


@pytest.mark.parametrize("ahead", [1.5, -1.5])
def test_a_clock_that_is_off_is_named(ahead: float) -> None:
    facts = replace(POSTGRESQL, clock_ahead_seconds=ahead)
    assert wrong(judge_postgresql(facts, DEPLOYED)) == {"clock": "bad"}


HOSTS = (
    HostFacts("10.0.0.1:5432", timeline=3, position=50 << 20),
    HostFacts("10.0.0.2:5432", refusal="is a standby", position=49 << 20),
    HostFacts("10.0.0.3:5432", refusal="is a standby", position=50 << 20),
)


def test_a_primary_and_those_that_follow_it_are_good() -> None:
    findings = Findings("PostgreSQL", "production")
    judge_hosts(HOSTS, findings)
    assert wrong(findings) == {}
    assert [finding.found for finding in findings] == [
        "the primary, timeline 3",
        "a standby, 1,024 KiB behind",
        "a standby, 0 KiB behind",
    ]


@pytest.mark.parametrize(
    ("changes", "subject", "verdict"),
    [
        ({"away": "TimeoutError"}, "host 10.0.0.2:5432", "bad"),
        ({"refusal": "", "timeline": 2}, "host 10.0.0.2:5432", "bad"),
        # Both were promoted: the first is the shop's.
        ({"refusal": "", "timeline": 3}, "host 10.0.0.2:5432", "bad"),
        ({"refusal": "", "timeline": 4}, "host 10.0.0.1:5432", "bad"),
        ({"position": 33 << 20}, "host 10.0.0.2:5432", "warning"),
        ({"clock_ahead_seconds": -2.0}, "clock of 10.0.0.2:5432", "bad"),
    ],
)
def test_a_host_that_could_not_take_over_is_named(
    changes: dict[str, Any], subject: str, verdict: str
) -> None:
    findings = Findings("PostgreSQL", "production")
    judge_hosts((HOSTS[0], replace(HOSTS[1], **changes), HOSTS[2]), findings)
    assert wrong(findings) == {subject: verdict}


@pytest.mark.parametrize(
    ("names", "commit", "followers", "verdict"),
    [
        ("ANY 1 (*)", "on", 2, "good"),
        ("ANY 1 (b, c)", "remote_apply", 1, "warning"),
        ("ANY 2 (b, c)", "on", 1, "bad"),
        ("b", "on", 0, "bad"),
        ("", "on", 2, "warning"),
        ("ANY 1 (*)", "local", 2, "warning"),
    ],
)
def test_what_would_be_lost_with_the_primary_is_told(
    names: str, commit: str, followers: int, verdict: str
) -> None:
    findings = Findings("PostgreSQL", "production")
    settings = {"synchronous_standby_names": names, "synchronous_commit": commit}
    judge_replication(settings, followers, HOSTS, findings)
    assert [finding.verdict for finding in findings] == [verdict]
    wrong(findings)


# --- Redis -----------------------------------------------------------------------------------

REDIS = RedisFacts(
    version="7.0.15",
    role="master",
    is_append_only=True,
    is_append_failing=False,
    appendfsync="everysec",
    eviction="noeviction",
    clock_ahead_seconds=0.0,
)


def test_a_redis_that_keeps_sessions_is_good() -> None:
    assert wrong(judge_redis(REDIS, DEPLOYED)) == {}
    assert wrong(judge_redis(replace(REDIS, appendfsync=None), DEPLOYED)) == {}


@pytest.mark.parametrize(
    ("changes", "subject", "verdict"),
    [
        ({"version": "6.0.16"}, "version", "bad"),
        ({"role": "slave"}, "role", "bad"),
        ({"is_append_only": False}, "appendonly", "warning"),
        ({"is_append_failing": True}, "appendonly", "bad"),
        ({"appendfsync": "always"}, "appendfsync", "warning"),
        ({"appendfsync": "no"}, "appendfsync", "warning"),
        ({"eviction": "allkeys-lru"}, "maxmemory-policy", "bad"),
        ({"clock_ahead_seconds": 60.0}, "clock", "bad"),
    ],
)
def test_a_redis_that_forgets_sessions_is_named(
    changes: dict[str, Any], subject: str, verdict: str
) -> None:
    assert wrong(judge_redis(replace(REDIS, **changes), DEPLOYED)) == {subject: verdict}


SOCKET = SocketFacts(Path("/run/x.sock"), True, 0o600, os.geteuid(), is_folder_open=True)


@pytest.mark.parametrize(
    ("url", "socket", "is_good"),
    [
        ("redis://127.0.0.1:6379/0", None, True),
        ("redis:///0", None, True),
        ("redis://10.0.0.7:6379/0", None, False),
        ("redis://:secret@10.0.0.7:6379/0", None, True),
        ("redis+sentinel://10.0.0.7,10.0.0.8/shop", None, False),
        ("redis+sentinel://:secret@10.0.0.7,[::1]:1/shop", None, True),
        ("redis+sentinel://127.0.0.1,[::1]:1/shop", None, True),
        ("unix:///run/x.sock", SOCKET, True),
        ("unix:///run/x.sock", replace(SOCKET, mode=0o660), True),
        ("unix:///run/x.sock", replace(SOCKET, mode=0o777), False),
        ("unix:///run/x.sock", replace(SOCKET, mode=0o777, is_folder_open=False), True),
        ("unix:///run/x.sock?password=secret", replace(SOCKET, mode=0o777), True),
    ],
)
def test_a_redis_that_anybody_may_read_is_named(
    url: str, socket: SocketFacts | None, is_good: bool
) -> None:
    findings = Findings("Redis", "production")
    judge_access(url, socket, findings)
    assert wrong(findings) == ({} if is_good else {"access": "bad"})


def test_a_sentinel_that_does_not_answer_is_named() -> None:
    findings = Findings("Redis", "production")
    answers = {
        Host("10.0.0.7", 26379): States({"shop": {}}),
        Host("10.0.0.8", 26379): States(reason="TimeoutError"),
    }
    judge_sentinels(answers, findings)
    assert wrong(findings) == {"Sentinel 10.0.0.8:26379": "bad"}
    assert [finding.found for finding in findings] == [
        "watches shop",
        "does not answer: TimeoutError",
    ]


# --- Ledger ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "is_good"),
    [
        ({}, True),
        ({"mode": 0o660}, False),
        ({"mode": 0o606, "is_folder_open": False}, False),
        ({"is_socket": False}, False),
        ({"mode": stat.S_IRWXU}, True),
    ],
)
def test_the_sequencers_socket_is_for_one_user_alone(
    changes: dict[str, Any], is_good: bool
) -> None:
    findings = Findings("ledger", "production")
    judge_socket(replace(SOCKET, **changes), findings)
    assert wrong(findings) == ({} if is_good else {"socket": "bad"})


def test_a_socket_of_another_user_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: SOCKET.uid + 1)
    findings = Findings("ledger", "development")
    judge_socket(SOCKET, findings)
    assert wrong(findings) == {"socket": "bad"}


CAPACITIES = {resource.setting: resource.capacity for resource in CATALOG.resources}


@pytest.mark.parametrize(
    ("replicas", "verdict", "found"),
    [
        (Replicas(("A", "B", "C"), ()), "good", "3, each takes connections"),
        (Replicas(("A", "B"), ("C",)), "warning", "nothing listens at C"),
        (Replicas(("A",), ("B", "C")), "bad", "nothing listens at B, C"),
    ],
)
def test_a_replica_that_is_not_there_is_named(replicas: Replicas, verdict: str, found: str) -> None:
    findings = Findings("ledger", "production")
    judge_replicas(replicas, findings)
    assert [(f.verdict, f.found) for f in findings] == [(verdict, found)]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (LedgerFacts("tigerbeetle", RECORDS_MAX, CAPACITIES), {}),
        (LedgerFacts("tigerbeetle", 253, CAPACITIES), {"durability": "bad"}),
        (LedgerFacts("embedded", RECORDS_MAX, CAPACITIES), {"durability": "warning"}),
        (LedgerFacts("tigerbeetle", RECORDS_MAX, {}), {"stock": "warning"}),
        (
            LedgerFacts("tigerbeetle", RECORDS_MAX, CAPACITIES | {"TIGERFANS_TICKETS_A": 9}),
            {"TIGERFANS_TICKETS_A": "warning"},
        ),
    ],
)
def test_a_ledger_that_would_not_keep_sales_is_named(
    facts: LedgerFacts, expected: dict[str, str]
) -> None:
    findings = Findings("ledger", "production")
    judge_ledger(facts, CATALOG, DEPLOYED, findings)
    assert wrong(findings) == expected


# --- The shop --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (ShopFacts("", "", {"sequencer": 1, "worker-1": 2, "worker-2": 3}), {}),
        (ShopFacts("", "", {"sequencer": 1, "worker-1": 2}), {"workers": "warning"}),
        (ShopFacts("", "", {"sequencer": 1, "worker-1": 2, "clerk-1": 3}), {"workers": "warning"}),
        (ShopFacts("", "", {"sequencer": 1}), {"workers": "bad"}),
        (
            ShopFacts("503 …", "", {"sequencer": 1, "worker-1": 2, "worker-2": 3}),
            {"ready": "bad"},
        ),
        (ShopFacts("", "ConnectError()"), {"metrics": "bad"}),
    ],
)
def test_a_shop_that_is_not_open_is_named(facts: ShopFacts, expected: dict[str, str]) -> None:
    assert wrong(judge_shop(facts, DEPLOYED)) == expected


# --- The identity ----------------------------------------------------------------------------

SHOP_ID = ShopId.new()
OTHER_ID = ShopId.new()
FUNDED = Identity(
    SHOP_ID,
    secret_digest(DEPLOYED.ticket_secret),
    datetime(2027, 6, 18, tzinfo=UTC),
    is_on_ledger=True,
)
ONE_SHOP = IdentityFacts(FUNDED, frozenset({SHOP_ID}), frozenset({SHOP_ID.key_prefix}))


def test_what_belongs_to_one_shop_is_good() -> None:
    adopted = replace(FUNDED, is_on_ledger=False)
    for facts in (
        ONE_SHOP,
        replace(ONE_SHOP, key_prefixes=frozenset()),
        replace(ONE_SHOP, identity=adopted, ids_on_ledger=frozenset({NO_ID})),
    ):
        findings = judge_identity(facts, DEPLOYED)
        assert wrong(findings) == {}
        subjects = [finding.subject for finding in findings]
        assert subjects == ["database", "ticket secret", "ledger", "Redis"]


@pytest.mark.parametrize(
    ("changes", "subject", "verdict"),
    [
        ({"identity": None}, "database", "warning"),
        (
            {"identity": replace(FUNDED, ticket_secret_digest=secret_digest("other"))},
            "ticket secret",
            "bad",
        ),
        ({"ids_on_ledger": frozenset()}, "ledger", "bad"),
        ({"ids_on_ledger": frozenset({OTHER_ID})}, "ledger", "bad"),
        ({"ids_on_ledger": frozenset({NO_ID})}, "ledger", "bad"),
        ({"identity": replace(FUNDED, funded_at=None)}, "ledger", "warning"),
        ({"key_prefixes": frozenset({"89abcdef", SHOP_ID.key_prefix})}, "Redis", "warning"),
    ],
)
def test_what_belongs_to_another_shop_or_is_lost_is_named(
    changes: dict[str, Any], subject: str, verdict: str
) -> None:
    assert wrong(judge_identity(replace(ONE_SHOP, **changes), DEPLOYED)) == {subject: verdict}


def test_what_does_not_answer_is_left_to_the_checks_of_its_store() -> None:
    facts = IdentityFacts(FUNDED, None, None)
    assert [f.subject for f in judge_identity(facts, DEPLOYED)] == ["database", "ticket secret"]


# --- Mail --------------------------------------------------------------------------------------

BY_MAIL = replace(DEPLOYED, mail=MailSettings("smtp://u:secret@mail.example.org", "a@example.org"))


@pytest.mark.parametrize(
    ("settings", "trouble", "counts", "waits", "expected"),
    [
        (BY_MAIL, "", MailCounts(3, 0, 0), timedelta(0), {}),
        (DEPLOYED, None, MailCounts(0, 0, 0), timedelta(0), {"SMTP_URL": Verdict.WARNING}),
        (BY_MAIL, "535 no", MailCounts(0, 0, 0), timedelta(0), {"SMTP_URL": Verdict.BAD}),
        (BY_MAIL, "", MailCounts(2, 1, 0), timedelta(0), {"outbox": Verdict.WARNING}),
        (BY_MAIL, "", MailCounts(0, 0, 1), timedelta(0), {"outbox": Verdict.WARNING}),
        (BY_MAIL, "", MailCounts(9, 0, 0), timedelta(hours=1), {"outbox": Verdict.WARNING}),
    ],
)
def test_mails_that_do_not_reach_their_buyers_are_named(
    settings: Settings,
    trouble: str | None,
    counts: MailCounts,
    waits: timedelta,
    expected: dict[str, Verdict],
) -> None:
    findings = judge_mail(MailFacts(trouble, OutboxLook(counts, waits)), settings)
    assert wrong(findings) == expected
    assert all("secret" not in f"{each.found} {each.advice}" for each in findings)


def test_of_an_outbox_that_cannot_be_asked_nothing_is_said() -> None:
    assert [f.subject for f in judge_mail(MailFacts("", None), BY_MAIL)] == ["SMTP_URL"]
