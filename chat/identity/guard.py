"""Who may come in: what a token says, whether it still counts, and from which pages a browser may connect."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ..wire.envelope import Identity
from ..wire.errors import ChatError

log = logging.getLogger("chat")

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class Grant(NamedTuple):
    """What a good token grants: who it is, until when (seconds since 1970, or infinity), since when (ms)."""

    identity: Identity
    expires: float
    issued: int


class Guard:
    """Knows which tokens no longer count: each user's tokens_valid_after, and who is banned, in memory.

    `decode` checks a token's signature, type and expiry, and returns its claims or raises ChatError; `identify`
    makes an Identity of claims. Changes come from the control table, or from this process at once.
    """

    def __init__(
        self,
        decode: Callable[[str], Mapping[str, Any]],
        identify: Callable[[Mapping[str, Any]], Identity],
    ) -> None:
        self._decode = decode
        self._identify = identify
        self._revoked: dict[str, int] = {}
        self._banned: set[str] = set()

    def load(self, revocations: Mapping[str, tuple[int, bool]]) -> None:
        """Take over what the store knows, by user id: (tokens_valid_after in ms, banned)."""
        self._revoked = {user_id: at for user_id, (at, _) in revocations.items() if at}
        self._banned = {user_id for user_id, (_, banned) in revocations.items() if banned}

    def revoke(self, user_id: str, at_ms: int) -> None:
        """Let no token of this user count that was issued before `at_ms`."""
        self._revoked[user_id] = max(at_ms, self._revoked.get(user_id, 0))

    def ban(self, user_id: str) -> None:
        """Let this user in no more."""
        self._banned.add(user_id)

    def unban(self, user_id: str) -> None:
        """Let this user in again."""
        self._banned.discard(user_id)

    def is_banned(self, user_id: str) -> bool:
        """Tell whether this user is banned."""
        return user_id in self._banned

    def check(self, token: str) -> Grant:
        """Return what `token` grants; raise ChatError: token_expired, token_invalid or banned."""
        claims = self._decode(token)
        identity = self._name(claims)
        if not (_can_be_told(identity.id) and _can_be_told(identity.username)):
            raise ChatError("token_invalid")
        expires = claims.get("exp")
        granted = Grant(identity, float(expires) if expires is not None else float("inf"), issued_ms(claims))
        self.confirm(granted)
        return granted

    def _name(self, claims: Mapping[str, Any]) -> Identity:
        try:
            identity = self._identify(claims)
            return Identity(str(identity.id), str(identity.username))
        except Exception as error:
            log.warning("a token with a good signature names nobody: %s", type(error).__name__)
            raise ChatError("token_invalid") from None

    def confirm(self, granted: Grant) -> None:
        """Raise ChatError if what was granted counts no more: token_invalid or banned."""
        if granted.issued <= self._revoked.get(granted.identity.id, -1):
            raise ChatError("token_invalid")
        if granted.identity.id in self._banned:
            raise ChatError("banned")


def _can_be_told(text: str) -> bool:
    # A lone surrogate, which JSON can write and UTF-8 cannot, would break everybody's roster.
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False


def issued_ms(claims: Mapping[str, Any]) -> int:
    """Return when a token was issued, in milliseconds; 0 where it does not say.

    Ours carry `iat_ms`: `iat` alone counts whole seconds, and a token issued in the second of a log-out would be
    older than it.
    """
    exact = claims.get("iat_ms")
    if isinstance(exact, int):
        return exact
    issued = claims.get("iat")
    return int(issued * 1000) if isinstance(issued, int | float) else 0


def now_ms() -> int:
    """Return the wall clock in milliseconds."""
    return time.time_ns() // 1_000_000


def origin_allowed(origin: str | None, host: str, allowed: tuple[str, ...]) -> bool:
    """Tell whether a page of `origin` may open a socket at `host` (RFC 6454; RFC 6455 section 10.2).

    Its host and port must be the request's own, or it must be one of `allowed`; no Origin is no browser.
    """
    if origin is None or "*" in allowed:
        return True
    try:
        theirs = _parts(origin)
        # Behind a proxy nobody may have told which scheme the page came by: the host and the port must do.
        return bool(theirs[1]) and theirs in (_parts(f"{theirs[0]}://{host}"), *map(_parts, allowed))
    except ValueError:
        return False


def _parts(origin: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(origin)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
