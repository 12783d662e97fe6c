"""Ending a user's access: revoked tokens, kicks, bans; on every server."""

from __future__ import annotations

from ..identity.guard import Guard
from ..runtime.control import SESSION_END
from .control import ControlRequests
from .process import Processes
from .receiver import find_user
from .stores import Stores


class Bans:
    """Revokes tokens and bans users: in the store, in this process, and in all others by the control table."""

    def __init__(self, guard: Guard, stores: Stores, processes: Processes, control: ControlRequests) -> None:
        self._guard = guard
        self._stores = stores
        self._processes = processes
        self._control = control

    def revoke(self, user_id: str, failure: str = "token_invalid") -> None:
        """Refuse the tokens that this user was issued until now and close their sockets with the Error `failure`."""
        tables = self._stores.open()
        user = tables.users.get(user_id)
        # A command has not loaded the guard: only the store knows of a revocation by a clock that was set back since.
        at = max(self._guard.stamp(user_id), user.tokens_valid_after + 1 if user is not None else 0)
        tables.users.revoke(user_id, at)
        tables.log_in_sessions.end_all(user_id)
        self._control.post("revoke", {"user_id": user_id, "at": at, "failure": failure})
        runtime = self._processes.runtime
        if runtime is not None:
            runtime.revocation.revoke(user_id, at, failure)

    def end_session(self, user_id: str, sid: str) -> None:
        """Refuse the tokens of one of the user's log-in sessions and close its sockets."""
        runtime = self._processes.runtime
        if runtime is not None:
            runtime.revocation.end_session(user_id, sid)
        else:
            self._guard.end_session(sid)
        self._stores.open().log_in_sessions.end(sid, user_id)
        self._control.post(SESSION_END, {"user_id": user_id, "sid": sid})

    def kick(self, username: str | None = None, user_id: str | None = None) -> None:
        """Close this user's sockets with 4403. Raises UnknownUser, AmbiguousUser."""
        self.revoke(self._id_of(username, user_id), "kicked")

    def ban(self, username: str | None = None, user_id: str | None = None) -> None:
        """Close this user's sockets with 4403 and refuse the user until `unban`. Raises UnknownUser, AmbiguousUser."""
        id = self._id_of(username, user_id)
        self._stores.open().users.ban(id)
        self._control.post("ban", {"user_id": id})
        self._guard.ban(id)
        self.revoke(id, "banned")

    def unban(self, username: str | None = None, user_id: str | None = None) -> None:
        """Admit a banned user again. Raises UnknownUser, AmbiguousUser."""
        id = self._id_of(username, user_id)
        self._stores.open().users.unban(id)
        self._control.post("unban", {"user_id": id})
        self._guard.unban(id)

    def _id_of(self, username: str | None, user_id: str | None) -> str:
        return find_user(self._stores.open().users, username, user_id).id
