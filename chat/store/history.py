"""The contract of a history: rooms, who is in them, and every message in its order.

memory.py is its twin for tests, sql.py the one for SQLite and PostgreSQL; tests/contract/test_history.py holds them
all to it. Nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from ..wire.envelope import Identity

PUBLIC, PRIVATE, DIRECT = "public", "private", "direct"
OWNER, ADMIN, MEMBER = "owner", "admin", "member"
#: What the name of every conversation of two begins with, and no other room's may.
DIRECT_PREFIX = "dm:"


class StoreUnavailable(Exception):
    """The store does not answer, or cannot keep what it is given: nothing was stored. The next call tries anew."""


class RoomTaken(ValueError):
    """Another room has the name, in some case or compatible form, or the name is of a kind that none may have."""

    code = "room_taken"

    def __init__(self, name: str) -> None:
        super().__init__(f"The room name {name!r} is taken.")


class BadRoomName(ValueError):
    """A room cannot be called that: 1 to 64 printable characters, no slash, no space at either end."""

    code = "bad_room"

    def __init__(self, name: str) -> None:
        super().__init__(f"A room cannot be called {name[:80]!r}.")


class RoomRow(NamedTuple):
    """One room."""

    id: int
    #: What the wire and URLs call it, unique. A public room's is its title, a private room's says nothing about it.
    name: str
    #: What people see; empty for conversations of two.
    title: str
    topic: str
    #: PUBLIC, PRIVATE or DIRECT.
    kind: str
    #: No seq, and nothing stored.
    ephemeral: bool
    #: Eight random characters: another epoch is another history, whose seqs mean something else.
    epoch: str
    #: The first seq that is kept; last_seq + 1 where none is.
    first_seq: int
    #: 0 where nothing was ever said.
    last_seq: int
    #: Milliseconds: the newest message's time, or the room's own.
    last_at: int
    created_by: str | None
    created_at: int


class Draft(NamedTuple):
    """A message that wants to be stored."""

    #: 2 for a room, 3 for one user.
    type: int
    #: The room's name; None for a direct message, whose room follows from its two users.
    room: str | None
    #: None for the house.
    sender: Identity | None
    id: str
    #: Whether the client chose the id, so that the same message may come again.
    chosen: bool
    data: str
    #: A direct message's receiver: the id and the name, or, where the id is not known, the name in any spelling.
    to: str | None = None
    to_id: str | None = None


class Message(NamedTuple):
    """One stored message."""

    #: Grows in the order of storing, over all rooms; on PostgreSQL, transactions side by side may interleave.
    pk: int
    room: str
    room_id: int
    #: From 1, without gaps, in each room.
    seq: int
    type: int
    #: The sender under the name of that time; None for the house.
    user: Identity | None
    #: A direct message's receiver, by name.
    to: str | None
    id: str
    data: str
    #: Milliseconds since 1970.
    ts: int
    #: A random number of the process that stored it.
    origin: int


class Stored(NamedTuple):
    """What became of a draft: the message as it is stored, and whether this draft made it (or one before)."""

    message: Message
    fresh: bool
    #: A direct message's receiver.
    to_id: str | None = None


class Membership(NamedTuple):
    """Somebody's place in a room."""

    user: Identity
    #: OWNER, ADMIN or MEMBER.
    role: str
    #: The last seq that the user has read.
    read_seq: int
    joined_at: int


class RoomOf(NamedTuple):
    """A room as one of its members sees it."""

    room: RoomRow
    role: str
    read_seq: int
    unread: int
    #: Messages after read_seq that name the user.
    mentions: int
    #: The other one of a conversation of two.
    peer: Identity | None
    #: The newest message that is kept.
    last: Message | None


