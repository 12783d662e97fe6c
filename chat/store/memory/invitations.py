"""Invitations to rooms in memory: chat.store.inviting."""

from __future__ import annotations

from collections.abc import Iterable

from ...identity.reserved import title_key
from ...wire.envelope import Identity
from ..history import PRIVATE
from ..inviting import DAY_MS, HOUR_MS, Accepted, Invitation, Invited, State
from ..models import now_ms
from ..rules import AcceptanceFacts, AcceptanceRule, InvitationFacts, InvitationRule, MemberRule
from .member_changes import MemoryMemberChanges
from .tables import StoredInvitation, transaction


class MemoryInvitations(MemoryMemberChanges):
    """The methods of History for invitations."""

    @transaction
    def invite(
        self, room_id: int, inviter: Identity, user: Identity, role: str, rule: InvitationRule
    ) -> Invited:
        now, known = now_ms(), self._invitations.get((room_id, user.id))
        state = self._standing(room_id, inviter.id, user.id)
        is_open = known is not None and known.is_open(now)
        declined = known is not None and known.state == State.DECLINED and known.answered_at > now - DAY_MS
        counts = (0, 0) if is_open or state.theirs else self._counts(inviter.id, now)
        rule(InvitationFacts(state.mine, state.theirs, *counts, declined))
        if state.theirs is not None:
            return Invited(state.theirs, True, False)
        if known is not None and is_open:
            return Invited(known.role, False, False)
        times = 1 + known.times if known is not None and known.created_at > now - HOUR_MS else 1
        fresh = StoredInvitation(user, inviter, role, State.OPEN, now, times)
        self._invitations[room_id, user.id] = fresh
        return Invited(role, False, True)

    def _counts(self, inviter_id: str, now: int) -> tuple[int, int]:
        mine = [one for one in self._invitations.values() if one.inviter.id == inviter_id]
        recent = sum(one.times for one in mine if one.created_at > now - HOUR_MS)
        return sum(one.is_open(now) for one in mine), recent

    @transaction
    def accept(self, room_id: int, user: Identity, rule: AcceptanceRule) -> Accepted | None:
        known = self._invitations.get((room_id, user.id))
        if known is None or not known.is_open(now_ms()) or not self._members[room_id]:
            return None
        inviter = self._standing(room_id, known.inviter.id, user.id).mine
        rule(AcceptanceFacts(inviter, known.role, self._is_title_taken(room_id, user.id)))
        self._answer(room_id, user.id, State.ACCEPTED)
        return Accepted(known.role, known.inviter, self._add_member(room_id, user, known.role))

    def _is_title_taken(self, room_id: int, user_id: str) -> bool:
        row = self._rooms[room_id]
        others = (one for one in self._rooms.values() if one.id != room_id and one.kind == PRIVATE)
        mine = (one for one in others if user_id in self._members[one.id])
        return row.kind == PRIVATE and any(title_key(one.title) == title_key(row.title) for one in mine)

    @transaction
    def decline(self, room_id: int, user_id: str) -> bool:
        return self._answer(room_id, user_id, State.DECLINED)

    @transaction
    def withdraw(self, room_id: int, user_id: str, by: str, rule: MemberRule) -> bool:
        rule(self._standing(room_id, by, user_id))
        return self._answer(room_id, user_id, State.WITHDRAWN)

    def _answer(self, room_id: int, user_id: str, state: State) -> bool:
        known = self._invitations.get((room_id, user_id))
        if known is None or not known.is_open(now_ms()):
            return False
        self._invitations[room_id, user_id] = known._replace(state=state, answered_at=now_ms())
        return True

    @transaction
    def invitations_of(self, user_id: str, limit: int) -> list[Invitation]:
        return self._list(key for key in self._invitations if key[1] == user_id)[:limit]

    @transaction
    def invitations_to(self, room_id: int, limit: int) -> list[Invitation]:
        return self._list(key for key in self._invitations if key[0] == room_id)[:limit]

    def _list(self, keys: Iterable[tuple[int, str]]) -> list[Invitation]:
        found = [(key, self._invitations[key]) for key in keys]
        found = [(key, one) for key, one in found if one.is_open(now_ms())]
        return [self._shown_invitation(*pair) for pair in sorted(found, key=_newest_first)]

    def _shown_invitation(self, key: tuple[int, str], one: StoredInvitation) -> Invitation:
        row = self._rooms[key[0]]
        return Invitation(
            row.name, row.title, row.topic, row.kind, one.user, one.inviter, one.role, one.created_at
        )


def _newest_first(pair: tuple[tuple[int, str], StoredInvitation]) -> tuple[int, tuple[int, str]]:
    return -pair[1].created_at, pair[0]
