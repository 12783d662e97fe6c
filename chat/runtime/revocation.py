"""Closing a user's sockets and ending subscriptions, as a site or an operator asks for it."""

from __future__ import annotations

from collections.abc import Callable

from ..identity.guard import Guard, now_ms
from ..rooms.hub import Hub
from ..rooms.joining import Joining
from ..rooms.member import Admitted
from ..socketio.server import Server
from ..wire.envelope import MessageType
from ..wire.errors import FAILURES, ChatError, CloseCode

#: Milliseconds by which machines' clocks may differ, and by which a clock that was set back may have been ahead.
MAX_SKEW_MS, MAX_AHEAD_MS = 60_000, 366 * 86_400_000


class Revocation:
    """Takes back on this worker what a user was granted; from any thread."""

    def __init__(self, hub: Hub, guard: Guard, io: Server, joining: Joining) -> None:
        self._hub = hub
        self._guard = guard
        self._io = io
        self._joining = joining

    def revoke(self, user_id: str, at_ms: int, failure: str) -> None:
        """Refuse this user's tokens issued before `at_ms` and close their sockets with the Error `failure`."""
        self._guard.revoke(user_id, at_ms)
        now = max(at_ms, now_ms())
        self._hub.reactor.call(
            self._close, user_id, failure, lambda one: one.issued <= at_ms or _is_from_clock_ahead(one, now)
        )

    def end_session(self, user_id: str, sid: str) -> None:
        """Refuse the tokens of a user's session and close its sockets."""
        self._guard.end_session(sid)
        self._hub.reactor.call(self._close, user_id, "token_invalid", lambda one: one.sid == sid)

    def _close(self, user_id: str, failure: str, is_meant: Callable[[Admitted], bool]) -> None:
        """Close those connections of a user that `is_meant` says, with the Error `failure`; in the loop."""
        user = self._hub.users.get(user_id)
        error = ChatError(failure if failure in FAILURES else "token_invalid")
        for client in list(user.clients) if user is not None else ():
            if is_meant(client):
                client.enqueue(client.wire.codec.error(error, client.language))
                client.close(error.failure.close or CloseCode.TOKEN)
        self._io.expel(user_id, is_meant)

    def unsubscribe_user(self, user_id: str, room: str) -> None:
        """Unsubscribe a user's sockets from `room` and tell them so."""
        self._hub.reactor.call(self._unsubscribe, user_id, room)

    def _unsubscribe(self, user_id: str, room_name: str) -> None:
        user, room = self._hub.users.get(user_id), self._hub.rooms.get(room_name)
        if user is None or room is self._hub.lobby:
            return
        for client in list(user.clients):
            # A Join that is under way may have read the user's rights before they were taken away.
            stopped = self._joining.cancel(client, room_name)
            if (room is not None and self._hub.rooms.leave(client, room)) or stopped:
                client.enqueue(client.wire.codec.notice(MessageType.LEAVE, {"room": room_name}))
                self._io.removed(client, room_name)


def _is_from_clock_ahead(one: Admitted, now: int) -> bool:
    """Tell whether a token was issued before `now` (ms) though its time is later: the clock was set back since."""
    return MAX_SKEW_MS < one.issued - now <= MAX_AHEAD_MS
