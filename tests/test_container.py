"""The images and compose.yaml are true: what they name exists, and what they say fits together.

Where podman can run containers, and a base image is there, the image is built and sells a ticket.
"""

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from fnmatch import fnmatch
from functools import cache
from hashlib import sha256
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import httpx
import pytest
import yaml

from tests.fresh import pip_environment
from tests.harness.needs import needs_linux
from tests.harness.patience import patience, until
from tests.harness.ports import HOST, free_port
from tests.test_ops import Asked, read_environment
from tigerfans import __version__, cli
from tigerfans.clerk.rounds import FINISH_SECONDS_MAX
from tigerfans.doctor.machine import FILES_SPARE
from tigerfans.http.serving.draining import DRAIN_SECONDS
from tigerfans.sequencer import main as sequencer
from tigerfans.settings.settings import PROVIDERS, Settings, SettingsError
from tigerfans.stack import tigerbeetle

ROOT: Final = Path(__file__).parents[1]
CONTAINERFILE: Final = (ROOT / "Containerfile").read_text()
CONTAINER: Final = ROOT / "ops" / "container"
EXAMPLE: Final = CONTAINER / "env.example"
# What stops a container is not patient by itself.
STOP_SECONDS: Final = 10
# It downloads what it is made of, on a machine that may be busy.
BUILD_SECONDS_MAX: Final = 900

# ${NAME}, ${NAME:-default}, ${NAME-default}, ${NAME:?what to do}
_VARIABLE: Final = re.compile(r"\$\{(\w+)(?:(:?[-?])([^}]*))?\}")

Service = dict[str, Any]


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """As Compose does it; raises `ValueError` for what is needed and is not there, or empty."""

    def value(match: re.Match[str]) -> str:
        name, operator, word = match.groups()
        given = variables.get(name, "")
        if operator == ":?" and not given:
            raise ValueError(name)
        if operator == "-" and name in variables:
            return given
        return given or (word or "")

    return _VARIABLE.sub(value, text)


COMPOSE_TEXT: Final = re.sub(
    r"^\s*#.*$", "", (ROOT / "compose.yaml").read_text(), flags=re.MULTILINE
)
OPERATORS: Final = {name: operator for name, operator, _ in _VARIABLE.findall(COMPOSE_TEXT)}
EXAMPLE_VALUES: Final = read_environment(EXAMPLE)
# Such as `openssl rand -hex 24` prints, each its own.
SECRETS: Final = {
    name: sha256(name.encode()).hexdigest()[:48]
    for name, value in EXAMPLE_VALUES.items()
    if not value
}
COMPOSE: Final = yaml.safe_load(interpolated(COMPOSE_TEXT, EXAMPLE_VALUES | SECRETS))
SERVICES: Final[dict[str, Service]] = COMPOSE["services"]
SHOP: Final = {
    name: service for name, service in SERVICES.items() if "TIGERFANS_ENV" in str(service)
}
WORKERS: Final = [name for name in SHOP if name.startswith("worker-")]
ENVIRONMENT: Final = {name: str(value) for name, value in SHOP["sequencer"]["environment"].items()}
SETTINGS: Final = Settings.from_environment(
    # From the image.
    dict(re.findall(r"(TIGERFANS_\w+)=(\S+)", CONTAINERFILE)) | ENVIRONMENT
)


# --- The settings ----------------------------------------------------------------------------


def test_compose_hands_on_settings_that_there_are_and_the_same_to_all_of_the_shop() -> None:
    asked = Asked()
    Settings.from_environment(asked)
    assert set(SHOP) == {"migrate", "sequencer", "clerk", *WORKERS}
    # Which secrets are read follows from the provider.
    secrets = {row.secrets_setting for row in PROVIDERS.values()}
    assert ENVIRONMENT.keys() <= asked.names | secrets
    by_stripe = {name for name in asked.names | secrets if name.startswith("STRIPE_")}
    assert by_stripe - ENVIRONMENT.keys() == {"STRIPE_API_BASE"}
    assert all(
        service["environment"] == SHOP["sequencer"]["environment"] for service in SHOP.values()
    )


def test_an_empty_secret_or_address_is_refused_by_name() -> None:
    needed = {name for name, operator in OPERATORS.items() if operator == ":?"}
    assert needed == {*SECRETS, "TIGERFANS_PUBLIC_URL"}
    for name in needed:
        with pytest.raises(ValueError, match=name):
            interpolated(COMPOSE_TEXT, EXAMPLE_VALUES | SECRETS | {name: ""})


