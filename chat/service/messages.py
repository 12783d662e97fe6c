"""System messages: what the site itself sends to a room or to a user."""

from __future__ import annotations

import secrets

from ..config import Settings
from ..identity.addressing import Ambiguous
from ..store.history import Draft, Stored, StoreUnavailable
from ..wire.envelope import Envelope, MessageType
from .control import ControlRequests
from .errors import AmbiguousUser, UnknownRoom, UnknownUser
from .process import Processes
from .receiver import check_given
from .stores import Stores


class SystemMessages:
    """Sends through this process's runtime, or through the store and the control table where it has none."""

    def __init__(
        self, settings: Settings, stores: Stores, processes: Processes, control: ControlRequests
    ) -> None:
        self._settings = settings
        self._stores = stores
        self._processes = processes
        self._control = control

    def send(self, room: str, text: str) -> None:
        """Send `text` to `room`; return once it is stored. Raises UnknownRoom, StoreUnavailable, ValueError."""
        self._send(Envelope(MessageType.GROUP_CHAT, text, room))

    def direct(self, to: str | None, text: str, to_id: str | None = None) -> None:
        """Send `text` to a user, given by id or name; return once it is stored.

        Raises UnknownUser, AmbiguousUser, and as `send` does.
        """
        check_given(to, to_id)
        envelope = Envelope(MessageType.SINGLE_CHAT, text, None, to)
        envelope.to_id = None if to_id is None else str(to_id)
        self._send(envelope)

    def _send(self, envelope: Envelope) -> None:
        self._check_text(envelope.data)
        runtime = self._processes.runtime
        receiver = envelope.to if envelope.to_id is None else envelope.to_id
        code = runtime.messages.send(envelope) if runtime is not None else self._send_elsewhere(envelope)
        if isinstance(code, Ambiguous):
            raise AmbiguousUser(receiver or "", code.users)
        if code == "unknown_room":
            raise UnknownRoom(envelope.room)
        if code in ("unknown_user", "account_deleted"):
            raise UnknownUser(receiver)
        if code is not None:
            raise StoreUnavailable(code)

    def _check_text(self, text: str | None) -> None:
        if not isinstance(text, str) or len(text) > self._settings.max_message_chars:
            raise ValueError(f"A message is text of at most {self._settings.max_message_chars} characters.")

    def _send_elsewhere(self, envelope: Envelope) -> Ambiguous | str | None:
        """Store the message, or ask the serving processes to send one that is not stored; return what went wrong."""
        room = envelope.room
        if room is not None and self._is_ephemeral(room):
            self._control.post("send", {"room": room, "text": envelope.data})
        elif room is None and "dm:*" in self._settings.ephemeral_rooms:
            return self._post_direct(envelope)
        else:
            id, text = secrets.token_urlsafe(9), envelope.data or ""
            draft = Draft(int(envelope.type), room, None, id, False, text, envelope.to, envelope.to_id)
            (result,) = self._stores.open().commit([draft], 0)
            return None if isinstance(result, Stored) else result
        return None

    def _post_direct(self, envelope: Envelope) -> Ambiguous | None:
        to, to_id = envelope.to, envelope.to_id
        found = self._stores.open().users.addressed(to) if to is not None else None
        if isinstance(found, Ambiguous):
            return found
        if found is not None:
            to_id = found.id
        self._control.post("direct", {"to": to, "to_id": to_id, "text": envelope.data})
        return None

    def _is_ephemeral(self, room: str) -> bool:
        if self._settings.is_ephemeral(room):
            return True
        row = self._stores.open().history.room(room)
        return row is not None and row.ephemeral
