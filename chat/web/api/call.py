"""One request of somebody known: who asks, what was sent, and the rooms that this one may use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from flask import Request

from ...rooms.access import LOBBY, Right, check
from ...service import ChatService
from ...store.history import DIRECT, MEMBER, History, RoomOf, RoomRow
from ...wire.envelope import Identity, direct_room, other_participant
from ...wire.errors import ChatError
from . import fields

#: Bytes that the body of a request may have.
MAX_BODY = 16_384
#: The id of a conversation in which nothing was said yet: it has no row.
NO_ID = 0


class Place(NamedTuple):
    """A room, and the role that the one who asks has in it; None for no member."""

    row: RoomRow
    role: str | None


class Call:
    """What a view is given: it asks for rooms here, and so never sees one that is not open to its user."""

    def __init__(
        self, chat: ChatService, user: Identity, request: Request, args: Mapping[str, str] | None = None
    ) -> None:
        self.chat = chat
        self.user = user
        self._request = request
        #: The query; another one than the request's where `args` is given.
        self.args: Mapping[str, str] = request.args if args is None else args

    @property
    def history(self) -> History:
        """Where rooms and messages are; its calls leave the event loop by themselves."""
        return self.chat.history

    def body(self) -> dict[str, Any]:
        """Return the JSON object that was sent; raise ChatError: not_json, too_large, bad_json or bad_request."""
        if self._request.mimetype != "application/json":
            raise ChatError("not_json")
        return fields.body(read_body(self._request))

    def room(self, name: str, wanted: Right = Right.READ) -> Place:
        """Return the room of that name; raise ChatError unless the user has the `wanted` right there."""
        row = self.history.room(name) or self._unspoken(name)
        role = self._role(row) if row is not None else None
        return Place(check(row, self.user.id, role, wanted), role)

    def rooms(self) -> list[RoomOf]:
        """Return the rooms that the user is in: everybody is in the lobby, from the first look on."""
        mine = self.history.rooms_of(self.user.id)
        if not any(one.room.name == LOBBY for one in mine):
            self.room(LOBBY)
            mine = self.history.rooms_of(self.user.id)
        return mine

    def _role(self, row: RoomRow) -> str | None:
        if row.kind == DIRECT:
            return MEMBER
        role = self.history.role(row.id, self.user.id)
        if role is None and row.name == LOBBY:
            self.history.join(row.id, self.user)
            return MEMBER
        return role

    def _unspoken(self, name: str) -> RoomRow | None:
        """Return a conversation of this user's in which nothing was said yet."""
        peer = self.peer(name)
        return None if peer is None else RoomRow(NO_ID, name, "", "", DIRECT, False, "", 1, 0, 0, None, 0)

    def peer(self, name: str) -> Identity | None:
        """Return whom the user talks to in the conversation `name`; None for nobody known."""
        other = other_participant(name, self.user.id)
        known = self.chat.users.get(other) if other and fields.can_be_name(other) else None
        return known.identity if known else None

    def named(self, username: str) -> Identity:
        """Return the user of that name; raise ChatError unknown_user."""
        known = self.chat.users.by_name(username) if fields.can_be_name(username) else None
        if known is None:
            raise ChatError("unknown_user")
        return known.identity

    def direct_room(self, other: Identity) -> str:
        """Return the name of the user's conversation with another."""
        return direct_room(self.user.id, other.id)

    def seen(self, row: RoomRow) -> RoomRow:
        """Return a room as it is shown: ephemeral also where the settings say so."""
        return row._replace(ephemeral=row.ephemeral or self.chat.settings.is_ephemeral(row.name))


def read_body(request: Request) -> bytes:
    """Return a request's body; raise ChatError too_large."""
    # Of a body in chunks werkzeug would hand out as much as it may have, and keep silent about the rest.
    request.max_content_length = MAX_BODY + 1
    if (request.content_length or 0) > MAX_BODY or len(raw := request.get_data()) > MAX_BODY:
        raise ChatError("too_large")
    return raw
