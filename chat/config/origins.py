"""Origins (RFC 6454): a scheme, a host and a port, and nothing else. No I/O."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

#: No user, path, query, fragment, space, backslash or letter beyond ASCII: browsers send none of them.
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([1-9][0-9]{0,4}))?", re.I)
_PORTS = {"http": 80, "https": 443}
_MAX_PORT = 65_535


class Origin(NamedTuple):
    """A parsed origin. `port` is the scheme's own where none is written, or None."""

    scheme: str
    host: str
    port: int | None


def parse(text: str) -> Origin | None:
    """Return the origin that a browser has written like this; None for any other text.

    `chat.example.` is another host than `chat.example`, as it is to browsers.
    """
    match = _ORIGIN.fullmatch(text) if text.isascii() else None
    if match is None:
        return None
    scheme, host, port = match[1].lower(), _host(match[2].lower()), match[3]
    if host is None or (port is not None and int(port) > _MAX_PORT):
        return None
    return Origin(scheme, host, int(port) if port is not None else _PORTS.get(scheme))


def parse_setting(text: str) -> Origin | None:
    """Return the origin that a setting means: also with a slash at its end, or an international host name."""
    scheme, separator, rest = text.removesuffix("/").partition("://")
    if rest.isascii():
        return parse(scheme + separator + rest)
    try:
        return parse(scheme + separator + rest.encode("idna").decode())
    except UnicodeError:
        return None


def is_same_host(origin: Origin, host: str) -> bool:
    """Return whether an origin of the web has the host and port of a Host header.

    Behind a proxy the app may not know the page's scheme, so the origin's stands for both.
    """
    return origin.scheme in _PORTS and parse(f"{origin.scheme}://{host}") == origin


def _host(host: str) -> str | None:
    if not host.startswith("["):
        return host
    try:
        return f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]"
    except ValueError:
        return None
