import os
import subprocess
import sys
from pathlib import Path
from signal import SIGKILL, SIGTERM

from tests.harness.needs import needs_linux, needs_root
from tigerfans.stack import launch
from tigerfans.stack.programs import User, launch_command

# Starts a program through the launcher and then waits; prints the program's process id.
PARENT = """
import subprocess, sys
from tigerfans.stack.programs import launch_command
child = subprocess.Popen(launch_command(["/bin/sleep", "600"]))
print(child.pid, flush=True)
sys.stdin.read()
"""


def run(argv: list[str], user: User | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        launch_command(argv, user), capture_output=True, text=True, check=False, cwd="/"
    )


def test_a_program_keeps_its_arguments_and_its_process_id() -> None:
    command = ["/bin/sh", "-c", 'echo $$ "$1"', "sh", "two words"]
    with subprocess.Popen(launch_command(command), stdout=subprocess.PIPE, text=True) as child:
        assert child.communicate()[0] == f"{child.pid} two words\n"


def test_a_program_that_is_not_there_is_a_sentence() -> None:
    failed = run(["/no/such/program"])
    assert failed.returncode == launch.EXIT_NOT_STARTED
    assert failed.stderr.startswith("/no/such/program could not be started: ")


def test_a_program_is_not_started_for_a_parent_that_is_gone() -> None:
    command = launch_command(["/bin/echo", "started"])
    command[command.index(str(os.getpid()))] = "1"
    ran = subprocess.run(command, capture_output=True, check=False)
    assert (ran.returncode, ran.stdout) == (launch.EXIT_NOT_STARTED, b"")


@needs_linux
def test_a_program_ends_with_its_parent() -> None:
    reading, writing = os.pipe()
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdin=subprocess.PIPE,
        stdout=writing,
        text=True,
    )
    os.close(writing)
    with parent, os.fdopen(reading) as output:
        program = int(output.readline())
        os.kill(program, 0)
        parent.kill()
        # The program inherited the pipe: it ends when the last who could write is gone.
        assert output.read() == ""


@needs_root
@needs_linux
def test_root_is_given_up_with_every_capability() -> None:
    status = run(["/bin/cat", "/proc/self/status"], User(65534, 65534, False)).stdout
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"] == fields["Gid"] == "65534\t65534\t65534\t65534"
    assert fields["Groups"].strip() == ""
    assert fields["CapEff"] == fields["CapPrm"] == "0" * 16


@needs_root
@needs_linux
def test_a_user_enters_a_closed_folder_only_when_it_passes_permissions(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "file").write_text("inside")
    command = ["/bin/cat", str(closed / "file")]
    assert run(command, User(65534, 65534, False)).returncode != 0
    assert run(command, User(65534, 65534, True)).stdout == "inside"


@needs_root
@needs_linux
def test_a_user_that_passes_permissions_has_no_other_capability() -> None:
    status = run(["/bin/cat", "/proc/self/status"], User(65534, 65534, True)).stdout
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(fields[name], 16) == 1 << launch.CAP_DAC_OVERRIDE


def test_the_signal_of_the_parents_death_is_the_programs_own() -> None:
    assert str(int(SIGTERM)) in launch_command(["/bin/true"], end_signal=SIGTERM)
    assert str(int(SIGKILL)) in launch_command(["/bin/true"])
