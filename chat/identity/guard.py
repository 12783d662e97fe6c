"""Admission: what a token grants, whether it is still valid, and from which origins a browser may connect."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..config import origins
from ..wire.envelope import Identity
from ..wire.errors import ChatError

log = logging.getLogger("flask_chat")

#: Milliseconds for which an ended session is remembered, at the least.
KEEP_SESSIONS_MS = 3_600_000
#: The longest id of a session that is read from a token.
MAX_SID = 64


class Grant(NamedTuple):
    """What a valid token grants: a user, until `expires` (seconds since 1970, or infinity), `issued` in ms.

    `sid` names the site's log-in session that it was issued in; "" where it names none.
    """

    identity: Identity
    expires: float
    issued: int
    sid: str = ""


class Guard:
    """Checks tokens against revocations and bans, which it holds in memory.

    `decode` checks a token's signature, type and expiry, and returns its claims or raises ChatError. `identify` makes
    an Identity of claims. Changes arrive through the control table; those of this process apply at once. An ended
    session is remembered for `session_ms`, in which its tokens expire.
    """

    def __init__(
        self,
        decode: Callable[[str], Mapping[str, Any]],
        identify: Callable[[Mapping[str, Any]], Identity],
        session_ms: int = KEEP_SESSIONS_MS,
    ) -> None:
        self._decode = decode
        self._identify = identify
        self._session_seconds = session_ms / 1000
        #: {session id: monotonic seconds at which its end became known here}, the oldest first.
        self._ended: dict[str, float] = {}
        self._revoked: dict[str, int] = {}
        self._banned: set[str] = set()

    def load(self, revocations: Mapping[str, tuple[int, bool]]) -> None:
        """Load the store's state by user id: (tokens_valid_after in ms, banned)."""
        self._revoked = {user_id: at for user_id, (at, _) in revocations.items() if at}
        self._banned = {user_id for user_id, (_, banned) in revocations.items() if banned}

    def revoke(self, user_id: str, at_ms: int) -> None:
        """Refuse this user's tokens that were issued before `at_ms`."""
        self._revoked[user_id] = max(at_ms, self._revoked.get(user_id, 0))

    def stamp(self, user_id: str) -> int:
        """Return the time (ms) of a token or a revocation that is made for this user now.

        It is later than the last revocation, even if the clock was set back since: otherwise new tokens would count as
        revoked until the clock is where it was.
        """
        return max(now_ms(), self._revoked.get(user_id, -1) + 1)

    def end_session(self, sid: str) -> None:
        """Refuse the tokens of this session."""
        now = time.monotonic()
        outdated = now - self._session_seconds
        for old in list(itertools.takewhile(lambda one: self._ended[one] < outdated, self._ended)):
            self._ended.pop(old, None)  # another thread may have removed it
        self._ended[sid] = now

    def has_ended(self, sid: str) -> bool:
        """Return whether this session has ended."""
        return sid in self._ended

    def ban(self, user_id: str) -> None:
        """Refuse this user."""
        self._banned.add(user_id)

    def unban(self, user_id: str) -> None:
        """Admit this user again."""
        self._banned.discard(user_id)

    def is_banned(self, user_id: str) -> bool:
        """Return whether this user is banned."""
        return user_id in self._banned

    def check(self, token: str) -> Grant:
        """Return what `token` grants; raise ChatError: token_expired, token_invalid or banned."""
        claims = self._decode(token)
        identity = self._identity_of(claims)
        if not (_is_encodable(identity.id) and _is_encodable(identity.username)):
            raise ChatError("token_invalid")
        expires = claims.get("exp")
        until = float(expires) if expires is not None else float("inf")
        granted = Grant(identity, until, issued_ms(claims), session_id(claims))
        self.confirm(granted)
        return granted

    def _identity_of(self, claims: Mapping[str, Any]) -> Identity:
        try:
            identity = self._identify(claims)
            return Identity(str(identity.id), str(identity.username))
        except Exception as error:
            log.warning("a token with a valid signature identifies no user: %s", type(error).__name__)
            raise ChatError("token_invalid") from None

    def confirm(self, granted: Grant) -> None:
        """Raise ChatError if the grant is no longer valid: token_invalid or banned."""
        if granted.issued <= self._revoked.get(granted.identity.id, -1) or self.has_ended(granted.sid):
            raise ChatError("token_invalid")
        if granted.identity.id in self._banned:
            raise ChatError("banned")


def _is_encodable(text: str) -> bool:
    # JSON can contain a lone surrogate, UTF-8 cannot: in a name it would break the roster of the whole room.
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False


def issued_ms(claims: Mapping[str, Any]) -> int:
    """Return when a token was issued, in milliseconds; 0 if the claims do not contain it.

    The chat's tokens carry `iat_ms`, because `iat` has whole seconds: a token issued right after a log-out would seem
    older than the log-out.
    """
    exact = claims.get("iat_ms")
    if isinstance(exact, int):
        return exact
    issued = claims.get("iat")
    return int(issued * 1000) if isinstance(issued, int | float) else 0


def session_id(claims: Mapping[str, Any]) -> str:
    """Return the id of the log-in session that a token was issued in; "" if the claims do not contain it."""
    sid = claims.get("sid")
    return sid if isinstance(sid, str) and len(sid) <= MAX_SID else ""


def deadline_of(expires: float) -> float:
    """Return the monotonic seconds at which a token is over that expires at `expires` (seconds since 1970).

    The clock may be set between now and then: that does not change how long the token is valid.
    """
    return time.monotonic() + expires - time.time()


def now_ms() -> int:
    """Return the wall clock in milliseconds."""
    return time.time_ns() // 1_000_000


def origin_allowed(origin: str | None, host: str, allowed: tuple[str, ...]) -> bool:
    """Return whether a page of `origin` may open a socket at `host` (RFC 6454; RFC 6455 section 10.2).

    Its host and port must be those of the request, or it must be one of `allowed`. A request without an Origin does not
    come from a browser and is allowed.
    """
    if origin is None or "*" in allowed:
        return True
    theirs = origins.parse(origin)
    if theirs is None:
        return False
    return origins.is_same_host(theirs, host) or theirs in map(origins.parse_setting, allowed)
