"""Private ids (pids) of connections to the chat: signed, so that any process of the site can check one. No I/O.

A client is given its pid at CONNECT, keeps it secret, and presents it when it reconnects. The server stores nothing
of it.
"""

from __future__ import annotations

import hmac
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from hashlib import blake2b
from typing import NamedTuple

_VERSION = 1
#: Version, origin, issued, whether it began in the lobby, the fingerprint; then two texts after their lengths.
_HEAD = struct.Struct(">BIQ?8sBB")
_MAC_BYTES = 16
NO_OFFSET = bytes(8)


class Pid(NamedTuple):
    """The content of a private id."""

    #: The process that made it.
    origin: int
    #: Milliseconds (wall clock) at which the client's token was issued.
    issued: int
    #: Whether the connection was in the lobby from the start.
    lobby: bool
    #: Fingerprint of the offset that the client presented at that CONNECT. It belongs to an earlier connection, so
    #: it is ignored when the client presents it again.
    outdated: bytes
    #: The lobby's epoch: another one means another history.
    epoch: str
    #: The connection's public id.
    id: str
    user_id: str


class Pids:
    """Writes and reads private ids with one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def write(self, pid: Pid) -> str:
        """Return the text of `pid`."""
        epoch, id = pid.epoch.encode(), pid.id.encode()
        head = _HEAD.pack(_VERSION, pid.origin, pid.issued, pid.lobby, pid.outdated, len(epoch), len(id))
        body = head + epoch + id + pid.user_id.encode()
        return urlsafe_b64encode(self._mac(body) + body).rstrip(b"=").decode()

    def read(self, text: str) -> Pid | None:
        """Return the content of a private id; None for one that this site has not made."""
        try:
            raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except (Base64Error, ValueError):
            return None
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(body)):
            return None
        version, origin, issued, lobby, outdated, epoch, id = _HEAD.unpack_from(body)
        if version != _VERSION:
            return None
        texts = body[_HEAD.size :]
        return Pid(
            origin,
            issued,
            lobby,
            outdated,
            texts[:epoch].decode(),
            texts[epoch : epoch + id].decode(),
            texts[epoch + id :].decode(),
        )

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")[:_MAC_BYTES]


def fingerprint(offset: str | None) -> bytes:
    """Return eight bytes that tell one offset from another."""
    return NO_OFFSET if offset is None else blake2b(offset.encode(errors="replace"), digest_size=8).digest()
