"""This process among those of its site: tells the others what happens here, and hears what happens there.

All that crosses is a hint (broker/base.py). Stored messages that no hint told of the writer finds in the store; rosters
and counts are told anew when a number shows that something is missing.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable
from typing import Any

from . import hints
from .broker.base import Broker
from .envelope import Envelope, Identity, MessageType, ends
from .errors import ChatError
from .hub import Hub
from .presence import Moves, Presence, There
from .room import Room
from .store.history import Message
from .writer import Writer

log = logging.getLogger("chat")

#: Heartbeats in a lease, and the part of it after which a silent process is dead: with the two heartbeats that it may
#: take to find out, everybody knows before the lease is over.
BEATS = 6
SILENCE = 0.6
#: Seconds for which joins, leaves and counts are gathered.
GATHER = 0.1
#: Stored messages in one hint, rooms that are told anew at one beat, and rooms that one question names.
MAX_MESSAGES, MAX_ROOMS, MAX_ASKED = 200, 500, 200
#: Seconds for which the other processes' answers are waited for.
ANSWER_SECONDS = 0.5
#: Processes that are remembered after their end.
MAX_GONE = 1_000


class Question:
    """Who is in a room, asked of all processes."""

    def __init__(self, done: Any) -> None:
        self.done = done
        #: Processes that have yet to answer.
        self.open = 0
        self.users: dict[str, Identity] = {}


class Cluster:
    """chat.others.Others, and the broker's Listener.

    `look` is called when another process has written to the control table; `told(kind, parts)` gets what is no affair
    of this module.
    """

    alone = False

    def __init__(
        self,
        hub: Hub,
        writer: Writer,
        broker: Broker,
        look: Callable[[], None],
        told: Callable[[str, list[Any]], None],
    ) -> None:
        self._hub, self._writer, self._broker = hub, writer, broker
        self._look, self._told = look, told
        self._call_later = hub.reactor.call_later
        self.origin = writer.origin
        self.presence = Presence()
        self._lease = hub.settings.worker_lease
        self._numbers = itertools.count(1)
        self._users: set[str] = set()
        #: What waits to be told: messages that are stored nowhere, by channel; {room: {user's id: identity, or None
        #: for one who left}}; counts.
        self._said: dict[str, list[list[Any]]] = {}
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
        self._announced: list[str] = []
        self._beating = self._has_ended = False
        self._questions: dict[int, Question] = {}
        self._kinds: dict[str, Callable[[int, str, list[Any]], None]] = {
            "m": self._take_messages,
            "e": self._take_unstored,
            "d": self._take_moves,
            "v": self._take_version,
            "s": self._take_snapshot,
            "?": self._answer,
            "n": self._take_counts,
            "n=": self._take_all_counts,
            "hb": self._take_beat,
            "bye": self._take_leave,
            "who": self._answer_who,
            "here": self._take_answer,
        }

    def begin(self) -> None:
        """Join the others."""
        self._hub.others = self
        self._broker.subscribe(hints.ALL, hints.process_channel(self.origin))
        self._hub.reactor.call(self._open_all)
        self._broker.begin(self)

    def _open_all(self) -> None:
        for room in self._hub.rooms():
            self.opened(room)

    def end(self) -> None:
        """Tell the others that nobody is here any more; nothing is told after that. From any thread."""
        self._hub.reactor.call(self._end)

    def _end(self) -> None:
        self._tell_gathered()
        self._publish(hints.ALL, "bye")
        self._has_ended = True

    def tell_to_look(self) -> None:
        """Tell the others that there is something in the control table; from any thread."""
        self._publish(hints.ALL, "control")

    def tell(self, kind: str, *parts: Any) -> None:
        """Tell all others something that is no affair of this module; from any thread."""
        self._publish(hints.ALL, kind, *parts)

    def _publish(self, channel: str, kind: str, *parts: Any) -> None:
        if self._has_ended:
            return
        self._broker.publish(channel, hints.write(kind, *parts))

    # ---- the broker's listener; outside the loop -------------------------------------------------------------------

    def received(self, hints_: list[tuple[str, int, bytes]]) -> None:
        """Take what the others tell."""
        read = []
        for channel, sender, payload in hints_:
            try:
                read.append((channel, sender, *hints.read(payload)))
            except ValueError:
                log.warning("a hint of another process makes no sense")
        self._hub.reactor.ask(self._take_all, read)

    def subscribed(self, channels: list[str]) -> None:
        """Ask who is in the rooms that can be heard from now on."""
        self._hub.reactor.ask(self._ask_all, [name[2:] for name in channels if name.startswith("r:")])

    def changed(self, is_up: bool) -> None:
        """Begin to beat, or let everybody be until hints go through again."""
        self._hub.reactor.ask(self._begin_to_beat if is_up else self._begin_to_wait)

    # ---- the heartbeat ---------------------------------------------------------------------------------------------

    def _begin_to_beat(self) -> None:
        self.presence.reprieve(self._hub.now)
        self._announced = []
        self._asked.clear()
        if not self._beating:
            self._beating = True
            self._beat()
        else:
            self._tell_beat()
        self._ask_all([room.name for room in self._hub.rooms()])

    def _begin_to_wait(self) -> None:
        # Who is cut off keeps what it knew: the others may be well.
        self.presence.reprieve(self._hub.now)

    def _beat(self) -> None:
        if self._broker.is_up:
            self._tell_beat()
            # Who has heard nothing at all, not even himself, has heard nothing of anybody.
            heard_until = self._hub.now - self._broker.silent_for()
            for origin in self.presence.silent_since(heard_until - self._lease * SILENCE):
                self._bury(origin)
        else:
            self.presence.reprieve(self._hub.now)
        self._asked.clear()
        self._call_later(self._lease / BEATS, self._beat)

    def _tell_beat(self) -> None:
        self._publish(hints.ALL, "hb", self._count_version)
        # A change that was lost, with none after it, shows when its number is told again.
        if not self._announced:
            self._announced = list(self._versions)
        now, self._announced = self._announced[:MAX_ROOMS], self._announced[MAX_ROOMS:]
        for name in now:
            if name in self._versions:
                self._publish(hints.room_channel(name), "v", self._versions[name])

    def _bury(self, origin: int, at_once: bool = True) -> None:
        if len(self._gone) >= MAX_GONE:
            del self._gone[next(iter(self._gone))]
        self._gone[origin] = self._hub.now
        for name, user_ids in self.presence.forget(origin).items():
            self._move(name, Moves([], user_ids), at_once)

    def _take_beat(self, origin: int, channel: str, parts: list[Any]) -> None:
        is_new = origin not in self.presence
        there = self._hear(origin)
        if is_new:
            self._ask(origin, [room.name for room in self._hub.rooms()])
        if there.version != parts[0]:
            self._ask(origin, [None])

    def _take_leave(self, origin: int, channel: str, parts: list[Any]) -> None:
        self._bury(origin, at_once=False)

    def _hear(self, origin: int) -> There:
        return self.presence.hear(origin, self._hub.now)

    # ---- taking; in the loop ---------------------------------------------------------------------------------------

    def _take_all(self, read: list[tuple[str, int, str, list[Any]]]) -> None:
        for channel, sender, kind, parts in read:
            take = self._kinds.get(kind)
            try:
                if take is not None:
                    take(sender, channel, parts)
                elif kind == "control":
                    self._look()
                else:
                    self._told(kind, parts)
            except Exception as error:
                # Another version's, perhaps; it must not keep the next one from being heard.
                self._hub.reactor.report("a hint could not be taken", error)

    def _take_messages(self, origin: int, channel: str, rows: list[Any]) -> None:
        self._writer.heard([hints.message_of(row, origin) for row in rows])

    def _take_unstored(self, origin: int, channel: str, rows: list[Any]) -> None:
        for row in rows:
            self._take_one(hints.envelope_of(row))

    def _take_one(self, envelope: Envelope) -> None:
        hub, ts = self._hub, envelope.ts
        is_direct = envelope.type == MessageType.SINGLE_CHAT
        room = None if is_direct else hub.room(envelope.room)
        known = hub.known_direct if is_direct else room.known if room is not None else None
        if known is None:
            return
        try:
            fresh = known.place(envelope)
        except ChatError:
            return
        envelope.ts = ts
        if fresh and room is not None:
            room.say(envelope)
        elif fresh:
            hub.direct(envelope)

    # ---- who is in which room --------------------------------------------------------------------------------------

    def _take_moves(self, origin: int, channel: str, parts: list[Any]) -> None:
        name, (before, version, joined, left) = channel[2:], parts
        there = self._hear(origin)
        if self._hub.room(name) is None:
            return
        moves = self.presence.move(there, name, before, version, _identities(joined), left)
        if moves is None:
            self._ask(origin, [name])
        else:
            self._move(name, moves)

    def _take_version(self, origin: int, channel: str, parts: list[Any]) -> None:
        name, there = channel[2:], self._hear(origin)
        if self._hub.room(name) is not None and self.presence.version_of(there, name) != parts[0]:
            self._ask(origin, [name])

    def _take_snapshot(self, origin: int, channel: str, parts: list[Any]) -> None:
        name, version, users = parts
        self._asked.discard((origin, name))
        if self._hub.room(name) is not None:
            self._move(name, self.presence.replace(self._hear(origin), name, version, _identities(users)))

    def _move(self, name: str, moves: Moves, at_once: bool = False) -> None:
        room = self._hub.room(name)
        if room is None or not any(moves):
            return
        now = self._hub.now

        def change(roster: Any) -> None:
            for user in moves.joined:
                roster.join_elsewhere(user)
            for user in moves.renamed:
                roster.rename_elsewhere(user)
            for user_id in moves.left:
                roster.leave_elsewhere(user_id, now, at_once)

        self._hub.change_roster(room, change)

    # ---- asking ----------------------------------------------------------------------------------------------------

    def _ask_all(self, rooms: list[str]) -> None:
        for start in range(0, len(rooms), MAX_ASKED):
            self._publish(hints.ALL, "?", rooms[start : start + MAX_ASKED])

    def _ask(self, origin: int, what: list[str | None]) -> None:
        """Ask one process who is in rooms there, or (None) for its counts, unless that has just been asked."""
        wanted = [name for name in what if (origin, name) not in self._asked]
        self._asked.update((origin, name) for name in wanted)
        for start in range(0, len(wanted), MAX_ASKED):
            self._publish(hints.process_channel(origin), "?", wanted[start : start + MAX_ASKED])

    def _answer(self, origin: int, channel: str, parts: list[Any]) -> None:
        # All that waits to be told is told first, or the answer would count it twice.
        self._tell_gathered()
        back = hints.process_channel(origin)
        for name in parts[0]:
            room = self._hub.room(name) if name is not None else None
            if name is None:
                self._answer_counts(back)
            elif room is not None and (channel != hints.ALL or name in self._versions):
                self._publish(back, "s", name, self._versions.get(name, 0), _rows(room.roster.here()))
            elif channel != hints.ALL:
                self._publish(back, "s", name, 0, [])

    def _answer_counts(self, back: str) -> None:
        users, addresses = self._hub.counts()
        rows = [(user.id, user.username, count) for user, count in users]
        self._publish(back, "n=", self._count_version, rows, addresses)

    def ask_roster(self, room: str) -> list[Identity]:
        """Return who is in a room, of those processes that answer in time; not from a tick, for it waits for them."""
        question = Question(self._hub.reactor.driver.answer())
        number = next(self._numbers)
        if self._hub.reactor.ask(self._put_question, number, question, room):
            question.done.wait(ANSWER_SECONDS)
        self._hub.reactor.ask(self._questions.pop, number, None)
        return list(question.users.values())

    def _put_question(self, number: int, question: Question, room: str) -> bool:
        question.open = len(self.presence)
        if not question.open or not self._broker.is_up:
            return False
        self._questions[number] = question
        self._publish(hints.ALL, "who", number, room)
        return True

    def _answer_who(self, origin: int, channel: str, parts: list[Any]) -> None:
        number, name = parts
        room = self._hub.room(name)
        here = _rows(room.roster.here()) if room is not None else []
        self._publish(hints.process_channel(origin), "here", number, here)

    def _take_answer(self, origin: int, channel: str, parts: list[Any]) -> None:
        number, users = parts
        question = self._questions.get(number)
        if question is None:
            return
        question.users.update((user.id, user) for user in _identities(users))
        question.open -= 1
        if not question.open:
            question.done.set()

    # ---- counts ----------------------------------------------------------------------------------------------------

    def _take_counts(self, origin: int, channel: str, parts: list[Any]) -> None:
        before, version, users, addresses = parts
        if not self.presence.count(self._hear(origin), before, version, _counts(users), addresses):
            self._ask(origin, [None])

    def _take_all_counts(self, origin: int, channel: str, parts: list[Any]) -> None:
        version, users, addresses = parts
        self._asked.discard((origin, None))
        self.presence.recount(self._hear(origin), version, _counts(users), addresses)

    # ---- what happens here (chat.others.Others) --------------------------------------------------------------------

    def stored(self, messages: Iterable[Message]) -> None:
        by_channel: dict[str, list[list[Any]]] = {}
        for message in messages:
            for channel in _channels(message.type, message.room):
                by_channel.setdefault(channel, []).append(hints.message_row(message))
        for channel, rows in by_channel.items():
            for start in range(0, len(rows), MAX_MESSAGES):
                self._publish(channel, "m", *rows[start : start + MAX_MESSAGES])

    def said(self, envelope: Envelope) -> None:
        if not self._said:
            self._hub.reactor.call_soon(self._tell_said)
        row = hints.envelope_row(envelope)
        for channel in _channels(envelope.type, envelope.room or ""):
            self._said.setdefault(channel, []).append(row)

    def _tell_said(self) -> None:
        said, self._said = self._said, {}
        for channel, rows in said.items():
            self._publish(channel, "e", *rows)

    def opened(self, room: Room) -> None:
        self._broker.subscribe(hints.room_channel(room.name))

    def closed(self, room: Room) -> None:
        self._broker.unsubscribe(hints.room_channel(room.name))
        self.presence.close(room.name)
        if room.name not in self._moves:
            self._versions.pop(room.name, None)

    def joined(self, room: Room, user: Identity) -> None:
        self._moves.setdefault(room.name, {})[user.id] = user
        self._gather()

    def left(self, room: Room, user: Identity) -> None:
        self._moves.setdefault(room.name, {})[user.id] = None
        self._gather()

    def expects(self, user_id: str) -> None:
        if user_id not in self._users:
            self._users.add(user_id)
            self._broker.subscribe(hints.user_channel(user_id))

    def expects_no_more(self, user_id: str) -> None:
        if user_id in self._users:
            self._users.discard(user_id)
            self._broker.unsubscribe(hints.user_channel(user_id))

    def counted(self, user: Identity, sockets: int, address: str, from_there: int) -> None:
        self._counts[user.id] = user, sockets
        if address:
            self._addresses[address] = from_there
        self._gather()

    def sockets_of(self, user_id: str) -> int:
        return self.presence.sockets_of(user_id)

    def sockets_from(self, address: str) -> int:
        return self.presence.sockets_from(address)

    def named(self, username: str) -> Identity | None:
        return self.presence.named(username)

    def served_lately(self, origin: int) -> bool:
        since = self._hub.now - self._hub.settings.io_recovery_seconds
        return origin in self.presence or self._gone.get(origin, since) > since

    # ---- telling it ------------------------------------------------------------------------------------------------

    def _gather(self) -> None:
        if not self._gathering:
            self._gathering = True
            self._call_later(GATHER, self._tell_gathered)

    def _tell_gathered(self) -> None:
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
        self._publish(hints.room_channel(name), "d", before, version, _rows(joined), left)
        if self._hub.room(name) is None:
            del self._versions[name]

    def _tell_counts(self) -> None:
        before, self._count_version = self._count_version, next(self._numbers)
        rows = [(user.id, user.username, count) for user, count in self._counts.values()]
        self._publish(hints.ALL, "n", before, self._count_version, rows, self._addresses)
        self._counts, self._addresses = {}, {}


def _channels(kind: int, room: str) -> list[str]:
    """Return the channels of those whom a message concerns."""
    if kind != MessageType.SINGLE_CHAT:
        return [hints.room_channel(room)]
    return [hints.user_channel(user_id) for user_id in dict.fromkeys(ends(room) or ()) if user_id]


def _rows(users: Iterable[Identity]) -> list[tuple[str, str]]:
    return [(user.id, user.username) for user in users]


def _identities(rows: list[list[str]]) -> list[Identity]:
    return [Identity(*row) for row in rows]


def _counts(rows: list[list[Any]]) -> list[tuple[Identity, int]]:
    return [(Identity(id, name), count) for id, name, count in rows]
