"""The files of ops/ are true: what they name exists, and what they say fits together."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import asyncpg
import pytest
from redis.asyncio import Redis

from tests.doctor.test_judgements import POSTGRESQL, wrong
from tests.harness.needs import CADDY, SYSTEMD_ANALYZE, needs_caddy, needs_systemd
from tests.servers import running
from tigerfans import cli
from tigerfans.booking.ids import OrderId
from tigerfans.clerk.rounds import FINISH_SECONDS_MAX
from tigerfans.doctor.configuration import check_configuration
from tigerfans.doctor.findings import Verdict
from tigerfans.doctor.machine import FILES_SPARE
from tigerfans.doctor.postgresql import judge_postgresql
from tigerfans.doctor.redis import check_redis
from tigerfans.http.api.order_stream import HEARTBEAT_SECONDS, STREAM_SECONDS_MAX
from tigerfans.http.serving.draining import DRAIN_SECONDS
from tigerfans.office.order_search import EXPORT_SECONDS_MAX, EXPORT_TURN_SECONDS_MAX
from tigerfans.process.runtime import NICENESS
from tigerfans.sequencer import main as sequencer
from tigerfans.settings.settings import Settings, SettingsError
from tigerfans.stack import redis as stack_redis
from tigerfans.stack.programs import Program
from tigerfans.stores.database import Database
from tigerfans.stores.identity import IdentityRow
from tigerfans.stores.sessions import Session, Sessions

OPS = Path(__file__).parent.parent / "ops"
UNITS = sorted((OPS / "systemd").iterdir())
INSTALLED = "/opt/tigerfans/.venv/bin/tigerfans"

RESTORE = (OPS / "restore.sh").read_text()

Unit = dict[str, list[str]]


def read_unit(name: str) -> Unit:
    """The settings of a unit, whatever section they are in; each may stand there several times."""
    unit: Unit = {}
    for line in (OPS / "systemd" / name).read_text().splitlines():
        if line and not line.startswith(("#", "[")):
            key, separator, value = line.partition("=")
            assert separator, line
            unit.setdefault(key, []).append(value)
    return unit


def read_environment(path: Path) -> dict[str, str]:
    """As systemd reads it."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


ENVIRONMENT = read_environment(OPS / "tigerfans.env")
# Such as `openssl rand -hex 24` prints, each its own.
SECRETS = {
    name: sha256(name.encode()).hexdigest()[:48] for name, value in ENVIRONMENT.items() if not value
}
SETTINGS = Settings.from_environment(ENVIRONMENT | SECRETS)
WORKER = read_unit("tigerfans-worker@.service")
SOCKET = read_unit("tigerfans-worker@.socket")
SEQUENCER = read_unit("tigerfans-sequencer.service")
CLERK = read_unit("tigerfans-clerk.service")
TIGERBEETLE = read_unit("tigerbeetle.service")


def seconds(text: str) -> float:
    """Such as 400ms, 10s or 15m."""
    number, unit = re.fullmatch(r"(\d+)(ms|s|m)", text).groups()  # type: ignore[union-attr]
    return int(number) * {"ms": 0.001, "s": 1, "m": 60}[unit]


# --- The settings ----------------------------------------------------------------------------


