"""The site's log-in sessions as the chat sees them: their ids go into tokens, and each can be ended by itself."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any, NamedTuple

from flask import has_request_context, request

from ..i18n import gettext
from ..store.history import StoreUnavailable
from ..wire.envelope import Identity
from . import sessions
from .bad_identity import BadIdentity
from .bans import Bans
from .devices import browser_and_system
from .identities import Identities
from .stores import Stores

log = logging.getLogger("flask_chat")


class LogInSession(NamedTuple):
    """One of a user's log-in sessions: times are in ms since 1970, `device` is in the language of the request."""

    id: str
    device: str
    began_at: int
    used_at: int
    #: Whether this request belongs to it.
    is_current: bool


class LogInSessions:
    """The log-in sessions of one app. `of`, `end` and `revoke_site_user` need no request."""

    def __init__(self, identities: Identities, bans: Bans, stores: Stores) -> None:
        self._identities = identities
        self._guard = identities.guard
        self._bans = bans
        self._stores = stores

    # ---- this request's session ----------------------------------------------------------------------------------

    def begin(self, identity: Identity) -> str:
        """Give this request's session an id and list it, at a log-in; "" on a site without sessions."""
        sid = sessions.name(identity.id)
        if sid:
            self._stores.open().log_in_sessions.use(sid, identity.id, _user_agent())
        return sid

    def current(self) -> str | None:
        """Return the id of this request's session; None if it has none yet."""
        named = sessions.current()
        return named.sid if named is not None else None

    def id_of(self, identity: Identity) -> str:
        """Return the id of this request's session, which its tokens carry; "" on a site without sessions."""
        named = sessions.current()
        if named is None or named.user_id != identity.id or self._guard.has_ended(named.sid):
            return sessions.name(identity.id)
        return named.sid

    def use(self, identity: Identity) -> str:
        """Return `id_of`, and note in the list that the session is in use."""
        sid = self.id_of(identity)
        try:
            if sid and not self._stores.open().log_in_sessions.use(sid, identity.id, _user_agent()):
                # It has ended for the chat, and the site still takes its cookie for a log-in.
                return self.begin(identity)
        except StoreUnavailable:
            log.warning("the use of a log-in session could not be stored")
        return sid

    def has_ended(self) -> bool:
        """Return whether this request comes from a session that has been ended: for the site's user loader."""
        named = sessions.current()
        if named is None:
            return False
        return self._guard.has_ended(named.sid) or self._stores.open().log_in_sessions.has_ended(named.sid)

    def is_open(self) -> bool:
        """Return whether this request's session is listed and has not been ended.

        For the user loader of a site that calls `begin` at each log-in. The list of a user has an end: a session that
        has dropped out of it, ended or not, is not open.
        """
        named = sessions.current()
        if named is None or self._guard.has_ended(named.sid):
            return False
        return self._stores.open().log_in_sessions.is_open(named.sid)

    def log_out(self, everywhere: bool = False) -> None:
        """End this request's session, or all sessions of its user."""
        ended = sessions.take()
        if not everywhere:
            if ended is not None:
                self._bans.end_session(*ended)
            return
        user_id = ended.user_id if ended is not None else self._current_id()
        if user_id is not None:
            self._bans.revoke(user_id)

    # ---- all sessions of a user ----------------------------------------------------------------------------------

    def of(self, user_id: str) -> list[LogInSession]:
        """Return the sessions in which this user is logged in and has used the chat, the last used first."""
        current = self.current() if has_request_context() else None
        return [
            LogInSession(row.id, _device(row.user_agent), row.began_at, row.used_at, row.id == current)
            for row in self._stores.open().log_in_sessions.of_user(user_id)
        ]

    def end(self, user_id: str, session_id: str) -> bool:
        """Close the sockets of one of the user's sessions and refuse its tokens, on every server.

        Returns False, and does nothing, for the session of another user.
        """
        if self._stores.open().log_in_sessions.owner(session_id) not in (None, user_id):
            return False
        self._bans.end_session(user_id, session_id)
        return True

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


def _user_agent() -> str:
    return request.headers.get("User-Agent", "")


def _device(user_agent: str) -> str:
    browser, system = browser_and_system(user_agent)
    if browser and system:
        return gettext("%(browser)s on %(system)s", browser=browser, system=system)
    return browser or system or gettext("Unknown device")
