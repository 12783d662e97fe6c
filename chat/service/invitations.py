"""Invitations as the site sees them: asking, answering, and telling everybody whom it concerns, on every server."""

from __future__ import annotations

import logging
from functools import partial

from ..config import Settings
from ..rooms import access
from ..store.history import RoomRow, StoreUnavailable
from ..store.inviting import Accepted, Invited
from ..store.rules import Standing
from ..wire.envelope import Identity
from ..wire.errors import ChatError
from ..wire.messages import user_json
from .errors import UnknownRoom
from .messages import SystemMessages
from .rooms import RoomService
from .stores import Stores

log = logging.getLogger("flask_chat")


class InvitationService:
    """Changes invitations, and pushes the change to the sockets of the user who is invited."""

    def __init__(
        self, settings: Settings, stores: Stores, rooms: RoomService, messages: SystemMessages
    ) -> None:
        self._settings = settings
        self._stores = stores
        self._rooms = rooms
        self._messages = messages

    @property
    def ask(self) -> bool:
        """Whether users who are invited are asked first (CHAT_INVITATIONS)."""
        return self._settings.invitations == "ask"

    def invite(self, row: RoomRow, inviter: Identity, user: Identity, role: str, line: str) -> Invited:
        """Invite `user` to the room, and say so there with `line`; raise ChatError where `inviter` may not."""
        rule = partial(access.check_invitation, self._settings, role=role)
        invited = self._stores.open().history.invite(row.id, inviter, user, role, rule)
        if invited.is_fresh:
            fields = {"title": row.title, "kind": row.kind, "inviter": user_json(inviter), "role": role}
            self._rooms.push_invitation(user.id, row.name, "invited", fields)
            self.say(row, line)
        return invited

    def add(self, row: RoomRow, inviter: Identity, user: Identity, role: str) -> Invited:
        """Make `user` a member without asking, within the limits of invitations; raise ChatError."""
        history = self._stores.open().history
        rule = partial(access.check_invitation, self._settings, role=role)
        invited = history.invite(row.id, inviter, user, role, rule)
        if invited.is_member:
            return invited
        try:
            accepted = history.accept(row.id, user, access.check_acceptance)
        except ChatError:
            history.withdraw(row.id, user.id, inviter.id, _anybody)
            raise
        if accepted is None:
            raise ChatError("unknown_user")
        self._rooms.push_room_change(user.id, row.name, "joined")
        return Invited(accepted.role, False, True)

    def accept(self, row: RoomRow, user: Identity) -> Accepted:
        """Make an invited user a member; raise ChatError unknown_invitation, or room_taken for the room's title."""
        accepted = self._stores.open().history.accept(row.id, user, access.check_acceptance)
        if accepted is None:
            raise ChatError("unknown_invitation")
        self._rooms.push_invitation(user.id, row.name, "accepted")
        self._rooms.push_room_change(user.id, row.name, "joined")
        self._rooms.push_room_change(accepted.inviter.id, row.name, "updated")
        return accepted

    def decline(self, row: RoomRow, user_id: str) -> None:
        """Decline an invitation; raise ChatError unknown_invitation. Nobody else is told."""
        if not self._stores.open().history.decline(row.id, user_id):
            raise ChatError("unknown_invitation")
        self._rooms.push_invitation(user_id, row.name, "declined")

    def withdraw(self, row: RoomRow, user_id: str, by: Identity) -> None:
        """Withdraw an invitation; raise ChatError unknown_invitation, or forbidden."""
        if not self._stores.open().history.withdraw(row.id, user_id, by.id, access.check_withdrawal):
            raise ChatError("unknown_invitation")
        self._rooms.push_invitation(user_id, row.name, "withdrawn")

    def say(self, row: RoomRow, line: str) -> None:
        """Say in the room what has come of an invitation."""
        try:
            self._messages.send(row.name, line)
        except (StoreUnavailable, UnknownRoom) as error:
            # The invitation stands all the same.
            log.warning("a line about an invitation could not be stored: %s", type(error).__name__)


def _anybody(_facts: Standing) -> None:
    """Let everybody withdraw it: the invitation that has just been made goes no further."""