def test_the_shop_is_in_production_and_refuses_the_secrets_that_everybody_knows() -> None:
    assert SETTINGS.environment == "production"
    with pytest.raises(SettingsError, match="ADMIN_PASSWORD"):
        Settings.from_environment(ENVIRONMENT | {"ADMIN_PASSWORD": ""})


def test_every_variable_of_the_example_is_one_of_compose() -> None:
    assert EXAMPLE_VALUES.keys() <= OPERATORS.keys()


def test_every_variable_of_compose_that_is_no_setting_is_on_the_page() -> None:
    page = (ROOT / "docs" / "container.md").read_text()
    assert {
        name for name in OPERATORS if name not in ENVIRONMENT and f"`{name}`" not in page
    } == set()


# --- What fits together ----------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_may_do_nothing_that_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges" in service["security_opt"]
    assert "privileged" not in service
    assert "cap_add" not in service
    assert service["mem_limit"]
    assert service["pids_limit"]
    is_once = name in ("format", "migrate")
    assert service["restart"] == ("no" if is_once else "unless-stopped")
    assert "ports" not in service or name == "network"


def test_only_this_machine_reaches_what_is_published() -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES["network"]["ports"])
    published = {port.rpartition(":")[2] for port in SERVICES["network"]["ports"]}
    assert published == {str(SETTINGS.http.port), str(SETTINGS.sequencer.metrics_port)}


def test_all_are_on_one_loopback_and_listen_where_the_settings_look_for_them() -> None:
    rest = {name: service for name, service in SERVICES.items() if name != "network"}
    assert {service["network_mode"] for service in rest.values()} == {"service:network"}
    start = SERVICES["tigerbeetle"]["command"]
    (addresses,) = (word for word in start if word.startswith("--addresses="))
    cluster, file = SERVICES["format"]["command"]
    assert SETTINGS.ledger == f"tigerbeetle://{addresses.partition('=')[2]}/{cluster}"
    assert start[-1] == file
    assert "--development" not in start
    assert "-clisten_addresses=127.0.0.1" in SERVICES["postgresql"]["command"]
    redis = SERVICES["redis"]["command"]
    assert redis[redis.index("--bind") + 1] == "127.0.0.1"


def test_the_proxy_that_is_trusted_comes_from_the_bridge() -> None:
    (config,) = COMPOSE["networks"]["bridge"]["ipam"]["config"]
    gateway = config["subnet"].replace(".0/24", ".1")
    assert [str(network) for network in SETTINGS.limits.trusted_proxies] == [f"{gateway}/32"]


def test_there_are_as_many_workers_as_the_settings_say_and_each_has_its_number() -> None:
    assert [f"worker-{number}" for number in range(1, SETTINGS.http.workers + 1)] == WORKERS
    for name in WORKERS:
        command = SERVICES[name]["command"]
        assert command == ["worker", "--number", name.partition("-")[2]]
    for service in SHOP.values():
        assert callable(cli._parser().parse_args(service["command"]).command)


def test_there_is_a_clerk() -> None:
    assert SERVICES["clerk"]["command"] == ["clerk"]


def test_workers_and_clerk_start_on_a_schema_of_their_own_and_connections_are_handed_on() -> None:
    for name in (*WORKERS, "clerk"):
        before = SERVICES[name]["depends_on"]
        assert before["migrate"] == {"condition": "service_completed_successfully"}
        assert before["sequencer"] == {"condition": "service_healthy"}
    assert SERVICES["network"]["sysctls"] == {"net.ipv4.tcp_migrate_req": 1}


def test_everybody_has_the_time_to_stop_and_the_files_that_are_needed() -> None:
    needed = (
        sequencer.DRAIN_SECONDS_MAX
        + sequencer.METRICS_STOP_SECONDS_MAX
        + sequencer.LEDGER_CLOSE_SECONDS_MAX
    )
    assert needed < STOP_SECONDS
    for name in WORKERS:
        grace = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
        assert grace > STOP_SECONDS + DRAIN_SECONDS
        files = SETTINGS.http.connections + SETTINGS.stores.database_connections + FILES_SPARE
        assert SERVICES[name]["ulimits"]["nofile"] >= files
    grace = int(SERVICES["clerk"]["stop_grace_period"].removesuffix("s"))
    assert grace > FINISH_SECONDS_MAX


