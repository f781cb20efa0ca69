"""`make fresh`: the README, typed by a newcomer on a bare Debian 12 and a bare Debian 13.

For each of them it makes a root with debootstrap, from this machine's own package sources, and an
ordinary user in it; installs what the README's `apt` line names; clones the commit that is checked
out here; and runs the README's two commands. A line for each step says how long it took and what it
left on the disk. Then the root is removed. Wheels and Debian packages are cached between runs, so
that what is measured is this project and not the network.

    make fresh
    make fresh ARGS='--releases trixie --burn 2'    while two processes burn the processor
    make fresh ARGS='--keep'                        leaves the roots and the logs where they are

It needs Linux, root, debootstrap and git, and nothing of this project: it runs on the system's
Python, before there is a `.venv`. All that it starts lives in process and mount namespaces of its
own and ends with them.
"""

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
RELEASES: Final = {"bookworm": "Debian 12", "trixie": "Debian 13"}
USER: Final = "fan"
USER_ID: Final = 1000
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

CERTIFICATES: Final = "/etc/certificates.crt"

OPENING_SECONDS_MAX: Final = 600
STEP_SECONDS_MAX: Final = 3600
BURNING_SECONDS_MAX: Final = 3 * 3600
BURNERS_MAX: Final = 64
POLL_SECONDS: Final = 0.1
LOG_LINES: Final = 60

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2

# What of this machine's settings a root needs to reach the same package sources.
_APT_SETTINGS: Final = re.compile(r"^Acquire::(http|https|ftp|Retries|Check-)")
_PIP_SETTINGS: Final = ("cert", "index-url", "extra-index-url", "proxy", "trusted-host")
_APT_LINE: Final = re.compile(r"^sudo apt install (.+)$", re.MULTILINE)


class FreshError(Exception):
    """A step went wrong; the message says which, and how it ended."""


class MissingError(FreshError):
    """This machine cannot make a bare system; the message says what it lacks."""


@dataclass(frozen=True)
class Step:
    """One line of the report."""

    system: str
    name: str
    seconds: float
    remark: str

    def __str__(self) -> str:
        return f"{self.system}  {self.name:<12} {self.seconds:7.1f} s   {self.remark}"


