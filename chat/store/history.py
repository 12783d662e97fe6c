"""The contract of a history: rooms, their members, and their messages in order. No I/O.

sql.py implements it on SQLite and PostgreSQL, memory/ in memory for tests. tests/contract/test_history*.py run one
suite against all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from ..identity.addressing import Ambiguous
from ..wire.envelope import Identity

PUBLIC, PRIVATE, DIRECT = "public", "private", "direct"
OWNER, ADMIN, MEMBER = "owner", "admin", "member"
#: The prefix of the names of direct conversations. No other room's name may start with it.
DIRECT_PREFIX = "dm:"


class StoreUnavailable(Exception):
    """The store does not respond or cannot store (disk full, locked, gone). Nothing was stored; a retry may succeed."""


class SearchTooLong(Exception):
    """A search was ended because it took longer than it may. One for rarer words may take less."""


class RoomTaken(ValueError):
    """Another room has this name, in any case or compatible form, or the name is reserved (`dm:`)."""

    code = "room_taken"

    def __init__(self, name: str) -> None:
        super().__init__(f"The room name {name!r} is taken.")


class BadRoomName(ValueError):
    """The name is not valid: 1 to 64 printable characters, no slash, no space at either end."""

    code = "bad_room"

    def __init__(self, name: str) -> None:
        super().__init__(f"A room cannot be called {name[:80]!r}.")


class RoomRow(NamedTuple):
    """One room."""

    id: int
    #: The unique name, on the wire and in URLs. A public room's name is its title, a private room's is random.
    name: str
    #: The displayed title; empty for direct conversations.
    title: str
    topic: str
    #: PUBLIC, PRIVATE or DIRECT.
    kind: str
    #: Whether messages have no seq and are not stored.
    ephemeral: bool
    #: Eight random characters that identify the numbering: seqs of different epochs cannot be compared.
    epoch: str
    #: The first seq that is still stored; last_seq + 1 if none is.
    first_seq: int
    #: 0 before the first message.
    last_seq: int
    #: Milliseconds: when the newest message was stored, or else the room was created.
    last_at: int
    created_by: str | None
    created_at: int


class Draft(NamedTuple):
    """A message to be stored."""

    #: 2 for a room, 3 for one user.
    type: int
    #: The room's name; None for a direct message, whose two users determine the room.
    room: str | None
    #: None for the server.
    sender: Identity | None
    id: str
    #: Whether the client chose the id, so that it may send the same message again.
    chosen: bool
    data: str
    #: A direct message's receiver: name and id of a known user; or one of them, which the store looks up.
    to: str | None = None
    to_id: str | None = None
    #: The connected users whom the name may mean, beside those in the store: a site's own may have no row there.
    connected: Sequence[Identity] = ()


class Message(NamedTuple):
    """One stored message."""

    #: Primary key, ascending in the order of storing. On PostgreSQL, concurrent transactions may interleave.
    pk: int
    room: str
    room_id: int
    #: The message's number in its room: 1, 2, 3 without gaps.
    seq: int
    type: int
    #: The sender, with the name of that time; None for the server.
    user: Identity | None
    #: The name of a direct message's receiver.
    to: str | None
    id: str
    data: str
    #: Milliseconds since 1970.
    ts: int
    #: The random number of the process that stored it.
    origin: int


class Stored(NamedTuple):
    """The result of a draft: the stored message, and whether it is new (`fresh`) or was stored by an earlier draft."""

    message: Message
    fresh: bool
    #: The id of a direct message's receiver.
    to_id: str | None = None


#: The result of a draft whose sender has stored as many bytes as one user may on one day (CHAT_STORE_QUOTA).
QUOTA_EXCEEDED = "quota_exceeded"
DAY_MS = 86_400_000

#: The result of a draft: as it was stored, or the receivers that its name fits, or the code of another error.
Result = Stored | Ambiguous | str


class Membership(NamedTuple):
    """A user's membership in a room."""

    user: Identity
    #: OWNER, ADMIN or MEMBER.
    role: str
    #: Seq of the last message that the user has read.
    read_seq: int
    joined_at: int


class RoomOf(NamedTuple):
    """A room as one of its members sees it."""

    room: RoomRow
    role: str
    #: Seq of the last message that the user has read, or has sent with nothing unread before it.
    read_seq: int
    unread: int
    #: Messages after read_seq that mention the user.
    mentions: int
    #: The other user of a direct conversation.
    peer: Identity | None
    #: The newest message that is still stored.
    last: Message | None


class History(Protocol):
    """Rooms, members and messages. Every method blocks, is one transaction, and may raise StoreUnavailable.

    A `mark` is a position in the order of commits: an integer whose meaning only this store knows. Times are in
    milliseconds since 1970.
    """

    # Messages

    def append(self, drafts: Sequence[Draft], origin: int) -> list[Result]:
        """Store all drafts in one transaction and return the result of each, in their order, after the commit.

        A room's new messages get the next seqs, in the order of the drafts. A draft whose id its sender has used before
        in that room is a repeat of that message, or `id_conflict` if its contents differ. `unknown_room`: no such room,
        or an ephemeral one. `unknown_user`: no such receiver of a direct message. Ambiguous: its name fits several
        users, by the rule of chat.identity.addressing. `quota_exceeded`: the sender may store no more until the next
        day (UTC) begins. The first direct message between two users creates their room.
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
    ) -> RoomRow:
        """Create a public or private room owned by its creator; raise RoomTaken or BadRoomName.

        Without `name`, a public room is named like its title, and a private one at random. Two public rooms cannot have
        the same name in another case or compatible form.
        """

    def ensure_room(self, name: str, kind: str = PUBLIC) -> RoomRow:
        """Return the room of this name, creating it if it does not exist; raise RoomTaken or BadRoomName."""

    def update_room(
        self, room_id: int, *, title: str | None = None, topic: str | None = None
    ) -> RoomRow | None:
        """Set the given values and return the room, or None if there is none. A public room keeps its title.

        Nothing is written where the room has these values.
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

    def join(self, room_id: int, user: Identity, role: str = MEMBER) -> bool:
        """Add a member who has read everything so far; return False, and keep the role, if the user already is one."""

    def set_role(self, room_id: int, user_id: str, role: str) -> bool:
        """Change a member's role; return False if the user is not a member."""

    def leave(self, room_id: int, user_id: str) -> bool:
        """Remove a member; return False if the user was not one."""

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
