"""Answers other processes: what a client was sent by this process, up to one of its offsets."""

from __future__ import annotations

from ..rooms.hub import Hub
from .recovery import Recovery, Subscriptions
from .sessions import connection_of
from .subscriptions import subscriptions_of

#: The request between processes: user's id, pid, number of the offset, names of rooms and conversations.
DELIVERED = "io heard"


class OffsetQueries:
    """Answers for the chat's clients in `namespace`. In the loop."""

    def __init__(self, hub: Hub, recovery: Recovery, namespace: str) -> None:
        self._hub, self._recovery, self._namespace = hub, recovery, namespace

    def delivered(self, user_id: str, pid: str, number: int, rooms: list[str]) -> dict[str, int] | None:
        """Return {room: seq up to which a client had received it at its packet `number`}, of rooms where that is known.

        None for a client that is not connected here and cannot resume here: packets are kept for those only.
        """
        subscriptions = self._subscriptions_at(user_id, pid, number)
        if subscriptions is None or not self._recovery.covers(number):
            return None
        self._hub.flush_rooms()
        firsts, floors = self._recovery.first_seqs_after(number), subscriptions.floors
        seqs = {room: firsts[room] - 1 if room in firsts else self._last_seq(room) for room in rooms}
        # What was replayed to it at its CONNECT, this process may have yet to deliver.
        return {room: max(seq, floors.get(room, 0) - 1) for room, seq in seqs.items() if seq is not None}

    def _last_seq(self, room: str) -> int | None:
        gate = self._hub.gate(room)
        return gate.last if gate is not None else None

    def _subscriptions_at(self, user_id: str, pid: str, number: int) -> Subscriptions | None:
        """Return the present or saved rooms of a connection; None for one that connected after its packet `number`."""
        user = self._hub.users.get(user_id)
        for member in user.clients if user is not None else ():
            connection = connection_of(member, self._namespace)
            if connection is not None and connection.accepted and connection.pid == pid:
                if connection.position > number:
                    return None
                return subscriptions_of(connection, member, self._hub.lobby.name)
        saved = self._recovery.saved(pid)
        if saved is None or saved.user_id != user_id or saved.position > number:
            return None
        return saved.subscriptions
