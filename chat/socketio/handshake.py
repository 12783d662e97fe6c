"""What a site may read of a client's handshake, and the compact form in which a session keeps the request."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Any, Protocol
from urllib.parse import parse_qs, urlencode

Query = dict[str, str | list[str]]

#: Characters of the request that are kept at most; headers that do not fit are left out.
MAX_KEPT = 16_384
#: Headers and parameters that carry a credential: they never leave the worker that received them.
CREDENTIALS = frozenset(("authorization", "cookie", "proxy-authorization", "token", "pid", "offset"))
#: What browsers send, so that it costs a few bytes a session.
_DICTIONARY = (
    b"\nsec-websocket-extensions:permessage-deflate; client_max_window_bits\nsec-websocket-version:13"
    b"\nsec-websocket-key:\nsec-fetch-site:same-origin\nsec-fetch-mode:cors\nsec-fetch-dest:empty"
    b'\nsec-ch-ua-platform:"Windows""macOS""Linux""Android"\nsec-ch-ua-mobile:?0'
    b'\nsec-ch-ua:"Chromium";v="131", "Not_A Brand";v="24", "Google Chrome";v="131"'
    b"\nx-forwarded-for:\nx-forwarded-proto:https\nx-forwarded-host:\nx-real-ip:"
    b"\nsec-websocket-protocol:\npragma:no-cache\ncache-control:no-cache\nconnection:Upgrade\nupgrade:websocket"
    b"\nconnection:keep-alive\ncontent-length:\ncontent-type:text/plain;charset=UTF-8"
    b"\naccept-language:zh-CN,zh;q=0.9,en-US;q=0.8,en;q=0.7,en-GB,en;q=0.9\naccept-encoding:gzip, deflate, br, zstd"
    b"\naccept:*/*\nreferer:https://\norigin:https://\nhost:"
    b"\nuser-agent:Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    b"Version/18.1 Mobile/15E148 Safari/604.1(Macintosh; Intel Mac OS X 10_15_7)(X11; Linux x86_64; rv:132.0) "
    b"Gecko/20100101 Firefox/132.0(Linux; Android 10; K) Mobile Safari/537.36"
    b"\nuser-agent:Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    b"Chrome/131.0.0.0 Safari/537.36\ncookie:session=eyJfZnJlc2giOnRydWUsIl91c2VyX2lkIjoi"
    b"/socket.io/?EIO=4&transport=polling&t=/socket.io/?EIO=4&transport=websocket&t="
)


@dataclass(frozen=True, slots=True, repr=False)
class Handshake:
    """How a client connected to a namespace. An event or an ack may have it as an argument; `repr` hides what it holds.

    Names and contents are those of `socket.handshake` on Node.
    """

    #: The headers of the request that opened the session: {name in lower case: value}.
    headers: dict[str, str]
    #: When the client connected to the namespace: the date as text, and milliseconds since 1970.
    time: str
    #: The client's address, behind trusted proxies as well.
    address: str
    #: Whether a page's script made the request: it has an Origin header.
    xdomain: bool
    #: Whether the request came over TLS.
    secure: bool
    issued: int
    #: The request's path and query.
    url: str
    #: The query's parameters, and those of the namespace that the client named; a list for one given repeatedly.
    query: Query
    #: The object of the CONNECT packet, {} where it had none.
    auth: dict[str, Any]

    def __repr__(self) -> str:
        # Headers, query and auth hold cookies and tokens, and what is logged is often a repr.
        return f"<Handshake from {self.address}>"

    def without_credentials(self) -> Handshake:
        """Return a copy without cookies, tokens, and headers of authorization."""
        query = _public(self.query)
        path = self.url.partition("?")[0]
        return replace(
            self,
            headers=_public(self.headers),
            query=query,
            auth=_public(self.auth),
            url=f"{path}?{urlencode(query, doseq=True)}" if query else path,
        )


def _public(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name.lower() not in CREDENTIALS}


class Kept(Protocol):
    """What a session keeps of the request that opened it."""

    packed: bytes
    address: str
    secure: bool


def make(request: Kept, issued: int, namespace_query: str, auth: Mapping[str, Any]) -> Handshake:
    """Return the handshake of a client that connected to a namespace at `issued`."""
    url, headers = unpack(request.packed)
    query = _parameters(url.partition("?")[2]) | _parameters(namespace_query)
    date = formatdate(issued / 1000, usegmt=True)
    is_cross, address, secure = "origin" in headers, request.address, request.secure
    return Handshake(headers, date, address, is_cross, secure, issued, url, query, dict(auth))


def _parameters(query: str) -> Query:
    found = parse_qs(query, keep_blank_values=True)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def pack(url: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Return the address and the headers of a request, compressed."""
    lines, left = [url[:MAX_KEPT]], MAX_KEPT - len(url)
    for name, value in headers:
        left -= len(name) + len(value)
        if left >= 0:
            lines.append(f"{name.lower()}:{value}")
    compressor = zlib.compressobj(wbits=-12, memLevel=4, zdict=_DICTIONARY)
    return compressor.compress("\n".join(lines).encode(errors="replace")) + compressor.flush()


def unpack(packed: bytes) -> tuple[str, dict[str, str]]:
    """Return the address and the headers that `pack` was called with, names in lower case."""
    if not packed:
        return "", {}
    text = zlib.decompressobj(wbits=-12, zdict=_DICTIONARY).decompress(packed).decode()
    url, *lines = text.split("\n")
    return url, {name: value for name, _, value in (line.partition(":") for line in lines)}
