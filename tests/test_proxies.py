"""The proxies of ops/ in front of a real shop: what comes through, and what their logs keep."""

import asyncio
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.harness.needs import CADDY, NGINX, needs_caddy, needs_nginx
from tests.harness.patience import PATIENCE_SECONDS
from tests.harness.ports import HOST, free_port
from tests.http.office.test_admin import OPERATOR
from tests.servers import running
from tests.stack.running_shop import RunningShop, open_shop
from tigerfans.booking.ids import SHORT_HEX_DIGITS
from tigerfans.stack.programs import Program

OPS: Final = Path(__file__).parents[1] / "ops"
PUBLIC_URL: Final = "https://localhost"
BUYER: Final = {"cls": "A", "customer_email": "fan@example.org"}


@dataclass(frozen=True)
class Proxy:
    """A proxy that runs; all that it writes is in `folder`."""

    url: str
    folder: Path

    def client(self) -> httpx.Client:
        return httpx.Client(
            base_url=self.url,
            verify=False,  # noqa: S501 - the certificate was made by this test
            trust_env=False,
            timeout=PATIENCE_SECONDS,
        )

    def get(self, path: str) -> httpx.Response:
        with self.client() as client:
            return client.get(path)

    @property
    def logs(self) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.rglob("*.log")))


Start = Callable[[Path, str], AbstractContextManager[Proxy]]


def changed(text: str, changes: Mapping[str, str]) -> str:
    """A file of ops/ for this machine; each change is made, once."""
    for there, here in changes.items():
        assert text.count(there) == 1, there
        text = text.replace(there, here)
    return text


@contextmanager
def run_proxy(name: str, argv: tuple[str, ...], url: str, folder: Path) -> Iterator[Proxy]:
    proxy = Proxy(url, folder)

    async def answers() -> bool:
        # It may listen before it has its certificate.
        try:
            await asyncio.to_thread(proxy.get, "/healthz")
        except httpx.TransportError:
            return False
        return True

    program = Program(name=name, argv=argv, stop_timeout_s=5, probe=answers)
    with running(program, folder / "stderr.log"):
        yield proxy


@contextmanager
def start_nginx(folder: Path, server: str, url: str) -> Iterator[Proxy]:
    places = "".join(
        f"{module}_temp_path {folder}/{module};\n"
        for module in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; user root; worker_processes 1;\nerror_log stderr;\n"
        f"events {{}}\nhttp {{\n{places}access_log {folder}/access.log;\n{server}\n}}\n"
    )
    argv = (str(NGINX), "-c", str(folder / "nginx.conf"), "-e", "stderr")
    with run_proxy("nginx", argv, url, folder) as proxy:
        yield proxy


@contextmanager
def nginx_of_ops(folder: Path, upstream: str) -> Iterator[Proxy]:
    port = free_port()
    certificate = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost"
    files = ["-keyout", str(folder / "privkey.pem"), "-out", str(folder / "chain.pem")]
    subprocess.run(
        ["/usr/bin/env", "openssl", *certificate.split(), *files], check=True, capture_output=True
    )
    server = changed(
        (OPS / "nginx.conf").read_text(),
        {
            "127.0.0.1:8000": upstream,
            "listen 80;": f"listen {HOST}:{free_port()};",
            "listen [::]:80;": "",
            "listen 443 ssl": f"listen {HOST}:{port} ssl",
            "listen [::]:443 ssl http2;": "",
            "/etc/ssl/tigerfans/fullchain.pem": f"{folder}/chain.pem",
            "/etc/ssl/tigerfans/privkey.pem": f"{folder}/privkey.pem",
            "/var/log/nginx/tigerfans.log": f"{folder}/tigerfans.log",
            "/var/log/nginx/tigerfans.error.log": f"{folder}/tigerfans.error.log",
        },
    )
    with start_nginx(folder, server, f"https://localhost:{port}") as proxy:
        yield proxy


@contextmanager
def nginx_by_default(folder: Path, upstream: str) -> Iterator[Proxy]:
    """As somebody begins: it buffers, speaks HTTP/1.0 to the shop, and calls it by its own name."""
    port = free_port()
    server = f"server {{ listen {HOST}:{port}; location / {{ proxy_pass http://{upstream}; }} }}"
    with start_nginx(folder, server, f"http://{HOST}:{port}") as proxy:
        yield proxy


@contextmanager
def caddy_of_ops(folder: Path, upstream: str) -> Iterator[Proxy]:
    port = free_port()
    caddyfile = changed(
        (OPS / "Caddyfile").read_text(),
        {
            # Nothing of this machine is touched: none of its ports, none of whom it trusts.
            "\tservers {": f"\tadmin off\n\tskip_install_trust\n\thttp_port {free_port()}\n"
            f"\thttps_port {port}\n\tstorage file_system {folder}/storage\n\tservers {{",
            "127.0.0.1:8000": upstream,
            "lb_try_duration 5s": "lb_try_duration 200ms",
            # As an operator may who wants to see each request.
            "\thandle_errors {": "\tlog\n\thandle_errors {",
        },
    )
    (folder / "Caddyfile").write_text(caddyfile)
    program = ("/usr/bin/env", f"XDG_CONFIG_HOME={folder}", str(CADDY))
    argv = (*program, "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile")
    with run_proxy("caddy", argv, f"https://localhost:{port}", folder) as proxy:
        yield proxy


