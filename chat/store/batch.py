"""What becomes of each draft of one append, worked out from what its transaction has found. No I/O.

The databases differ in how they look up and write; what a draft is answered is decided here for both of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..identity.names import name_key
from ..wire.envelope import Identity, direct_room
from . import terms
from .history import Draft, Message, Stored
from .mentions import Find, mentioned_in
from .storable import is_storable, storable

Key = tuple[int, str, str]


class Place(NamedTuple):
    """A room, locked: where its next message goes."""

    id: int
    last_seq: int
    ephemeral: bool


class Batch:
    """The drafts of one append. Resolve, place, then write `fresh`, `spoken` and `named`, and return `results`."""

    def __init__(self, drafts: Iterable[Draft], origin: int) -> None:
        self.drafts = [storable_draft(draft) for draft in drafts]
        self._origin = origin
        #: The rooms' names, in the order of the drafts; None: a direct message to nobody that is known.
        self.rooms: list[str | None] = []
        self._receivers: list[Identity | None] = []
        self._named: list[list[str]] = []
        self._begin()

    def _begin(self) -> None:
        self.results: list[Stored | str] = []
        self.fresh: list[Message] = []

    @property
    def names_to_resolve(self) -> list[str]:
        """The keys of the names of receivers whose ids are not known."""
        return list(
            {name_key(draft.to or "") for draft in self.drafts if draft.room is None and draft.to_id is None}
        )

    def resolve(self, users: dict[str, Identity], find: Find) -> None:
        """Learn where each draft goes, and whom it names, from {name_key: user} of `names_to_resolve` and `find`."""
        self._receivers = [_receiver(draft, users) for draft in self.drafts]
        self.rooms = [_room(*pair) for pair in zip(self.drafts, self._receivers, strict=True)]
        self._named = mentioned_in([draft.data for draft in self.drafts], find)

    @property
    def pairs(self) -> dict[str, list[Identity]]:
        """{name: its one or two users} of the rooms of direct messages."""
        return {
            room: [user for user in dict.fromkeys((draft.sender, to)) if user]
            for draft, room, to in zip(self.drafts, self.rooms, self._receivers, strict=True)
            if room is not None and to is not None
        }

    def keys(self) -> Iterator[tuple[str, str, str]]:
        """Yield (room's name, sender's id, id) of the drafts, by which one that came before is known."""
        for draft, room in zip(self.drafts, self.rooms, strict=True):
            if room is not None:
                yield room, draft.sender.id if draft.sender else "", draft.id

    def place(
        self, places: dict[str, Place], known: dict[Key, Message], pks: Iterator[int], now: int
    ) -> None:
        """Give every draft its result: seqs from its room's last one on, or the message of which it is a repeat."""
        self._begin()
        known = dict(known)
        seqs = {name: place.last_seq for name, place in places.items()}
        for draft, name, to in zip(self.drafts, self.rooms, self._receivers, strict=True):
            place = places.get(name) if name is not None else None
            if name is None or place is None or place.ephemeral:
                self.results.append("unknown_user" if draft.room is None else "unknown_room")
                continue
            key = place.id, draft.sender.id if draft.sender else "", draft.id
            message = known.get(key)
            to_id = to.id if to else None
            if message is not None:
                self.results.append(Stored(message, False, to_id) if _same(message, draft) else "id_conflict")
                continue
            seq = seqs[name] = seqs[name] + 1
            message = known[key] = Message(
                next(pks),
                name,
                place.id,
                seq,
                draft.type,
                draft.sender,
                to.username if to else None,
                draft.id,
                draft.data,
                now,
                self._origin,
            )
            self.fresh.append(message)
            self.results.append(Stored(message, True, to_id))

    @property
    def spoken(self) -> Counter[int]:
        """How many new messages each room gets, by its id."""
        return Counter(message.room_id for message in self.fresh)

    def named(self) -> Iterator[tuple[str, int, int]]:
        """Yield (user's id, room's id, seq) of those whom new messages name."""
        if any(self._named):
            for users, result in zip(self._named, self.results, strict=True):
                if isinstance(result, Stored) and result.fresh:
                    yield from ((user_id, result.message.room_id, result.message.seq) for user_id in users)


def storable_draft(draft: Draft) -> Draft:
    """Return `draft` with a text that a database takes; codec has checked all else of it."""
    return draft if is_storable(draft.data) else draft._replace(data=storable(draft.data))


def _receiver(draft: Draft, users: dict[str, Identity]) -> Identity | None:
    if draft.room is not None:
        return None
    if draft.to_id is not None:
        return Identity(draft.to_id, draft.to or "")
    return users.get(name_key(draft.to or ""))


def _room(draft: Draft, to: Identity | None) -> str | None:
    if draft.room is not None or to is None:
        return draft.room
    return direct_room(draft.sender.id if draft.sender else "", to.id)


def _same(message: Message, draft: Draft) -> bool:
    # The receiver follows from the room, and may be written in another way the second time.
    return (message.type, message.data) == (draft.type, draft.data)


def search_document(room_id: int, text: str) -> str:
    """Return what SQLite's index of words holds for a message; deleting it there takes the same text again."""
    return f"{terms.room_term(room_id)} {terms.fts5_document(text)}"
