"""Coming back: what a client was, where it was, and what it missed, out of this process's memory or out of the store.

The memory holds all events of one process for a while. The store holds what was said in rooms that have one, for every
process: from there a client of the chat is served that was on a process which is no more, or that has been away for
longer than the memory reaches. Either all that it missed is found, or it comes anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from ..identity.guard import Grant, Guard
from ..rooms import access
from ..rooms.access import Right
from ..rooms.group_commit import envelope_of
from ..rooms.hub import Hub
from ..store.history import PRIVATE, History, Message, RoomRow, StoreUnavailable
from ..store.io_missed import Doubt, IoMissed, Missed, Standing
from ..store.io_sessions import IoSessions
from ..wire.errors import ChatError
from . import offsets, pids
from .codec import SocketIOCodec
from .connection import Connection
from .offset_queries import HEARD
from .offsets import At, Offset
from .pids import Pid, Pids
from .recovery import Recovery, Saved, Stored, Subscriptions
from .subscriptions import SubscriptionStore

log = logging.getLogger("chat")

#: Seconds between two looks whether what is waited for has come about, and looks after which it is given up.
LOOK_EVERY, LOOKS = 0.02, 200

OpenRooms = Callable[[Iterable[RoomRow], Callable[[], None]], None]


class IoStore(NamedTuple):
    """What the store keeps for Socket.IO, and the key that pids are signed with."""

    sessions: IoSessions
    missed: IoMissed
    key: Callable[[], bytes]


class Comeback:
    """A client that is let back in: what it was, and what it is told."""

    __slots__ = (
        "pid",
        "saved",
        "taken",
        "held",
        "counted",
        "retold",
        "known",
        "newest",
        "lost",
        "silent",
        "kept",
    )

    def __init__(
        self, pid: str, saved: Saved, held: tuple[str, ...] | None = None, kept: bool = False
    ) -> None:
        #: What its client is known by.
        self.pid = pid
        #: `position` is where it goes on in this process's packets.
        self.saved = saved
        #: What was remembered of it here; None for one of another process.
        self.taken: Saved | None = None
        #: The rooms that are kept open for it until it is in; None while nothing is.
        self.held = held
        #: Whether it counts as present.
        self.counted = held is not None
        #: Frames that come before the packets, and the stored messages that they are.
        self.retold: list[bytes] = []
        self.known: set[Stored] = set()
        #: The newest of them, by pk.
        self.newest = 0
        #: Rooms that it may enter no more, and ephemeral ones, of which nobody knows what was said meanwhile.
        self.lost: list[str] = []
        self.silent: list[str] = []
        #: Whether the store has its rooms.
        self.kept = kept


class Returning:
    """Lets clients of one process come back. What may block runs in jobs, the rest in the loop."""

    def __init__(self, hub: Hub, guard: Guard, recovery: Recovery, codec: SocketIOCodec) -> None:
        self._hub = hub
        self._guard = guard
        self._recovery = recovery
        self._codec = codec
        self._began = hub.now
        self._namespace: str | None = None
        self._pids: Pids
        self._seats: SubscriptionStore
        self._missed: IoMissed
        self._history: History
        self._open_rooms: OpenRooms
        #: Connections of other processes that came back here: they do so once.
        self._seen: set[str] = set()
        #: pids of those who are being let back in. In the loop.
        self._coming: set[str] = set()

    def serve(
        self,
        namespace: str,
        seats: SubscriptionStore,
        store: IoStore,
        history: History,
        open_rooms: OpenRooms,
    ) -> None:
        """Serve the chat too, in its namespace; `open_rooms` is chat.rooms.joining.Arrivals.open."""
        self._namespace, self._pids, self._seats = namespace, Pids(store.key()), seats
        self._missed, self._history, self._open_rooms = store.missed, history, open_rooms

    # ---- who comes back; in a job --------------------------------------------------------------------------------

    def find(self, connection: Connection, granted: Grant | None) -> Comeback | None:
        """Return what the client of `connection` comes back to; None for one that comes anew. It may block."""
        text, told = connection.auth.get("pid"), connection.auth.get("offset")
        if not isinstance(text, str) or not isinstance(told, str | None) or not self._recovery.enabled:
            return None
        pid = None
        if self._is_chat(connection):
            pid = self._check(text, granted)
            if pid is None:
                return None
            told = None if pid.outdated == pids.fingerprint(told) else told
        offset = None if told is None else offsets.read(told)
        if told is not None and offset is None:
            return None
        return self._find(connection, text, pid, offset)

    def new_pid(self, connection: Connection, granted: Grant) -> str | None:
        """Return the pid of a connection to the chat that begins; None where there is no store."""
        if not self._is_chat(connection):
            return None
        told = connection.auth.get("offset")
        pid = Pid(
            self._recovery.origin,
            granted.issued,
            connection.wants_lobby,
            pids.fingerprint(told if isinstance(told, str) else None),
            self._hub.lobby.epoch,
            connection.id,
            granted.identity.id,
        )
        return self._pids.write(pid)

    def _is_chat(self, connection: Connection) -> bool:
        return connection.namespace == self._namespace

    def _check(self, text: str, granted: Grant | None) -> Pid | None:
        """Return what a pid says, if it is of this user and this history, and nobody has sent the user away since."""
        pid = self._pids.read(text)
        if pid is None or granted is None or pid.user_id != granted.identity.id:
            return None
        try:
            self._guard.confirm(granted._replace(issued=pid.issued))
        except ChatError:
            return None
        return pid if pid.epoch == self._hub.lobby.epoch else None

    def _find(
        self, connection: Connection, text: str, pid: Pid | None, offset: Offset | None
    ) -> Comeback | None:
        # A client that was cut off while it came back is here again before its last attempt is over.
        if not self._wait_until(self._begin, text):
            return None
        comeback, found = None, False
        try:
            comeback, is_reached = self._hub.reactor.ask(self._take, connection, text, offset)
            if comeback is None:
                comeback = self._from_elsewhere(connection, text, pid, offset)
            elif pid is not None and self._has_been_away(comeback, offset):
                # What is remembered here is from before that.
                self._hub.reactor.ask(self._let_go, comeback)
                comeback, is_reached = self._as_kept(connection, text, pid), False
            if comeback is not None:
                found = self._remember(comeback, offset) if is_reached else self._look_up(comeback, offset)
        except StoreUnavailable as error:
            log.error("a client could not be let back in: the store is unavailable: %s", error)
        finally:
            if not found:
                self._hub.reactor.ask(self._drop, text, comeback)
        return comeback if found else None

    def _begin(self, pid: str) -> bool:
        """Take note that the client of `pid` is being let back in; False where it is already."""
        if pid in self._coming:
            return False
        self._coming.add(pid)
        return True

    def _wait_until(self, is_so: Callable[..., bool], *args: object) -> bool:
        """Ask in the loop again and again; False where it takes too long."""
        for _ in range(LOOKS):
            if self._hub.reactor.ask(is_so, *args):
                return True
            self._hub.reactor.driver.sleep(LOOK_EVERY)
        return False

    def _take(self, connection: Connection, pid: str, offset: Offset | None) -> tuple[Comeback | None, bool]:
        """Return what is remembered of a client, and whether all since it went is."""
        recovery, user = self._recovery, connection.identity
        saved = recovery.take(pid, connection.namespace, None if user is None else user.id)
        if saved is None:
            return None, False
        # Until it is let in it counts, so that what is said meanwhile is kept.
        recovery.present += 1
        position = recovery.stands(saved, offset)
        # What was told again on another process, nobody here knows.
        is_retold = offset is not None and offset.place is not None and offset.place.retold is not None
        is_reached = position is not None and not is_retold and recovery.reaches(position)
        seat = saved.seat
        comeback = Comeback(pid, saved, tuple(seat.rooms) if seat else (), seat is not None and seat.kept)
        comeback.taken = saved
        if is_reached and position is not None:
            comeback.saved = saved._replace(position=position)
        return comeback, is_reached

    def _from_elsewhere(
        self, connection: Connection, text: str, pid: Pid | None, offset: Offset | None
    ) -> Comeback | None:
        """Return one that was on another process, unless it is too late, or it has been on this one since."""
        user, origin = connection.identity, self._recovery.origin
        if pid is None or user is None or offset is None or origin in (pid.origin, offset.origin):
            return None
        if pid.id in self._seen or not (self._is_young() or self._hub.peers.served_recently(offset.origin)):
            return None
        self._seen.add(pid.id)
        return self._as_kept(connection, text, pid)

    def _has_been_away(self, comeback: Comeback, offset: Offset | None) -> bool:
        """Tell whether a client that is remembered here has been on another process since."""
        if self._hub.peers.alone and (offset is None or offset.origin == self._recovery.origin):
            return False
        return self._seats.are_others(comeback.saved.id)

    def _let_go(self, comeback: Comeback) -> None:
        self._release(comeback)
        self._recovery.present -= 1

    def _as_kept(self, connection: Connection, text: str, pid: Pid) -> Comeback:
        """Return a client as the store has it."""
        user = connection.identity
        assert user is not None
        rooms = self._seats.of(pid.id, user.id)
        kept = rooms is not None
        if rooms is None:
            rooms = {self._hub.lobby.name: 0} if pid.lobby else {}
        scopes = dict.fromkeys([("all",), ("one", pid.id), ("user", user.id)], 0)
        scopes |= {("room", name): 0 for name in rooms}
        saved = Saved(
            pid.id,
            connection.namespace,
            {},
            {},
            user.id,
            scopes,
            frozenset(),
            0,
            Subscriptions(rooms, {}, kept),
        )
        return Comeback(text, saved, None, kept)

    def _is_young(self) -> bool:
        # Nobody can know for how long a client has been away; but on its own process it was before this one began.
        return self._hub.reactor.now - self._began < self._hub.settings.io_recovery_seconds

    # ---- from memory ---------------------------------------------------------------------------------------------

    def _remember(self, comeback: Comeback, offset: Offset | None) -> bool:
        seat = comeback.saved.seat
        if seat is None or self._namespace is None:
            return True
        if set(seat.rooms) - {self._hub.lobby.name}:
            self._sort(comeback, seat)
            comeback.silent = []
        return offset is None or offset.at is None or self._go_on(comeback, seat, offset, offset.at)

    def _go_on(self, comeback: Comeback, seat: Subscriptions, offset: Offset, at: At) -> bool:
        """Find the rest of what a Join was telling the client when it went."""
        floors = seat.floors
        rows = self._history.rooms_named(floors).values()
        row = next((row for row in rows if row.id == at.room_id), None)
        upto = floors[row.name] - 1 if row is not None else 0
        if row is None or upto <= at.seq:
            return True
        messages = self._history.after(row.id, at.seq, upto - at.seq, upto)
        comeback.retold = [self._again(message, offset) for message in messages]
        return len(messages) == upto - at.seq

    def _again(self, message: Message, offset: Offset) -> bytes:
        """Encode a message for one who still stands at `offset`, but for what it hears of this message's room."""
        at = At(message.room_id, message.seq)
        place = offsets.unsure(at)
        if offset.place is not None:
            place = offsets.apart(offset.place.pk, offset.place.mark, at)
            if offset.place.heard:
                place += offsets.up_to(offset.place.heard)
        return self._told_again(message, offset, place)

    def _told_again(self, message: Message, offset: Offset, place: bytes) -> bytes:
        return self._codec.retell(envelope_of(message), offsets.write(offset.origin, offset.number, place))

    # ---- from the store ------------------------------------------------------------------------------------------

    def _look_up(self, comeback: Comeback, offset: Offset | None) -> bool:
        """Find in the store what was missed; False where that cannot be done without a hole or a twin."""
        seat = comeback.saved.seat
        if seat is None or self._namespace is None or self._recovery.cursor.mixed:
            return False
        if offset is None or offset.place is None:
            return False
        rows = self._sort(comeback, seat)
        self._hold(comeback, rows)
        missed = self._find_missed(comeback, {row.name: seat.rooms[row.name] for row in rows}, offset)
        return missed is not None and self._retell(comeback, missed, offset) and self._is_said(comeback)

    def _find_missed(self, comeback: Comeback, floors: dict[str, int], offset: Offset) -> Missed | None:
        user_id, place = comeback.saved.user_id, offset.place
        assert user_id is not None and place is not None
        standing = Standing(place.origin, place.pk, place.mark, place.at, place.heard, place.retold)
        find = partial(self._missed.find, user_id, floors, standing, self._hub.settings.replay_max)
        found = find()
        if isinstance(found, Doubt):
            # The process that has told it so remembers what it told, as long as the client may come back there.
            heard = self._hub.peers.ask(
                offset.origin, HEARD, user_id, comeback.pid, offset.number, found.rooms
            )
            found = find(heard) if heard else None
        return found if isinstance(found, Missed) else None

    def _hold(self, comeback: Comeback, rows: list[RoomRow]) -> None:
        """Have all that is said from now on kept for the client, in rooms that are open."""
        if comeback.held is not None:
            self._hub.reactor.ask(self._begin_here, comeback)
        else:
            self._open_rooms(rows, lambda: self._expect(comeback, tuple(row.name for row in rows)))

    def _expect(self, comeback: Comeback, rooms: tuple[str, ...]) -> None:
        comeback.held, comeback.counted = rooms, True
        self._recovery.present += 1
        self._hub.codecs[self._codec] = None
        assert comeback.saved.user_id is not None
        self._hub.add_absent(comeback.saved.user_id, rooms, self._codec)
        self._begin_here(comeback)

    def _begin_here(self, comeback: Comeback) -> None:
        comeback.saved = comeback.saved._replace(position=self._recovery.position)

    def _retell(self, comeback: Comeback, missed: Missed, offset: Offset) -> bool:
        """Encode what was missed; False where it is too much for one client."""
        assert offset.place is not None
        frames, at = [], offset.place.at
        done, mark = offset.place.retold or (0, missed.mark)
        for message in missed.late:
            at = At(message.room_id, message.seq)
            frames.append(self._told_again(message, offset, offsets.retold(offset.place, at, done, mark)))
        for message in missed.messages:
            place = offsets.retold(offset.place, at, message.pk, missed.mark)
            frames.append(self._told_again(message, offset, place))
        comeback.retold = frames
        comeback.known = {(message.room, message.seq) for message in (*missed.late, *missed.messages)}
        comeback.newest = max((message.pk for message in (*missed.late, *missed.messages)), default=0)
        self._raise_floors(comeback)
        return sum(map(len, frames)) <= self._hub.settings.outbox_bytes // 2

    def _raise_floors(self, comeback: Comeback) -> None:
        """Have the client hear no direct message live that it is told again: it may be yet to be said here."""
        seat = comeback.saved.seat
        assert seat is not None
        direct = dict(seat.direct)
        for room, seq in comeback.known:
            if room not in seat.rooms:
                direct[room] = max(direct.get(room, 0), seq + 1)
        comeback.saved = comeback.saved._replace(seat=seat._replace(direct=direct))

    def _is_said(self, comeback: Comeback) -> bool:
        """Wait until what was read has been said in its rooms here: what was just stored is yet to be."""
        seat = comeback.saved.seat
        assert seat is not None
        newest: dict[str, int] = {}
        for room, seq in comeback.known:
            if room in seat.rooms:
                newest[room] = max(newest.get(room, 0), seq)
        return self._wait_until(self._have_said, newest)

    def _have_said(self, newest: dict[str, int]) -> bool:
        rooms = ((self._hub.room(name), seq) for name, seq in newest.items())
        return all(room is not None and room.last_seq >= seq for room, seq in rooms)

    # ---- rooms ---------------------------------------------------------------------------------------------------

    def _sort(self, comeback: Comeback, seat: Subscriptions) -> list[RoomRow]:
        """Take from the client the rooms that it may enter no more; return those of the others that are stored."""
        is_ephemeral, user_id = self._hub.settings.is_ephemeral, comeback.saved.user_id
        assert user_id is not None
        rows = self._history.rooms_named(name for name in seat.rooms if not is_ephemeral(name))
        pairs = [(row.id, user_id) for row in rows.values() if row.kind == PRIVATE]
        roles = self._history.roles(pairs) if pairs else {}
        for name in seat.rooms:
            row = rows.get(name)
            if is_ephemeral(name) or (row is not None and row.ephemeral):
                comeback.silent.append(name)
            if row is not None and Right.ENTER in access.rights(row, user_id, roles.get((row.id, user_id))):
                continue
            if not is_ephemeral(name):
                comeback.lost.append(name)
        self._take_away(comeback, seat)
        return [row for row in rows.values() if row.name not in comeback.lost and not row.ephemeral]

    def _take_away(self, comeback: Comeback, seat: Subscriptions) -> None:
        lost = comeback.lost
        rooms = {name: floor for name, floor in seat.rooms.items() if name not in lost}
        gone = {("room", name) for name in lost}
        scopes = {scope: number for scope, number in comeback.saved.scopes.items() if scope not in gone}
        comeback.saved = comeback.saved._replace(seat=seat._replace(rooms=rooms), scopes=scopes)

    # ---- in the loop ---------------------------------------------------------------------------------------------

    def frames(self, comeback: Comeback) -> list[bytes] | None:
        """Return all that the client missed, in order; None where the memory reaches no more."""
        if not self._recovery.reaches(comeback.saved.position):
            return None
        return comeback.retold + self._recovery.missed(comeback.saved, comeback.known)

    def let_in(self, comeback: Comeback) -> None:
        """Take note that the client is in."""
        self._coming.discard(comeback.pid)
        self._recovery.cursor.hear(comeback.newest)
        self._release(comeback)

    def _drop(self, pid: str, comeback: Comeback | None) -> None:
        """Take note that the client of `pid` comes anew."""
        self._coming.discard(pid)
        if comeback is None:
            return
        self._release(comeback)
        if comeback.counted:
            self._recovery.present -= 1
        if comeback.kept:
            self._seats.went(comeback.saved.id)

    def put_back(self, comeback: Comeback) -> None:
        """Take note that the client went before it was in: it may come back again."""
        self._coming.discard(comeback.pid)
        if comeback.taken is not None:
            self._recovery.save(comeback.pid, comeback.taken)
        else:
            self._seen.discard(comeback.saved.id)
            self._release(comeback)
        self._recovery.present -= 1

    def _release(self, comeback: Comeback) -> None:
        if comeback.held is not None and comeback.saved.seat is not None:
            assert comeback.saved.user_id is not None
            self._hub.remove_absent(comeback.saved.user_id, comeback.held)
            comeback.held = None

    def forget(self, saved: Saved) -> None:
        """Take note that nobody came back in time."""
        if saved.seat is not None:
            assert saved.user_id is not None
            self._hub.remove_absent(saved.user_id, saved.seat.rooms)
            if saved.seat.kept:
                self._seats.went(saved.id)
