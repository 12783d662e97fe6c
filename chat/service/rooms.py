"""Rooms as the site sees them: creating rooms, read marks, and notices to a user's sockets about the user's rooms."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..rooms import access
from ..rooms.access import Right
from ..store.history import DIRECT, PRIVATE, PUBLIC, RoomRow
from ..store.rules import Departure, MemberRule
from ..wire.envelope import Identity, MessageType
from ..wire.errors import ChatError
from .control import ControlRequests
from .process import Processes
from .stores import Stores


class RoomService:
    """Changes rooms and memberships, and pushes the change to the sockets that it concerns, on every server."""

    def __init__(self, stores: Stores, processes: Processes, control: ControlRequests) -> None:
        self._stores = stores
        self._processes = processes
        self._control = control

    def create(
        self, title: str, private: bool, creator: Identity | None, topic: str, ephemeral: bool
    ) -> RoomRow:
        """Create a room and return it; raise RoomTaken."""
        kind = PRIVATE if private else PUBLIC
        return self._stores.open().history.create_room(title, kind, creator, topic, ephemeral)

    def connected_ids(self, room: str) -> set[str]:
        """Return the ids of the users who are connected to `room`; empty where this process serves no sockets."""
        runtime = self._processes.runtime
        return {user.id for user in runtime.roster(room)} if runtime is not None else set()

    def mark_read(self, user: Identity, room: str, seq: int) -> dict[str, Any]:
        """Store that `user` has read `room` up to `seq`, push it to the user's sockets, and return the read mark.

        {"room", "seq", "unread", "mentions"}. A mark that does not move writes nothing: other servers are not told, as
        every message to them is a row. Raises ChatError: `unknown_room`, or `not_joined` for a user who is not
        a member.
        """
        history = self._stores.open().history
        row = self._readable(room, user.id)
        before = history.read_state(row.id, user.id)
        has_read = before is not None and before[0] >= seq
        mark = before if has_read else history.mark_read(row.id, user.id, seq)
        if mark is None and (row.name == access.LOBBY or row.kind == DIRECT):
            history.join(row.id, user)
            mark = history.mark_read(row.id, user.id, seq)
        if mark is None:
            raise ChatError("not_joined")
        fields = dict(zip(("room", "seq", "unread", "mentions"), (room, *mark), strict=True))
        self._push([user.id], MessageType.READ, fields, everywhere=mark != before)
        return fields

    def _readable(self, room: str, user_id: str) -> RoomRow:
        history = self._stores.open().history
        row = history.room(room)
        role = history.role(row.id, user_id) if row is not None else None
        return access.check(row, user_id, role, Right.READ)

    def push_room_change(self, user_id: str, room: str, change: str) -> None:
        """Tell a user's sockets that the user's list of rooms has changed: joined, left or updated."""
        self.push_room_changes([user_id], room, change)

    def push_room_changes(self, user_ids: Iterable[str], room: str, change: str) -> None:
        """Apply `push_room_change` to several users; the other servers are told once."""
        self._push(list(user_ids), MessageType.ROOMS, {"room": room, "change": change})

    def push_invitation(
        self, user_id: str, room: str, change: str, fields: dict[str, Any] | None = None
    ) -> None:
        """Tell a user's sockets what became of an invitation: invited, accepted, declined or withdrawn."""
        self._push([user_id], MessageType.INVITATION, {"room": room, "change": change, **(fields or {})})

    def leave(self, row: RoomRow, user_id: str, by: str, rule: MemberRule) -> bool:
        """End a membership, if `rule` lets the user `by` do so, and tell whom it concerns; return if there was one."""
        departure = self._stores.open().history.leave(row.id, user_id, by, rule)
        if departure is not None:
            self.announce_departure(user_id, departure)
        return departure is not None

    def announce_departure(self, user_id: str, departure: Departure) -> None:
        """Tell a user who is no member any more, and the one who became owner by that."""
        if departure.successor is not None:
            self.push_room_change(departure.successor.id, departure.room, "updated")
        self.push_room_change(user_id, departure.room, "left")
        self.unsubscribe_user(user_id, departure.room)

    def end_account(self, user_id: str) -> bool:
        """End an account and its memberships, and tell those who talked with it; return whether there was one."""
        ended = self._stores.open().history.end_account(user_id)
        for departure in ended.departures if ended is not None else ():
            if departure.successor is not None:
                self.push_room_change(departure.successor.id, departure.room, "updated")
        for room, other in ended.conversations if ended is not None else ():
            self.push_room_change(other, room, "updated")
        return ended is not None

    def repair_owner(self, row: RoomRow) -> Identity | None:
        """Give a room without an owner one, and tell that user; None where nobody is left, or nothing is wrong."""
        departure = self._stores.open().history.repair_owner(row.id)
        if departure is None or departure.successor is None:
            return None
        self.push_room_change(departure.successor.id, row.name, "updated")
        return departure.successor

    def unsubscribe_user(self, user_id: str, room: str) -> None:
        """Unsubscribe a user's sockets from `room`."""
        runtime = self._processes.runtime
        if runtime is not None:
            runtime.revocation.unsubscribe_user(user_id, room)
        self._control.post("removed", {"user_id": user_id, "room": room, "origin": self._control.origin})

    def _push(
        self, user_ids: list[str], kind: MessageType, fields: dict[str, Any], everywhere: bool = True
    ) -> None:
        runtime = self._processes.runtime
        if runtime is not None:
            runtime.messages.push_to_users(user_ids, kind, fields)
        if not everywhere:
            return
        row = {"type": int(kind), "fields": fields, "origin": self._control.origin}
        if len(user_ids) == 1:
            self._control.post("tell", {"user_id": user_ids[0], **row})
        else:
            self._control.post("tell_all", {"user_ids": user_ids, **row})
