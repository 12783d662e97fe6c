"""Which join requests are allowed. Rooms and roles are read from the store once for a whole batch."""

from __future__ import annotations

from collections.abc import Iterable

from ..config import Settings
from ..store.history import PRIVATE, History, RoomRow
from ..wire.envelope import participants
from . import access
from .access import Right
from .join_request import JoinRequest


class JoinRights:
    """Checks requests against rooms and roles. It blocks, and raises what the store raises."""

    def __init__(self, settings: Settings, history: History) -> None:
        self._settings = settings
        self._history = history

    def check(self, batch: Iterable[JoinRequest]) -> tuple[list[JoinRequest], list[JoinRequest]]:
        """Return the requests that are allowed and those that are not; each gets the row of its room."""
        batch = list(batch)
        self._add_rows(batch)
        roles = self._roles(batch)
        allowed: list[JoinRequest] = []
        refused: list[JoinRequest] = []
        for request in batch:
            role = roles.get((request.row.id, request.user_id)) if request.row is not None else None
            (allowed if self._may_join(request, role) else refused).append(request)
        return allowed, refused

    def _add_rows(self, batch: list[JoinRequest]) -> None:
        names = {request.name for request in batch if not self._settings.is_ephemeral(request.name)}
        rows: dict[str, RoomRow] = self._history.rooms_named(names) if names else {}
        for request in batch:
            request.row = rows.get(request.name)

    def _roles(self, batch: list[JoinRequest]) -> dict[tuple[int, str], str]:
        pairs = {
            (request.row.id, request.user_id)
            for request in batch
            if request.row is not None and request.row.kind == PRIVATE
        }
        return self._history.roles(pairs) if pairs else {}

    def _may_join(self, request: JoinRequest, role: str | None) -> bool:
        if self._settings.is_ephemeral(request.name) and not request.is_direct:
            return True
        if request.row is None:
            # A conversation without messages has no row.
            return request.user_id in (participants(request.name) or ())
        return Right.ENTER in access.rights(request.row, request.user_id, role)
