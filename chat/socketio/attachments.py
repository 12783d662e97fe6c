"""Events whose attachments follow them, one frame each: they are assembled, within bounds on what is unfinished."""

from __future__ import annotations

from collections.abc import Callable

from ..rooms.hub import Hub
from .engine_packets import PacketError
from .packet_limits import ATTACHMENTS_A_PACKET, HeldBytes
from .packets import Assembly, Packet
from .sessions import Session

#: Attachments of one packet together, as a multiple of the largest message.
MAX_ASSEMBLY = 10
TOO_MANY = "too many unfinished events"


class Attachments:
    """Assembles the packets of all sessions; `log_dropped()` notes that an event is dropped. In the loop.

    A packet beyond the session's rate is received to its end, and dropped.
    """

    def __init__(self, hub: Hub, log_dropped: Callable[[], None]) -> None:
        self._hub = hub
        self._log_dropped = log_dropped
        self._largest = MAX_ASSEMBLY * hub.settings.max_message_bytes
        self._held = HeldBytes(self._largest + hub.settings.max_message_bytes)

    def begin(self, session: Session, packet: Packet, text: bytes) -> None:
        """Expect the attachments of a packet, whose text is `text`; PacketError where too much is unfinished."""
        is_wanted = not session.count(packet.attachments / ATTACHMENTS_A_PACKET)
        session.assembly = Assembly(text, packet.attachments, self._hub.now, is_wanted)
        if not is_wanted:
            self._log_dropped()
        elif not self._held.add(session.request.network, len(text)):
            session.assembly = None
            raise PacketError(TOO_MANY)

    def add(self, session: Session, payload: bytes) -> Packet | None:
        """Take an attachment; return the packet that it completes, if it is wanted. PacketError for one too many."""
        assembly = session.assembly
        if assembly is None:
            raise PacketError("an attachment of no packet")
        if assembly.size + len(payload) > self._largest:
            raise PacketError("attachments too big")
        if assembly.is_wanted and not self._held.add(session.request.network, len(payload)):
            raise PacketError(TOO_MANY)
        assembly.add(payload)
        if assembly.missing:
            return None
        self.end(session)
        return assembly.finish() if assembly.is_wanted else None

    def end(self, session: Session) -> None:
        """Forget what a session has sent of a packet."""
        assembly, session.assembly = session.assembly, None
        if assembly is not None:
            self._held.remove(session.request.network, assembly.held)
