"""Where a model may be called: an operator's http(s) URL, never a link-local or metadata address.

Machines in a cloud answer on such addresses with their credentials. The URL is checked when the profiles are read, and the
addresses that its name resolves to are checked again whenever a connection is made (`wire`).
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Final
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA_NAMES: Final = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})
_METADATA_ADDRESSES: Final = frozenset(
    ipaddress.ip_address(text) for text in ("100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254")
)


def fault_of_url(url: str) -> str | None:
    """What is wrong with a base URL, or None."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "it is not a URL"
    if parts.scheme not in ("http", "https") or not host:
        return "it must begin with http:// or https:// and name a host"
    if parts.username is not None or parts.password is not None:
        return "it carries a user or password; name the key's environment variable in api_key_env"
    if parts.query or parts.fragment:
        return "it has a query or a fragment"
    return fault_of_host(host)


def fault_of_host(host: str) -> str | None:
    """Why a host, a name or an address in any notation, may not be called, or None."""
    name = host.rstrip(".").lower()
    if name in _METADATA_NAMES:
        return f"{name!r} is a metadata service"
    address = _address(name)
    return None if address is None else fault_of_address(address)


def fault_of_address(address: Address) -> str | None:
    """Why an address may not be called, or None. Loopback and private addresses may: models are served there."""
    mapped = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
    if mapped is not None:
        return fault_of_address(mapped)
    if address in _METADATA_ADDRESSES:
        return f"{address} is a metadata service"
    if address.is_link_local:
        return f"{address} is a link-local address, where metadata services answer"
    if address.is_multicast or address.is_unspecified:
        return f"{address} is not the address of one machine"
    return None


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        pass
    try:  # 2852039166, 0xa9fea9fe and 169.254.43518 are addresses too, to the resolver
        return ipaddress.IPv4Address(socket.inet_aton(text)) if text[:1].isdigit() else None
    except OSError:
        return None
