"""Which addresses lie inside a network, and are refused unless the settings allow them.

What belongs here: judging an address. What does not: finding the addresses of a name and connecting to them
(`catalog/download/connections.py`).

A list from the open web may name the router, a database without password or the credentials that a cloud serves to
each of its machines; whoever wrote the list would learn from the rows what is there. The tables are those of IANA's
special-purpose registries. `ipaddress` has tables of its own, which differ between releases of Python.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

type Address = IPv4Address | IPv6Address
type Network = IPv4Network | IPv6Network

_INNER_4 = tuple(
    IPv4Network(each)
    for each in (
        "0.0.0.0/8",  # this network, and unspecified
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",
        "168.63.129.16/32",  # the host of a machine in Azure, which answers it alone
        "169.254.0.0/16",  # link-local; clouds serve credentials here
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",  # documentation, as are 198.51.100.0/24 and 203.0.113.0/24
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_PUBLIC_6 = IPv6Network("2000::/3")  # all else is unspecified, loopback, private, link-local, multicast or unassigned
_INNER_6 = tuple(
    IPv6Network(each)
    for each in (
        "2001::/23",  # Teredo, ORCHID and other protocols
        "2001:db8::/32",  # documentation, as is 3fff::/20
        "2002::/16",  # 6to4, which leads to the IPv4 address within
        "3fff::/20",
    )
)
_OF_IPV4 = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))  # IPv4 as IPv6, and through NAT64


def is_refused(address: str, allowed: Sequence[str]) -> bool:
    """Return whether no request may be sent to an address.

    Args:
        address: As the system gives it for a name or an odd spelling, with or without a zone.
        allowed: Networks that may be reached although they are not public.
    """
    spelled = ip_address(address.partition("%")[0])
    meant = _meant(spelled)
    if any(each in ip_network(network) for network in allowed for each in (spelled, meant)):
        return False
    if isinstance(meant, IPv4Address):
        return any(meant in network for network in _INNER_4)
    return meant not in _PUBLIC_6 or any(meant in network for network in _INNER_6)


def _meant(address: Address) -> Address:
    if any(address in network for network in _OF_IPV4):
        return IPv4Address(address.packed[-4:])
    return address
