"""Who is where, told to the other processes and heard from them: presence.py has what they say. In the loop.

Changes are gathered and numbered. Who misses a number asks that one process for all of it; the numbers are told again
with each heartbeat, so that a change that was lost shows even where none follows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

from ..rooms.hub import Hub
from ..rooms.room import Room
from ..wire.envelope import Identity
from . import bus_messages
from .presence import ForwardedSession, Moves, Presence
from .requests import Requests, Take

#: Seconds for which joins, leaves and counts are gathered.
GATHER = 0.1
#: Rooms that are told anew at one beat, and that one question names.
MAX_ROOMS, MAX_ASKED = 500, 200
#: Processes that are remembered after their end.
MAX_GONE = 1_000

#: What is asked where a room is not open here.
WHO = "who"


class PresenceSync:
    """This process's part in it; `publish(channel, kind, *parts)` sends a hint."""

    def __init__(
        self, hub: Hub, publish: Callable[..., None], presence: Presence, questions: Requests
    ) -> None:
        self._hub, self._publish, self.presence = hub, publish, presence
        self._numbers = itertools.count(1)
        #: What waits to be told: {room: {user's id: identity, or None for one who left}}, and counts.
        self._moves: dict[str, dict[str, Identity | None]] = {}
        self._counts: dict[str, tuple[Identity, int]] = {}
        self._addresses: dict[str, int] = {}
        self._gathering = False
        #: Number of the last change that was told, by room, and of the counts.
        self._versions: dict[str, int] = {}
        self._count_version = 0
        #: When processes were found to be gone, of the last few.
        self._gone: dict[int, float] = {}
        self._asked: set[tuple[int, str | None]] = set()
        #: What is still to be told again, and compared, before it begins from the front.
        self._announced: list[str] = []
        self._compared: list[int] = []
        self._questions = questions
        questions.answers[WHO] = self._who_is_in
        #: What takes each kind of hint: take(sender, channel, parts).
        self.kinds: dict[str, Take] = {
            "d": self._take_moves,
            "v": self._take_version,
            "s": self._take_snapshot,
            "?": self._answer,
            "v?": self._answer_versions,
            "hi": self._take_greeting,
            "n": self._take_counts,
            "n=": self._take_all_counts,
            "hb": self._take_beat,
            "bye": self._take_leave,
        }

    # ---- the heartbeat ---------------------------------------------------------------------------------------------

    def begin_anew(self) -> None:
        """Take note that nothing may have been heard, nor come through, for a while."""
        self.presence.reprieve(self._hub.now)
        self._announced = []
        self._asked.clear()
        self._publish(bus_messages.ALL, "hi")
        for origin in self.presence.origins():
            self._compare(origin)

    def tell_beat(self) -> None:
        """Tell that this process lives, and the numbers of its rooms."""
        self._asked.clear()
        self._publish(bus_messages.ALL, "hb", self._count_version)
        if not self._announced:
            self._announced = list(self._versions)
        if not self._compared:
            self._compared = self.presence.origins()
        for origin in self._compared[:1]:
            self._compare(origin)
        del self._compared[:1]
        now, self._announced = self._announced[:MAX_ROOMS], self._announced[MAX_ROOMS:]
        for name in now:
            if name in self._versions:
                self._publish(bus_messages.room_channel(name), "v", self._versions[name])

    def bury(self, origin: int, at_once: bool = True) -> None:
        """Take it that nobody is on a process any more."""
        if len(self._gone) >= MAX_GONE:
            del self._gone[next(iter(self._gone))]
        self._gone[origin] = self._hub.now
        for name, user_ids in self.presence.forget(origin).items():
            self._move(name, Moves([], user_ids), at_once)

    def _take_beat(self, origin: int, channel: str, parts: list[Any]) -> None:
        is_new = origin not in self.presence
        there = self._hear(origin)
        if is_new:
            self._ask(origin, [room.name for room in self._hub.rooms])
        if there.version != parts[0]:
            self._ask(origin, [None])

    def _take_leave(self, origin: int, channel: str, parts: list[Any]) -> None:
        self.bury(origin, at_once=False)

    def _hear(self, origin: int) -> ForwardedSession:
        return self.presence.hear(origin, self._hub.now)

    # ---- who is in which room --------------------------------------------------------------------------------------

    def _take_moves(self, origin: int, channel: str, parts: list[Any]) -> None:
        name, (before, version, joined, left) = channel[2:], parts
        there = self._hear(origin)
        if self._hub.rooms.get(name) is None:
            return
        moves = self.presence.move(there, name, before, version, _identities(joined), left)
        if moves is None:
            self._ask(origin, [name])
        else:
            self._move(name, moves)

    def _take_version(self, origin: int, channel: str, parts: list[Any]) -> None:
        name, there = channel[2:], self._hear(origin)
        if self._hub.rooms.get(name) is not None and self.presence.version_of(there, name) != parts[0]:
            self._ask(origin, [name])

    def _take_snapshot(self, origin: int, channel: str, parts: list[Any]) -> None:
        name, version, users = parts
        self._asked.discard((origin, name))
        if self._hub.rooms.get(name) is not None:
            self._move(name, self.presence.replace(self._hear(origin), name, version, _identities(users)))

    def _move(self, name: str, moves: Moves, at_once: bool = False) -> None:
        room = self._hub.rooms.get(name)
        if room is None or not any(moves):
            return
        now = self._hub.now

        def change(roster: Any) -> None:
            for user in moves.joined:
                roster.join_on_peer(user)
            for user in moves.renamed:
                roster.rename_on_peer(user)
            for user_id in moves.left:
                roster.leave_on_peer(user_id, now, at_once)

        self._hub.rooms.change_roster(room, change)

    # ---- asking ----------------------------------------------------------------------------------------------------

    def ask_all(self, rooms: list[str]) -> None:
        """Ask all processes who is in these rooms."""
        for start in range(0, len(rooms), MAX_ASKED):
            self._publish(bus_messages.ALL, "?", rooms[start : start + MAX_ASKED])

    def _ask(self, origin: int, what: list[str | None]) -> None:
        """Ask one process who is in rooms there, or (None) for its counts, unless that has just been asked."""
        wanted = [name for name in what if (origin, name) not in self._asked]
        self._asked.update((origin, name) for name in wanted)
        for start in range(0, len(wanted), MAX_ASKED):
            self._publish(bus_messages.process_channel(origin), "?", wanted[start : start + MAX_ASKED])

    def _compare(self, origin: int) -> None:
        """Let a process see what is known here of its rooms: of one that it has closed it says nothing by itself."""
        known = list(self.presence.versions(origin).items())
        for start in range(0, len(known), MAX_ASKED):
            self._publish(bus_messages.process_channel(origin), "v?", dict(known[start : start + MAX_ASKED]))

    def _answer_versions(self, origin: int, channel: str, parts: list[Any]) -> None:
        self.tell_gathered()
        wrong = [name for name, version in parts[0].items() if self._versions.get(name, 0) != version]
        self._answer(origin, channel, [wrong])

    def _take_greeting(self, origin: int, channel: str, parts: list[Any]) -> None:
        self._hear(origin)
        self._compare(origin)

    def _answer(self, origin: int, channel: str, parts: list[Any]) -> None:
        # All that waits to be told is told first, or the answer would count it twice.
        self.tell_gathered()
        back = bus_messages.process_channel(origin)
        for name in parts[0]:
            room = self._hub.rooms.get(name) if name is not None else None
            if name is None:
                self._answer_counts(back)
            elif room is not None and (channel != bus_messages.ALL or name in self._versions):
                self._publish(back, "s", name, self._versions.get(name, 0), _rows(room.roster.local_users()))
            elif channel != bus_messages.ALL:
                self._publish(back, "s", name, 0, [])

    def _answer_counts(self, back: str) -> None:
        users, addresses = self._hub.users.counts()
        rows = [(user.id, user.username, count) for user, count in users]
        self._publish(back, "n=", self._count_version, rows, addresses)

    def _who_is_in(self, name: str) -> list[tuple[str, str]]:
        room = self._hub.rooms.get(name)
        return _rows(room.roster.local_users()) if room is not None else []

    def fetch_roster(self, room: str) -> list[Identity]:
        """Return who is in a room, of those processes that answer in time; not from a tick, for it waits for them."""
        rows = itertools.chain.from_iterable(self._questions.ask(None, WHO, room))
        return list({user.id: user for user in _identities(rows)}.values())

    # ---- counts ----------------------------------------------------------------------------------------------------

    def _take_counts(self, origin: int, channel: str, parts: list[Any]) -> None:
        before, version, users, addresses = parts
        if not self.presence.count(self._hear(origin), before, version, _counts(users), addresses):
            self._ask(origin, [None])

    def _take_all_counts(self, origin: int, channel: str, parts: list[Any]) -> None:
        version, users, addresses = parts
        self._asked.discard((origin, None))
        self.presence.recount(self._hear(origin), version, _counts(users), addresses)

    # ---- what happens here -----------------------------------------------------------------------------------------

    def closed(self, room: Room) -> None:
        """Forget who is in a room there."""
        self.presence.close(room.name)
        if room.name not in self._moves:
            self._versions.pop(room.name, None)

    def joined(self, room: Room, user: Identity) -> None:
        """Have it told that a user's first socket here is in a room."""
        self._moves.setdefault(room.name, {})[user.id] = user
        self._gather()

    def left(self, room: Room, user: Identity) -> None:
        """Have it told that the last one has left it."""
        self._moves.setdefault(room.name, {})[user.id] = None
        self._gather()

    def counted(self, user: Identity, sockets: int, address: str, from_there: int) -> None:
        """Have it told how many sockets a user has here, and how many come from an address."""
        self._counts[user.id] = user, sockets
        if address:
            self._addresses[address] = from_there
        self._gather()

    def served_lately(self, origin: int) -> bool:
        """Tell whether a process is alive, or was less than CHAT_IO_RECOVERY_SECONDS ago."""
        since = self._hub.now - self._hub.settings.io_recovery_seconds
        return origin in self.presence or self._gone.get(origin, since) > since

    def _gather(self) -> None:
        if not self._gathering:
            self._gathering = True
            self._hub.reactor.call_later(GATHER, self.tell_gathered)

    def tell_gathered(self) -> None:
        """Tell all that waits to be told."""
        self._gathering = False
        moves, self._moves = self._moves, {}
        for name, changes in moves.items():
            joined = [user for user in changes.values() if user is not None]
            self._tell_moves(name, joined, [user_id for user_id, user in changes.items() if user is None])
        if self._counts:
            self._tell_counts()

    def _tell_moves(self, name: str, joined: list[Identity], left: list[str]) -> None:
        before, version = self._versions.get(name, 0), next(self._numbers)
        self._versions[name] = version
        self._publish(bus_messages.room_channel(name), "d", before, version, _rows(joined), left)
        if self._hub.rooms.get(name) is None:
            del self._versions[name]

    def _tell_counts(self) -> None:
        before, self._count_version = self._count_version, next(self._numbers)
        rows = [(user.id, user.username, count) for user, count in self._counts.values()]
        self._publish(bus_messages.ALL, "n", before, self._count_version, rows, self._addresses)
        self._counts, self._addresses = {}, {}


def _rows(users: Iterable[Identity]) -> list[tuple[str, str]]:
    return [(user.id, user.username) for user in users]


def _identities(rows: Iterable[list[str]]) -> list[Identity]:
    return [Identity(*row) for row in rows]


def _counts(rows: list[list[Any]]) -> list[tuple[Identity, int]]:
    return [(Identity(id, name), count) for id, name, count in rows]
