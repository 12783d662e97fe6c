"""Pushes the changes of a room's roster to its members, as fast as the roster's budget allows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..loop.reactor import Reactor
from ..loop.stats import Stats
from ..wire.codec import Codec
from .member import Member
from .room import Room, write_all
from .roster import MIN_INTERVAL


class RosterPush:
    """The pushes of one room. `schedule` is called after each change of its roster; a timer does the rest.

    In a large room, a long list goes to many members. It is sent to a slice of them at a time, so that no tick takes
    long and the budget is never exceeded. Each slice gets the newest list. `on_empty(room)` is called when the last
    user has left.
    """

    def __init__(
        self,
        room: Room,
        reactor: Reactor,
        lock: Any,
        bytes_per_s: float,
        stats: Stats,
        on_empty: Callable[[Room], None] = lambda room: None,
    ) -> None:
        self._room = room
        self._on_empty = on_empty
        self._reactor = reactor
        self._lock = lock
        self._stats = stats
        self._slice_bytes = bytes_per_s * MIN_INTERVAL
        #: Members that are yet to get the newest list.
        self._waiting: list[Member] = []
        self._timer = float("inf")

    def schedule(self) -> None:
        """Set the timer for the changes of the roster."""
        roster = self._room.roster
        due = roster.next_push if self._waiting else roster.due_at()
        if due is not None and due < self._timer:
            self._timer = due
            self._reactor.call_later(max(0.0, due - self._reactor.now), self._run, due)

    def replace(self, old: Member, new: Member) -> None:
        """Put `new` in the place of `old` among the members that wait for the list."""
        self._waiting = [new if member is old else member for member in self._waiting]

    def _run(self, due: float) -> None:
        if due != self._timer:
            return  # an earlier run was scheduled meanwhile, and has done it
        self._timer = float("inf")
        with self._lock:
            self._room.roster.expire(self._reactor.now)
        self._push()
        self.schedule()
        if self._room.empty:
            self._on_empty(self._room)

    def _push(self) -> None:
        roster, now = self._room.roster, self._reactor.now
        cost = 0
        if not self._waiting:
            change = roster.take_change(now)
            if change is None:
                return
            cost = self._push_diff(change.joined, change.left)
            self._waiting = self._outdated(lambda member: not member.diff)
        elif now < roster.next_push:
            return
        cost += self._push_list()
        roster.charge(cost, now)

    def _push_diff(self, joined: Any, left: Any) -> int:
        members = self._outdated(lambda member: member.diff)
        return self._send(members, lambda codec: codec.roster_diff(self._room.name, joined, left))

    def _push_list(self) -> int:
        roster = self._room.roster
        size = max(len(roster.list_for(codec).frame()) for codec in self._room.audiences)
        count = max(1, int(self._slice_bytes / size))
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        members = [member for member in batch if self._is_outdated(member) and not member.closing]
        for member in members:
            self._room.note_roster_sent(member)
        return self._send(members, lambda codec: roster.list_for(codec).frame())

    def _send(self, members: list[Member], encode: Callable[[Codec], bytes]) -> int:
        by_codec: dict[Codec, list[Member]] = {}
        for member in members:
            by_codec.setdefault(member.wire.codec, []).append(member)
        cost = 0
        for codec, group in by_codec.items():
            frame = encode(codec)
            write_all(group, frame, self._stats)
            cost += len(frame) * len(group)
        return cost

    def _outdated(self, kind: Callable[[Member], bool]) -> list[Member]:
        return [member for member in self._room.members() if kind(member) and self._is_outdated(member)]

    def _is_outdated(self, member: Member) -> bool:
        # The list that a joining member was sent may contain the change already.
        return not self._room.has_current_roster(member)
