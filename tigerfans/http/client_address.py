"""Whose request is it? The address that its holds count for. No I/O.

It is the connection's own, unless that is a trusted proxy's: then it is the one that the proxies
name in X-Forwarded-For, as far as they are trusted. A header that anybody else sends is believed
nothing.
"""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Final

from litestar.types import Scope

# A provider gives a household a whole network of this size, if not a larger one.
IPV6_PREFIX_BYTES: Final = 8

Network = IPv4Network | IPv6Network

_FORWARDED_FOR: Final = b"x-forwarded-for"
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})
_LOOPBACK_IPV4_BYTE: Final = 127
_LOOPBACK_IPV6: Final = inet_pton(AF_INET6, "::1")
_IPV4_BYTES: Final = 4
_IPV4_MAPPED: Final = inet_pton(AF_INET6, "::ffff:0.0.0.0")[:-_IPV4_BYTES]


class ClientAddresses:
    """Tells clients apart, behind the `trusted` proxies of this shop.

    Addresses are packed here as in their packets: `ipaddress` would cost a checkout 5 µs.
    """

    def __init__(self, trusted: Iterable[Network] = ()) -> None:
        self._trusted = [
            (len(network.netmask.packed), int(network.netmask), int(network.network_address))
            for network in trusted
        ]

    def of(self, scope: Scope) -> str | None:
        """The address of whoever sent the request; see `client_address`."""
        client = scope["client"]
        # A proxy may add a line of its own instead of adding to the one there is.
        lines = [value for key, value in scope["headers"] if key == _FORWARDED_FOR]
        forwarded_for = b",".join(lines).decode("latin-1") if lines else ""
        return self.client_address(client[0] if client else "", forwarded_for)

    def client_address(self, peer: str, forwarded_for: str) -> str | None:
        """The address of whoever asks: such as `192.0.2.7`, or an IPv6 network's as hex digits.

        `peer` is the connection's other end. None for one on this machine that names nobody: it
        is the operator's own. What is no address counts as the one who sent it.
        """
        if not forwarded_for and peer in _LOOPBACK:
            return None
        address = _pack(peer)
        if address is None:
            return peer
        if not forwarded_for and _is_loopback(address):
            return None
        if self._is_trusted(address):
            for entry in reversed(forwarded_for.split(",")):
                named = _pack(entry.strip())
                if named is None:
                    break
                address = named
                if not self._is_trusted(address):
                    break
        if len(address) == _IPV4_BYTES:
            return inet_ntop(AF_INET, address)
        return f"{address[:IPV6_PREFIX_BYTES].hex()}/{8 * IPV6_PREFIX_BYTES}"

    def _is_trusted(self, address: bytes) -> bool:
        number = int.from_bytes(address, "big")
        for length, mask, network in self._trusted:
            if length == len(address) and number & mask == network:
                return True
        return False


def _pack(text: str) -> bytes | None:
    """An address, with or without a port; an IPv4 one that is written as IPv6 as what it is."""
    try:
        if ":" not in text:
            return inet_pton(AF_INET, text)
        host, _, _port = text.rpartition(":")
        if "." in host and ":" not in host:
            return inet_pton(AF_INET, host)
        if text.startswith("["):
            text = text[1:].partition("]")[0]
        address = inet_pton(AF_INET6, text.partition("%")[0])
    except (OSError, ValueError):
        return None
    return address[-_IPV4_BYTES:] if address.startswith(_IPV4_MAPPED) else address


def _is_loopback(address: bytes) -> bool:
    if len(address) == _IPV4_BYTES:
        return address[0] == _LOOPBACK_IPV4_BYTE
    return address == _LOOPBACK_IPV6
