"""Resumes connections: checks who the client is, and finds its state in this process's memory or in the store.

As in Socket.IO's connection state recovery, a client that was cut off presents its pid and its last offset. Either it
gets its state back and everything that it missed, or it starts over.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ..identity.guard import Grant, Guard
from ..rooms.hub import Hub
from ..store.history import StoreUnavailable
from ..wire.errors import ChatError
from . import offsets, pids
from .codec import SocketIOCodec
from .connection import Connection
from .namespaces import Namespaces
from .offsets import Offset
from .pids import Pid, Pids
from .recovery import Recovery, Saved, Subscriptions
from .replay import Replay, wait_until
from .resumption import Resumption
from .subscriptions import SubscriptionStore, subscriptions_of

if TYPE_CHECKING:
    from ..store.io_missed import IoMissed
    from ..store.io_sessions import IoSessions

log = logging.getLogger("flask_chat")


class IoStore(NamedTuple):
    """The parts of the store that serve Socket.IO, and the key that pids are signed with."""

    sessions: IoSessions
    missed: IoMissed
    key: Callable[[], bytes]


class Resumer:
    """Resumes connections of one process. What may block runs in jobs, the rest in the loop."""

    def __init__(
        self, hub: Hub, guard: Guard, namespaces: Namespaces, recovery: Recovery, codec: SocketIOCodec
    ) -> None:
        self._hub = hub
        self._guard = guard
        self._namespaces = namespaces
        self._recovery = recovery
        self._codec = codec
        self._started = hub.now
        self._replay: Replay | None = None
        self._pids: Pids
        self._subscriptions: SubscriptionStore
        #: Connections of other processes that were resumed here, by id: each may be once.
        self._seen: set[str] = set()
        #: pids of clients that are being resumed. In the loop.
        self._resuming: set[str] = set()

    def use_store(self, key: bytes, subscriptions: SubscriptionStore, replay: Replay) -> None:
        """Resume connections to the chat from the store too; `key` signs their pids."""
        self._pids, self._subscriptions, self._replay = Pids(key), subscriptions, replay

    # ---- in a job ------------------------------------------------------------------------------------------------

    def find(self, connection: Connection, granted: Grant | None) -> Resumption | None:
        """Return what the client of `connection` resumes; None for one that starts over. It may block."""
        pid_text, offset_text = connection.auth.get("pid"), connection.auth.get("offset")
        if not self._recovery.enabled or not isinstance(pid_text, str):
            return None
        if not isinstance(offset_text, str | None):
            return None
        pid = None
        if self._is_in_store(connection):
            pid = self._check(pid_text, granted)
            if pid is None:
                return None
            if pid.outdated == pids.fingerprint(offset_text):
                offset_text = None
        offset = None if offset_text is None else offsets.read(offset_text)
        if offset_text is not None and offset is None:
            return None
        return self._find(connection, pid_text, pid, offset)

    def new_pid(self, connection: Connection, granted: Grant) -> str | None:
        """Return the pid of a new connection to the chat; None where there is no store."""
        if not self._is_in_store(connection):
            return None
        offset = connection.auth.get("offset")
        pid = Pid(
            self._recovery.origin,
            granted.issued,
            connection.wants_lobby,
            pids.fingerprint(offset if isinstance(offset, str) else None),
            self._hub.lobby.epoch,
            connection.id,
            granted.identity.id,
        )
        return self._pids.write(pid)

    def _is_in_store(self, connection: Connection) -> bool:
        return self._replay is not None and self._namespaces.is_chat(connection.namespace)

    def _check(self, text: str, granted: Grant | None) -> Pid | None:
        """Return the content of a pid, if it belongs to this user and history, and no kick or ban came since."""
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
    ) -> Resumption | None:
        # A client that is cut off while it resumes may try again before its last attempt has ended.
        if not wait_until(self._hub.reactor, self._begin, text):
            return None
        resumption, found = None, False
        try:
            resumption, is_covered = self._hub.reactor.call_and_wait(self._take, connection, text, offset)
            if resumption is None:
                resumption = self._from_elsewhere(connection, text, pid, offset)
            elif pid is not None and self._was_elsewhere(resumption, offset):
                # This process's memory is older than that.
                self._hub.reactor.call_and_wait(self._discard, resumption)
                resumption, is_covered = self._from_store(connection, text, pid), False
            if resumption is not None:
                found = self._find_missed(resumption, offset, is_covered)
        except StoreUnavailable as error:
            log.error("a client could not resume: the store is unavailable: %s", error)
        finally:
            if not found:
                self._hub.reactor.call_and_wait(self._abandon, text, resumption)
        return resumption if found else None

    def _find_missed(self, resumption: Resumption, offset: Offset | None, is_covered: bool) -> bool:
        """Tell whether everything that was missed is found; `is_covered`: this process's memory has it."""
        if self._replay is None or resumption.saved.subscriptions is None:
            return is_covered
        find = self._replay.complete if is_covered else self._replay.find
        return find(resumption, offset)

    def _begin(self, pid: str) -> bool:
        """Record that the client of `pid` is being resumed; False where it is already."""
        if pid in self._resuming:
            return False
        self._resuming.add(pid)
        return True

    def _take(
        self, connection: Connection, pid: str, offset: Offset | None
    ) -> tuple[Resumption | None, bool]:
        """Return what this process remembers of a client, and whether it has all packets that the client missed."""
        recovery, user = self._recovery, connection.identity
        saved = recovery.take(pid, connection.namespace, None if user is None else user.id)
        if saved is None:
            return None, False
        # It counts from here on, so that packets are kept until it is accepted.
        recovery.connections += 1
        position = recovery.position_of(saved, offset)
        # What another process replayed to it is unknown here.
        is_replayed = offset is not None and offset.store is not None and offset.store.replayed is not None
        is_covered = position is not None and not is_replayed and recovery.covers(position)
        subscriptions = saved.subscriptions
        resumption = Resumption(
            pid,
            saved,
            tuple(subscriptions.rooms) if subscriptions else (),
            subscriptions is not None and subscriptions.is_stored,
        )
        resumption.remembered = saved
        if is_covered and position is not None:
            resumption.start_at(position)
        return resumption, is_covered

    def _from_elsewhere(
        self, connection: Connection, text: str, pid: Pid | None, offset: Offset | None
    ) -> Resumption | None:
        """Return a connection of another process, unless it is too old or was resumed here before."""
        user, origin = connection.identity, self._recovery.origin
        if pid is None or user is None or offset is None or origin in (pid.origin, offset.origin):
            return None
        if pid.id in self._seen or not (self._is_young() or self._hub.peers.served_recently(offset.origin)):
            return None
        self._seen.add(pid.id)
        return self._from_store(connection, text, pid)

    def _was_elsewhere(self, resumption: Resumption, offset: Offset | None) -> bool:
        """Tell whether a connection that this process remembers has been on another process since."""
        if self._hub.peers.alone and (offset is None or offset.origin == self._recovery.origin):
            return False
        return self._subscriptions.is_adopted_elsewhere(resumption.saved.id)

    def _from_store(self, connection: Connection, text: str, pid: Pid) -> Resumption:
        """Return a connection as the store has it."""
        user = connection.identity
        assert user is not None
        rooms = self._subscriptions.adopt(pid.id, user.id)
        is_stored = rooms is not None
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
            Subscriptions(rooms, {}, is_stored),
        )
        return Resumption(text, saved, None, is_stored)

    def _is_young(self) -> bool:
        # How long a client was disconnected is unknown, but it was on its own process before this one started.
        return self._hub.reactor.now - self._started < self._hub.settings.io_recovery_seconds

    # ---- in the loop ---------------------------------------------------------------------------------------------

    def frames(self, resumption: Resumption) -> list[bytes] | None:
        """Return everything that the client missed, in order; None where the memory does not reach back any more."""
        if not self._recovery.covers(resumption.saved.position):
            return None
        return resumption.replayed + self._recovery.missed(resumption.saved, resumption.replayed_keys)

    def finish(self, resumption: Resumption) -> None:
        """Record that the connection was accepted."""
        self._resuming.discard(resumption.pid)
        self._recovery.cursor.add_peer_message(resumption.newest_pk)
        self._release(resumption)

    def put_back(self, resumption: Resumption) -> None:
        """Record that the client disconnected before it was accepted: it may resume again."""
        self._resuming.discard(resumption.pid)
        if resumption.remembered is not None:
            self._recovery.save(resumption.pid, resumption.remembered)
        else:
            self._seen.discard(resumption.saved.id)
            self._release(resumption)
        self._recovery.connections -= 1

    def save(self, connection: Connection) -> None:
        """Keep the state of a connection that was cut off, so that its client can resume it."""
        if not self._recovery.enabled:
            return
        identity, session, subscriptions = connection.identity, connection.engine_session, None
        scopes: dict[Any, int] = {}
        if identity is not None and self._namespaces.is_chat(connection.namespace):
            subscriptions = subscriptions_of(connection, session.member, self._hub.lobby.name)
            scopes = {("room", room): 0 for room in subscriptions.rooms} | {("user", identity.id): 0}
            self._hub.add_absent(identity.id, subscriptions.rooms, self._codec)
        before = connection.resumption.saved.sids if connection.resumption is not None else frozenset()
        state = connection.snapshot(scopes, before | {session.sid}, subscriptions)
        self._recovery.save(connection.pid, state)

    def forget(self, connection: Connection) -> None:
        """Record that a connection has ended for good."""
        if connection.is_stored:
            self._subscriptions.forget(connection.id)

    def expired(self, saved: Saved) -> None:
        """Release what was held for a state that was not resumed in time."""
        if saved.subscriptions is not None:
            assert saved.user_id is not None
            self._hub.remove_absent(saved.user_id, saved.subscriptions.rooms)
            if saved.subscriptions.is_stored:
                self._subscriptions.forget(saved.id)

    def _abandon(self, pid: str, resumption: Resumption | None) -> None:
        """Record that the client of `pid` starts over."""
        self._resuming.discard(pid)
        if resumption is None:
            return
        self._release(resumption)
        if resumption.is_counted:
            self._recovery.connections -= 1
        if resumption.is_stored:
            self._subscriptions.forget(resumption.saved.id)

    def _discard(self, resumption: Resumption) -> None:
        self._release(resumption)
        self._recovery.connections -= 1

    def _release(self, resumption: Resumption) -> None:
        if resumption.held_rooms is not None and resumption.saved.subscriptions is not None:
            self._hub.remove_absent(resumption.user_id, resumption.held_rooms)
            resumption.held_rooms = None