# --- The images ------------------------------------------------------------------------------


def test_the_versions_are_the_projects() -> None:
    assert f'org.opencontainers.image.version="{__version__}"' in CONTAINERFILE
    assert f'org.opencontainers.image.version="{tigerbeetle.VERSION}"' in CONTAINERFILE
    assert SERVICES["sequencer"]["image"] == f"tigerfans:{__version__}"
    for name in ("format", "tigerbeetle"):
        assert SERVICES[name]["image"] == f"tigerfans-tigerbeetle:{tigerbeetle.VERSION}"
    assert f"tigerbeetle=={tigerbeetle.VERSION}" in (ROOT / "constraints.txt").read_text()


def test_the_image_runs_as_the_user_who_owns_what_it_writes() -> None:
    stages = {
        part.split()[-1]: part for part in re.findall(r"^FROM .*", CONTAINERFILE, re.MULTILINE)
    }
    assert {"python", "build", "server", "tigerbeetle", "tigerfans"} == set(stages)
    assert re.findall(r"^USER (\d+):\1$", CONTAINERFILE, re.MULTILINE) == ["10002", "10001"]
    assert SERVICES["tigerbeetle"]["user"] == "10002:10002"
    owned = re.search(r"install -d -m 700 -o 10001 -g 10001 (.*?)\s*\\", CONTAINERFILE)
    assert owned
    assert owned[1].split() == [str(SETTINGS.data), str(SETTINGS.sequencer.socket.parent)]


def test_the_build_sees_what_it_copies_and_nothing_else() -> None:
    lines = (ROOT / ".containerignore").read_text().splitlines()
    everything, *seen = [line for line in lines if line and not line.startswith("#")]
    assert everything == "*"
    let_in = [line.removeprefix("!") for line in seen if line.startswith("!")]
    copied = [
        source
        for words in re.findall(r"^COPY (?!--from)(.*) \S+$", CONTAINERFILE, re.MULTILINE)
        for source in words.split()
    ]
    assert copied
    for source in copied:
        assert any(fnmatch(path, source) or source.startswith(f"{path}/") for path in let_in), (
            source
        )
    assert not {".git", ".env", "tests", "data"} & set(let_in)
    # Docker knows the file by this name only.
    assert (ROOT / ".dockerignore").resolve() == ROOT / ".containerignore"
    assert "/.env" in (ROOT / ".gitignore").read_text().splitlines()


def test_io_uring_is_allowed_and_ways_out_of_a_container_are_not() -> None:
    profile = json.loads((CONTAINER / "seccomp.json").read_text())
    denied = {
        name
        for rule in profile["syscalls"]
        if rule["action"] == "SCMP_ACT_ERRNO" and "args" not in rule
        for name in rule["names"]
    }
    assert {"bpf", "keyctl", "mount", "ptrace", "setns", "unshare", "userfaultfd"} <= denied
    assert not {name for name in denied if name.startswith("io_uring")}
    for name in ("format", "tigerbeetle", *SHOP):
        assert "seccomp=ops/container/seccomp.json" in SERVICES[name]["security_opt"]
    for name in ("postgresql", "redis", "network"):
        assert "seccomp" not in str(SERVICES[name]["security_opt"])


def test_a_data_file_is_made_once_and_whole(tmp_path: Path) -> None:
    program = tmp_path / "tigerbeetle"
    program.write_text('#!/bin/sh\nfor file; do :; done\necho "$@" > "$file"\n')
    program.chmod(0o755)
    file = tmp_path / "0_0.tigerbeetle"
    made = [str(CONTAINER / "format-once"), "7", str(file)]
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(made, env=environ, check=True, capture_output=True)
    assert file.read_text() == f"format --cluster=7 --replica=0 --replica-count=1 {file}.new\n"
    file.write_text("the shop's")
    subprocess.run(made, env=environ, check=True, capture_output=True)
    assert file.read_text() == "the shop's"
    assert {path.name for path in tmp_path.iterdir()} == {"tigerbeetle", "0_0.tigerbeetle"}


# --- Healthy, or not -------------------------------------------------------------------------


@pytest.fixture
def healthy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script, told to look at this process as if it were the container's first one."""
    loader = SourceFileLoader("healthy", str(CONTAINER / "healthy"))
    spec = spec_from_loader("healthy", loader)
    assert spec
    module = module_from_spec(spec)
    loader.exec_module(module)
    monkeypatch.setattr(module, "PROCESS", tmp_path)
    (tmp_path / "fd").symlink_to("/proc/self/fd")
    return module


