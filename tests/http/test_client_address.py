"""Whose request it is, by the connection and what the proxies say."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tigerfans.http.client_address import ClientAddresses

Address = IPv4Address | IPv6Address

PROXIES = [ip_network("127.0.0.1"), ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        pytest.param("203.0.113.9", "", "203.0.113.9", id="a connection of its own"),
        pytest.param("203.0.113.9", "192.0.2.1", "203.0.113.9", id="a stranger's header"),
        pytest.param("127.0.0.1", "", None, id="this machine"),
        pytest.param("::1", "", None, id="this machine by IPv6"),
        pytest.param("127.0.0.53", "", None, id="this machine by another of its addresses"),
        pytest.param("::ffff:127.0.0.1", "", None, id="this machine by an IPv4-mapped address"),
        pytest.param(
            "::1", "192.0.2.1", "0000000000000000/64", id="this machine, not trusted, names one"
        ),
        pytest.param("127.0.0.1", "192.0.2.1", "192.0.2.1", id="behind the proxy"),
        pytest.param("::ffff:127.0.0.1", "192.0.2.1", "192.0.2.1", id="its address mapped"),
        pytest.param("127.0.0.1", "127.0.0.1", "127.0.0.1", id="this machine by the proxy"),
        pytest.param("10.0.0.1", "", "10.0.0.1", id="a proxy elsewhere names nobody"),
        pytest.param("10.0.0.1", "192.0.2.1, 10.0.0.2", "192.0.2.1", id="behind two proxies"),
        pytest.param(
            "10.0.0.1", "192.0.2.1,203.0.113.9", "203.0.113.9", id="the first is the client's word"
        ),
        pytest.param("10.0.0.1", "10.1.1.1,10.0.0.2", "10.1.1.1", id="a client on the inside"),
        pytest.param("10.0.0.1", "192.0.2.1, x", "10.0.0.1", id="a proxy that names nonsense"),
        pytest.param("10.0.0.1", "x, 10.0.0.2", "10.0.0.2", id="one that names nonsense earlier"),
        pytest.param("10.0.0.1", "010.0.2.1", "10.0.0.1", id="an address in no known form"),
        pytest.param("10.0.0.1", "192.0.2.1:4711", "192.0.2.1", id="with a port"),
        pytest.param(
            "10.0.0.1", "[2001:db8::7]:4711", "20010db800000000/64", id="IPv6 with a port"
        ),
        pytest.param("10.0.0.1", "::ffff:192.0.2.1", "192.0.2.1", id="IPv4-mapped"),
        pytest.param(
            "fd00::1", "2001:db8:1:2:3:4:5:6", "20010db800010002/64", id="IPv6 all the way"
        ),
        pytest.param("2001:db8:1:2::9", "", "20010db800010002/64", id="the same household"),
        pytest.param("2001:db8:1:3::9", "", "20010db800010003/64", id="the one next door"),
        pytest.param("fe80::1%eth0", "", "fe80000000000000/64", id="with a scope"),
        pytest.param("", "", "", id="no address at all"),
    ],
)
def test_a_request_is_of_the_rightmost_address_that_is_no_trusted_proxys(
    peer: str, forwarded_for: str, client: str | None
) -> None:
    assert ClientAddresses(PROXIES).client_address(peer, forwarded_for) == client


@given(st.ip_addresses().filter(lambda address: not address.is_loopback))
def test_any_address_counts_as_itself_or_by_its_network(address: Address) -> None:
    counted = ClientAddresses().client_address(str(address), "")
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        assert counted == f"{int(address) >> 64:016x}/64"
    else:
        assert counted == str(getattr(address, "ipv4_mapped", None) or address)


@given(st.text())
def test_any_header_leaves_a_client_to_count_for(header: str) -> None:
    assert ClientAddresses(PROXIES).client_address("10.0.0.1", header)


def test_without_trusted_proxies_no_header_is_believed() -> None:
    assert ClientAddresses().client_address("127.0.0.1", "192.0.2.1") == "127.0.0.1"


def test_a_proxys_line_below_the_clients_own_counts() -> None:
    scope = {
        "client": ("10.0.0.1", 4711),
        "headers": [
            (b"x-forwarded-for", b"192.0.2.1"),
            (b"host", b"shop"),
            (b"x-forwarded-for", b"203.0.113.9"),
        ],
    }
    assert ClientAddresses(PROXIES).of(scope) == "203.0.113.9"  # type: ignore[arg-type]