class History(Protocol):
    """Rooms, members and messages. Every method blocks and may raise StoreUnavailable; each is one transaction.

    A `mark` is a number that only the store which gave it can read.
    """

    # Messages

    def append(self, drafts: Sequence[Draft], origin: int) -> list[Stored | str]:
        """Store all drafts in one transaction; return for each what became of it, in their order, once committed.

        A room's new messages get the seqs that follow its last, in the order of the drafts. A draft whose id its sender
        has used in that room is a repeat of that message; with other contents it is `id_conflict`. Other codes:
        `unknown_room` (none of that name, or an ephemeral one), `unknown_user` (of a direct message). The first
        direct message of two users makes their room. After StoreUnavailable nothing is stored, or, where the outcome
        of a commit could not be learnt, all: the same drafts then come back as repeats.
        """

    def changed(self, mark: int | None) -> tuple[int, list[RoomRow]]:
        """Return a new mark, and the rooms that were made, changed or spoken in since the old one; None: only a mark.

        No change is ever missed, however late its transaction commits; one may be told twice.
        """

    def new_in(self, room_ids: Sequence[int], mark: int) -> list[Message]:
        """Return the messages of these rooms that were committed since the mark, and maybe some before it, by pk."""

    def after(self, room_id: int, seq: int, limit: int, upto: int | None = None) -> list[Message]:
        """Return the first `limit` messages with a seq above `seq`, and not above `upto`, ascending."""

    def before(self, room_id: int, seq: int | None, limit: int) -> list[Message]:
        """Return the last `limit` messages with a seq below `seq` (None: the newest of all), ascending."""

    def newer(self, room_ids: Sequence[int], pk: int, limit: int) -> list[Message]:
        """Return the first `limit` messages of these rooms with a higher pk, by pk."""

    def find(self, room_id: int, seq: int) -> Message | None:
        """Return one message; None where it is not kept."""

    def search(self, text: str, room_ids: Sequence[int], before_pk: int | None, limit: int) -> list[Message]:
        """Return the newest `limit` messages of these rooms that hold all words of `text`, newest first.

        The last word is a prefix. `before_pk` goes on where a page ended. A text without words finds nothing.
        """

    def prune(self, room_id: int, before_ms: int) -> int:
        """Delete the room's messages up to the first that is younger than `before_ms`; return how many.

        In short transactions, each of which moves the room's first_seq.
        """

    def prune_all(self, before_ms: int) -> int:
        """Prune every room; return how many messages went."""

    def export(self, room_id: int) -> Iterator[Message]:
        """Yield the room's messages in order, read in chunks: what is said meanwhile comes too."""

    # Rooms

    def room(self, name: str) -> RoomRow | None:
        """Return the room of exactly that name."""

    def rooms_named(self, names: Iterable[str]) -> dict[str, RoomRow]:
        """Return {name: room} of those that there are."""

    def create_room(
        self,
        title: str,
        kind: str,
        creator: Identity | None,
        topic: str = "",
        ephemeral: bool = False,
        name: str | None = None,
    ) -> RoomRow:
        """Make a public or private room, its creator the owner; raise RoomTaken or BadRoomName.

        Without `name` a public room is named by its title, and a private one at random. A public name is taken in any
        case and compatible form.
        """

    def ensure_room(self, name: str, kind: str = PUBLIC) -> RoomRow:
        """Return the room of that name, making it where it is missing; raise RoomTaken or BadRoomName."""

    def update_room(
        self, room_id: int, *, title: str | None = None, topic: str | None = None
    ) -> RoomRow | None:
        """Change what is given and return the room, None where there is none. A public room keeps its title."""

    def directory(self, query: str, after: str | None, limit: int) -> list[RoomRow]:
        """Return public rooms whose names hold `query`, in any case, by name, those after the name `after`."""

    def count_created(self, user_id: str) -> int:
        """Return how many rooms the user has made."""

    # Members

    def role(self, room_id: int, user_id: str) -> str | None:
        """Return the user's role in the room; None for no member."""

    def roles(self, pairs: Iterable[tuple[int, str]]) -> dict[tuple[int, str], str]:
        """Return {(room id, user id): role} of those pairs that are memberships."""

    def join(self, room_id: int, user: Identity, role: str = MEMBER) -> bool:
        """Make the user a member who has read all until now; False for one who was, whose role stays."""

    def set_role(self, room_id: int, user_id: str, role: str) -> bool:
        """Give a member another role; False for no member."""

    def leave(self, room_id: int, user_id: str) -> bool:
        """End a membership; False where there was none."""

    def members(self, room_id: int, after: str | None, limit: int) -> list[Membership]:
        """Return members by name, in any case, those after the name `after`."""

    def rooms_of(self, user_id: str) -> list[RoomOf]:
        """Return the rooms that the user is a member of, the one spoken in last first."""

    def unread(self, user_id: str) -> dict[str, tuple[int, int]]:
        """Return {name: (unread messages, those that name the user)} of the user's rooms that have any."""

    def mark_read(self, room_id: int, user_id: str, seq: int) -> tuple[int, int, int] | None:
        """Move the user's read_seq forward to `seq`, never back nor beyond the last; None for no member.

        Returns what holds now: (read_seq, unread, mentions).
        """

    # The store

    def ping(self) -> None:
        """Raise StoreUnavailable unless the store answers."""
