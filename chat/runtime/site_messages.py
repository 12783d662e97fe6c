"""What the site sends: system messages, and notices to one user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..identity.addressing import Ambiguous
from ..identity.guard import now_ms
from ..rooms.dispatcher import Dispatcher
from ..rooms.group_commit import GroupCommit
from ..rooms.handlers import address_ephemeral
from ..rooms.hub import Hub
from ..store.history import Result, Stored
from ..wire.envelope import Envelope, MessageType
from ..wire.errors import ChatError


class SiteMessages:
    """Sends for the site, from any thread but never from a tick."""

    def __init__(self, hub: Hub, dispatcher: Dispatcher, group_commit: GroupCommit) -> None:
        self._hub = hub
        self._dispatcher = dispatcher
        self._group_commit = group_commit

    # ---- messages ------------------------------------------------------------------------------------------------

    def send(self, envelope: Envelope, publish: bool = True) -> Ambiguous | str | None:
        """Send a system message; return None once it is stored and delivered, else what is wrong: as in Result.

        `publish` is whether other workers are to get it where it is not stored.
        """
        done = self._hub.reactor.driver.one_shot_event()
        results: list[Ambiguous | str | None] = []

        def answer(result: Result | None) -> None:
            results.append(None if isinstance(result, Stored) else result)
            done.set()

        self._hub.reactor.call(self._send, envelope, answer, publish)
        done.wait(None)
        return results[0]

    def _send(self, envelope: Envelope, answer: Callable[[Any], None], publish: bool) -> None:
        envelope.id = self._hub.new_id()
        is_direct = envelope.type == MessageType.SINGLE_CHAT
        try:
            if self._send_direct(envelope, publish) if is_direct else self._send_to_room(envelope, publish):
                answer(None)
            else:
                self._group_commit.put(envelope, False, answer)
        except ChatError as error:
            answer(Ambiguous(error.users) if error.users else error.code)

    def _send_direct(self, envelope: Envelope, publish: bool) -> bool:
        """Deliver a direct message whose conversation stores nothing; return False, undelivered, for any other."""
        hub = self._hub
        try:
            if not address_ephemeral(self._dispatcher, envelope):
                return False
        except ChatError as error:
            if error.code != "unknown_user":
                raise
            return True  # nobody is connected who could receive it
        hub.direct.dedupe.register(envelope)
        hub.direct.send(envelope)
        if publish:
            hub.peers.publish_ephemeral(envelope)
        return True

    def _send_to_room(self, envelope: Envelope, publish: bool) -> bool:
        """Deliver a message to a room that stores nothing; return False, undelivered, for any other room."""
        hub = self._hub
        room = hub.rooms.get(envelope.room)
        if room is not None and room.dedupe is not None:
            room.dedupe.register(envelope)
            room.broadcast(envelope)
        ephemeral = (
            room.ephemeral
            if room is not None
            else self._dispatcher.settings.is_ephemeral(envelope.room or "")
        )
        if publish and ephemeral:
            envelope.ts = envelope.ts or now_ms()
            hub.peers.publish_ephemeral(envelope)
        return ephemeral

    # ---- notices -------------------------------------------------------------------------------------------------

    def push_to_users(self, user_ids: list[str], kind: int, fields: dict[str, Any]) -> None:
        """Send a notice about a room to the extended sockets of these users on this worker."""
        for user_id in user_ids:
            self._hub.reactor.call(self._hub.send_to_user, user_id, kind, fields)
