"""What a history stores and returns: rooms, members, messages, and its errors. No I/O.

Import them from chat.store.history, whose contract uses them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

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
