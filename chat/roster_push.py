"""Telling a room's members who came and went, as fast as the roster's budget allows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import codec
from .client import Client
from .reactor import Reactor
from .room import Room, broadcast
from .roster import MIN_INTERVAL
from .stats import Stats


class RosterPush:
    """The pushes of one room. `schedule` after each change of its roster; all else happens by itself.

    A list that goes to a crowd is large times many: it is sent to a slice of the members at a time, so that no tick
    is long and the budget holds in every moment. Each slice gets the newest list.
    """

    def __init__(self, room: Room, reactor: Reactor, lock: Any, bytes_per_s: float, stats: Stats) -> None:
        self._room = room
        self._reactor = reactor
        self._lock = lock
        self._stats = stats
        self._slice_bytes = bytes_per_s * MIN_INTERVAL
        self._waiting: list[Client] = []
        self._timer = float("inf")

    def schedule(self) -> None:
        """See to it that what changed is told in time."""
        roster = self._room.roster
        due = roster.next_push if self._waiting else roster.due_at()
        if due is not None and due < self._timer:
            self._timer = due
            self._reactor.call_later(max(0.0, due - self._reactor.now), self._turn, due)

    def _turn(self, due: float) -> None:
        if due != self._timer:
            return  # an earlier turn was scheduled meanwhile, and did it
        self._timer = float("inf")
        with self._lock:
            self._room.roster.expire(self._reactor.now)
        self._push()
        self.schedule()

    def _push(self) -> None:
        roster, now = self._room.roster, self._reactor.now
        spent = 0
        if not self._waiting:
            change = roster.take_change(now)
            if change is None:
                return
            spent = self._push_diff(change.joined, change.left)
            self._waiting = self._behind(lambda client: not client.diff)
        elif now < roster.next_push:
            return
        spent += self._push_list()
        roster.spent(spent, now)

    def _push_diff(self, joined: Any, left: Any) -> int:
        clients = self._behind(lambda client: client.diff)
        frame = codec.roster_diff(self._room.name, joined, left)
        broadcast(clients, frame, self._stats)
        return len(frame) * len(clients)

    def _push_list(self) -> int:
        frame = self._room.roster.list.frame()
        version = self._room.roster.list.version
        count = max(1, int(self._slice_bytes / len(frame)))
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        clients = [client for client in batch if client.listed != version and not client.closing]
        for client in clients:
            client.listed = version
        broadcast(clients, frame, self._stats)
        return len(frame) * len(clients)

    def _behind(self, kind: Callable[[Client], bool]) -> list[Client]:
        # A newcomer's own list may already show all that there is to tell.
        version = self._room.roster.list.version
        return [client for client in self._room.members if kind(client) and client.listed != version]
