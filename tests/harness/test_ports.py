import socket
import subprocess
import sys

from tests.harness.inner import ROOT
from tests.harness.ports import BLOCK_SIZE, BLOCKS, HOST, free_port

ANOTHER_RUN = """
from tests.harness.ports import free_port
print(free_port(), flush=True)
input()
"""


def test_a_port_is_free_and_none_that_a_connection_may_be_given() -> None:
    port = free_port()
    assert BLOCKS.start < port < BLOCKS.stop
    with socket.create_server((HOST, port)):
        pass


def test_one_that_somebody_listens_on_is_passed_over() -> None:
    one, two = free_port(), free_port()
    block = range(one // BLOCK_SIZE * BLOCK_SIZE + 1, (one // BLOCK_SIZE + 1) * BLOCK_SIZE)
    with socket.create_server((HOST, one)):
        assert two in (given := {free_port() for _ in block})
        assert one not in given


def test_two_runs_at_the_same_time_have_no_port_in_common() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ANOTHER_RUN],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout
        theirs = int(run.stdout.readline())
        run.communicate("\n")
    assert theirs // BLOCK_SIZE != free_port() // BLOCK_SIZE