def run_as(process: Path, *command: str) -> None:
    (process / "cmdline").write_bytes(b"\0".join(word.encode() for word in command) + b"\0")


@needs_linux
def test_a_worker_is_well_while_it_listens_itself(
    healthy: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_as(tmp_path, "python", "tigerfans", "worker", "--number", "2")
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        monkeypatch.setenv("TIGERFANS_PORT", str(port))
        assert healthy.main() == 0
        # Another process on the same port does not make this one well.
        (tmp_path / "fd").unlink()
        (tmp_path / "fd").mkdir()
        assert healthy.main() == 1
    assert capsys.readouterr().out == f"This worker does not listen on port {port}.\n"


@asynccontextmanager
async def a_sequencer(
    monkeypatch: pytest.MonkeyPatch, status: str, body: bytes = b""
) -> AsyncIterator[list[bytes]]:
    """One that answers so; gives what it was asked."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        writer.close()

    async with await asyncio.start_server(serve, HOST) as server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv("TIGERFANS_METRICS_ADDRESS", f"0.0.0.0:{port}")
        yield asked


@pytest.mark.parametrize(("status", "code"), [("200 OK", 0), ("503 x", 1)])
async def test_the_sequencer_is_well_while_it_answers(
    healthy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str, code: int
) -> None:
    run_as(tmp_path, "python", "tigerfans", "sequencer")
    async with a_sequencer(monkeypatch, status) as asked:
        assert await asyncio.to_thread(healthy.main) == code
    assert asked[0].startswith(b"GET /status ")


@pytest.mark.parametrize(("arguments", "code"), [((), 0), (("--number", "2"), 1)])
async def test_a_clerk_is_well_while_the_sequencer_knows_of_it(
    healthy: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
) -> None:
    run_as(tmp_path, "python", "tigerfans", "clerk", *arguments)
    async with a_sequencer(monkeypatch, "200 OK", b'{"clerks": [{"name": "clerk-1"}]}') as asked:
        assert await asyncio.to_thread(healthy.main) == code
    assert asked[0].startswith(b"GET /status ")


def test_who_does_not_answer_is_not_well(
    healthy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_as(tmp_path, "python", "tigerfans", "up")
    monkeypatch.setenv("TIGERFANS_PORT", str(free_port()))
    assert healthy.main() == 1


# --- Built, and sold from --------------------------------------------------------------------

PODMAN: Final = shutil.which("podman")
BASE: Final = re.findall(r"^ARG BASE=(\S+)", CONTAINERFILE, re.MULTILINE)[0]
IMAGE: Final = "localhost/tigerfans-test:latest"
OPTIONS: Final = (
    *("--rm", "--read-only", "--read-only-tmpfs=false", "--cap-drop=ALL"),
    *("--security-opt=no-new-privileges", f"--security-opt=seccomp={CONTAINER / 'seccomp.json'}"),
)


def podman(
    *arguments: str, seconds: float = 60, **environ: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [PODMAN or "podman", *arguments],
        env=os.environ | environ,
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
    )


@cache
def why_not() -> str | None:
    """What this machine lacks to build and run the image, which nothing is fetched for."""
    if os.geteuid() != 0:
        return "not root, who alone has containers with a network here: run the tests as root"
    if PODMAN is None:
        return "no podman: `sudo apt install podman`"
    if podman("image", "exists", BASE).returncode != 0:
        return f"no base image for containers: `podman pull {BASE}`"
    tried = podman("run", "--network=host", *OPTIONS, BASE, "true")
    return f"podman runs no containers here: {tried.stderr.strip()}" if tried.returncode else None


@pytest.fixture
def image(tmp_path: Path) -> Iterator[str]:
    """The image as it is built here, which is removed again."""
    if reason := why_not():
        pytest.skip(reason)
    pip = pip_environment()
    mounted: list[str] = []
    if certificates := pip.pop("PIP_CERT", None):
        mounted = [f"--volume={certificates}:/etc/certificates.crt:ro"]
        pip["PIP_CERT"] = "/etc/certificates.crt"
    lines = [f"{name.removeprefix('PIP_').lower()} = {value}" for name, value in pip.items()]
    (tmp_path / "pip.conf").write_text("\n".join(["[global]", *lines, ""]))
    built = podman(
        *("build", "--network=host", f"--secret=id=pip,src={tmp_path / 'pip.conf'}", *mounted),
        *(f"--file={ROOT / 'Containerfile'}", "--target=tigerfans", f"--tag={IMAGE}", str(ROOT)),
        seconds=BUILD_SECONDS_MAX,
        # For what is cached from one build to the next, which would outlive the test.
        TMPDIR=str(tmp_path),
    )
    shutil.rmtree(tmp_path / "buildah-cache", ignore_errors=True)
    assert built.returncode == 0, built.stderr
    yield IMAGE
    podman("rmi", "--force", IMAGE)


@asynccontextmanager
async def reached_by_tcp(path: str) -> AsyncIterator[int]:
    """A port of this machine that leads to a Unix socket, which a container's user cannot enter."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(2**16):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    connections: list[asyncio.Task[None] | None] = []

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(asyncio.current_task())
        there_reader, there_writer = await asyncio.open_unix_connection(path)
        await asyncio.gather(pass_on(reader, there_writer), pass_on(there_reader, writer))

    server = await asyncio.start_server(connect, HOST)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        # Who was connected is gone by now.
        async with patience():
            await asyncio.gather(*filter(None, connections))


@pytest.mark.timeout(BUILD_SECONDS_MAX + 120)
async def test_the_image_is_built_and_sells_and_writes_nowhere(
    image: str, database_url: str, redis_url: str
) -> None:
    sockets = database_url.partition("host=")[2]
    port, metrics = free_port(), free_port()
    name = f"tigerfans-test-{port}"
    settings = dict(SECRETS) | {
        "TIGERFANS_PORT": str(port),
        "TIGERFANS_METRICS_ADDRESS": f"{HOST}:{metrics}",
        "TIGERFANS_LEDGER": "embedded:/var/lib/tigerfans/ledger",
        "TIGERFANS_WORKERS": "1",
    }
    parts = {
        "sequencer": ["sequencer"],
        "worker-1": ["worker", "--number", "1"],
        "clerk": ["clerk"],
    }

    async def run(*arguments: str) -> str:
        done = await asyncio.to_thread(podman, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    async with (
        reached_by_tcp(f"{sockets}/.s.PGSQL.5432") as postgresql,
        reached_by_tcp(redis_url.removeprefix("unix://")) as redis,
    ):
        settings["DATABASE_URL"] = f"postgresql://tigerfans@{HOST}:{postgresql}/tests"
        settings["REDIS_URL"] = f"redis://{HOST}:{redis}/0"
        common = [
            *("--network=host", *OPTIONS),
            *(f"--volume={name}-run:/run/tigerfans", f"--volume={name}-data:/var/lib/tigerfans"),
            *(f"--env={key}={value}" for key, value in settings.items()),
        ]
        try:
            assert "has" in await run("run", *common, image, "migrate")
            for part, command in parts.items():
                await run("run", "--detach", f"--name={name}-{part}", *common, image, *command)

            async def is_healthy(part: str) -> bool:
                done = await asyncio.to_thread(podman, "exec", f"{name}-{part}", "healthy")
                return done.returncode == 0

            for part in parts:
                await until(lambda part=part: is_healthy(part))  # type: ignore[misc]
            async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}", trust_env=False) as fan:
                body = {"cls": "A", "customer_email": "fan@example.org"}
                held = (await fan.post("/api/checkout", json=body)).raise_for_status().json()
                pay = f"{held['redirect_url']}/emit"
                assert (await fan.post(pay, data={"t": "succeeded"})).status_code == 303

                async def is_paid() -> bool:
                    order = await fan.get(f"/api/orders/{held['order_id']}")
                    return bool(order.raise_for_status().json()["status"] == "PAID")

                await until(is_paid)
            told = await run("exec", f"{name}-sequencer", "tigerfans", "reconcile")
            assert "1 sales on the ledger, 1 paid orders." in told
            for part in parts:
                # Podman's own, of every container.
                assert await run("diff", f"{name}-{part}") in ("", "C /etc\n")
                assert await run("exec", f"{name}-{part}", "id", "-u") == "10001\n"
        finally:
            for part in reversed(parts):
                await asyncio.to_thread(podman, "rm", "--force", "--time=10", f"{name}-{part}")
            await run("volume", "rm", "--force", f"{name}-run", f"{name}-data")
