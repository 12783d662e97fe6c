"""Ids of Engine.IO sessions: unguessable, and they name the worker that holds the session.

The id is all that a stock client has to show for its polls. A client that keeps cookies gets an id that is bound to its
cookie: it ends with a hash of both, so any worker can tell whether a request that names it may speak for the session.
"""

from __future__ import annotations

import hmac
import re
import secrets
from base64 import urlsafe_b64encode

_SID = re.compile(r"(?:([A-Za-z0-9]{1,16})\.)?([0-9a-f]{8})\.([A-Za-z0-9_-]{20})([A-Za-z0-9_-]{8})?")
_COOKIE = re.compile(r"[A-Za-z0-9_-]{20}")
_RANDOM_BYTES = 15


class Sids:
    """The ids of one worker: `[node.]worker.random`, where `worker` is the process's random number in hex."""

    def __init__(self, node: str, worker: int) -> None:
        self._node = node
        #: This worker's name in them.
        self.worker = f"{worker:08x}"
        self._prefix = f"{node}.{self.worker}." if node else f"{self.worker}."

    def new(self, cookie: str = "") -> str:
        """Return a new id, bound to the client's cookie if it has one."""
        made = secrets.token_urlsafe(_RANDOM_BYTES)
        return self._prefix + made + (_tag(cookie, made) if cookie else "")

    def peer_of(self, sid: str) -> str | None:
        """Return the name of the other worker of this machine that made `sid`; None where no such worker did."""
        match = _SID.fullmatch(sid)
        if match is None or (match[1] or "") != self._node or match[2] == self.worker:
            return None
        return match[2]


def new_cookie() -> str:
    """Return the random value of a client's cookie."""
    return secrets.token_urlsafe(_RANDOM_BYTES)


def read_cookie(value: str | None) -> str:
    """Return a cookie as `new_cookie` makes it; "" for any other value."""
    return value if value is not None and _COOKIE.fullmatch(value) else ""


def may_speak(sid: str, cookie: str) -> bool:
    """Return whether a request with this cookie may speak for the session `sid`, if that exists."""
    match = _SID.fullmatch(sid)
    if match is None or match[4] is None:
        return True
    return hmac.compare_digest(match[4], _tag(cookie, match[3]))


def _tag(cookie: str, made: str) -> str:
    return urlsafe_b64encode(hmac.digest(cookie.encode(), made.encode(), "sha256")[:6]).decode()
