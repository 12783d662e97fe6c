"""A history in this process's memory: the reference that tests compare the databases with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .append import MemoryAppend
from .invitations import MemoryInvitations
from .members import MemoryMembers
from .messages import MemoryMessages
from .rooms import MemoryRooms
from .tables import transaction


class MemoryHistory(MemoryAppend, MemoryMessages, MemoryRooms, MemoryMembers, MemoryInvitations):
    """A History without a database. `users` are the users whom direct messages and mentions find by name.

    While `down` is set, every method raises StoreUnavailable.
    """

    @transaction
    def ping(self) -> None:
        pass


if TYPE_CHECKING:
    from ..history import History

    _implements: History = MemoryHistory()

__all__ = ["MemoryHistory"]
