"""Hosts on one street: each is a network namespace, joined to the others by one bridge.

The namespaces have no names. Each is held by a process that ends with this one, and goes when the
last process in it has gone; so nothing is left whatever happens, and two runs on one machine do
not meet, though their hosts have the same addresses. The bridge is in a namespace as well, which
this process enters and does not leave.

What a link does to packets is said in one table of nftables on the bridge. A packet that is dropped
there is missed by nobody at once: connections hang, as they do when a cable is cut, and no one is
told that they are refused.
"""

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tigerfans.stack.programs import launch_command

STREET_ADDRESS: Final = "10.0.0.100"
PREFIX_LENGTH: Final = 24
BRIDGE: Final = "street"
# A network device's name has 15 characters at most.
HOST_NAME_LENGTH_MAX: Final = 12
ALL_PERMILLE: Final = 1000
CLONE_NEWNET: Final = 0x40000000
TOOLS: Final = ("ip", "nft", "tc", "nsenter", "unshare")


class NoNamespacesError(Exception):
    """No hosts can be made on this machine; the message says why."""


def missing() -> str:
    """Why this machine can make no hosts; empty where it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "hosts are network namespaces: run as root on Linux"
    for tool in TOOLS:
        if shutil.which(tool) is None:
            return f"no {tool}: `sudo apt install iproute2 nftables util-linux`"
    tried = subprocess.run(
        [_tool("unshare"), "--net", "true"], capture_output=True, text=True, check=False
    )
    return f"no network namespaces here: {tried.stderr.strip()}" if tried.returncode else ""


class Host:
    """One host; `prefix` is what a command that runs on it begins with."""

    def __init__(self, name: str, address: str) -> None:
        assert len(name) <= HOST_NAME_LENGTH_MAX
        self.name = name
        self.address = address
        # The street's end of its cable.
        self.cable = f"to-{name}"
        self._holder = subprocess.Popen(
            launch_command(
                [_tool("unshare"), "--net", "sh", "-c", "echo ready; exec sleep infinity"]
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout
        self._holder.stdout.readline()
        self._holder.stdout.close()
        pid = self._holder.pid
        self.prefix: Sequence[str] = (_tool("nsenter"), f"--net=/proc/{pid}/ns/net", "--")
        _run("ip", "link", "add", self.cable, "type", "veth", "peer", "eth0", "netns", str(pid))
        _run("ip", "link", "set", self.cable, "master", BRIDGE, "up")
        self._run("ip", "link", "set", "lo", "up")
        self._run("ip", "address", "add", f"{address}/{PREFIX_LENGTH}", "dev", "eth0")
        self._run("ip", "link", "set", "eth0", "up")

    def narrow(self, kbit_per_second: int) -> None:
        """What is sent to it and by it queues, for up to 400 ms, and is lost beyond that."""
        shape = ["tbf", "rate", f"{kbit_per_second}kbit", "burst", "4kb", "latency", "400ms"]
        self._shape(*shape)

    def delay(self, milliseconds: int) -> None:
        """Everything takes so much longer, each way; needs netem."""
        self._shape("netem", "delay", f"{milliseconds}ms")

    def widen(self) -> None:
        """As it was before `narrow` or `delay`."""
        _run("tc", "qdisc", "del", "dev", self.cable, "root")
        self._run("tc", "qdisc", "del", "dev", "eth0", "root")

    def close(self) -> None:
        # Its namespace goes a moment after its last process: the next host may have its name.
        _run("ip", "link", "delete", self.cable)
        self._holder.kill()
        self._holder.wait()

    def _shape(self, *shape: str) -> None:
        _run("tc", "qdisc", "add", "dev", self.cable, "root", *shape)
        self._run("tc", "qdisc", "add", "dev", "eth0", "root", *shape)

    def _run(self, *command: str) -> None:
        _run(*self.prefix, *command)


class Street:
    """The bridge, which this process enters the namespace of, and all hosts on it."""

    def __init__(self) -> None:
        """Raises `NoNamespacesError` where there can be none."""
        if reason := missing():
            raise NoNamespacesError(reason)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNET) != 0:
            raise NoNamespacesError(os.strerror(ctypes.get_errno()))
        _run("ip", "link", "set", "lo", "up")
        _run("ip", "link", "add", BRIDGE, "type", "bridge")
        _run("ip", "address", "add", f"{STREET_ADDRESS}/{PREFIX_LENGTH}", "dev", BRIDGE)
        _run("ip", "link", "set", BRIDGE, "up")
        self._hosts: list[Host] = []
        # Of 1,000 packets from or to each host, how many are lost.
        self._lost_permille: dict[str, int] = {}

    def add(self, name: str, address: str) -> Host:
        host = Host(name, address)
        self._hosts.append(host)
        return host

    def isolate(self, host: Host) -> None:
        """Nothing gets to it or out of it, and nobody is told so."""
        self.lose(host, ALL_PERMILLE)

    def lose(self, host: Host, permille: int) -> None:
        """So many of 1,000 packets are lost, in each direction."""
        self._lost_permille[host.cable] = permille
        self._filter()

    def join(self, host: Host) -> None:
        """As it was before `isolate` or `lose`."""
        del self._lost_permille[host.cable]
        self._filter()

    def clear(self) -> None:
        """Removes every host."""
        self._lost_permille.clear()
        self._filter()
        while self._hosts:
            self._hosts.pop().close()

    def _filter(self) -> None:
        """Replaces the table, in one step."""
        lines = ["table bridge street", "delete table bridge street", "table bridge street {"]
        for hook, side in (("prerouting", "iifname"), ("postrouting", "oifname")):
            lines.append(f"chain {hook} {{ type filter hook {hook} priority 0;")
            for cable, permille in self._lost_permille.items():
                chance = f"numgen random mod {ALL_PERMILLE} <= {permille - 1}"
                lines.append(f'{side} "{cable}" {chance} drop')
            lines.append("}")
        lines.append("}")
        _run("nft", "-f", "-", text="\n".join(lines) + "\n")


def has_netem() -> bool:
    """Whether this kernel can delay packets; it is asked on the loopback of a namespace."""
    unshare, tc = _tool("unshare"), _tool("tc")
    command = [unshare, "--net", tc, "qdisc", "add", "dev", "lo", "root", "netem"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _tool(name: str) -> str:
    found = shutil.which(name)
    assert found
    return str(Path(found))


def _run(*command: str, text: str | None = None) -> None:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr.strip()}")