OF_OPS: Final = [
    pytest.param(nginx_of_ops, id="nginx", marks=needs_nginx),
    pytest.param(caddy_of_ops, id="caddy", marks=needs_caddy),
]
ALL: Final = [*OF_OPS, pytest.param(nginx_by_default, id="nginx by default", marks=needs_nginx)]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    port = str(free_port())
    settings = {
        "TIGERFANS_WORKERS": "1",
        "TIGERFANS_PORT": port,
        "TIGERFANS_PUBLIC_URL": PUBLIC_URL,
        "TIGERFANS_TRUSTED_PROXIES": HOST,
        "TIGERFANS_HOLDS_PER_CLIENT": "200",
        "MOCK_WEBHOOK_URL": f"http://{HOST}:{port}/payments/webhook",
    }
    with open_shop(tmp_path_factory.mktemp("shop"), **settings) as shop:
        yield shop


def hold(client: httpx.Client) -> dict[str, Any]:
    answer = client.post("/api/checkout", json=BUYER)
    assert answer.status_code == 200, answer.text
    held: dict[str, Any] = answer.json()
    return held


@pytest.mark.parametrize("start", ALL)
def test_an_order_hears_of_its_end_at_once_and_the_operator_may_act(
    start: Start, shop: RunningShop, tmp_path: Path
) -> None:
    upstream = shop.url.removeprefix("http://")
    with start(tmp_path, upstream) as proxy, proxy.client() as client:
        held = hold(client)
        order_id = held["order_id"]
        with client.stream("GET", f"/api/orders/{order_id}/events") as stream:
            events = (line for line in stream.iter_lines() if line.startswith("data:"))
            # It comes while the order waits, or never: nothing else is told until it is paid.
            assert '"PENDING"' in next(events)
            assert client.post(f"{held['redirect_url']}/emit", data={"t": "succeeded"}).is_redirect
            assert '"PAID"' in next(events)
        refund = f"/api/admin/orders/{order_id}/refund"
        for origin, status in (("https://evil.example", 403), (PUBLIC_URL, 200)):
            answer = client.post(refund, headers=OPERATOR | {"Origin": origin})
            assert answer.status_code == status, answer.text
        page = client.get(f"/demo/success?order_id={order_id}", headers={"Accept": "text/html"})
        assert page.headers.get_list("cache-control") == ["no-store"]


@pytest.mark.parametrize("start", OF_OPS)
def test_the_shops_own_pages_stay_inside_and_an_error_keeps_its_headers(
    start: Start, shop: RunningShop, tmp_path: Path
) -> None:
    with start(tmp_path, shop.url.removeprefix("http://")) as proxy, proxy.client() as client:
        assert {client.get(path).status_code for path in ("/healthz", "/readyz")} == {404}
        missing = client.get("/static/0123456789ab/nothing.css")
        assert (missing.status_code, missing.headers["cache-control"]) == (404, "no-store")
        for path in ("/", "/nothing"):
            assert client.get(path).headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize("start", OF_OPS)
def test_the_door_may_send_a_telephones_photograph(
    start: Start, shop: RunningShop, tmp_path: Path
) -> None:
    with start(tmp_path, shop.url.removeprefix("http://")) as proxy, proxy.client() as client:
        headers = OPERATOR | {"Origin": PUBLIC_URL}
        answer = client.post("/api/door/frames", content=bytes(5 << 20), headers=headers)
        assert answer.status_code == 400, answer.text
        assert "no picture" in answer.json()["detail"]


@pytest.mark.parametrize("start", OF_OPS)
def test_a_shop_that_is_away_is_said_to_be_and_no_log_opens_a_ticket(
    start: Start, tmp_path: Path
) -> None:
    order_id = "0196f3a2b4c5d6e7f8091a2b3c4d5e00"
    nobody = f"{HOST}:{free_port()}"
    with start(tmp_path, nobody) as proxy, proxy.client() as client:
        paths = [f"/api/orders/{order_id}/qr.png", f"/demo/success?order_id={order_id.upper()}"]
        for path in paths:
            headers = {"Referer": f"{PUBLIC_URL}/demo/success?order_id={order_id}"}
            away = client.get(path, headers=headers)
            assert away.status_code in (502, 503)
            assert away.headers["retry-after"] == "5"
            assert away.headers["cache-control"] == "no-store"
            assert "closed for a moment" in away.text
            if path.startswith("/api/"):
                assert away.json()["detail"]
    logs = proxy.logs.lower()
    assert order_id[:SHORT_HEX_DIGITS] in logs
    assert not re.search(order_id[: SHORT_HEX_DIGITS + 1], logs)