class Asked(Mapping[str, str]):
    """An empty environment that remembers what was asked for."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


@pytest.mark.parametrize("path", sorted(OPS.glob("*.env")), ids=lambda path: path.name)
def test_every_variable_in_a_file_of_settings_is_a_setting(path: Path) -> None:
    asked = Asked()
    Settings.from_environment(asked)
    assert read_environment(path).keys() <= asked.names


def test_the_example_is_fit_for_production_once_it_has_its_secrets() -> None:
    assert set(SECRETS) == {"MOCK_SECRET", "TIGERFANS_TICKET_SECRET", "ADMIN_PASSWORD"}
    assert wrong(check_configuration(SETTINGS)) == {}
    with pytest.raises(SettingsError, match=", ".join(SECRETS)):
        Settings.from_environment(ENVIRONMENT)


def test_a_shell_reads_the_example_as_systemd_does() -> None:
    command = f"set -a; . {OPS / 'tigerfans.env'}; env -0"
    read = subprocess.run(
        ["/bin/sh", "-eu", "-c", command], env={}, capture_output=True, text=True, check=True
    )
    variables = dict(line.split("=", 1) for line in read.stdout.rstrip("\0").split("\0"))
    assert ENVIRONMENT.items() <= variables.items()


# --- The units -------------------------------------------------------------------------------


@needs_systemd
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    installed_here = {
        INSTALLED: str(Path(sys.executable).with_name("tigerfans")),
        "/usr/local/bin/tigerbeetle": "/bin/true",
    }
    for path in UNITS:
        text = path.read_text()
        for there, here in installed_here.items():
            text = text.replace(there, here)
        (tmp_path / path.name.replace("@", "@1")).write_text(text)
    verified = subprocess.run(
        [str(SYSTEMD_ANALYZE), "verify", *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
    )
    # It reads other packages' units as well, and has opinions on those.
    ours = [line for line in verified.stderr.splitlines() if "tiger" in line]
    assert ours == []


@pytest.mark.parametrize("unit", [SEQUENCER, WORKER, CLERK], ids=["sequencer", "worker", "clerk"])
def test_a_unit_starts_a_command_that_there_is(unit: Unit) -> None:
    (start,) = unit["ExecStart"]
    program, *arguments = start.replace("%i", "1").split()
    assert program == INSTALLED
    assert callable(cli._parser().parse_args(arguments).command)
    assert unit["Type"] == ["notify"]


@pytest.mark.parametrize("unit", [WORKER, CLERK], ids=["worker", "clerk"])
def test_who_opens_the_shop_migrates_before_and_has_all_the_time_that_takes(unit: Unit) -> None:
    (before,) = unit["ExecStartPre"]
    assert before == f"{INSTALLED} migrate"
    assert callable(cli._parser().parse_args(before.split()[1:]).command)
    assert unit["TimeoutStartSec"] == ["infinity"]


def test_a_restored_database_is_migrated_before_anything_uses_it() -> None:
    commands = re.findall(r"ops/shop (\w+)", (OPS / "restore.sh").read_text())
    assert commands == ["migrate", "reconcile"]


@pytest.mark.parametrize(
    ("answers", "code", "asked"), [("2 2 0", 0, 3), ("2 1", 1, 2), ("2 2 2 2 2 2", 1, 6)]
)
def test_a_restore_waits_for_replicas_that_agree_first_and_not_for_ever(
    tmp_path: Path, answers: str, code: int, asked: int
) -> None:
    loop = re.search(
        r"^tries=.+?^done$", (OPS / "restore.sh").read_text(), re.MULTILINE | re.DOTALL
    )
    assert loop, "a cluster of copies answers nobody for longer than one try takes"
    count = tmp_path / "asked"
    shop = tmp_path / "shop"
    shop.write_text(
        f"#!/bin/sh\necho >>{count}\nset -- {answers}\nshift $(($(wc -l <{count}) - 1))\nexit $1\n"
    )
    shop.chmod(0o755)
    script = "set -eu\n" + loop[0].replace("/opt/tigerfans/ops/shop", str(shop))
    assert subprocess.run(["/bin/sh", "-c", script], check=False).returncode == code
    assert len(count.read_text().splitlines()) == asked


def test_the_scripts_start_commands_that_there_are() -> None:
    for path in (OPS / "backup.sh", OPS / "restore.sh"):
        subprocess.run(["/bin/sh", "-n", str(path)], check=True)
        commands = re.findall(r"ops/shop (.+)", path.read_text())
        assert commands
        for command in commands:
            assert callable(cli._parser().parse_args(command.split()).command)


def test_a_worker_gets_the_socket_that_its_settings_name() -> None:
    assert SOCKET["ListenStream"] == [f"{SETTINGS.http.host}:{SETTINGS.http.port}"]
    assert SOCKET["Backlog"] == [str(SETTINGS.http.backlog)]
    assert SOCKET["ReusePort"] == ["yes"]
    assert WORKER["Requires"] == ["tigerfans-worker@%i.socket"]


def test_a_worker_may_open_as_many_files_as_the_doctor_asks_for() -> None:
    http, stores = SETTINGS.http, SETTINGS.stores
    (limit,) = WORKER["LimitNOFILE"]
    assert int(limit) >= http.connections + stores.database_connections + FILES_SPARE


def test_the_sequencer_has_the_folders_that_its_settings_name() -> None:
    assert SETTINGS.sequencer.socket.parent == Path("/run") / SEQUENCER["RuntimeDirectory"][0]
    assert SETTINGS.data == Path("/var/lib") / SEQUENCER["StateDirectory"][0]
    assert SEQUENCER["User"] == WORKER["User"] == CLERK["User"]


def test_the_shop_has_a_clerk_that_has_the_time_to_finish_and_the_files_that_it_needs() -> None:
    target = read_unit("tigerfans.target")
    assert "tigerfans-clerk.service" in target["Wants"][0].split()
    assert seconds(CLERK["TimeoutStopSec"][0]) > FINISH_SECONDS_MAX
    (limit,) = CLERK["LimitNOFILE"]
    assert int(limit) >= SETTINGS.stores.database_connections + FILES_SPARE
    assert CLERK["Nice"] == [str(NICENESS)]


def test_a_restore_stops_everything_that_uses_what_it_replaces() -> None:
    _, _, rest = RESTORE.partition("systemctl stop tigerfans.target ")
    stopped, _, _ = rest.partition("\n\n")
    for path in UNITS:
        if path.name.startswith("tigerfans-"):
            assert path.name.replace("@", "@*") in stopped


def test_the_sequencer_has_the_time_it_takes_to_stop() -> None:
    needed = (
        sequencer.DRAIN_SECONDS_MAX
        + sequencer.METRICS_STOP_SECONDS_MAX
        + sequencer.LEDGER_CLOSE_SECONDS_MAX
    )
    assert seconds(SEQUENCER["TimeoutStopSec"][0]) > needed


def test_tigerbeetle_listens_where_the_settings_look_for_it() -> None:
    (start,) = TIGERBEETLE["ExecStart"]
    addresses = re.search(r"--addresses=(\S+)", start)
    assert addresses
    assert SETTINGS.ledger
    assert SETTINGS.ledger.startswith(f"tigerbeetle://{addresses[1]}/")
    assert "--development" not in start
    assert TIGERBEETLE["AssertPathExists"] == [start.split()[-1]]


def test_a_worker_may_choose_its_core_and_nothing_else_of_its_resources() -> None:
    allowed, denied, after_all = WORKER["SystemCallFilter"]
    assert allowed == "@system-service"
    assert "@resources" in denied.removeprefix("~").split()
    assert after_all == "sched_setaffinity"


def test_only_what_is_said_to_is_done_differently_from_unit_to_unit() -> None:
    hardened = {"NoNewPrivileges", "ProtectSystem", "PrivateTmp", "SystemCallFilter", "UMask"}
    for unit in (SEQUENCER, WORKER, CLERK, TIGERBEETLE):
        assert hardened <= unit.keys()
        assert unit["CapabilityBoundingSet"] == [""]
        assert unit["MemoryDenyWriteExecute"] == ["yes"]
        assert unit["Restart"] == ["always"]


# --- Caddy -----------------------------------------------------------------------------------

CADDYFILE = (OPS / "Caddyfile").read_text()


def caddy_value(name: str) -> str:
    (value,) = re.findall(rf"^\s*{name} (\S+)", CADDYFILE, re.MULTILINE)
    return str(value)


def test_caddy_hangs_up_before_a_worker_does_and_not_under_an_order_that_waits() -> None:
    assert caddy_value("to") == f"{SETTINGS.http.host}:{SETTINGS.http.port}"
    assert seconds(caddy_value("keepalive")) < DRAIN_SECONDS
    assert seconds(caddy_value("write")) > STREAM_SECONDS_MAX


def test_nginx_hangs_up_before_a_worker_does_and_not_between_two_words_of_an_order() -> None:
    conf = (OPS / "nginx.conf").read_text()

    def value(name: str) -> str:
        return str(re.findall(rf"^\s*{name} (\S+)", conf, re.MULTILINE)[0]).rstrip(";")

    assert value("server") == f"{SETTINGS.http.host}:{SETTINGS.http.port}"
    assert seconds(value("keepalive_timeout")) < DRAIN_SECONDS
    assert seconds(value("proxy_read_timeout")) > HEARTBEAT_SECONDS


@pytest.mark.parametrize(
    ("file", "export", "timeout"),
    [
        ("Caddyfile", "reverse_proxy /api/admin/orders.csv", "response_header_timeout"),
        ("nginx.conf", "location = /api/admin/orders.csv", "proxy_read_timeout"),
    ],
)
def test_the_proxies_wait_for_an_export_as_long_as_it_may_take_to_be_read(
    file: str, export: str, timeout: str
) -> None:
    _, _, block = (OPS / file).read_text().partition(export)
    assert block, "as every other answer, it would have to begin within seconds"
    match = re.search(rf"\b{timeout} (\w+)", block)
    assert match is not None
    assert seconds(match[1]) >= EXPORT_TURN_SECONDS_MAX + EXPORT_SECONDS_MAX


def test_the_proxies_answer_where_the_settings_say_that_the_shop_is() -> None:
    assert SETTINGS.http.public_url is not None
    assert f"{{$TIGERFANS_PUBLIC_URL:{SETTINGS.http.public_url}}}" in CADDYFILE
    host = SETTINGS.http.public_url.removeprefix("https://")
    assert f"server_name {host};" in (OPS / "nginx.conf").read_text()


@needs_caddy
def test_caddy_reads_its_file() -> None:
    adapted = subprocess.run(
        [str(CADDY), "adapt", "--config", str(OPS / "Caddyfile"), "--adapter", "caddyfile"],
        env=os.environ | {"XDG_DATA_HOME": "/nowhere", "XDG_CONFIG_HOME": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert adapted.returncode == 0, adapted.stderr
    assert '"warn"' not in adapted.stderr


# --- PostgreSQL and Redis --------------------------------------------------------------------


def read_postgresql_conf() -> dict[str, str]:
    lines = (OPS / "postgresql.conf").read_text().splitlines()
    pairs = [line.split(" = ") for line in lines if line and not line.startswith("#")]
    return {name: value.strip("'") for name, value in pairs}


async def test_postgresql_knows_every_setting_and_the_doctor_likes_them(database_url: str) -> None:
    values = read_postgresql_conf()
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch("SELECT name FROM pg_settings")
    finally:
        await connection.close()
    assert values.keys() <= {row["name"] for row in rows}
    known = POSTGRESQL.settings
    facts = {**known, **{k: v for k, v in values.items() if k in known}}
    assert facts["max_connections"] == values["max_connections"]
    findings = judge_postgresql(replace(POSTGRESQL, settings=facts), SETTINGS)
    assert wrong(findings) == {}


@pytest.fixture
def redis_socket(server_folder: Path) -> Iterator[Path]:
    """The socket of a Redis that was started with the file of ops/, in folders of this test."""
    folder = server_folder / "ops-redis"
    folder.mkdir()
    socket = folder / "redis.sock"
    # In the file itself: Redis enters a folder as it reads its line, before what an argument says.
    conf = (OPS / "redis.conf").read_text()
    for name, value in {"dir": folder, "unixsocket": socket, "logfile": '""'}.items():
        conf, count = re.subn(rf"^{name} .+$", f"{name} {value}", conf, flags=re.MULTILINE)
        assert count == 1, name
    (folder / "redis.conf").write_text(conf)
    program = Program(
        name="redis",
        argv=(str(stack_redis.binary()), str(folder / "redis.conf")),
        stop_timeout_s=5,
        probe=lambda: stack_redis.answers(socket),
    )
    with running(program, folder / "log"):
        yield socket


async def test_the_doctor_likes_a_redis_that_was_started_with_its_file(redis_socket: Path) -> None:
    findings = await check_redis(
        replace(SETTINGS, stores=replace(SETTINGS.stores, redis_url=f"unix://{redis_socket}"))
    )
    assert wrong(findings) == {}
    assert {"access", "appendfsync", "maxmemory-policy"} <= {f.subject for f in findings}


def test_a_backup_shows_nobody_the_password_of_the_orders() -> None:
    url = "postgresql://me:p%40ss@[::1]:7/orders?target_session_attrs=read-write&password=other"
    show = "import os, sys; print(sys.argv[1:], os.environ.get('DATABASE_URL'));"
    show += "print(*(os.environ[name] for name in ('PGHOST', 'PGPORT', 'PGPASSWORD')))"
    shown = subprocess.run(
        [sys.executable, str(OPS / "with-orders"), sys.executable, "-c", show, "--quiet"],
        env=os.environ | {"DATABASE_URL": url},
        check=True,
        capture_output=True,
        text=True,
    )
    public = "postgresql://me@/orders?target_session_attrs=read-write"
    assert shown.stdout == f"['--quiet', '{public}'] None\n::1 7 p@ss\n"
    for script in ("backup.sh", "restore.sh"):
        assert '"$DATABASE_URL"' not in (OPS / script).read_text()


def forget_answers(redis_url: str, key_prefix: str) -> int:
    """As `restore.sh` does it; gives how many there were."""
    forgotten = subprocess.run(
        [sys.executable, OPS / "in-redis", OPS / "forget-answers.lua", key_prefix],
        env=os.environ | {"REDIS_URL": redis_url},
        check=True,
        stdout=subprocess.PIPE,
    )
    return int(forgotten.stdout)


async def test_after_a_restore_redis_knows_sessions_but_no_answers(
    redis_url: str, database_url: str
) -> None:
    database = await Database.connect(database_url)
    key_prefix = (await IdentityRow.claim(database, "secret")).id.key_prefix
    async with database.connection() as connection:
        [query] = re.findall(r"orders '(SELECT .* FROM shop)'", (OPS / "restore.sh").read_text())
        told = await connection.fetchval(query)
    await database.close()
    sessions = Sessions.connect(redis_url, key_prefix)
    anothers = "89abcdef:order:1"
    now_ms = time.time_ns() // 1_000_000
    paid, waiting = (
        Session("mock_x", OrderId.new(), "A", 6500, "fan@example.org", now_ms, now_ms + 60_000)
        for _ in range(2)
    )
    try:
        for session in (paid, waiting):
            await sessions.save(session)
        sessions.finish(paid, b'{"status":"PAID"}')
        await sessions.ping()
        async with Redis.from_url(redis_url) as redis:
            while not (entry := await sessions.find(paid.order_id)) or not entry.paid_answer:
                await sessions.ping()
            await redis.set(anothers, "session\nanswer")
            assert forget_answers(redis_url, told) == 1
            assert await redis.ttl(f"{key_prefix}:order:{paid.order_id.hex_digits}") > 0
            assert await redis.get(anothers) == b"session\nanswer"
        for session in (paid, waiting):
            entry = await sessions.find(session.order_id)
            assert entry
            assert (entry.session, entry.paid_answer) == (session, b"")
    finally:
        await sessions.close()


# --- Several hosts ---------------------------------------------------------------------------

HOSTS = OPS / "hosts"
HOSTS_ADDED = read_environment(HOSTS / "tigerfans.env")
HOSTS_SETTINGS = Settings.from_environment(ENVIRONMENT | SECRETS | HOSTS_ADDED)
HOST_ADDRESSES = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]


def read_drop_in(unit: str) -> Unit:
    return read_unit(f"../hosts/systemd/{unit}.d/hosts.conf")


def test_every_setting_of_several_hosts_is_one_and_fit_for_production() -> None:
    asked = Asked()
    Settings.from_environment(asked)
    assert asked.names >= HOSTS_ADDED.keys()
    # Open to the other hosts, which is what the doctor tells of both.
    warned = {"TIGERFANS_HOST", "TIGERFANS_METRICS_ADDRESS"}
    assert wrong(check_configuration(HOSTS_SETTINGS)) == dict.fromkeys(warned, Verdict.WARNING)


def test_several_hosts_open_where_their_settings_say() -> None:
    empty, listen = read_drop_in("tigerfans-worker@.socket")["ListenStream"]
    assert empty == "", "or one host's address stays beside it"
    assert listen == f"{HOSTS_SETTINGS.http.host}:{HOSTS_SETTINGS.http.port}"
    empty, start = read_drop_in("tigerbeetle.service")["ExecStart"]
    addresses = re.search(r"--addresses=(\S+)", start)
    assert empty == ""
    assert addresses
    assert HOSTS_SETTINGS.ledger == f"tigerbeetle://{addresses[1]}/1"
    assert TIGERBEETLE["AssertPathExists"] == [start.split()[-1]]


@pytest.mark.parametrize(
    "unit", ["tigerbeetle.service", "tigerfans-.service", "tigerfans-worker@.socket"]
)
def test_a_unit_lets_all_hosts_in_and_nobody_else(unit: str) -> None:
    (allowed,) = read_drop_in(unit)["IPAddressAllow"]
    assert allowed.removeprefix("localhost ").split() == HOST_ADDRESSES


def test_what_has_no_password_is_for_the_hosts_alone() -> None:
    firewall = (HOSTS / "nftables.conf").read_text()
    (allowed,) = re.findall(r"ip saddr \{ (.+) \} accept", firewall)
    (closed,) = re.findall(r"tcp dport \{ (.+) \} drop", firewall)
    assert allowed.split(", ") == HOST_ADDRESSES
    urls = " ".join(HOSTS_ADDED.values())
    ports = {int(port) for port in re.findall(r":(\d{4,5})\b", urls)}
    assert ports | {HOSTS_SETTINGS.http.port, 5432, 6379, 26379} <= set(
        map(int, closed.split(", "))
    )


def test_every_standby_says_the_name_that_confirms_an_order() -> None:
    (confirms,) = re.findall(
        r"^synchronous_standby_names = 'ANY 1 \((\w+)\)'$",
        (HOSTS / "postgresql.conf").read_text(),
        re.MULTILINE,
    )
    assert f"application_name={confirms}" in (HOSTS / "rejoin.sh").read_text()


async def test_postgresql_knows_every_setting_of_several_hosts(database_url: str) -> None:
    lines = (HOSTS / "postgresql.conf").read_text().splitlines()
    names = {line.split(" = ")[0] for line in lines if line and not line.startswith("#")}
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch("SELECT name FROM pg_settings")
    finally:
        await connection.close()
    assert names <= {row["name"] for row in rows}


def test_redis_and_sentinel_agree_on_the_name_and_the_port() -> None:
    sentinel = (HOSTS / "sentinel.conf").read_text()
    name, port = re.findall(r"^sentinel monitor (\w+) \S+ (\d+) 2$", sentinel, re.MULTILINE)[0]
    assert HOSTS_ADDED["REDIS_URL"].endswith(f"/{name}/0")
    assert f"\nport {port}\n" in (HOSTS / "redis.conf").read_text()
    about_it = re.findall(r"^sentinel [a-z-]+ (\S+)", sentinel, re.MULTILINE)
    assert set(about_it) == {name}


@needs_caddy
def test_caddy_gives_a_post_to_another_host_only_if_nobody_took_it() -> None:
    adapted = subprocess.run(
        [str(CADDY), "adapt", "--config", str(OPS / "Caddyfile"), "--adapter", "caddyfile"],
        env=os.environ
        | {"XDG_DATA_HOME": "/nowhere", "XDG_CONFIG_HOME": "/nowhere"}
        | {"TIGERFANS_PROXY": str(HOSTS / "hosts.caddy")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert adapted.returncode == 0, adapted.stderr
    assert '"warn"' not in adapted.stderr
    for address in HOST_ADDRESSES:
        assert adapted.stdout.count(f'"dial":"{address}:8000"') == 2
    # Without a rule of its own Caddy sends again what is a GET, and what was never accepted.
    assert "retry_match" not in adapted.stdout
    assert '"selection_policy":{"policy":"first"}' in adapted.stdout


@pytest.mark.parametrize("script", ["promote.sh", "rejoin.sh", "postgresql.sh"])
def test_a_shell_reads_the_scripts_of_several_hosts(script: str) -> None:
    read = subprocess.run(
        ["/bin/sh", "-n", str(HOSTS / script)], capture_output=True, text=True, check=False
    )
    assert (read.returncode, read.stderr) == (0, "")


def test_the_alerts_are_of_figures_that_the_page_of_operations_names() -> None:
    page = (OPS.parent / "docs" / "operations.md").read_text()
    figures = r"tigerfans_[a-z_]+(?:_total|_up|_workers|_events|_bucket)\b"
    rules = set(re.findall(figures, (HOSTS / "alerts.yml").read_text()))
    assert rules == set(re.findall(figures, page))