@dataclass
class Machine:
    """A bare system in `root`, with one ordinary user whose home holds the checkout."""

    release: str
    root: Path
    cache: Path
    logs: Path
    # The variables by which pip reaches its index.
    pip: dict[str, str]
    steps: list[Step] = field(default_factory=list)

    @property
    def system(self) -> str:
        return RELEASES[self.release]

    @property
    def checkout(self) -> Path:
        return self.root / "home" / USER / "tigerfans"

    def note(self, name: str, seconds: float, remark: str) -> None:
        self.steps.append(Step(self.system, name, seconds, remark))
        print(self.steps[-1], flush=True)

    def command(self, argv: Sequence[str], *, user: bool, folder: str) -> list[str]:
        """What runs `argv` in the root, in namespaces that end with it.

        The root gets its own /proc, this machine's /dev, and the cache of wheels.
        """
        root = self.root
        cache = root / "var" / "cache" / "wheels"
        mounts = (
            f"mount -t proc proc {root}/proc && mount --rbind /dev {root}/dev"
            f" && mount --bind {self.cache / 'wheels'} {cache}"
        )
        who = (f"--userspec={USER}:{USER}",) if user else ()
        home = f"/home/{USER}" if user else "/root"
        environment = (
            *(f"PATH={PATH}", f"HOME={home}", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"),
            "PIP_CACHE_DIR=/var/cache/wheels",
            *(f"{name}={value}" for name, value in self.pip.items()),
        )
        inside = ("env", "-i", f"--chdir={folder}", *environment, *argv)
        script = f'{mounts} && exec chroot "$@"'
        return [
            *("unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child"),
            *("sh", "-euc", script, "sh", *who, str(root), *inside),
        ]

    def run(
        self,
        name: str,
        argv: Sequence[str],
        *,
        user: bool = False,
        folder: str = "/",
        fails: bool = False,
    ) -> tuple[float, str]:
        """Runs a command to its end; its seconds and all it printed. `fails` says it should."""
        log = self.logs / f"{self.release}-{name.replace(' ', '-')}.log"
        began = time.monotonic()
        with log.open("wb") as output:
            done = subprocess.run(
                self.command(argv, user=user, folder=folder),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=STEP_SECONDS_MAX,
            )
        seconds = time.monotonic() - began
        printed = log.read_text(errors="replace")
        if (done.returncode != 0) is not fails:
            raise FreshError(
                f"{self.system}: {name} ended with {done.returncode}.\n{last(printed)}"
            )
        return seconds, printed


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fresh", description="The README on bare systems.")
    parser.add_argument("--releases", nargs="+", choices=RELEASES, default=list(RELEASES))
    parser.add_argument(
        "--burn",
        type=int,
        default=0,
        metavar="N",
        help="processes that burn the processor meanwhile",
    )
    parser.add_argument("--keep", action="store_true", help="leave the roots and the logs")
    options = parser.parse_args()
    if not 0 <= options.burn <= BURNERS_MAX:
        parser.error(f"--burn must be from 0 to {BURNERS_MAX}")
    try:
        check_machine()
        with ExitStack() as stack:
            stack.enter_context(burning(options.burn))
            workspace = stack.enter_context(folder(keep=options.keep))
            for release in options.releases:
                try_release(release, workspace, keep=options.keep)
    except (FreshError, OSError, subprocess.SubprocessError) as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE if isinstance(error, MissingError) else EXIT_FAILED
    print("Both commands of the README work.")
    return 0


def check_machine() -> None:
    """Raises `MissingError` where this machine cannot make a root."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise MissingError(
            "make fresh needs Linux and root: it makes whole systems and enters them."
        )
    for name in ("debootstrap", "unshare", "chroot", "git"):
        if shutil.which(name) is None:
            raise MissingError(
                f"make fresh needs {name}: sudo apt install debootstrap git util-linux"
            )


def try_release(release: str, workspace: Path, *, keep: bool) -> None:
    """The README on one release, from nothing to both commands."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "tigerfans-fresh"
    machine = Machine(release, workspace / release, cache, workspace, pip_environment())
    make_root(machine)
    try:
        install_packages(machine)
        clone(machine)
        run_shop(machine)
        run_tests(machine)
    finally:
        if not keep:
            shutil.rmtree(machine.root)


# --- The steps -----------------------------------------------------------------------------------


def make_root(machine: Machine) -> None:
    """A bare system with this machine's package sources and an ordinary user."""
    packages = machine.cache / "packages"
    wheels = machine.cache / "wheels"
    for place in (packages, wheels):
        place.mkdir(parents=True, exist_ok=True)
    os.chown(wheels, USER_ID, USER_ID)
    mirror = package_source()
    log = machine.logs / f"{machine.release}-debootstrap.log"
    began = time.monotonic()
    with log.open("wb") as output:
        made = subprocess.run(
            [
                *("debootstrap", "--variant=minbase", f"--cache-dir={packages}"),
                *(machine.release, str(machine.root), mirror),
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=STEP_SECONDS_MAX,
        )
    if made.returncode != 0:
        raise FreshError(f"{machine.system}: debootstrap failed.\n{last(log.read_text())}")
    root = machine.root
    (root / "etc" / "hosts").write_text("127.0.0.1 localhost\n::1 localhost ip6-localhost\n")
    (root / "etc" / "apt" / "apt.conf.d" / "50machine").write_text(apt_settings())
    (root / "var" / "cache" / "wheels").mkdir()
    copy_certificates(root, machine.pip)
    machine.run("user", ["useradd", "--create-home", "--uid", str(USER_ID), USER])
    machine.note("bare system", time.monotonic() - began, disk(root))


def install_packages(machine: Machine) -> None:
    """What the README says to install, to the letter."""
    lines = _APT_LINE.findall((ROOT / "README.md").read_text())
    if not lines:
        raise FreshError("The README names no packages for Debian.")
    seconds, _ = machine.run("apt update", ["apt-get", "update", "-q"])
    installing, _ = machine.run("apt install", ["apt-get", "install", "-yq", *lines[0].split()])
    machine.note("apt install", seconds + installing, f"{lines[0]}; {disk(machine.root)}")


def clone(machine: Machine) -> None:
    """The commit that is checked out here, by way of a bundle."""
    bundle = machine.root / "srv" / "tigerfans.bundle"
    git("bundle", "create", str(bundle), "HEAD")
    seconds, _ = machine.run(
        "git clone",
        ["git", "clone", "-q", "/srv/tigerfans.bundle", "tigerfans"],
        user=True,
        folder=f"/home/{USER}",
    )
    dirty = "; what is not committed is not in it" if git("status", "--porcelain") else ""
    machine.note("git clone", seconds, git("log", "-1", "--format=%h %s")[:60] + dirty)


def run_shop(machine: Machine) -> None:
    """`make up`: until its first answer, and its end by Ctrl-C."""
    port, metrics = free_port(), free_port()
    settings = (f"TIGERFANS_PORT={port}", f"TIGERFANS_METRICS_ADDRESS=127.0.0.1:{metrics}")
    log = machine.logs / f"{machine.release}-make-up.log"
    command = machine.command(
        ["env", *settings, "make", "up"], user=True, folder=f"/home/{USER}/tigerfans"
    )
    began = time.monotonic()
    with log.open("wb") as output:
        shop = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    try:
        until_answered(machine, shop, f"http://127.0.0.1:{port}/", log)
        seconds = time.monotonic() - began
        # As Ctrl-C in a terminal: to all of the foreground's processes.
        os.killpg(shop.pid, signal.SIGINT)
        shop.wait(STEP_SECONDS_MAX)
    finally:
        if shop.poll() is None:
            os.killpg(shop.pid, signal.SIGKILL)
            shop.wait()
    machine.note("make up", seconds, f"first answer; .venv {disk(machine.checkout / '.venv')}")


def until_answered(machine: Machine, shop: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    """Waits for the first page; raises where there will be none."""
    deadline = time.monotonic() + OPENING_SECONDS_MAX
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline:
        if shop.poll() is not None:
            break
        try:
            with opener.open(url, timeout=10) as page:
                if page.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(POLL_SECONDS)
    raise FreshError(f"{machine.system}: make up did not answer.\n{last(log.read_text())}")


def run_tests(machine: Machine) -> None:
    seconds, printed = machine.run(
        "make test", ["make", "test"], user=True, folder=f"/home/{USER}/tigerfans"
    )
    result = re.findall(r"^=* ?(\d+ passed.*?) in ", printed, re.MULTILINE)
    if not result:
        raise FreshError(f"{machine.system}: make test ran no test.\n{last(printed)}")
    machine.note("make test", seconds, f"{result[-1]}; .venv {disk(machine.checkout / '.venv')}")


# --- This machine --------------------------------------------------------------------------------


def package_source() -> str:
    """Where this machine gets Debian's packages from."""
    targets = output_of("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)")
    own = [line.split() for line in targets.splitlines()]
    for uri, release in own:
        # Not its updates, nor anybody else's packages.
        if release in RELEASES and "debian" in uri and "security" not in uri:
            return uri
    raise MissingError("This machine's package sources name no Debian to make a bare system from.")


def apt_settings() -> str:
    """How this machine's apt reaches its sources, such as through a proxy."""
    dump = output_of("apt-config", "dump").splitlines()
    return "".join(f"{line}\n" for line in dump if _APT_SETTINGS.match(line))


def pip_environment() -> dict[str, str]:
    """How this machine's pip reaches its index, as variables: where it is, and whom it trusts."""
    lines = output_of(sys.executable, "-m", "pip", "config", "list").splitlines()
    pairs = (line.partition("=")[::2] for line in lines)
    settings = {name.rpartition(".")[2]: value.strip("'\"") for name, value in pairs}
    return {
        f"PIP_{name.upper().replace('-', '_')}": value
        for name, value in settings.items()
        # A folder of this machine's is not one of the root's.
        if name in _PIP_SETTINGS and "file:" not in value
    }


def copy_certificates(root: Path, environment: dict[str, str]) -> None:
    """Whom this machine's pip trusts, to a place in the root where no package puts its own."""
    if certificates := environment.get("PIP_CERT"):
        shutil.copy(certificates, root / CERTIFICATES.lstrip("/"))
        environment["PIP_CERT"] = CERTIFICATES


def output_of(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def git(*arguments: str) -> str:
    return output_of("git", "-C", str(ROOT), *arguments).strip()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def disk(path: Path) -> str:
    """What a folder takes on the disk."""
    kib = int(output_of("du", "-skx", str(path)).split()[0])
    return f"{kib / 1024:,.0f} MB"


def last(text: str) -> str:
    return "\n".join(text.splitlines()[-LOG_LINES:])


@contextmanager
def folder(*, keep: bool) -> Iterator[Path]:
    """A folder for the roots and the logs, which every user can pass through."""
    path = Path(tempfile.mkdtemp(prefix="tigerfans-fresh-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        if keep:
            print(f"Kept: {path}")
        else:
            shutil.rmtree(path)


@contextmanager
def burning(processes: int) -> Iterator[None]:
    """Keeps processor cores busy until the block ends, or at the longest for some hours."""
    code = f"import time; end = time.time() + {BURNING_SECONDS_MAX}\nwhile time.time() < end: pass"
    children = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(processes)]
    try:
        yield
    finally:
        for child in children:
            child.kill()
            child.wait()


if __name__ == "__main__":
    sys.exit(main())
