"""What message handlers request and what may block: storing, joining, read marks, fresh tokens.

It implements rooms.dispatcher.Services.
Each method is called in a tick and returns at once; the work runs in a job or in a thread of its own, and its result
comes back to the loop with `call_soon`.
"""

from __future__ import annotations

import math
from typing import Any

from ..identity.guard import Grant, Guard
from ..loop.jobs import Jobs
from ..rooms.group_commit import GroupCommit
from ..rooms.hub import Hub
from ..rooms.joining import Joining
from ..rooms.member import Member
from ..store.history import StoreUnavailable
from ..wire.envelope import Envelope, MessageType
from ..wire.errors import ChatError
from .signals import Signals
from .site import SiteHooks


class HandlerServices:
    """The services of one worker."""

    def __init__(
        self,
        hub: Hub,
        jobs: Jobs,
        guard: Guard,
        hooks: SiteHooks,
        group_commit: GroupCommit,
        joining: Joining,
        signals: Signals,
    ) -> None:
        self._hub = hub
        self._jobs = jobs
        self._guard = guard
        self._hooks = hooks
        self._group_commit = group_commit
        self._joining = joining
        self._signals = signals

    def message_sent(self, client: Member, envelope: Envelope) -> None:
        """Signal to the site that a message was delivered."""
        self._signals.message_sent(client, envelope)

    def store(self, envelope: Envelope, chosen: bool) -> None:
        """Store a message, then acknowledge and deliver it; `chosen` is whether the client chose its id."""
        self._group_commit.put(envelope, chosen)

    # ---- rooms -------------------------------------------------------------------------------------------------

    def join(self, client: Member, envelope: Envelope) -> None:
        """Send a client the messages of a room that it has missed, then subscribe it to the room."""
        self._joining.put(client, envelope)

    def leave(self, client: Member, envelope: Envelope) -> None:
        """Unsubscribe a client from a room and confirm it."""
        assert envelope.room is not None
        self.unsubscribe(client, envelope.room)
        reply = envelope.reply if isinstance(envelope.reply, int) else None
        client.enqueue(
            client.wire.codec.notice(MessageType.LEAVE, {"room": envelope.room}, envelope.id, reply)
        )

    def unsubscribe(self, client: Member, room: str) -> None:
        """Unsubscribe a client from a room, and cancel a Join of it that is under way."""
        self._joining.cancel(client, room)
        found = self._hub.rooms.get(room)
        if found is not None:
            self._hub.rooms.leave(client, found)

    # ---- read marks ----------------------------------------------------------------------------------------------

    def read(self, client: Member, envelope: Envelope) -> None:
        """Store a user's read mark and send it to the user's sockets; ChatError where too many wait."""
        if not self._jobs.put((client, "read"), self._mark_read, client, envelope):
            raise ChatError("rate_limited", envelope.id)

    def _mark_read(self, client: Member, envelope: Envelope) -> None:
        assert client.user is not None and envelope.room is not None and envelope.seq is not None
        try:
            mark = self._hooks.mark_read(client.user, envelope.room, envelope.seq)
        except (ChatError, StoreUnavailable) as error:
            code = error.code if isinstance(error, ChatError) else "store_unavailable"
            self._hub.reactor.call_soon(self._refuse, client, code, envelope)
            return
        if isinstance(envelope.reply, int):
            self._hub.reactor.call_soon(self._confirm_read, client, envelope, mark)

    def _confirm_read(self, client: Member, envelope: Envelope, mark: dict[str, Any]) -> None:
        member = client.current
        reply = envelope.reply
        if not member.closing and isinstance(reply, int):
            member.enqueue(member.wire.codec.notice(MessageType.READ, mark, envelope.id, reply))

    def _refuse(self, client: Member, code: str, envelope: Envelope) -> None:
        error = ChatError(code, envelope.id)
        error.reply = envelope.reply if isinstance(envelope.reply, int) else None
        if not client.current.closing:
            self._hub.refuse(client.current, error)

    # ---- fresh tokens --------------------------------------------------------------------------------------------

    def renew(self, client: Member, envelope: Envelope) -> None:
        """Check a fresh token and answer it; a site's own claims loader may query its database."""
        # A queue of its own: a session's token must not expire while its earlier messages keep site code busy.
        if not self._jobs.put((client, "renew"), self._check_token, client, envelope):
            raise ChatError("rate_limited", envelope.id)

    def _check_token(self, client: Member, envelope: Envelope) -> None:
        verdict: Grant | ChatError
        try:
            assert envelope.data is not None
            verdict = self._guard.check(envelope.data)
        except ChatError as error:
            verdict = error
        self._hub.reactor.call_soon(self._renew, client, verdict, envelope)

    def _renew(self, client: Member, verdict: Grant | ChatError, envelope: Envelope) -> None:
        client = client.current
        if client.closing or client.user is None:
            return
        if isinstance(verdict, Grant) and verdict.identity.id != client.user.id:
            verdict = ChatError("token_mismatch")
        if isinstance(verdict, ChatError):
            verdict.ref, verdict.reply = envelope.id, envelope.reply
            self._hub.refuse(client, verdict)
            return
        client.set_grant(verdict)
        expires_ms = None if math.isinf(verdict.expires) else int(verdict.expires * 1000)
        client.enqueue(client.wire.codec.renewed(expires_ms, envelope.reply))
