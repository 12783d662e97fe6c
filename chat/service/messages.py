"""System messages: what the site itself sends to a room or to a user."""

from __future__ import annotations

import secrets

from ..config import Settings
from ..store.history import Draft, StoreUnavailable
from ..wire.envelope import Envelope, MessageType
from .control import ControlRequests
from .errors import UnknownRoom, UnknownUser
from .process import Processes
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

    def direct(self, to: str, text: str) -> None:
        """Send `text` to the user named `to`; return once it is stored. Raises UnknownUser and as `send` does."""
        self._send(Envelope(MessageType.SINGLE_CHAT, text, None, to))

    def _send(self, envelope: Envelope) -> None:
        self._check_text(envelope.data)
        runtime = self._processes.runtime
        code = runtime.messages.send(envelope) if runtime is not None else self._send_elsewhere(envelope)
        if code == "unknown_room":
            raise UnknownRoom(envelope.room)
        if code == "unknown_user":
            raise UnknownUser(envelope.to)
        if code is not None:
            raise StoreUnavailable(code)

    def _check_text(self, text: str | None) -> None:
        if not isinstance(text, str) or len(text) > self._settings.max_message_chars:
            raise ValueError(f"A message is text of at most {self._settings.max_message_chars} characters.")

    def _send_elsewhere(self, envelope: Envelope) -> str | None:
        """Store the message, or ask the serving processes to send one that is not stored; return an error's code."""
        room, to = envelope.room, envelope.to
        if room is not None and self._is_ephemeral(room):
            self._control.post("send", {"room": room, "text": envelope.data})
        elif to is not None and "dm:*" in self._settings.ephemeral_rooms:
            self._control.post("direct", {"to": to, "text": envelope.data})
        else:
            id = secrets.token_urlsafe(9)
            draft = Draft(int(envelope.type), room, None, id, False, envelope.data or "", to)
            (result,) = self._stores.open().commit([draft], 0)
            return result if isinstance(result, str) else None
        return None

    def _is_ephemeral(self, room: str) -> bool:
        if self._settings.is_ephemeral(room):
            return True
        row = self._stores.open().history.room(room)
        return row is not None and row.ephemeral
