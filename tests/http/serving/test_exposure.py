"""What must not be open to others does not start: real processes, and sockets given to them."""

import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.stack.running_shop import environment, free_addresses, open_shop, tigerfans
from tigerfans.stack.programs import launch_command

EVERYWHERE = "0.0.0.0"  # noqa: S104
SECRETS = {
    "MOCK_SECRET": "of-the-provider",
    "TIGERFANS_TICKET_SECRET": "of-the-tickets",
    "ADMIN_PASSWORD": "of-the-operator",
}
NEEDED = "lets other machines in, which needs a value of your own for ADMIN_PASSWORD.\n"


def test_production_does_not_start_on_mockpay_alone(tmp_path: Path) -> None:
    production = SECRETS | free_addresses() | {"TIGERFANS_ENV": "production"}
    environ = environment(tmp_path / "data", production)
    for command in (("up",), ("worker", "--number", "1"), ("sequencer",)):
        refused = tigerfans(*command, environ=environ, cwd=tmp_path)
        assert refused.returncode == 2
        assert refused.stderr.startswith("TIGERFANS_PAYMENT_PROVIDER=mockpay takes no money and")
        assert refused.stderr.count("\n") == 1


def test_a_demonstration_sells_in_production_and_says_that_it_is_one(tmp_path: Path) -> None:
    demo = SECRETS | {"TIGERFANS_ENV": "production", "TIGERFANS_DEMO": "1"}
    buyer = {"cls": "A", "customer_email": "fan@example.org"}
    with (
        open_shop(tmp_path, TIGERFANS_WORKERS="1", **demo) as shop,
        httpx.Client(base_url=shop.url, trust_env=False) as client,
    ):
        held = client.post("/api/checkout", json=buyer).json()
        client.post(f"{held['redirect_url']}/emit", data={"t": "succeeded"})
        assert client.get(f"/api/orders/{held['order_id']}").json()["status"] == "PAID"
        for path in ("/", "/demo/checkout", held["redirect_url"]):
            assert "This shop is a demonstration: no money is taken." in client.get(path).text


def test_a_shop_that_other_machines_reach_does_not_start_with_a_known_secret(
    tmp_path: Path,
) -> None:
    reached = free_addresses() | SECRETS | {"TIGERFANS_HOST": EVERYWHERE}
    environ = environment(tmp_path / "data", reached | {"ADMIN_PASSWORD": "supasecret"})
    refused = tigerfans("up", environ=environ, cwd=tmp_path)
    assert (refused.returncode, refused.stderr) == (2, f"TIGERFANS_HOST={EVERYWHERE} {NEEDED}")
    with open_shop(tmp_path, **reached) as shop:
        assert shop.is_ready()


@pytest.mark.parametrize("host", [EVERYWHERE, "127.0.0.1"])
def test_a_worker_looks_at_the_socket_it_was_given_whatever_the_settings_say(
    tmp_path: Path, host: str
) -> None:
    """As with a `ListenStream=` that is not TIGERFANS_HOST."""
    settings = free_addresses() | SECRETS | {"ADMIN_PASSWORD": "supasecret"}
    with socket.create_server((host, 0)) as listener:
        worker = [sys.executable, "-P", "-m", "tigerfans", "worker", "--number", "1"]
        started = subprocess.run(
            launch_command(worker, listener=listener.fileno()),
            env=environment(tmp_path / "data", settings),
            cwd=tmp_path,
            pass_fds=[listener.fileno()],
            capture_output=True,
            text=True,
            check=False,
        )
    assert started.returncode == 2
    # On this machine alone it gets as far as the stores, of which none is named here.
    is_reached = host == EVERYWHERE
    expected = f"The socket on {host} that this worker was given {NEEDED}" if is_reached else "DATA"
    assert started.stderr.startswith(expected)
