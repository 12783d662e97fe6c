"""Facts that rules decide by, read in the transaction that writes; and what a change of members results in. No I/O.

A rule is a function of such facts that raises where the change is not allowed, which rolls the transaction back. So
two requests at once cannot both pass a check that only one of them may pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..wire.envelope import Identity


class Standing(NamedTuple):
    """Who takes part in a change of a room's members."""

    #: The role of the user who asks for the change, and of the user whom it is about; None for no member.
    mine: str | None
    theirs: str | None
    owners: int


class TitleFacts(NamedTuple):
    """What decides whether a user may give a room a title."""

    #: The user's role in the room; None for a new room.
    mine: str | None
    #: Rooms that the user has created.
    created: int
    #: Whether another room that the same people see has a title that looks like this one.
    is_taken: bool


class InvitationFacts(NamedTuple):
    """What decides whether a user may invite another one to a room."""

    mine: str | None
    theirs: str | None
    #: The inviter's invitations that wait for an answer, and those of the last hour.
    open: int
    recent: int
    #: Whether the other user has declined an invitation to the room within a day.
    has_declined: bool


class AcceptanceFacts(NamedTuple):
    """What decides whether an invitation can be accepted."""

    #: The inviter's role in the room now, and the role that the invitation gives.
    inviter: str | None
    role: str
    #: Whether a private room of the invited user has a title that looks like the room's.
    is_title_taken: bool


MemberRule = Callable[[Standing], None]
TitleRule = Callable[[TitleFacts], None]
InvitationRule = Callable[[InvitationFacts], None]
AcceptanceRule = Callable[[AcceptanceFacts], None]


class Departure(NamedTuple):
    """The end of a membership."""

    #: The room's name.
    room: str
    #: The member who became the owner by it.
    successor: Identity | None


class EndedAccount(NamedTuple):
    """What ended with an account."""

    departures: list[Departure]
    #: (room's name, the other user's id) of its direct conversations.
    conversations: list[tuple[str, str]]
