"""The site's log-in sessions as the chat sees them: their ids go into tokens, and a log-out ends one or all of them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ..wire.envelope import Identity
from . import sessions
from .bad_identity import BadIdentity
from .bans import Bans
from .identities import Identities


class LogInSessions:
    """The log-in sessions of one app. Its methods need a request, but for `end` and `revoke_site_user`."""

    def __init__(self, identities: Identities, bans: Bans) -> None:
        self._identities = identities
        self._guard = identities.guard
        self._bans = bans

    def id_of(self, identity: Identity) -> str:
        """Return the id of this request's session, which its tokens carry; "" on a site without sessions."""
        named = sessions.current()
        if named is None or named.user_id != identity.id or self._guard.has_ended(named.sid):
            return sessions.name(identity.id)
        return named.sid

    def is_ended(self) -> bool:
        """Return whether this request comes from a session that has ended: it was sent before it knew."""
        named = sessions.current()
        return named is not None and self._guard.has_ended(named.sid)

    def log_out(self, everywhere: bool = False) -> None:
        """End this request's session, or all sessions of its user."""
        ended = sessions.take()
        if not everywhere:
            if ended is not None:
                self.end(*ended)
            return
        user_id = ended.user_id if ended is not None else self._current_id()
        if user_id is not None:
            self._bans.revoke(user_id)

    def end(self, user_id: str, sid: str) -> None:
        """Close the sockets of one of the user's sessions and refuse its tokens, on every server."""
        self._bans.end_session(user_id, sid)

    def revoke_site_user(self, user: Any) -> None:
        """Revoke a user of the site's log-in extension, where the chat's ids are those of that extension's users."""
        user_id = self._identities.site_id(user)
        if user_id is not None:
            self._bans.revoke(user_id)

    def _current_id(self) -> str | None:
        with suppress(BadIdentity):
            identity = self._identities.current()
            return identity.id if identity is not None else None
        return None
