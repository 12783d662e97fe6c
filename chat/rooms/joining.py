"""Joining rooms: requests are served in batches by one background task a process.

For a whole batch, rooms, rights and missed messages are read from the store once. From before the missed messages are
read until the client is a member, the room's new messages are buffered for it; seq tells which of them it has.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from ..config import Settings
from ..loop.drivers import Driver, allocate_lock
from ..store.history import History, RoomRow, StoreUnavailable
from ..wire.envelope import Envelope
from ..wire.errors import ChatError
from .hub import Hub
from .join_replies import JoinReplies
from .join_request import JoinRequest
from .join_rights import JoinRights
from .member import Member
from .missed_messages import MissedMessages
from .room import Room
from .room_opener import RoomOpener

log = logging.getLogger("flask_chat")

#: Requests served together.
MAX_BATCH = 500


class _Opening:
    """A call of `open_rooms` that waits."""

    def __init__(self, rows: Iterable[RoomRow], on_open: Callable[[], None], done: Any) -> None:
        self.rows = rows
        self.on_open = on_open
        self.done = done
        self.error: Exception | None = None


class Joining:
    """Lets clients join rooms.

    `before_join(joins)` is called, where it may block, with each (member, room's name, seq from which on it receives
    messages live) before the member is in the room.
    """

    def __init__(
        self,
        hub: Hub,
        driver: Driver,
        history: History,
        before_join: Callable[[list[tuple[Member, str, int]]], None] = lambda joins: None,
    ) -> None:
        self._hub = hub
        self._settings: Settings = hub.settings
        self._driver = driver
        self._before_join = before_join
        self._rights = JoinRights(hub.settings, history)
        self._opener = RoomOpener(hub, history)
        self._missed = MissedMessages(hub, history)
        self._lock = allocate_lock()
        self._openings: list[_Opening] = []
        self._waiting: list[JoinRequest] = []
        self._serving: list[JoinRequest] = []
        self._wake = driver.event()

    def start(self) -> None:
        """Begin to serve."""
        self._driver.background(self._run)

    def put(self, member: Member, envelope: Envelope) -> None:
        """Queue a Join; in the loop. Raises ChatError `too_many_rooms`."""
        # Of several requests at once, those beyond the limit are refused as they are completed.
        if self._has_max_rooms(member) and envelope.room not in member.rooms:
            raise ChatError("too_many_rooms", envelope.id)
        with self._lock:
            was_idle = not self._waiting
            self._waiting.append(JoinRequest(member, envelope))
        if was_idle:
            self._wake.set()

    def _has_max_rooms(self, member: Member) -> bool:
        return len(member.rooms) >= self._settings.max_rooms_per_client

    def cancel(self, member: Member, name: str) -> bool:
        """Cancel the requests of `member` for the room `name`; False where there are none. In the loop."""
        with self._lock:
            found = [
                request
                for request in (*self._waiting, *self._serving)
                if request.member.current is member and request.name == name and not request.answered
            ]
        for request in found:
            request.cancelled = request.answered = True
        return bool(found)

    def open_rooms(self, rows: Iterable[RoomRow], on_open: Callable[[], None]) -> None:
        """Open those of the rooms that are not open, and call `on_open` in the loop in the same moment.

        It blocks: not from a tick. Raises what the store raises.
        """
        opening = _Opening(rows, on_open, self._driver.one_shot_event())
        with self._lock:
            self._openings.append(opening)
        self._wake.set()
        opening.done.wait(None)
        if opening.error is not None:
            raise opening.error

    # ---- the background task -------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            self._wake.wait(None)
            self._wake.clear()
            self._serve_openings()
            while batch := self._take_batch():
                try:
                    self._serve(batch)
                except Exception as error:
                    log.error("joins failed", exc_info=error)
                self._serve_openings()

    def _take_batch(self) -> list[JoinRequest]:
        """Return the next requests; a client's second one for the same room waits until the first is complete."""
        batch: dict[tuple[Member, str], JoinRequest] = {}
        repeated = []
        with self._lock:
            for request in self._waiting[:MAX_BATCH]:
                key = request.update_member(), request.name
                if batch.setdefault(key, request) is not request:
                    repeated.append(request)
            self._waiting[:MAX_BATCH] = repeated
            self._serving = list(batch.values())
        return self._serving

    def _serve(self, batch: list[JoinRequest]) -> None:
        # Served apart: a store that fails must not keep clients from rooms that do not need it.
        is_ephemeral = self._settings.is_ephemeral
        ephemeral = [request for request in batch if is_ephemeral(request.name)]
        stored = [request for request in batch if not is_ephemeral(request.name)]
        for part in (ephemeral, stored):
            if part:
                self._serve_part(part)

    def _serve_part(self, batch: list[JoinRequest]) -> None:
        ask = self._hub.reactor.call_and_wait
        try:
            allowed = self._check_rights(batch)
            self._opener.open_gates(ask(self._open_and_buffer, allowed))
            self._opener.catch_up(allowed)
            self._missed.read(ask(self._missed.set_ends, allowed))
            self._before_join(
                [(one.member, one.name, one.upto + 1) for one in allowed if one.buffer is not None]
            )
            ask(self._complete, allowed)
        except Exception as error:
            if isinstance(error, StoreUnavailable):
                log.error("no client can join a stored room: the store is unavailable: %s", error)
            else:
                log.error("joins failed", exc_info=error)
            ask(self._give_up, batch)

    def _check_rights(self, batch: list[JoinRequest]) -> list[JoinRequest]:
        allowed, refused = self._rights.check(batch)
        if refused:
            self._hub.reactor.call_and_wait(self._refuse, refused, "unknown_room")
        return allowed

    def _serve_openings(self) -> None:
        with self._lock:
            openings, self._openings = self._openings, []
        for opening in openings:
            try:
                self._opener.open_gates(self._hub.reactor.call_and_wait(self._open_rows, opening))
            except Exception as error:
                opening.error = error
            finally:
                opening.done.set()

    # ---- in the loop ---------------------------------------------------------------------------------------------

    def _open_rows(self, opening: _Opening) -> list[Room]:
        opened = [
            self._opener.open_closed(row) for row in opening.rows if self._hub.rooms.get(row.name) is None
        ]
        opening.on_open()
        return opened

    def _open_and_buffer(self, batch: list[JoinRequest]) -> list[Room]:
        """Open the rooms that are not open, and buffer their messages; return those whose gates are to be opened."""
        opened = []
        for request in batch:
            if request.update_member().closing or request.cancelled or request.is_direct:
                continue
            room, row = self._hub.rooms.get(request.name), request.row
            if room is None and row is not None and not row.ephemeral:
                opened.append(room := self._opener.open_closed(row))
            request.room = room = room or self._hub.rooms.open(request.name, None)
            if request.member not in room:
                request.buffer = self._hub.rooms.start_joining(request.member, room)
        return opened

    def _complete(self, batch: list[JoinRequest]) -> None:
        replies = JoinReplies(self._hub)
        for request in batch:
            member = request.update_member()
            if member.closing or request.cancelled:
                self._discard(request)
            elif request.buffer is not None and self._has_max_rooms(member):
                self._discard(request)
                self._refuse([request], "too_many_rooms")
            else:
                request.answered = True
                try:
                    replies.complete(request)
                except Exception as error:
                    self._hub.reactor.fail(member, error)

    def _give_up(self, batch: list[JoinRequest]) -> None:
        for request in batch:
            request.update_member()
            self._discard(request)
        self._refuse(batch, "store_unavailable")

    def _discard(self, request: JoinRequest) -> None:
        if request.room is not None:
            self._hub.rooms.stop_joining(request.member, request.room)
            self._hub.rooms.close_if_empty(request.room)

    def _refuse(self, batch: list[JoinRequest], code: str) -> None:
        for request in batch:
            member = request.member.current
            if not member.closing and not request.answered:
                self._hub.refuse(member, request.error(code))
            request.answered = True
