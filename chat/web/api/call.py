"""One API request: its user, what was sent, and the rooms that the user may access."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from flask import Request
from werkzeug.exceptions import HTTPException

from ...identity.addressing import Ambiguous
from ...rooms.access import LOBBY, Right, check
from ...service import ChatService
from ...store.history import DIRECT, MEMBER, History, RoomOf, RoomRow
from ...store.user import User
from ...wire.envelope import Identity, direct_room, other_participant
from ...wire.errors import ChatError
from . import fields

#: Maximum size of a request body in bytes.
MAX_BODY = 16_384
#: The id of a direct conversation without messages, which has no row.
NO_ID = 0


class RoomAndRole(NamedTuple):
    """A room, and the user's role in it; None for a user who is not a member."""

    row: RoomRow
    role: str | None


class Call:
    """What a view gets. It looks rooms up here, and so never sees a room that its user may not access."""

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
        """Rooms and messages; its calls do not block the event loop."""
        return self.chat.history

    def body(self) -> dict[str, Any]:
        """Return the JSON object in the request body; raise ChatError: not_json, too_large, bad_json or bad_request."""
        if self._request.mimetype != "application/json":
            raise ChatError("not_json")
        return fields.body(read_body(self._request))

    def room(self, name: str, wanted: Right = Right.READ) -> RoomAndRole:
        """Return the room of that name; raise ChatError unless the user has the right `wanted` in it."""
        row = self.history.room(name) or self._empty_direct_room(name)
        role = self._role(row) if row is not None else None
        return RoomAndRole(check(row, self.user.id, role, wanted), role)

    def rooms(self) -> list[RoomOf]:
        """Return the rooms that the user is a member of. The first call makes the user a member of the lobby."""
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

    def _empty_direct_room(self, name: str) -> RoomRow | None:
        """Return a direct conversation of this user that has no messages yet; None for any other name."""
        peer = self.peer(name)
        return None if peer is None else RoomRow(NO_ID, name, "", "", DIRECT, False, "", 1, 0, 0, None, 0)

    def peer(self, name: str) -> Identity | None:
        """Return the other user of the direct conversation `name`; None if there is no such user."""
        other = other_participant(name, self.user.id)
        found = self.chat.users.get(other) if other and fields.can_be_name(other) else None
        return found.identity if found else None

    def user_named(self, username: str) -> Identity:
        """Return the user of that name; raise ChatError unknown_user or ambiguous_to."""
        found = self.chat.users.addressed(username) if fields.can_be_name(username) else None
        if isinstance(found, Ambiguous):
            raise ChatError("ambiguous_to", users=found.users)
        return self._existing(found)

    def user_of_id(self, user_id: str) -> Identity:
        """Return the user of that id; raise ChatError unknown_user."""
        return self._existing(self.chat.users.get(user_id) if fields.can_be_name(user_id) else None)

    @staticmethod
    def _existing(user: User | None) -> Identity:
        if user is None:
            raise ChatError("unknown_user")
        return user.identity

    def direct_room(self, other: Identity) -> str:
        """Return the name of the user's direct conversation with another user."""
        return direct_room(self.user.id, other.id)

    def displayed(self, row: RoomRow) -> RoomRow:
        """Return a room as the API shows it: ephemeral also by CHAT_EPHEMERAL_ROOMS."""
        return row._replace(ephemeral=row.ephemeral or self.chat.settings.is_ephemeral(row.name))


def read_body(request: Request) -> bytes:
    """Return a request's body; raise ChatError too_large."""
    # werkzeug silently cuts a chunked body at max_content_length, so one byte more is allowed and then refused.
    request.max_content_length = MAX_BODY + 1
    if (request.content_length or 0) > MAX_BODY or len(raw := request.get_data()) > MAX_BODY:
        raise ChatError("too_large")
    return raw


def discard_body(request: Request) -> None:
    """Read a body that nobody has read: a server that closes with bytes unread resets the connection and the answer."""
    if 0 < (request.content_length or 0) <= MAX_BODY:
        with contextlib.suppress(HTTPException):  # it did not come
            request.get_data()
