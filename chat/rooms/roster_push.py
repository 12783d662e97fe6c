"""Telling a room's members who came and went, as fast as the roster's budget allows."""

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
    """The pushes of one room. `schedule` after each change of its roster; all else happens by itself.

    A list that goes to a crowd is large times many: it is sent to a slice of the members at a time, so that no tick
    is long and the budget holds in every moment. Each slice gets the newest list.
    """

    def __init__(
        self,
        room: Room,
        reactor: Reactor,
        lock: Any,
        bytes_per_s: float,
        stats: Stats,
        emptied: Callable[[Room], None] = lambda room: None,
    ) -> None:
        self._room = room
        #: Called when the last user has left.
        self._emptied = emptied
        self._reactor = reactor
        self._lock = lock
        self._stats = stats
        self._slice_bytes = bytes_per_s * MIN_INTERVAL
        self._waiting: list[Member] = []
        self._timer = float("inf")

    def schedule(self) -> None:
        """See to it that what changed is told in time."""
        roster = self._room.roster
        due = roster.next_push if self._waiting else roster.due_at()
        if due is not None and due < self._timer:
            self._timer = due
            self._reactor.call_later(max(0.0, due - self._reactor.now), self._turn, due)

    def replace(self, old: Member, new: Member) -> None:
        """Let `new` wait for the list where `old` did."""
        self._waiting = [new if member is old else member for member in self._waiting]

    def _turn(self, due: float) -> None:
        if due != self._timer:
            return  # an earlier turn was scheduled meanwhile, and did it
        self._timer = float("inf")
        with self._lock:
            self._room.roster.expire(self._reactor.now)
        self._push()
        self.schedule()
        if self._room.empty:
            self._emptied(self._room)

    def _push(self) -> None:
        roster, now = self._room.roster, self._reactor.now
        spent = 0
        if not self._waiting:
            change = roster.take_change(now)
            if change is None:
                return
            spent = self._push_diff(change.joined, change.left)
            self._waiting = self._behind(lambda member: not member.diff)
        elif now < roster.next_push:
            return
        spent += self._push_list()
        roster.charge(spent, now)

    def _push_diff(self, joined: Any, left: Any) -> int:
        members = self._behind(lambda member: member.diff)
        return self._tell(members, lambda codec: codec.roster_diff(self._room.name, joined, left))

    def _push_list(self) -> int:
        roster = self._room.roster
        size = max(len(roster.list_for(codec).frame()) for codec in self._room.audiences)
        count = max(1, int(self._slice_bytes / size))
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        members = [member for member in batch if self._is_behind(member) and not member.closing]
        for member in members:
            self._room.note_roster_sent(member)
        return self._tell(members, lambda codec: roster.list_for(codec).frame())

    def _tell(self, members: list[Member], encode: Callable[[Codec], bytes]) -> int:
        by_codec: dict[Codec, list[Member]] = {}
        for member in members:
            by_codec.setdefault(member.wire.codec, []).append(member)
        spent = 0
        for codec, some in by_codec.items():
            frame = encode(codec)
            write_all(some, frame, self._stats)
            spent += len(frame) * len(some)
        return spent

    def _behind(self, kind: Callable[[Member], bool]) -> list[Member]:
        return [member for member in self._room.members() if kind(member) and self._is_behind(member)]

    def _is_behind(self, member: Member) -> bool:
        # A newcomer's own list may already show all that there is to tell.
        return not self._room.has_current_roster(member)
