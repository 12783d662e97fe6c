"""What counts as one client's address where requests are counted."""

from __future__ import annotations

import ipaddress
from functools import lru_cache


@lru_cache(maxsize=4_096)  # asked several times for each connection and request
def network_of(address: str) -> str:
    """Return the address, without a proxy's brackets; for IPv6 its /64, which one customer has alone."""
    try:
        parsed = ipaddress.ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))
