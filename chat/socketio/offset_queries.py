"""What a process remembers of those who were told things here, for another process to which one of them has gone."""

from __future__ import annotations

from ..rooms.hub import Hub
from .recovery import Recovery, Subscriptions
from .sessions import connection_of
from .subscriptions import seat_of

#: What a process is asked about a client: user's id, pid, number of its offset, rooms and conversations by name.
HEARD = "io heard"


class OffsetQueries:
    """Tells it, of the chat's clients in `namespace`. In the loop."""

    def __init__(self, hub: Hub, recovery: Recovery, namespace: str) -> None:
        self._hub, self._recovery, self._namespace = hub, recovery, namespace

    def heard(self, user_id: str, pid: str, number: int, rooms: list[str]) -> dict[str, int] | None:
        """Return up to which seq a client had heard these rooms at its packet `number`: those of which that is known.

        None for a client that is not here and not expected back: only for those is kept all that is said.
        """
        seat = self._seat_of(user_id, pid, number)
        if seat is None or not self._recovery.reaches(number):
            return None
        self._hub.flush_rooms()
        firsts, floors = self._recovery.firsts_after(number), seat.floors
        heard = {room: firsts[room] - 1 if room in firsts else self._last_in(room) for room in rooms}
        # What it was told again when it came may be yet to be said here.
        return {room: max(seq, floors.get(room, 0) - 1) for room, seq in heard.items() if seq is not None}

    def _last_in(self, room: str) -> int | None:
        gate = self._hub.gate(room)
        return gate.last if gate is not None else None

    def _seat_of(self, user_id: str, pid: str, number: int) -> Subscriptions | None:
        """Return where a connection is, or was when it went; None for one that came only after its packet `number`."""
        user = self._hub.user(user_id)
        for member in user.clients if user is not None else ():
            connection = connection_of(member, self._namespace)
            if connection is not None and connection.accepted and connection.pid == pid:
                here = connection.position <= number
                return seat_of(connection, member, self._hub.lobby.name) if here else None
        saved = self._recovery.saved(pid)
        if saved is None or saved.user_id != user_id or saved.position > number:
            return None
        return saved.seat
