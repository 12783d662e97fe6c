"""The contract of a history: rooms, their members, and their messages in order. No I/O.

sql.py implements it on SQLite and PostgreSQL, memory/ in memory for tests. tests/contract/test_history*.py run one
suite against all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from ..wire.envelope import Identity
from .inviting import Inviting
from .records import (
    ADMIN,
    DAY_MS,
    DIRECT,
    DIRECT_PREFIX,
    MEMBER,
    OWNER,
    PRIVATE,
    PUBLIC,
    QUOTA_EXCEEDED,
    BadRoomName,
    Draft,
    Membership,
    Message,
    Result,
    RoomOf,
    RoomRow,
    RoomTaken,
    SearchTooLong,
    Stored,
    StoreUnavailable,
)
from .rules import Departure, EndedAccount, MemberRule, TitleRule

__all__ = [
    "ADMIN",
    "DAY_MS",
    "DIRECT",
    "DIRECT_PREFIX",
    "MEMBER",
    "OWNER",
    "PRIVATE",
    "PUBLIC",
    "QUOTA_EXCEEDED",
    "BadRoomName",
    "Draft",
    "Membership",
    "Message",
    "Result",
    "RoomOf",
    "RoomRow",
    "RoomTaken",
    "SearchTooLong",
    "Stored",
    "StoreUnavailable",
    "History",
]


class History(Inviting, Protocol):
    """Rooms, members and messages. Every method blocks, is one transaction, and may raise StoreUnavailable.

    A `mark` is a position in the order of commits: an integer whose meaning only this store knows. Times are in
    milliseconds since 1970.
    """

    # Messages

    def append(self, drafts: Sequence[Draft], origin: int) -> list[Result]:
        """Store all drafts in one transaction and return the result of each, in their order, after the commit.

        A room's new messages get the next seqs, in the order of the drafts. A draft whose id its sender has used before
        in that room is a repeat of that message, or `id_conflict` if its contents differ. `unknown_room`: no such room,
        or an ephemeral one. `unknown_user`: no such receiver of a direct message. `account_deleted`: the receiver of
        that id has ended the account. Ambiguous: its name fits several users, by the rule of chat.identity.addressing.
        `quota_exceeded`: the sender may store no more until the next day (UTC) begins. The first direct message between
        two users creates their room.
        After StoreUnavailable nothing is stored, or everything is, if the connection was lost during the commit: the
        same drafts are repeats then.
        """

    def changed(self, mark: int | None) -> tuple[int, list[RoomRow]]:
        """Return a new mark, and the rooms created, changed or written to since `mark`; with None, the mark only.

        No change is missed, however late its transaction commits. A change may be returned twice.
        """

    def new_in(self, room_ids: Sequence[int], mark: int) -> list[Message]:
        """Return these rooms' messages committed since the mark, and perhaps some from before it, ordered by pk."""

    def after(self, room_id: int, seq: int, limit: int, upto: int | None = None) -> list[Message]:
        """Return the first `limit` messages with a seq above `seq` and at most `upto`, ascending."""

    def before(self, room_id: int, seq: int | None, limit: int) -> list[Message]:
        """Return the last `limit` messages with a seq below `seq` (None: the newest messages), ascending."""

    def newer(self, room_ids: Sequence[int], pk: int, limit: int) -> list[Message]:
        """Return the first `limit` messages of these rooms with a pk above `pk`, ordered by pk."""

    def find(self, room_id: int, seq: int) -> Message | None:
        """Return one message; None if it is not stored."""

    def search(self, text: str, room_ids: Sequence[int], before_pk: int | None, limit: int) -> list[Message]:
        """Return the newest `limit` messages of these rooms that contain all words of `text`, newest first.

        The last word is a prefix. `before_pk` is the cursor: the pk of the last message of the page before. A text
        without words finds nothing. Raises SearchTooLong.
        """

    def prune(self, room_id: int, before_ms: int) -> int:
        """Delete the room's messages before the first one stored at or after `before_ms`; return how many.

        It uses several short transactions, each of which advances the room's first_seq.
        """

    def prune_all(self, before_ms: int) -> int:
        """Prune every room; return how many messages were deleted."""

    def export(self, room_id: int) -> Iterator[Message]:
        """Yield the room's messages in order, read in chunks, including messages stored meanwhile."""

    # Rooms

    def room(self, name: str) -> RoomRow | None:
        """Return the room of exactly this name, or None."""

    def rooms_named(self, names: Iterable[str]) -> dict[str, RoomRow]:
        """Return {name: room} of the rooms that exist."""

    def create_room(
        self,
        title: str,
        kind: str,
        creator: Identity | None,
        topic: str = "",
        ephemeral: bool = False,
        name: str | None = None,
        rule: TitleRule | None = None,
    ) -> RoomRow:
        """Create a public or private room owned by its creator, if `rule` lets it pass; raise RoomTaken, BadRoomName.

        Without `name`, a public room is named like its title, and a private one at random. Two public rooms cannot have
        the same name in another case or compatible form. Raises ChatError account_deleted for a creator who has ended
        the account.
        """

    def ensure_room(self, name: str, kind: str = PUBLIC) -> RoomRow:
        """Return the room of this name, creating it if it does not exist; raise RoomTaken or BadRoomName."""

    def update_room(
        self,
        room_id: int,
        *,
        title: str | None = None,
        topic: str | None = None,
        by: str = "",
        rule: TitleRule | None = None,
    ) -> RoomRow | None:
        """Set the given values and return the room, or None if there is none. A public room keeps its title.

        Nothing is written where the room has these values.
        `rule` decides whether the user of the id `by` may.
        """

    def directory(self, query: str, after: str | None, limit: int) -> list[RoomRow]:
        """Return public rooms whose names contain `query` in any case, ordered by name, from after the name `after`."""

    def count_created(self, user_id: str) -> int:
        """Return how many rooms the user has created."""

    # Members

    def role(self, room_id: int, user_id: str) -> str | None:
        """Return the user's role in the room; None if the user is not a member."""

    def roles(self, pairs: Iterable[tuple[int, str]]) -> dict[tuple[int, str], str]:
        """Return {(room id, user id): role} of the pairs that are memberships."""

    def join(
        self, room_id: int, user: Identity, role: str = MEMBER, by: str = "", rule: MemberRule | None = None
    ) -> bool:
        """Add a member who has read everything so far; return False, and keep the role, if the user already is one.

        False also for an account that has ended. The first member of a room that a user created and everybody left
        becomes its owner. `rule` decides whether the user of the id `by` may add the member.
        """

    def set_role(
        self, room_id: int, user_id: str, role: str, by: str = "", rule: MemberRule | None = None
    ) -> bool:
        """Change a member's role; return False if the user is not a member.

        `rule` decides whether the user of the id `by` may; it is asked with the role of before.
        """

    def leave(
        self, room_id: int, user_id: str, by: str = "", rule: MemberRule | None = None
    ) -> Departure | None:
        """Remove a member; return None if the user was not one.

        A room whose last owner leaves gets another one at once: chat.store.succession. What the member has invited to
        it is withdrawn. `rule` decides whether the user of the id `by` may remove the member.
        """

    def end_account(self, user_id: str) -> EndedAccount | None:
        """End an account for good; None if it has ended already.

        Its tokens and its memberships end, rooms get other owners as in `leave`, open invitations by it and to it are
        withdrawn, and other users see chat.wire.envelope.DeletedUser in place of the user.
        """

    def ownerless_rooms(self) -> list[RoomRow]:
        """Return the rooms that a user created and that have no owner, or an owner whose account has ended, by id."""

    def repair_owner(self, room_id: int) -> Departure | None:
        """Give such a room an owner; None if it has one. The successor is None where nobody is left."""

    def members(
        self, room_id: int, after: str | None, limit: int, after_id: str | None = None
    ) -> list[Membership]:
        """Return members ordered by name, regardless of case, then by id, from after the name `after`.

        Several members may have that name: `after_id` is the id of the one to continue after; None skips them all.
        """

    def rooms_of(self, user_id: str) -> list[RoomOf]:
        """Return the rooms that the user is a member of, the most recently active first."""

    def unread(self, user_id: str) -> dict[str, tuple[int, int]]:
        """Return {name: (unread messages, unread mentions)} of the user's rooms that have any."""

    def read_state(self, room_id: int, user_id: str) -> tuple[int, int, int] | None:
        """Return a member's (read_seq, unread, mentions); None if the user is not a member."""

    def mark_read(self, room_id: int, user_id: str, seq: int) -> tuple[int, int, int] | None:
        """Advance the user's read_seq to `seq`, never back and never beyond the last seq.

        Returns (read_seq, unread, mentions) as they are now; None if the user is not a member.
        """

    # The store

    def ping(self) -> None:
        """Raise StoreUnavailable unless the store responds."""
