"""The result of each draft of one append, computed from what its transaction has read. No I/O.

The databases differ in how they read and write. What a draft results in is decided here for both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from ..identity.addressing import Ambiguous, choose
from ..identity.names import name_key
from ..wire.envelope import DeletedUser, Identity, deleted_user, direct_room
from .history import QUOTA_EXCEEDED, Draft, Message, Result, Stored
from .mentions import Find, choose_mentioned, find_candidates
from .storable import is_storable, storable

Key = tuple[int, str, str]
#: What a message takes in the database beside its text and the index of that: sender, id, numbers, their indexes.
ROW_BYTES = 200
_NONE: Mapping[str, int] = MappingProxyType({})


class LockedRoom(NamedTuple):
    """A room whose row the transaction has locked."""

    id: int
    last_seq: int
    ephemeral: bool


class Batch:
    """The drafts of one append.

    Call `resolve`, lock the rooms, call `assign`, write `fresh`, `documents`, `counts`, `mentions()` and `added`, and
    return `results`. Making a batch is the work that grows with the texts: do it outside the event loop, before the
    transaction. `index` makes of a text what the database's full-text index takes. `quota` is the number of bytes that
    one sender may store a day; 0 is no limit.
    """

    def __init__(
        self, drafts: Iterable[Draft], origin: int, index: Callable[[str], str], quota: int = 0
    ) -> None:
        self._quota = quota
        self.drafts = [storable_draft(draft) for draft in drafts]
        self._documents = [index(draft.data) for draft in self.drafts]
        self._candidates = [find_candidates(draft.data) for draft in self.drafts]
        self._origin = origin
        #: The rooms' names, in the order of the drafts; None: the receiver of a direct message is unknown.
        self.rooms: list[str | None] = []
        self._receivers: list[Identity | Ambiguous | None] = []
        #: Ids of the users whom each draft mentions.
        self._mentioned: list[list[str]] = []
        self._clear()

    def _clear(self) -> None:
        self.results: list[Result] = []
        self.fresh: list[Message] = []
        #: What `index` made of the text of each new message.
        self.documents: list[str] = []
        #: {sender's id: bytes of the new messages}, where there is a quota.
        self.added: dict[str, int] = {}

    @property
    def names_to_resolve(self) -> list[str]:
        """The name_keys of receivers whose ids are not known."""
        return list({name_key(draft.to or "") for draft in self.drafts if is_named(draft)})

    @property
    def ids_to_resolve(self) -> list[str]:
        """The ids of receivers of whom nothing else is known."""
        return list({draft.to_id for draft in self.drafts if draft.to is None and draft.to_id is not None})

    def resolve(self, named: dict[str, list[Identity]], known: dict[str, Identity], find: Find) -> None:
        """Find each draft's room and mentions.

        `named` is {name_key: users} for `names_to_resolve`, `known` {id: user} for `ids_to_resolve`.
        """
        self._receivers = [_receiver(draft, named, known) for draft in self.drafts]
        self.rooms = [_room(*pair) for pair in zip(self.drafts, self._receivers, strict=True)]
        self._mentioned = choose_mentioned(self._candidates, find)

    @property
    def direct_rooms(self) -> dict[str, list[Identity]]:
        """{name of a direct message's room: its one or two users}"""
        return {
            room: [user for user in dict.fromkeys((draft.sender, to)) if user]
            for draft, room, to in zip(self.drafts, self.rooms, self._receivers, strict=True)
            if room is not None and isinstance(to, Identity) and not isinstance(to, DeletedUser)
        }

    def keys(self) -> Iterator[tuple[str, str, str]]:
        """Yield (room's name, sender's id, id) of each draft: a stored message with the same key is a repeat."""
        for draft, room in zip(self.drafts, self.rooms, strict=True):
            if room is not None:
                yield room, draft.sender.id if draft.sender else "", draft.id

    @property
    def has_refused(self) -> bool:
        """Whether a draft exceeds the quota: if repeats were not looked for, it may be one, and take no place."""
        return QUOTA_EXCEEDED in self.results

    @property
    def counted_senders(self) -> list[str]:
        """The ids of the senders whose `used` bytes `assign` needs."""
        if not self._quota:
            return []
        return sorted({draft.sender.id for draft in self.drafts if draft.sender is not None})

    def assign(
        self,
        rooms: dict[str, LockedRoom],
        stored: dict[Key, Message],
        pks: Iterator[int],
        now: int,
        used: Mapping[str, int] = _NONE,
    ) -> None:
        """Compute every draft's result: a new message with its room's next seq, or the stored one that it repeats.

        `used` is {sender's id: bytes stored on the day of `now`}.
        """
        self._clear()
        stored = dict(stored)
        seqs = {name: room.last_seq for name, room in rooms.items()}
        given = zip(self.drafts, self._documents, self.rooms, self._receivers, strict=True)
        for draft, document, name, to in given:
            room = rooms.get(name) if name is not None else None
            if name is None or room is None or room.ephemeral:
                self.results.append(_refusal(draft, to))
                continue
            assert not isinstance(to, Ambiguous)  # such a draft has no room
            key = room.id, draft.sender.id if draft.sender else "", draft.id
            message = stored.get(key)
            to_id = to.id if to else None
            if message is not None:
                self.results.append(Stored(message, False, to_id) if _same(message, draft) else "id_conflict")
                continue
            if not self._count(draft, used):
                self.results.append(QUOTA_EXCEEDED)
                continue
            seq = seqs[name] = seqs[name] + 1
            message = stored[key] = Message(
                next(pks),
                name,
                room.id,
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
            self.documents.append(document)
            self.results.append(Stored(message, True, to_id))

    def _count(self, draft: Draft, used: Mapping[str, int]) -> bool:
        """Count a new message against its sender's quota; return False, and count nothing, if it exceeds that."""
        if not self._quota or draft.sender is None:
            return True
        sender = draft.sender.id
        added = self.added.get(sender, 0) + counted_bytes(draft.data)
        if used.get(sender, 0) + added > self._quota:
            return False
        self.added[sender] = added
        return True

    @property
    def counts(self) -> Counter[int]:
        """{room id: number of its new messages}"""
        return Counter(message.room_id for message in self.fresh)

    def mentions(self) -> Iterator[tuple[str, int, int]]:
        """Yield (user's id, room's id, seq) of each mention in a new message."""
        if any(self._mentioned):
            for users, result in zip(self._mentioned, self.results, strict=True):
                if isinstance(result, Stored) and result.fresh:
                    yield from ((user_id, result.message.room_id, result.message.seq) for user_id in users)


def group_by_key(rows: Iterable[tuple[str, str, str]]) -> dict[str, list[Identity]]:
    """Return {name_key: its users} of rows (name_key, id, username)."""
    users: dict[str, list[Identity]] = {}
    for key, id, username in rows:
        users.setdefault(key, []).append(Identity(id, username))
    return users


def counted_bytes(text: str) -> int:
    """Return the bytes that a message of this text counts for in its sender's quota."""
    return (len(text) if text.isascii() else len(text.encode())) + ROW_BYTES


def storable_draft(draft: Draft) -> Draft:
    """Return `draft` with a text that can be stored. The codec has checked its other fields."""
    return draft if is_storable(draft.data) else draft._replace(data=storable(draft.data))


def is_named(draft: Draft) -> bool:
    """Return whether a draft gives its receiver by name alone."""
    return draft.room is None and draft.to_id is None


def _receiver(
    draft: Draft, named: dict[str, list[Identity]], known: dict[str, Identity]
) -> Identity | Ambiguous | None:
    if draft.room is not None:
        return None
    if draft.to_id is not None:
        return known.get(draft.to_id) if draft.to is None else Identity(draft.to_id, draft.to)
    name = draft.to or ""
    return choose(name, (*named.get(name_key(name), ()), *draft.connected))


def _refusal(draft: Draft, to: Identity | Ambiguous | None) -> Result:
    """Return the result of a draft that has no room."""
    if isinstance(to, Ambiguous):
        return to
    if isinstance(to, DeletedUser):
        return "account_deleted"
    return "unknown_user" if draft.room is None else "unknown_room"


def identities_by_id(rows: Iterable[tuple[str, str, bool]]) -> dict[str, Identity]:
    """Return {id: user} of rows (id, username, whether the account has ended)."""
    return {id: deleted_user(id) if is_gone else Identity(id, name) for id, name, is_gone in rows}


def _room(draft: Draft, to: Identity | Ambiguous | None) -> str | None:
    if draft.room is not None or not isinstance(to, Identity) or isinstance(to, DeletedUser):
        return draft.room
    return direct_room(draft.sender.id if draft.sender else "", to.id)


def _same(message: Message, draft: Draft) -> bool:
    # The room determines the receiver, whose name may be spelled differently in the repeat.
    return (message.type, message.data) == (draft.type, draft.data)
