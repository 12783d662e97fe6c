"""How memberships begin, change and end, in memory."""

from __future__ import annotations

from ...wire.envelope import Identity, other_participant
from ..history import DIRECT, MEMBER, OWNER, RoomRow
from ..inviting import State
from ..models import now_ms
from ..rules import Departure, EndedAccount, MemberRule, Standing
from ..succession import successor
from .tables import MemoryTables, transaction


class MemoryMemberChanges(MemoryTables):
    """The methods of History that change memberships."""

    @transaction
    def join(
        self, room_id: int, user: Identity, role: str = MEMBER, by: str = "", rule: MemberRule | None = None
    ) -> bool:
        if rule is not None:
            rule(self._standing(room_id, by, user.id))
        return self._add_member(room_id, user, role)

    @transaction
    def set_role(
        self, room_id: int, user_id: str, role: str, by: str = "", rule: MemberRule | None = None
    ) -> bool:
        state = self._standing(room_id, by, user_id)
        if rule is not None:
            rule(state)
        if state.theirs is not None:
            self._give_role(room_id, user_id, role)
        return state.theirs is not None

    @transaction
    def leave(
        self, room_id: int, user_id: str, by: str = "", rule: MemberRule | None = None
    ) -> Departure | None:
        state = self._standing(room_id, by, user_id)
        if rule is not None:
            rule(state)
        return None if state.theirs is None else self._depart(room_id, user_id)

    def _standing(self, room_id: int, by: str, user_id: str) -> Standing:
        members = self._members.get(room_id, {})
        roles = {id: member.role for id, member in members.items()}
        return Standing(roles.get(by), roles.get(user_id), list(roles.values()).count(OWNER))

    def _give_role(self, room_id: int, user_id: str, role: str) -> None:
        members = self._members[room_id]
        members[user_id] = members[user_id]._replace(role=role)

    def _depart(self, room_id: int, user_id: str) -> Departure:
        members = self._members[room_id]
        was = members.pop(user_id)
        heir = self._hand_on(room_id) if was.role == OWNER else None
        for key, one in self._invitations.items():
            is_void = not members or one.inviter.id == user_id
            if key[0] == room_id and one.state == State.OPEN and is_void:
                self._invitations[key] = one._replace(state=State.WITHDRAWN, answered_at=now_ms())
        return Departure(self._rooms[room_id].name, heir)

    def _hand_on(self, room_id: int) -> Identity | None:
        heir = successor(self._members[room_id].values())
        if heir is not None:
            self._give_role(room_id, heir.user.id, OWNER)
        return None if heir is None else heir.user

    @transaction
    def end_account(self, user_id: str) -> EndedAccount | None:
        places = [room_id for room_id, members in self._members.items() if user_id in members]
        if user_id in self._deleted or (user_id not in self._users and not places):
            return None
        self._deleted.add(user_id)
        rows = [self._rooms[room_id] for room_id in places]
        departures = [self._depart(row.id, user_id) for row in rows if row.kind != DIRECT]
        for key, one in list(self._invitations.items()):
            if user_id in (one.user.id, one.inviter.id):
                del self._invitations[key]
        others = ((row.name, other_participant(row.name, user_id)) for row in rows)
        return EndedAccount(departures, [(name, one) for name, one in others if one and one != user_id])

    @transaction
    def ownerless_rooms(self) -> list[RoomRow]:
        return [row for row in self._rooms.values() if self._needs_repair(row)]

    def _needs_repair(self, row: RoomRow) -> bool:
        members = self._members[row.id]
        is_ownerless = self._is_users_own(row.id) and all(one.role != OWNER for one in members.values())
        return bool(members) and (is_ownerless or self._has_deleted(row))

    def _has_deleted(self, row: RoomRow) -> bool:
        return row.kind != DIRECT and not self._deleted.isdisjoint(self._members[row.id])

    @transaction
    def repair_owner(self, room_id: int) -> Departure | None:
        row = self._rooms[room_id]
        if not self._needs_repair(row):
            return None
        gone = sorted(self._deleted.intersection(self._members[room_id]))
        heirs = [self._depart(room_id, user_id).successor for user_id in gone]
        if self._is_users_own(room_id):
            heirs.append(self._hand_on(room_id))
        living = (one for one in reversed(heirs) if one is not None and one.id not in gone)
        return Departure(row.name, next(living, None))
