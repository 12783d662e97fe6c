"""The contract of invitations to rooms, a part of that of a history. No I/O."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, Protocol

from ..wire.envelope import Identity
from .rules import AcceptanceRule, InvitationRule, MemberRule

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
#: After this time an invitation that nobody has answered ends.
OPEN_FOR_MS = 30 * DAY_MS


class State(StrEnum):
    """Where an invitation is."""

    OPEN = "open"
    DECLINED = "declined"
    ACCEPTED = "accepted"
    WITHDRAWN = "withdrawn"


class Invitation(NamedTuple):
    """An invitation that waits for an answer."""

    #: The room's name, title, topic and kind.
    room: str
    title: str
    topic: str
    kind: str
    user: Identity
    inviter: Identity
    #: The role that the user gets.
    role: str
    created_at: int


class Invited(NamedTuple):
    """The result of inviting somebody."""

    #: The role that the user has, or gets by accepting.
    role: str
    #: Whether the user is a member already.
    is_member: bool
    #: Whether the invitation is new.
    is_fresh: bool


class Accepted(NamedTuple):
    """The result of accepting an invitation."""

    role: str
    inviter: Identity
    #: Whether the user was no member before.
    is_fresh: bool


class Inviting(Protocol):
    """The methods of History for invitations."""

    def invite(
        self, room_id: int, inviter: Identity, user: Identity, role: str, rule: InvitationRule
    ) -> Invited:
        """Invite `user` if `rule` lets it pass. A member, or a user with an open invitation, is not invited again."""

    def accept(self, room_id: int, user: Identity, rule: AcceptanceRule) -> Accepted | None:
        """Make a user with an open invitation a member; None, and no change, where there is none.

        `rule` raises where the invitation cannot be accepted now.
        """

    def decline(self, room_id: int, user_id: str) -> bool:
        """Decline an open invitation; return whether there was one."""

    def withdraw(self, room_id: int, user_id: str, by: str, rule: MemberRule) -> bool:
        """Withdraw an open invitation if `rule` lets the user `by` do so; return whether there was one."""

    def invitations_of(self, user_id: str, limit: int) -> list[Invitation]:
        """Return the user's open invitations, the newest first."""

    def invitations_to(self, room_id: int, limit: int) -> list[Invitation]:
        """Return the open invitations to a room, the newest first."""
